/**
 * What goes into the job master and what comes out: events and actions as plain data. The shell (or the simulator) turns
 * timers, replies of storage and messages into events, and does what the actions say, in order.
 */
import type { WireError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type {
  AdoptAttemptRequest,
  CancelAttemptRequest,
  CheckpointAcknowledgement,
  CheckpointDecline,
  ConnectSlotsRequest,
  DeploySlotsRequest,
  Manifest,
  MergeFilesRequest,
  MergeReport,
  NotifyCheckpointRequest,
  ObjectRef,
  RunningAttempt,
  SlotEndedReport,
  SlotListeningReport,
  SubtaskStateReport,
  TriggerCheckpointRequest,
} from '../../proto/messages.ts';
import type { RetainedCheckpoint } from './file-retention.ts';
import type { JobState, TerminalJobState } from './job-state.ts';
import type { SlotOffer } from './slot-assignment.ts';
import type { SlotSupply } from './slot-pool.ts';

/** What a step may know of the world. */
export interface StepEnvironment {
  /** Wall clock for what is shown and stored; deadlines are differences of it, so the shell hands in a monotonic one. */
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: number;
}

/** The newest complete checkpoint of a job: replaced as a whole, by compare-and-set on `checkpointId`. */
export interface CheckpointPointer {
  readonly checkpointId: number;
  readonly attempt: number;
  readonly leaderEpoch: number;
  /** Oldest first; the last one is the newest checkpoint. Files of these manifests are never deleted. */
  readonly retained: readonly RetainedCheckpoint[];
  /** Those of savepoints, oldest first; never deleted either. Absent: none. */
  readonly pinned?: readonly RetainedCheckpoint[];
  /** The job ends its input: whoever goes on from here does so too. Absent: no. */
  readonly draining?: boolean;
}

/** A pointer with the manifests it retains, as read at start. */
export interface RestoredPointer {
  readonly pointer: CheckpointPointer;
  /** One for each entry of `pointer.retained`; null where an older one could not be read. The newest is always there. */
  readonly manifests: readonly (Manifest | null)[];
  /** One for each entry of `pointer.pinned`; null where it could not be read. Absent: there are none. */
  readonly pinnedManifests?: readonly (Manifest | null)[];
  /**
   * The checkpoint is of another job, from whose savepoint this one starts: the pointer only names it, it is not stored for
   * this job, and its files are not this job's to delete.
   */
  readonly isForeign?: boolean;
}

export interface JobMasterSettings {
  readonly cancelTimeoutMs: number;
  /** How long a job waits for enough slots before it fails. */
  readonly slotWaitMs: number;
  /** Deploy, connect, restore and open together. */
  readonly deployTimeoutMs: number;
  /** How long a new leader waits for task managers to tell what they run. */
  readonly adoptionTimeoutMs: number;
  /** Pause between the end of a checkpoint and the next one. */
  readonly checkpointMinPauseMs: number;
  /** How long a stopped job waits for its last output to be committed. */
  readonly commitWaitMs: number;
  /**
   * Failures in a row to write the job's own records (counters, pointer, how it ended) before it is given up; null: tried
   * for ever. A number only with a store whose failed write is over when it answers: a write that comes later would name
   * files that are deleted by then.
   */
  readonly storeFailuresMax: number | null;
}

export const jobMasterSettingsDefault: JobMasterSettings = {
  cancelTimeoutMs: 10_000,
  slotWaitMs: 60_000,
  deployTimeoutMs: 120_000,
  adoptionTimeoutMs: 10_000,
  checkpointMinPauseMs: 0,
  commitWaitMs: 30_000,
  storeFailuresMax: null,
};

export interface JobMasterOptions {
  /** Of this submission. */
  readonly jobId: string;
  readonly graph: JobGraph;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job whose state means the same to this one. */
  readonly restorableGraphHashes: readonly string[];
  readonly graphRef: ObjectRef;
  readonly artifactRef: ObjectRef;
  readonly leaderEpoch: number;
  /** What relative paths of connectors are resolved against; empty: the task manager's own. */
  readonly workingDirectory: string;
  /** What names of the job's own objects start with: others are never deleted. Absent: all are its own. */
  readonly objectPrefix?: string;
  /** The newest attempt number that an earlier leader took, and that may still run; 0: nothing can run. */
  readonly newestAttempt: number;
  /** Null on a fresh start. */
  readonly restored: RestoredPointer | null;
  readonly settings: JobMasterSettings;
}

export const timerNames = [
  'slot-wait',
  'adoption-deadline',
  'deploy-deadline',
  'cancel-deadline',
  'cancel-retry',
  'restart-delay',
  'checkpoint-due',
  'checkpoint-timeout',
  'pointer-retry',
  'counter-retry',
  'notify-retry',
  'commit-wait',
  'terminal-retry',
] as const;
export type TimerName = (typeof timerNames)[number];

export type CounterName = 'attempt' | 'checkpoint';

export type JobMasterEvent =
  | { readonly kind: 'started' }
  /**
   * `savepoint`: the last checkpoint is pinned, and without it the job does not stop; dropped while the job does not run.
   * `drain`: sources end instead, and the job finishes, also through restarts.
   */
  | { readonly kind: 'stop-requested'; readonly savepoint?: boolean; readonly drain?: boolean }
  /** Somebody wants a checkpoint now; dropped while the job does not run. */
  | { readonly kind: 'checkpoint-requested' }
  /** As above, and the checkpoint is pinned. */
  | { readonly kind: 'savepoint-requested' }
  /** The savepoint of this checkpoint is given up: the next checkpoint that completes unpins it. */
  | { readonly kind: 'savepoint-disposed'; readonly checkpointId: number }
  /** The job planned for another parallelism, durable under its name. */
  | { readonly kind: 'rescale-requested'; readonly graph: JobGraph; readonly graphRef: ObjectRef }
  | { readonly kind: 'cancel-requested' }
  | { readonly kind: 'timer-fired'; readonly timer: TimerName; readonly generation: number }
  /** The slots that were asked for, all of them. */
  | { readonly kind: 'slots-granted'; readonly offers: readonly SlotOffer[] }
  /** There are not enough free ones yet. */
  | { readonly kind: 'slots-short'; readonly supply: SlotSupply }
  /** A task manager has registered and runs this of the job. */
  | { readonly kind: 'attempt-reported'; readonly taskManagerId: string; readonly running: RunningAttempt }
  | { readonly kind: 'task-manager-lost'; readonly taskManagerId: string; readonly reason: string }
  | { readonly kind: 'slot-listening'; readonly report: SlotListeningReport }
  | { readonly kind: 'subtask-state'; readonly report: SubtaskStateReport }
  | { readonly kind: 'slot-ended'; readonly report: SlotEndedReport }
  | { readonly kind: 'checkpoint-acknowledged'; readonly report: CheckpointAcknowledgement }
  | { readonly kind: 'checkpoint-declined'; readonly report: CheckpointDecline }
  | { readonly kind: 'merge-reported'; readonly report: MergeReport }
  /** The reply to a call. `error` null: the task manager has done it. */
  | {
      readonly kind: 'call-ended';
      readonly taskManagerId: string;
      readonly call: TaskManagerCall;
      readonly error: WireError | null;
    }
  | { readonly kind: 'counter-advanced'; readonly counter: CounterName; readonly value: number }
  | { readonly kind: 'counter-failed'; readonly counter: CounterName; readonly error: WireError }
  | { readonly kind: 'manifest-written'; readonly checkpointId: number; readonly manifest: ObjectRef }
  | { readonly kind: 'manifest-failed'; readonly checkpointId: number; readonly error: WireError }
  /** `unknown`: it may have happened. `conflict`: it did not, the pointer is not the expected one. */
  | {
      readonly kind: 'pointer-set';
      readonly checkpointId: number;
      readonly result: 'done' | 'conflict' | 'unknown';
      /** Why it is unknown, where that is known. */
      readonly error?: WireError;
    }
  | { readonly kind: 'pointer-read'; readonly checkpointId: number; readonly pointer: CheckpointPointer | null }
  | { readonly kind: 'pointer-read-failed'; readonly checkpointId: number; readonly error: WireError }
  /** `conflict`: another leader has taken the job over, nothing was recorded. */
  | { readonly kind: 'terminal-recorded'; readonly result: 'done' | 'conflict' }
  | { readonly kind: 'terminal-failed'; readonly error: WireError };

/** A call of a task manager. */
export type TaskManagerCall =
  | { readonly method: 'deploySlots'; readonly request: DeploySlotsRequest }
  | { readonly method: 'connectSlots'; readonly request: ConnectSlotsRequest }
  | { readonly method: 'cancelAttempt'; readonly request: CancelAttemptRequest }
  | { readonly method: 'triggerCheckpoint'; readonly request: TriggerCheckpointRequest }
  | { readonly method: 'notifyCheckpointComplete'; readonly request: NotifyCheckpointRequest }
  | { readonly method: 'notifyCheckpointAborted'; readonly request: NotifyCheckpointRequest }
  | { readonly method: 'adoptAttempt'; readonly request: AdoptAttemptRequest }
  | { readonly method: 'mergeFiles'; readonly request: MergeFilesRequest };

export type JobMasterAction =
  /** The slots of the next attempts; those the job has are given back with it, but for those that are kept. */
  | { readonly kind: 'request-slots'; readonly count: number; readonly kept: readonly SlotOffer[] }
  /** The attempt that was found running is this job's, and its slots are. */
  | { readonly kind: 'adopt-slots'; readonly attempt: number }
  /** The job needs no slots any more, and waits for none. */
  | { readonly kind: 'release-slots' }
  /** A task manager does not do as it is told: it is no longer used by anybody. */
  | { readonly kind: 'give-up-task-manager'; readonly taskManagerId: string; readonly reason: string }
  | { readonly kind: 'call'; readonly taskManagerId: string; readonly call: TaskManagerCall }
  /** Replaces a running timer of the same name. */
  | { readonly kind: 'set-timer'; readonly timer: TimerName; readonly generation: number; readonly delayMs: number }
  | { readonly kind: 'clear-timer'; readonly timer: TimerName }
  /** Durable before the value is answered; values grow and are never given out twice. */
  | { readonly kind: 'advance-counter'; readonly counter: CounterName }
  | { readonly kind: 'write-manifest'; readonly manifest: Manifest }
  /** `expected`: checkpoint id of the pointer to be replaced, null when there is none. */
  | { readonly kind: 'set-pointer'; readonly expected: number | null; readonly pointer: CheckpointPointer }
  | { readonly kind: 'read-pointer'; readonly checkpointId: number }
  | { readonly kind: 'delete-objects'; readonly names: readonly string[] }
  | { readonly kind: 'record-terminal'; readonly state: TerminalJobState; readonly error: WireError | null }
  /** Another leader has taken over: everything stops, nothing is recorded. */
  | { readonly kind: 'step-down'; readonly error: WireError }
  | { readonly kind: 'job-ended'; readonly state: TerminalJobState; readonly error: WireError | null }
  | { readonly kind: 'notice'; readonly notice: JobNotice };

/** What observers (progress, logs, tests) are told. */
export type JobNotice =
  /** Attempts of an earlier leader go on under this one. */
  | { readonly kind: 'adopted'; readonly attempts: readonly number[] }
  /** The next attempt has another parallelism and goes on from this checkpoint; 0: from the beginning. */
  | { readonly kind: 'rescaled'; readonly graph: JobGraph; readonly checkpointId: number }
  | { readonly kind: 'state-changed'; readonly from: JobState; readonly to: JobState; readonly attempt: number }
  /** `restarts`: other attempts of their regions follow; else the job ends with this error. */
  | {
      readonly kind: 'attempt-failed';
      readonly attempts: readonly number[];
      readonly error: WireError;
      readonly next: string;
      readonly restarts: boolean;
    }
  | {
      readonly kind: 'checkpoint-completed';
      readonly checkpointId: number;
      /** It is pinned. Absent: no. */
      readonly savepoint?: boolean;
      /** With it the job stops. Absent: no. */
      readonly stop?: boolean;
      readonly bytes: number;
      readonly durationMs: number;
    }
  | {
      readonly kind: 'checkpoint-aborted';
      readonly checkpointId: number;
      readonly reason: string;
      /** It would have been pinned. Absent: no. */
      readonly savepoint?: boolean;
      /** The job was to stop with it. Absent: no. */
      readonly stop?: boolean;
    }
  | { readonly kind: 'warning'; readonly message: string };
