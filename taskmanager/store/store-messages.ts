/** Messages between main thread, store thread and slots. Plain data; errors as `WireError`. */
import type { MessagePort } from 'node:worker_threads';
import type { WireError } from '../../core/errors.ts';
import type { RowBlock } from '../../runtime/checkpoint/row-block.ts';
import type { StoredObject } from '../../storage/object-store.ts';
import type { StorageLocation } from '../../storage/storage-location.ts';
import type { WantedRows } from './restore-stream.ts';
import type { StateFile } from './state-file.ts';

/** An attempt of a job, as names of state files carry it. */
export interface StoreAttempt {
  readonly jobName: string;
  readonly attempt: number;
}

/** What one subtask contributed to a checkpoint: `SubtaskSnapshotInfo` of the control plane, passed through unchanged. */
export interface StoredSubtaskSnapshot {
  readonly subtask: { readonly vertexId: string; readonly subtaskIndex: number };
  readonly afterEnd: boolean;
  readonly rows: number;
  readonly bytes: number;
  readonly alignmentMs: number;
  readonly sourceRecords: number;
}

/** `workerData` of the store thread. */
export interface StoreThreadData {
  readonly storage: StorageLocation;
  readonly taskManagerId: string;
}

export type MainToStore =
  | {
      readonly kind: 'attachSlot';
      readonly attempt: StoreAttempt;
      readonly slotIndex: number;
      readonly port: MessagePort;
    }
  | {
      readonly kind: 'beginCheckpoint';
      readonly attempt: StoreAttempt;
      readonly checkpointId: number;
      readonly slotIndexes: readonly number[];
    }
  | { readonly kind: 'abortCheckpoint'; readonly attempt: StoreAttempt; readonly checkpointId: number }
  | {
      readonly kind: 'merge';
      readonly requestId: number;
      readonly attempt: StoreAttempt;
      readonly mergeId: number;
      readonly inputs: readonly StoredObject[];
    }
  | { readonly kind: 'stop' };

export type StoreToMain =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'written';
      readonly attempt: StoreAttempt;
      readonly checkpointId: number;
      readonly file: StateFile | null;
      readonly subtasks: readonly StoredSubtaskSnapshot[];
    }
  | {
      readonly kind: 'failed';
      readonly attempt: StoreAttempt;
      readonly checkpointId: number;
      readonly error: WireError;
    }
  | { readonly kind: 'merged'; readonly requestId: number; readonly base: StateFile }
  | { readonly kind: 'mergeFailed'; readonly requestId: number; readonly error: WireError }
  | { readonly kind: 'stopped' };

export type SlotToStore =
  | { readonly kind: 'block'; readonly checkpointId: number; readonly block: RowBlock }
  /** Rows evicted in an epoch, for checkpoints to come. */
  | { readonly kind: 'spill'; readonly owner: number; readonly epoch: number; readonly block: RowBlock }
  /** Rows spilled before belong to this checkpoint, before the blocks that follow. */
  | { readonly kind: 'includeSpilled'; readonly checkpointId: number; readonly range: SpillRange }
  /** Spilled rows of epochs up to this one are in a complete checkpoint. */
  | { readonly kind: 'dropSpilled'; readonly owner: number; readonly epoch: number }
  | { readonly kind: 'slotDone'; readonly checkpointId: number; readonly subtasks: readonly StoredSubtaskSnapshot[] }
  /** All subtasks of the slot have finished; nothing follows. */
  | { readonly kind: 'left' }
  | {
      readonly kind: 'restore';
      readonly restoreId: number;
      readonly files: readonly { readonly object: StoredObject }[];
      readonly wanted: readonly WantedRows[];
    }
  | { readonly kind: 'restoreCredit'; readonly restoreId: number; readonly bytes: number };

/** Rows that an operator of a slot has spilled in the epochs after `from`, up to `to`. */
export interface SpillRange {
  readonly owner: number;
  readonly from: number;
  readonly to: number;
}

export type StoreToSlot =
  /** Rows the slot has given away are lost: its attempt cannot go on. */
  | { readonly kind: 'spillFailed'; readonly error: WireError }
  | { readonly kind: 'credit'; readonly bytes: number }
  | { readonly kind: 'restoreBlock'; readonly restoreId: number; readonly fileIndex: number; readonly block: RowBlock }
  | { readonly kind: 'restored'; readonly restoreId: number }
  | { readonly kind: 'restoreFailed'; readonly restoreId: number; readonly error: WireError };

/** Bytes of checkpoint and spilled blocks a slot may have under way. */
export const slotCreditBytes = 32 * 1024 * 1024;
/** Bytes of restored blocks that may be under way to one slot. */
export const restoreCreditBytes = 16 * 1024 * 1024;
