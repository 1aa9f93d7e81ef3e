/**
 * Sink committer: keeps what writers made durable as state, and commits it when a checkpoint that contains it is complete.
 * What may be committed and when is decided by the pure `TwoPhaseCommitter`; a commit that fails fails the attempt, and
 * the next attempt commits the same committables again with the identity they had.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import type { Committable, SinkCommitter } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import { type CommitBatch, TwoPhaseCommitter } from '../checkpoint/two-phase-committer.ts';
import { ReservedRows } from '../state/reserved-rows.ts';
import { connectorContext } from './connector-context.ts';
import type { Operator, OperatorContext, RestoredRow, SnapshotTask } from './operator.ts';
import { failpoint } from '../../core/failpoint.ts';

const stateName = 'committables';

/** Key of a committable's row: attempt that received it, number within the attempt. */
type RowKey = readonly [number, number];

export class SinkCommitterOperator implements Operator {
  readonly #context: OperatorContext<'sink-committer'>;
  readonly #committer: SinkCommitter;
  readonly #rows: ReservedRows;
  readonly #core = new TwoPhaseCommitter();
  readonly #keys = new Map<Committable, RowKey>();
  readonly #restored = new Map<string, { key: RowKey; committable: Committable }>();
  #received = 0;
  /** To be committed next; the core hands out one batch at a time. */
  #due: CommitBatch | null = null;
  #leftovers: 'needed' | 'dead' | 'removed' = 'needed';
  #inputEnded = false;
  #busy = false;
  /** Settles when what was last begun is done. */
  #working: Promise<void> = Promise.resolve();

  constructor(context: OperatorContext<'sink-committer'>) {
    this.#context = context;
    const { createCommitter } = context.functions.sink;
    if (createCommitter === null) {
      throw new EngineError('INTERNAL', `sink '${context.node.id}' has no committer`, { domain: 'internal' });
    }
    this.#committer = createCommitter(connectorContext(context));
    this.#rows = new ReservedRows(context.node.id);
  }

  /** False while a commit is under way or due: the subtask may not finish before. */
  get settled(): boolean {
    return !this.#busy && this.#core.pendingCount === 0;
  }

  emit(value: unknown): void {
    const committable = value as Committable;
    const key: RowKey = [this.#context.attempt, this.#received++];
    this.#core.received(committable);
    this.#keys.set(committable, key);
    this.#rows.put(stateName, key, committable);
  }

  restore(row: RestoredRow): void {
    const key = decodeKey(row.key).key as RowKey;
    const id = key.join(':');
    if (row.value === null) this.#restored.delete(id);
    else this.#restored.set(id, { key, committable: decodeValue(row.value) as Committable });
  }

  async open(): Promise<void> {
    await this.#committer.open();
    const restoredId = this.#context.restoredCheckpointId;
    if (restoredId === null) return;
    const entries = [...this.#restored.values()];
    for (const { key, committable } of entries) this.#keys.set(committable, key);
    this.#restored.clear();
    const committables = entries.map((entry) => entry.committable);
    this.#due = this.#core.restored(restoredId, committables);
    await this.#work();
  }

  advanceWatermark(): boolean {
    return true;
  }

  endInput(): Promise<void> {
    this.#inputEnded = true;
    return Promise.resolve();
  }

  freeze(checkpointId: number): SnapshotTask | null {
    this.#core.freeze(checkpointId);
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
    this.#due = this.#core.completed(checkpointId) ?? this.#due;
    // Again at the end: a task manager that was given up while it slept may have written after the first time.
    if (this.#leftovers === 'needed' || this.#inputEnded) this.#leftovers = 'dead';
    this.#work().then(
      () => this.#context.wake(),
      (error: unknown) => this.#context.fail(error),
    );
  }

  checkpointAborted(): void {}

  /** A commit under way is not cut off: when the job stops, the results of its last checkpoint become visible. */
  async close(): Promise<void> {
    // Its error was reported where it was started.
    await this.#working.catch(() => undefined);
    await this.#committer.close();
  }

  /** Does what is due, one thing after the other; a call while that goes on waits for the end of it. */
  #work(): Promise<void> {
    if (!this.#busy) this.#working = this.#doDue();
    return this.#working;
  }

  async #doDue(): Promise<void> {
    this.#busy = true;
    try {
      for (;;) {
        if (this.#due !== null) await this.#commit(this.#due);
        else if (this.#leftovers === 'dead') await this.#removeLeftovers();
        else return;
      }
    } finally {
      // In the same breath as the last look at what is due: nothing that becomes due later is overlooked.
      this.#busy = false;
    }
  }

  async #commit(batch: CommitBatch): Promise<void> {
    failpoint('sink-committer.commit-due');
    await this.#committer.commit(batch.committables);
    failpoint('sink-committer.committed');
    const { committed, next } = this.#core.commitSucceeded();
    for (const committable of committed) this.#forget(committable);
    this.#due = next;
  }

  async #removeLeftovers(): Promise<void> {
    await this.#committer.removeLeftovers?.();
    this.#leftovers = 'removed';
  }

  #forget(committable: Committable): void {
    const key = this.#keys.get(committable);
    this.#keys.delete(committable);
    if (key !== undefined) this.#rows.delete(stateName, key);
  }
}
