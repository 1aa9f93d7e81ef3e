/**
 * Encodes frozen rows of the slot's subtasks, in slices between batches, and says when the slot's share of a checkpoint
 * is complete. Rows go to the store thread block by block, as far as it has credit.
 */
import { RowBlockWriter, type RowBlock } from '../checkpoint/row-block.ts';
import type { SubtaskId, SubtaskSnapshot } from '../subtask/subtask.ts';

/** What one subtask contributed to a checkpoint; mirrors the message of the control plane. */
export interface EncodedSnapshot {
  readonly subtask: SubtaskId;
  readonly afterEnd: boolean;
  readonly rows: number;
  readonly bytes: number;
  readonly alignmentMs: number;
  readonly sourceRecords: number;
}

/** Where encoded rows go. */
export interface SnapshotSink {
  readonly hasCredit: boolean;
  sendBlock(checkpointId: number, block: RowBlock): void;
  slotDone(checkpointId: number, subtasks: readonly EncodedSnapshot[]): void;
}

interface PendingCheckpoint {
  readonly checkpointId: number;
  readonly queue: SubtaskSnapshot[];
  /** Subtasks that have not frozen their state yet, by identity. */
  readonly missing: Set<SubtaskId>;
  readonly encoded: EncodedSnapshot[];
  readonly writer: RowBlockWriter;
}

export class SnapshotEncoder {
  readonly #sink: SnapshotSink;
  readonly #onFailed: (subtask: SubtaskId, error: unknown) => void;
  readonly #pending = new Map<number, PendingCheckpoint>();
  /** Checkpoints up to here were aborted or are done; late shares of them are dropped. */
  #settledId = 0;

  /** @param onFailed a row of a subtask cannot be encoded, so its checkpoint never completes */
  constructor(sink: SnapshotSink, onFailed: (subtask: SubtaskId, error: unknown) => void) {
    this.#sink = sink;
    this.#onFailed = onFailed;
  }

  /** True when there are rows to encode and the store thread takes them. */
  get hasWork(): boolean {
    if (!this.#sink.hasCredit) return false;
    for (const checkpoint of this.#pending.values()) if (checkpoint.queue.length > 0) return true;
    return false;
  }

  /** @param live subtasks of this slot that have not finished; each contributes to the checkpoint or finishes */
  add(snapshot: SubtaskSnapshot, live: readonly SubtaskId[]): void {
    const { checkpointId } = snapshot;
    if (checkpointId <= this.#settledId) return;
    let checkpoint = this.#pending.get(checkpointId);
    if (checkpoint === undefined) {
      const writer = new RowBlockWriter((block) => this.#sink.sendBlock(checkpointId, block));
      checkpoint = { checkpointId, queue: [], missing: new Set(live), encoded: [], writer };
      this.#pending.set(checkpointId, checkpoint);
    }
    checkpoint.missing.delete(snapshot.subtask);
    checkpoint.queue.push(snapshot);
  }

  abort(checkpointId: number): void {
    this.#pending.delete(checkpointId);
    if (checkpointId > this.#settledId) this.#settledId = checkpointId;
  }

  /** A subtask has left: pending checkpoints do not wait for it any more. */
  subtaskFinished(subtask: SubtaskId): void {
    for (const checkpoint of this.#pending.values()) checkpoint.missing.delete(subtask);
  }

  /** Encodes until `deadlineMs` of `performance.now()`. */
  encode(deadlineMs: number): void {
    for (const checkpoint of this.#pending.values()) {
      while (checkpoint.queue.length > 0) {
        if (!this.#sink.hasCredit || !this.#tryEncodeFirst(checkpoint, deadlineMs)) return;
      }
      if (checkpoint.missing.size === 0) this.#finish(checkpoint);
    }
  }

  #tryEncodeFirst(checkpoint: PendingCheckpoint, deadlineMs: number): boolean {
    const { subtask } = checkpoint.queue[0];
    try {
      return this.#encodeFirst(checkpoint, deadlineMs);
    } catch (error) {
      this.abort(checkpoint.checkpointId);
      this.#onFailed(subtask, error);
      return false;
    }
  }

  /** Rows of the first waiting subtask; true when all of them are written. */
  #encodeFirst(checkpoint: PendingCheckpoint, deadlineMs: number): boolean {
    const snapshot = checkpoint.queue[0];
    const { writer } = checkpoint;
    const rowsBefore = writer.rowsWritten;
    const bytesBefore = writer.bytesWritten;
    const tasks = snapshot.tasks as { operatorId: string; task: SubtaskSnapshot['tasks'][number]['task'] }[];
    let done = true;
    while (tasks.length > 0) {
      done = tasks[0].task.encode(writer, deadlineMs);
      if (!done) break;
      tasks.shift();
    }
    this.#count(checkpoint, snapshot, writer.rowsWritten - rowsBefore, writer.bytesWritten - bytesBefore);
    if (done) checkpoint.queue.shift();
    return done;
  }

  #count(checkpoint: PendingCheckpoint, snapshot: SubtaskSnapshot, rows: number, bytes: number): void {
    const place = checkpoint.encoded.findIndex((share) => share.subtask === snapshot.subtask);
    const before = place < 0 ? { rows: 0, bytes: 0 } : checkpoint.encoded[place];
    const { subtask, afterEnd, alignmentMs, sourceRecords } = snapshot;
    const share = {
      subtask,
      afterEnd,
      alignmentMs,
      sourceRecords,
      rows: before.rows + rows,
      bytes: before.bytes + bytes,
    };
    if (place < 0) checkpoint.encoded.push(share);
    else checkpoint.encoded[place] = share;
  }

  #finish(checkpoint: PendingCheckpoint): void {
    checkpoint.writer.flush();
    this.#pending.delete(checkpoint.checkpointId);
    this.#settledId = Math.max(this.#settledId, checkpoint.checkpointId);
    this.#sink.slotDone(checkpoint.checkpointId, checkpoint.encoded);
  }
}
