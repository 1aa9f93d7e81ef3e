/**
 * What every keyed operator shares: the ledger of changed rows, restore, the checkpoint calls, and residency beside a
 * database. Subclasses hold the tables and say what a record does.
 */
import { assert, EngineError, isEngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import type { OperatorKind } from '../../core/operators.ts';
import type { Batch } from '../../core/stream/batch.ts';
import { ChangeLedger } from '../state/change-ledger.ts';
import { Prefetch } from '../state/prefetch.ts';
import { RowCache } from '../state/row-cache.ts';
import type { RowWrite, TableOwner } from '../state/row-table.ts';
import type { Operator, OperatorContext, RestoredRow, SnapshotTask } from './operator.ts';
import { handleUserError } from './user-code.ts';

/** Restored rows handed to the database at once. */
const restoreWritesMax = 256;

export abstract class KeyedOperator<Kind extends OperatorKind> implements Operator {
  protected readonly context: OperatorContext<Kind>;
  protected readonly ledger: ChangeLedger;
  protected readonly owner: TableOwner;
  protected readonly prefetch: Prefetch;
  readonly #keyOf: (value: unknown) => Key;
  readonly #keyOfSecond: (value: unknown) => Key;
  readonly #caches: RowCache[] = [];
  #restoreWrites: RowWrite[] = [];

  /** @param keyOfSecond key selector of input 1; only operators with two keyed inputs have one */
  constructor(
    context: OperatorContext<Kind>,
    keyOf: (value: never) => Key,
    keyOfSecond: (value: never) => Key = keyOf,
  ) {
    this.context = context;
    this.#keyOf = keyOf as (value: unknown) => Key;
    this.#keyOfSecond = keyOfSecond as (value: unknown) => Key;
    this.ledger = new ChangeLedger(context.node.id, context.backend.spill);
    this.owner = {
      operatorId: context.node.id,
      maxParallelism: context.maxParallelism,
      keyGroups: context.keyGroups,
      backend: context.backend,
      ledger: this.ledger,
    };
    this.prefetch = new Prefetch(
      context.backend,
      this.#caches,
      () => context.wake(),
      (error) => context.fail(error),
    );
  }

  abstract emit(value: unknown): void;
  abstract advanceWatermark(watermark: number): boolean;
  /** A restored row, into the tables. */
  protected abstract restoreResident(row: RestoredRow): void;
  /** Beside a database: what must be known in the slot of a restored row that went to the database. */
  protected noteRestored(_row: RestoredRow): void {}
  /** Announces (`prefetch.need`) the rows that a record of `input` needs. `timestamp` is NaN where absent. */
  protected abstract needRows(key: Key, timestamp: number, input: number): void;

  /** Before (the rest of) a batch of so many records: nobody holds an object of a table now, and earlier batches are over. */
  protected beforeBatch(_records: number): void {}

  /** The bound of one state's tables. */
  protected newCache(): RowCache {
    const cache = new RowCache(this.context.backend);
    this.#caches.push(cache);
    return cache;
  }

  protected keyOf(value: unknown): Key {
    return this.#keyOf(value);
  }

  protected keyOfSecond(value: unknown): Key {
    return this.#keyOfSecond(value);
  }

  /**
   * What a user function, or state on its behalf, threw on a record. Broken invariants fail the attempt whatever `onError`
   * says; the rest is the operator's `onError`.
   */
  protected userFailed(record: unknown, error: unknown): void {
    const { context } = this;
    if (isEngineError(error) && error.domain !== 'user') return context.fail(error);
    if (!isEngineError(error) || (context.node.config['onError'] ?? 'fail') !== 'fail')
      return handleUserError(context, record, error);
    // A key or value that is refused keeps its code; the message gets the operator.
    const ids = { ...error.ids, operator: context.node.id, subtask: context.subtaskIndex };
    context.fail(new EngineError(error.code, `operator '${context.node.id}': ${error.message}`, { cause: error, ids }));
  }

  /** To be called after each record and timer, when no user code holds live objects. */
  protected shrinkCaches(): void {
    if (this.context.backend.resident) return;
    for (const cache of this.#caches) cache.shrink();
  }

  restore(row: RestoredRow): void {
    const { first, last } = this.context.keyGroups;
    assert(
      row.keyGroup >= first && row.keyGroup <= last,
      `operator '${this.owner.operatorId}' restores key group ${row.keyGroup}, has ${first}..${last}`,
    );
    if (this.context.backend.resident) return this.restoreResident(row);
    this.noteRestored(row);
    this.restoreToDatabase(row);
  }

  protected restoreToDatabase(row: RestoredRow): void {
    const address = {
      operatorId: this.owner.operatorId,
      stateName: row.stateName,
      keyGroup: row.keyGroup,
      key: row.key.slice(),
    };
    this.#restoreWrites.push({ row: address, value: row.value === null ? null : row.value.slice() });
    if (this.#restoreWrites.length >= restoreWritesMax) this.#flushRestored();
  }

  open(): Promise<void> {
    this.#flushRestored();
    return Promise.resolve();
  }

  prepare(batch: Batch, from: number, input: number): number {
    this.beforeBatch(batch.length - from);
    if (this.context.backend.resident) return batch.length - from;
    const keyOf = input === 0 ? this.#keyOf : this.#keyOfSecond;
    return this.prefetch.prepare(batch, from, batch.length, (index) => {
      this.needRows(keyOf(batch.values[index]), batch.timestamps?.[index] ?? Number.NaN, input);
    });
  }

  freeze(checkpointId: number): SnapshotTask | null {
    return this.ledger.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.ledger.completed(checkpointId);
  }

  checkpointAborted(checkpointId: number): void {
    this.ledger.aborted(checkpointId);
  }

  close(): Promise<void> {
    this.prefetch.close();
    return Promise.resolve();
  }

  #flushRestored(): void {
    if (this.#restoreWrites.length > 0) this.context.backend.write(this.#restoreWrites);
    this.#restoreWrites = [];
  }
}
