/**
 * The control-plane messages as plain values, mirror of millrace.proto: numbers for uint64 (below 2^53), `null` for an
 * absent sub-message, string unions for enums, {@link WireError} for ErrorInfo. Everybody but `rpc/` uses these; the
 * generated types never leave `rpc/`.
 */
import type { WireError } from '../core/errors.ts';
import type { LogSeverity } from '../core/log-record.ts';

export type { WireError } from '../core/errors.ts';

export type Acknowledgement = Readonly<Record<never, never>>;

/** Who speaks for which try of which job. */
export interface AttemptRef {
  readonly leaderEpoch: number;
  /** Of this submission. */
  readonly jobId: string;
  /** Unique within the job. */
  readonly attempt: number;
}

/** Content-addressed object in checkpoint storage or the job store. */
export interface ObjectRef {
  /** Relative to the root of the store, never absolute, no "..". */
  readonly name: string;
  /** Lower-case hex of the whole object. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface SubtaskRef {
  readonly vertexId: string;
  readonly subtaskIndex: number;
}

/** One slot's share of an attempt: one subtask of every vertex of a pipeline slice. An attempt is one try of one region. */
export interface SlotSlice {
  /** Unique over all task managers within the attempt. */
  readonly slotIndex: number;
  readonly subtasks: readonly SubtaskRef[];
}

export interface DeploySlotsRequest {
  readonly attempt: AttemptRef;
  /** JSON of the job graph, in the job store. */
  readonly graph: ObjectRef;
  /** Bundled job, in the job store. */
  readonly artifact: ObjectRef;
  /** Null on a fresh start. */
  readonly restoreManifest: ObjectRef | null;
  /** Those of this task manager. */
  readonly slices: readonly SlotSlice[];
  /** Subtasks that were finished in the restored checkpoint and are not started again. */
  readonly finished: readonly SubtaskRef[];
  /** Absolute; relative paths of connectors are resolved against it. Empty: the task manager's own. */
  readonly workingDirectory: string;
  /** Of the graph, told again when the task manager registers with another leader. */
  readonly graphHash: string;
  /** Numbers of the attempts of all regions that are current from now on, this one included. */
  readonly currentAttempts: readonly number[];
}

export interface SlotAddress {
  readonly slotIndex: number;
  readonly host: string;
  readonly port: number;
}

/** Sent when every slot of the attempt listens: slots connect to each other, restore, open, and run. */
export interface ConnectSlotsRequest {
  readonly attempt: AttemptRef;
  readonly slots: readonly SlotAddress[];
  /** Where each subtask of the whole attempt runs. */
  readonly slices: readonly SlotSlice[];
}

export interface CancelAttemptRequest {
  readonly attempt: AttemptRef;
  /** Then the thread is ended by force. */
  readonly cancelTimeoutMs: number;
}

export interface TriggerCheckpointRequest {
  readonly attempt: AttemptRef;
  readonly checkpointId: number;
  readonly triggeredAtMs: number;
  /** The job stops with it: sources hand on nothing after this barrier. */
  readonly stop: boolean;
  /** Sources hand on nothing after this message, and end, whatever becomes of the checkpoint. */
  readonly drain: boolean;
}

export interface NotifyCheckpointRequest {
  readonly attempt: AttemptRef;
  readonly checkpointId: number;
}

/** Merges state files into one base. Inputs in the order in which they apply; the result enters only the next manifest. */
export interface MergeFilesRequest {
  readonly attempt: AttemptRef;
  readonly mergeId: number;
  readonly inputs: readonly ObjectRef[];
}

/** A new leader takes over an attempt that runs: it goes on as it is, and listens to no older epoch from now on. */
export interface AdoptAttemptRequest {
  /** With the epoch of the new leader. */
  readonly attempt: AttemptRef;
  /** The newest complete checkpoint, 0 for none: it is committed again, and every other one under way is aborted. */
  readonly completedCheckpointId: number;
}

export interface RegisterTaskManagerRequest {
  /** Unique per process start. */
  readonly taskManagerId: string;
  readonly slotCount: number;
  /** Advertised. */
  readonly host: string;
  readonly engineVersion: string;
  /** Where its slots listen, advertised. */
  readonly dataHost: string;
  /** `host:port` of its TaskManagerService; empty when it is called inside the process. */
  readonly rpcAddress: string;
  /** What it runs already, so that a new leader may adopt it. */
  readonly running: readonly RunningAttempt[];
}

/** An attempt that a task manager runs when it registers. */
export interface RunningAttempt {
  /** With the epoch the task manager knows. */
  readonly attempt: AttemptRef;
  /** Of the graph object it was deployed with, which says its parallelism too. */
  readonly graphSha256: string;
  /** Those of this task manager. */
  readonly slices: readonly SlotSlice[];
  readonly subtasks: readonly RunningSubtask[];
  /** Triggered, and neither completed nor aborted as far as this task manager knows. */
  readonly pendingCheckpointIds: readonly number[];
  /** Of the slices: their threads are over. */
  readonly endedSlots: readonly number[];
  /** As it was deployed with: the newest attempt of a job says which others are its. */
  readonly currentAttempts: readonly number[];
}

export interface RunningSubtask {
  readonly subtask: SubtaskRef;
  readonly state: SubtaskState;
  /** As in {@link SubtaskStateReport}. */
  readonly inputEnded: boolean;
  /** With `failed`. */
  readonly error: WireError | null;
}

export interface RegisterTaskManagerResponse {
  readonly leaderEpoch: number;
}

export interface SubtaskMetrics {
  readonly subtask: SubtaskRef;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly lateRecords: number;
  /** -Infinity before the first watermark. */
  readonly watermarkMs: number;
  readonly busyMs: number;
  readonly backPressuredMs: number;
  readonly idleMs: number;
  /** Received from other slots; within a slot nothing is encoded. */
  readonly bytesIn: number;
  /** Sent to other slots. */
  readonly bytesOut: number;
  readonly counters: Readonly<Record<string, number>>;
}

export interface HeartbeatRequest {
  readonly taskManagerId: string;
  readonly leaderEpoch: number;
  readonly attempts: readonly AttemptMetrics[];
}

/** What one attempt that runs on a task manager says of itself. */
export interface AttemptMetrics {
  readonly attempt: AttemptRef;
  readonly metrics: readonly SubtaskMetrics[];
}

export interface SlotListeningReport {
  readonly attempt: AttemptRef;
  readonly taskManagerId: string;
  readonly address: SlotAddress;
}

/** In the order of the enum of millrace.proto, whose 0 is never sent. */
export const subtaskStates = [
  'created',
  'scheduled',
  'deploying',
  'running',
  'finished',
  'canceling',
  'canceled',
  'failed',
] as const;
export type SubtaskState = (typeof subtaskStates)[number];

export interface SubtaskStateReport {
  readonly attempt: AttemptRef;
  readonly taskManagerId: string;
  readonly subtask: SubtaskRef;
  readonly state: SubtaskState;
  /** All inputs have ended (or the source is exhausted); the subtask waits for a checkpoint whose barrier follows its end. */
  readonly inputEnded: boolean;
  /** With `failed`. */
  readonly error: WireError | null;
}

/** The thread of a slot has ended: after cancel, after all its subtasks finished, or by accident (with the error). */
export interface SlotEndedReport {
  readonly attempt: AttemptRef;
  readonly taskManagerId: string;
  readonly slotIndex: number;
  readonly error: WireError | null;
}

/** What one subtask contributed to a checkpoint. */
export interface SubtaskSnapshotInfo {
  readonly subtask: SubtaskRef;
  /** The barrier followed the end of the subtask's input: it may leave when this checkpoint completes. */
  readonly afterEnd: boolean;
  readonly rows: number;
  readonly bytes: number;
  readonly alignmentMs: number;
  /** Records a source had handed out in all attempts up to this barrier; 0 for other vertices. */
  readonly sourceRecords: number;
}

/** A state file: rows of any tables, grouped by key group. */
export interface StateFile {
  readonly object: ObjectRef;
  readonly rows: number;
  readonly keyGroupFirst: number;
  readonly keyGroupLast: number;
}

/** One per task manager and checkpoint, after every subtask of the task manager took its snapshot and the file is durable. */
export interface CheckpointAcknowledgement {
  readonly attempt: AttemptRef;
  readonly taskManagerId: string;
  readonly checkpointId: number;
  readonly subtasks: readonly SubtaskSnapshotInfo[];
  /** Null when nothing changed. */
  readonly file: StateFile | null;
}

export interface CheckpointDecline {
  readonly attempt: AttemptRef;
  readonly taskManagerId: string;
  readonly checkpointId: number;
  readonly error: WireError;
}

export interface MergeReport {
  readonly attempt: AttemptRef;
  readonly taskManagerId: string;
  readonly mergeId: number;
  /** Null when the merge failed. */
  readonly base: StateFile | null;
  readonly error: WireError | null;
}

/** How far the sources of an alignment group are. */
export interface AlignedGroup {
  readonly group: string;
  /** Of the slowest one; Infinity while none counts. */
  readonly watermarkMs: number;
}

/** Sent by a slot again and again, so a lost one only delays. */
export interface AlignmentReport {
  readonly attempt: AttemptRef;
  readonly taskManagerId: string;
  readonly slotIndex: number;
  readonly groups: readonly AlignedGroup[];
}

/** The same of all other slots. */
export interface AlignmentAnswer {
  readonly groups: readonly AlignedGroup[];
}

export interface ManifestFile {
  readonly file: StateFile;
  readonly base: boolean;
  /** Of the checkpoint (or merge) that wrote it. */
  readonly checkpointId: number;
}

/** Durable: what a completed checkpoint consists of. */
export interface Manifest {
  readonly formatVersion: number;
  readonly jobName: string;
  readonly graphHash: string;
  readonly attempt: number;
  readonly checkpointId: number;
  readonly triggeredAtMs: number;
  readonly completedAtMs: number;
  readonly maxParallelism: number;
  /** In the order in which they apply: a row in a later file replaces the same row of an earlier one. */
  readonly files: readonly ManifestFile[];
  /** Subtasks whose snapshot followed the end of their input. */
  readonly finished: readonly SubtaskRef[];
  readonly subtasks: readonly SubtaskSnapshotInfo[];
  /** Parallelism of every vertex when the checkpoint was taken. */
  readonly vertexParallelism: Readonly<Record<string, number>>;
}

/** Lines of the log of a task manager, oldest first. */
export interface LogReport {
  readonly taskManagerId: string;
  readonly leaderEpoch: number;
  /** Of the first line; counted from 1 within the process. */
  readonly firstNumber: number;
  readonly lines: readonly LoggedLine[];
}

export interface LoggedLine {
  readonly timeMs: number;
  readonly level: LogSeverity;
  readonly jobId: string | null;
  readonly text: string;
}
