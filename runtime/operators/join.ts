/**
 * `first.join(second, { type }, f)`: the regular join of two keyed streams, without a bound in time. Both sides are kept; a
 * record is joined with every row of its key that the other side has now. A row taken back takes its results back.
 *
 * An outer side without partners gives one result with null in their place, taken back when the first partner comes and given
 * again when the last one leaves. Since the join is by key alone, "has partners" is one number a key and side.
 *
 * State: the rows of each side as bags (`first`, `second`); `counts`: rows a side and key, where the type or a time to live
 * needs them; `timers-processing` with a time to live. @see Flink StreamingJoinOperator
 */
import { takesBack } from '../../core/changelog.ts';
import { decodeKey } from '../../core/codec/key-codec.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { rowKind } from '../../core/stream/batch.ts';
import { type LiveForm, LiveTable } from '../state/live-table.ts';
import { type BagItem, RowBag } from '../state/row-bag.ts';
import { ChangeCursor, type ChangeSource } from './change-cursor.ts';
import { ChangeOutput } from './change-output.ts';
import { KeyExpiry } from './key-expiry.ts';
import { KeyedOperator } from './keyed-operator.ts';
import type { Operator, OperatorContext, RestoredRow } from './operator.ts';
import { countMetric } from './user-code.ts';

/** Rows of a key by side, and the processing time of the last write. */
interface Counts {
  readonly rows: [number, number];
  writtenMs: number;
}

const countsForm: LiveForm<Counts> = {
  create: () => ({ rows: [0, 0], writtenMs: 0 }),
  toPlain: ({ rows, writtenMs }) => [rows[0], rows[1], writtenMs],
  fromPlain: (plain) => {
    const [first, second, writtenMs] = plain as [number, number, number];
    return { rows: [first, second], writtenMs };
  },
};

type Side = 0 | 1;

class JoinOperator extends KeyedOperator<'join'> {
  /** Rows by side. */
  readonly #bags: readonly [RowBag, RowBag];
  /** Whether rows of a side come out without a partner. */
  readonly #outer: readonly [boolean, boolean];
  readonly #counts: LiveTable<Counts> | null;
  readonly #expiry: KeyExpiry | null;
  readonly #cursor: ChangeCursor;
  readonly #matches: Matches;

  constructor(context: OperatorContext<'join'>) {
    super(context, context.functions.keyOf, context.functions.keyOfSecond);
    const { type, ttlMs } = context.node.config;
    this.#outer = [type === 'left' || type === 'full', type === 'right' || type === 'full'];
    this.#bags = [new RowBag(this.owner, 'first'), new RowBag(this.owner, 'second')];
    for (const bag of this.#bags) this.newCache().add(bag.table);
    const counted = this.#outer[0] || this.#outer[1] || typeof ttlMs === 'number';
    this.#counts = counted ? new LiveTable(this.owner, 'counts', countsForm) : null;
    if (this.#counts !== null) this.newCache().add(this.#counts);
    this.#expiry = typeof ttlMs === 'number' ? this.#newExpiry(ttlMs) : null;
    this.#cursor = new ChangeCursor(context);
    this.#matches = new Matches(context, (record, error) => this.userFailed(record, error));
  }

  #newExpiry(ttlMs: number): KeyExpiry {
    return new KeyExpiry(this.context, this.owner, this.prefetch, ttlMs, {
      lastWriteMs: (key) => this.#counts?.peek(key)?.writtenMs ?? Number.NaN,
      forget: (key) => {
        for (const bag of this.#bags) bag.table.clear(key);
        this.#counts?.delete(key);
      },
      needRowsOfTimer: (key) => this.needRows(key),
    });
  }

  emit(value: unknown): void {
    this.#handle(value, 0);
  }

  emitSecond(value: unknown): void {
    this.#handle(value, 1);
  }

  get pending(): boolean {
    return this.#cursor.pending;
  }

  resume(): void {
    this.#cursor.resume();
  }

  #handle(value: unknown, side: Side): void {
    // The rest of an earlier record reads the state that this one changes.
    this.#cursor.finish();
    const deletes = takesBack(this.context.scope.rowKind);
    let key: Key;
    try {
      key = side === 0 ? this.keyOf(value) : this.keyOfSecond(value);
      if (!deletes) this.#bags[side].add(key, value);
      else if (!this.#bags[side].remove(key, value)) return countMetric(this.context, 'retractionsWithoutRow', 1);
    } catch (error) {
      return this.userFailed(value, error);
    }
    this.#join(key, value, side, deletes);
    this.shrinkCaches();
  }

  #join(key: Key, value: unknown, side: Side, deletes: boolean): void {
    const other: Side = side === 0 ? 1 : 0;
    const rows = this.#count(key, side, deletes);
    if (rows !== null && rows[other] === 0) {
      if (this.#outer[side]) this.#matches.alone(side, value, deletes);
      return;
    }
    // The first row of this side takes the lone results of the other back; the last one that leaves gives them again.
    const turns = this.#outer[other] && rows !== null && rows[side] === (deletes ? 0 : 1);
    this.#matches.begin(this.#bags[other].rows(key), side, value, deletes, turns);
    this.#cursor.start(this.#matches);
  }

  /** Rows of the key by side, this record included; null where nobody needs to know. */
  #count(key: Key, side: Side, deletes: boolean): readonly [number, number] | null {
    if (this.#counts === null) return null;
    const known = this.#counts.find(key) >= 0;
    const counts = this.#counts.change(key);
    counts.rows[side] += deletes ? -1 : 1;
    const { rows } = counts;
    if (rows[0] === 0 && rows[1] === 0) {
      this.#counts.delete(key);
    } else if (this.#expiry !== null) {
      counts.writtenMs = this.context.nowMs();
      if (!known) this.#expiry.begin(key, counts.writtenMs);
    }
    return rows;
  }

  override restore(row: RestoredRow): void {
    if (this.#expiry?.restore(row) === true) return;
    super.restore(row);
  }

  override async open(): Promise<void> {
    await super.open();
    for (const bag of this.#bags) bag.table.linkRestored();
    this.#expiry?.askToBeWoken();
  }

  advanceWatermark(_watermark: number): boolean {
    return true;
  }

  advanceProcessingTime(nowMs: number): boolean {
    return this.#expiry?.advance(nowMs) ?? true;
  }

  protected override restoreResident(row: RestoredRow): void {
    if (row.stateName === 'counts') {
      assert(this.#counts !== null, 'rows of counts are of a join that counts');
      return this.#counts.restoreRow(decodeKey(row.key).key, row.keyGroup, row.value);
    }
    this.#bags[row.stateName === 'first' ? 0 : 1].table.restoreRow(row.key, row.keyGroup, row.value);
  }

  protected override needRows(key: Key): void {
    for (const bag of this.#bags) this.prefetch.need(bag.table.heads, key);
    if (this.#counts !== null) this.prefetch.need(this.#counts, key);
  }
}

/** The results of one record, made one by one: the rows of the other side, each as often as it is there. */
class Matches implements ChangeSource {
  readonly #join: (first: unknown, second: unknown) => unknown;
  readonly #output: ChangeOutput;
  readonly #failed: (record: unknown, error: unknown) => void;
  #rows: Iterator<BagItem> | null = null;
  #item: BagItem | null = null;
  #told = 0;
  #side: Side = 0;
  #value: unknown;
  #deletes = false;
  #turns = false;

  constructor(context: OperatorContext<'join'>, failed: (record: unknown, error: unknown) => void) {
    this.#join = context.functions.join as (first: unknown, second: unknown) => unknown;
    this.#output = new ChangeOutput(context);
    this.#failed = failed;
  }

  /**
   * @param deletes the record leaves
   * @param turns   rows of the other side had no partner before, or have none from now on
   */
  begin(rows: Iterator<BagItem>, side: Side, value: unknown, deletes: boolean, turns: boolean): void {
    this.#rows = rows;
    this.#item = null;
    this.#side = side;
    this.#value = value;
    this.#deletes = deletes;
    this.#turns = turns;
  }

  step(): boolean {
    const item = this.#item ?? this.#nextItem();
    if (item === null) return false;
    const [row, count] = item;
    const other: Side = this.#side === 0 ? 1 : 0;
    if (this.#turns && !this.#deletes) this.alone(other, row, true);
    if (this.#side === 0) this.#tell(this.#value, row, this.#deletes);
    else this.#tell(row, this.#value, this.#deletes);
    if (this.#turns && this.#deletes) this.alone(other, row, false);
    this.#told++;
    if (this.#told === count) this.#item = null;
    return true;
  }

  /** The result of a row of `side` without a partner. */
  alone(side: Side, row: unknown, deletes: boolean): void {
    if (side === 0) this.#tell(row, null, deletes);
    else this.#tell(null, row, deletes);
  }

  #nextItem(): BagItem | null {
    const step = this.#rows?.next();
    if (step === undefined || step.done === true) {
      this.#rows = null;
      this.#value = undefined;
      return null;
    }
    this.#told = 0;
    this.#item = step.value;
    return step.value;
  }

  #tell(first: unknown, second: unknown, deletes: boolean): void {
    let result: unknown;
    try {
      result = this.#join(first, second);
    } catch (error) {
      return this.#failed({ first, second }, error);
    }
    this.#output.emit(deletes ? rowKind.delete : rowKind.insert, result);
  }
}

export function createJoinOperator(context: OperatorContext<'join'>): Operator {
  return new JoinOperator(context);
}
