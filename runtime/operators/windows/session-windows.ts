/**
 * `keyBy(..).window(session(..)).aggregate({..})`: the records of a key that follow each other by less than the gap. A session
 * fires when time reaches its last millisecond, `end - 1`, sessions in the order (end, key bytes).
 *
 * Lateness is decided on the record's own window, before it is merged (ADR 0015): a function of the record's split, not of
 * which sessions happen to be open.
 *
 * State: `sessions`, one row per key, see `segment-table.ts`; timers are derived from the rows.
 */
import { decodeKey } from '../../../core/codec/key-codec.ts';
import { EngineError } from '../../../core/errors.ts';
import type { Key } from '../../../core/operators.ts';
import type { OperatorContext, RestoredRow } from '../operator.ts';
import { KeyTimers } from './key-timers.ts';
import { firedMark, segmentsOfRow, SegmentTable } from './segment-table.ts';
import { SessionAdder } from './session-adder.ts';
import { type Firing, WindowOperator } from './window-operator.ts';

interface TimeFiring extends Firing {
  readonly time: number;
}

const stateName = 'sessions';

export class SessionWindowOperator extends WindowOperator<TimeFiring> {
  readonly #table: SegmentTable;
  readonly #adder: SessionAdder;
  readonly #timers = new KeyTimers();
  readonly #gapOf: ((value: unknown) => number) | null;

  constructor(context: OperatorContext<'window-aggregate'>) {
    super(context);
    this.#table = new SegmentTable(this.owner, stateName, this.layout);
    this.cache.add(this.#table);
    this.#adder = new SessionAdder(this.#table);
    this.#gapOf = (context.functions.gapOf as ((value: unknown) => number) | undefined) ?? null;
    if (this.#gapOf !== null || this.config.gapMs !== null) return;
    throw new EngineError('JOB_INVALID', `operator '${context.node.id}': a session window without a gap`);
  }

  protected override addRecord(value: unknown, timestamp: number, splitWatermark: number): void {
    let end: number;
    try {
      end = timestamp + this.#gapMs(value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    if (this.isLate(value, end - 1, splitWatermark, this.time)) return;
    const adder = this.#adder;
    adder.start = timestamp;
    adder.end = end;
    let segment: number;
    let key: Key;
    try {
      key = this.keyOf(value);
      segment = this.layout.add(adder, key, value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    this.#added(key, segment);
  }

  /** A session that has fired and got a further record fires again at once, unless it now ends later. */
  #added(key: Key, segment: number): void {
    const lastMs = (this.#table.ends[segment] as number) - 1;
    if (lastMs <= this.time) {
      // Only with allowed lateness: it stays until that is over.
      this.#table.marks[segment] = firedMark;
      this.#timers.arm(key, this.#dueOf(segment));
      return this.#emitSegment(key, segment);
    }
    if (this.#adder.rearm) this.#timers.arm(key, lastMs);
  }

  protected override earliestMs(): number {
    return this.#timers.earliest;
  }

  protected override nextFiring(time: number): TimeFiring | null {
    for (;;) {
      const earliest = this.#timers.earliest;
      if (earliest === Number.POSITIVE_INFINITY || earliest > time) return null;
      const keys = this.#timers.takeEarliest();
      if (keys.length > 0) return { time: earliest, keys, next: 0 };
    }
  }

  protected override needToFire(_firing: TimeFiring, key: Key): void {
    this.prefetch.need(this.#table, key);
  }

  protected override fireKey({ time }: TimeFiring, key: Key): void {
    const row = this.#table.find(key);
    if (row < 0) return;
    const kept = this.#table.index.keyAt(row);
    const due = this.#takeDue(row, time);
    if (due >= 0) this.#emitSegment(kept, due);
    if (due >= 0 && this.config.allowedLatenessMs === 0) this.#table.release(due);
    if ((this.#table.heads[row] as number) < 0) this.#table.deleteRow(row);
    else this.#timers.arm(kept, this.#earliestDueOf(row));
    this.shrinkCaches();
  }

  protected override endFiring(): void {}

  protected override purge(): void {}

  protected override restoreResident(row: RestoredRow): void {
    const { key } = decodeKey(row.key);
    this.#table.restoreRow(key, row.keyGroup, row.value);
    this.#armRestored(key, row);
  }

  protected override noteRestored(row: RestoredRow): void {
    this.#armRestored(decodeKey(row.key).key, row);
  }

  protected override needRows(key: Key): void {
    this.prefetch.need(this.#table, key);
  }

  #armRestored(key: Key, row: RestoredRow): void {
    if (row.value === null) return;
    const lateness = this.config.allowedLatenessMs;
    for (const { end, fired } of segmentsOfRow(row.value, stateName)) {
      this.#timers.arm(key, fired ? end - 1 + lateness : end - 1);
    }
  }

  /** @throws what the user's function throws, or that its result is no gap */
  #gapMs(value: unknown): number {
    if (this.#gapOf === null) return this.config.gapMs as number;
    const gap = this.#gapOf(value);
    if (typeof gap === 'number' && gap >= 1 && gap < Number.POSITIVE_INFINITY) return gap;
    throw new RangeError(
      `the gap of a session must be milliseconds of 1 or more, the function of session(..) returned ${String(gap)}`,
    );
  }

  #dueOf(segment: number): number {
    const lastMs = (this.#table.ends[segment] as number) - 1;
    return this.#table.marks[segment] === 0 ? lastMs : lastMs + this.config.allowedLatenessMs;
  }

  #earliestDueOf(row: number): number {
    const { heads, olders } = this.#table;
    let earliest = Number.POSITIVE_INFINITY;
    for (let segment = heads[row] as number; segment >= 0; segment = olders[segment] as number)
      earliest = Math.min(earliest, this.#dueOf(segment));
    return earliest;
  }

  /**
   * Marks the session of a row that fires at `time`, or takes it out where nothing may follow, and drops those whose lateness
   * is over. Returns the one that fires (the ends of a key's sessions differ, so there is one at most) or -1.
   */
  #takeDue(row: number, time: number): number {
    const table = this.#table;
    let due = -1;
    let newer = -1;
    let segment = table.heads[row] as number;
    for (let older: number; segment >= 0; segment = older) {
      older = table.olders[segment] as number;
      if (this.#dueOf(segment) > time) {
        newer = segment;
        continue;
      }
      if (table.touched[row] !== table.ledger.epoch) table.markChanged(row);
      const fires = table.marks[segment] === 0;
      if (fires) due = segment;
      if (fires && this.config.allowedLatenessMs > 0) {
        table.marks[segment] = firedMark;
        newer = segment;
        continue;
      }
      table.unlink(row, newer);
      if (!fires) table.release(segment);
    }
    return due;
  }

  #emitSegment(key: Key, segment: number): void {
    const { accumulators, starts, ends } = this.#table;
    this.emitResult(accumulators, segment, key, starts[segment] as number, ends[segment] as number);
  }
}
