/**
 * What a slot thread and the main thread of its task manager say to each other. Control only: records never pass here.
 */
import type { MessagePort } from 'node:worker_threads';
import type { WireError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type { TlsFiles } from '../../proto/rpc/security/tls-files.ts';
import type {
  AlignedGroup,
  ObjectRef,
  SlotAddress,
  SlotSlice,
  SubtaskMetrics,
  SubtaskRef,
} from '../../proto/messages.ts';

/** Everything a slot is given to run one attempt. */
export interface SlotTask {
  readonly control: MessagePort;
  /** To the store thread. */
  readonly store: MessagePort;
  /** To the state host thread; null with the memory backend. */
  readonly stateHost: StateHostConnection | null;
  /** `[turns of the loop, running subtask + 1 or 0]`, watched by the main thread. */
  readonly pulse: SharedArrayBuffer;
  readonly deployment: SlotDeployment;
}

export interface StateHostConnection {
  readonly port: MessagePort;
  readonly shared: SharedArrayBuffer;
}

export interface SlotDeployment {
  readonly graph: JobGraph;
  readonly artifactPath: string;
  readonly attempt: number;
  readonly slotIndex: number;
  readonly slice: SlotSlice;
  readonly finished: readonly SubtaskRef[];
  readonly restore: RestorePoint | null;
  readonly workingDirectory: string;
  /** Unguessable secret shared by the slots of a run; part of the data plane's handshake. */
  readonly clusterId: string;
  /** Where other slots reach this one. */
  readonly host: string;
  /** What it listens on. */
  readonly listenHost: string;
  /** False when the whole attempt is in this one slot: no port is opened. */
  readonly listens: boolean;
  /** Ports to choose from, both ends inclusive; null for any. */
  readonly dataPorts: { readonly first: number; readonly last: number } | null;
  /** Null or absent: slots speak in clear, on this machine only. */
  readonly tls?: TlsFiles | null;
  /** One file for each secret; null or absent: there are none. */
  readonly secretsDirectory?: string | null;
  /** Fail when user code changes a record it was given or has emitted. */
  readonly checkImmutability: boolean;
}

export interface RestorePoint {
  readonly checkpointId: number;
  readonly files: readonly { readonly object: ObjectRef }[];
}

export type ToSlot =
  | { readonly type: 'connect'; readonly slots: readonly SlotAddress[]; readonly slices: readonly SlotSlice[] }
  | {
      readonly type: 'trigger';
      readonly checkpointId: number;
      readonly triggeredAtMs: number;
      readonly stop: boolean;
      readonly drain: boolean;
    }
  | { readonly type: 'completed'; readonly checkpointId: number }
  | { readonly type: 'aborted'; readonly checkpointId: number }
  /** How far the sources of all other slots are. */
  | { readonly type: 'aligned'; readonly groups: readonly AlignedGroup[] }
  | { readonly type: 'cancel' };

export type FromSlot =
  | { readonly type: 'listening'; readonly host: string; readonly port: number }
  | { readonly type: 'running'; readonly subtask: SubtaskRef }
  | { readonly type: 'inputEnded'; readonly subtask: SubtaskRef }
  | { readonly type: 'finished'; readonly subtask: SubtaskRef }
  | { readonly type: 'failed'; readonly subtask: SubtaskRef; readonly error: WireError }
  /** How far the sources of this slot are. */
  | { readonly type: 'alignment'; readonly groups: readonly AlignedGroup[] }
  | {
      readonly type: 'metrics';
      readonly metrics: readonly SubtaskMetrics[];
      /** Of the thread. */
      readonly memory: { readonly heapBytes: number; readonly externalBytes: number };
    }
  | { readonly type: 'log'; readonly level: 'info' | 'warn'; readonly message: string }
  | { readonly type: 'deliver'; readonly channel: string; readonly id: string; readonly values: readonly unknown[] }
  /** Everything is closed; the thread may be ended. */
  | { readonly type: 'ended' };
