/**
 * `first.intervalJoin(second, { lower, upper }, f)`: pairs of one key whose event times are at most so far apart:
 * `second - first` in `[lower, upper]`, both bounds inclusive here. The result has the later of the two times.
 *
 * A record is kept until the merged watermark says that no partner on time can come. A record that is late by the watermark of
 * its own split is neither joined nor kept; one on time that the merged watermark has passed (its split was idle) is treated
 * alike and counted as `lateAfterIdle`, since its partners may be gone.
 *
 * State: see {@link IntervalBuffer}, under `first` and `second`. @see Flink IntervalJoinOperator
 */
import { EngineError } from '../../core/errors.ts';
import type { IntervalJoinContext, Key } from '../../core/operators.ts';
import type { RowCache } from '../state/row-cache.ts';
import { ChangeCursor, type ChangeSource } from './change-cursor.ts';
import { firstAtOrAfter, IntervalBuffer, type TimedRecords } from './interval-buffer.ts';
import { KeyedOperator } from './keyed-operator.ts';
import { LateRecords } from './late-records.ts';
import type { Operator, OperatorContext, RestoredRow } from './operator.ts';
import { canHold, outOfTime } from './windows/window-operator.ts';

/** Least event time of one stretch of a buffer: fewer, larger tables. */
const stretchMinMs = 10_000;

type Side = 0 | 1;

class IntervalJoinOperator extends KeyedOperator<'interval-join'> {
  readonly #buffers: readonly [IntervalBuffer, IntervalBuffer];
  /** A partner of a record of a side is at its time plus these: lowest and highest. */
  readonly #from: readonly [number, number];
  readonly #to: readonly [number, number];
  readonly #late: LateRecords;
  readonly #cursor: ChangeCursor;
  readonly #pairs: Pairs;
  #watermark = Number.NEGATIVE_INFINITY;

  constructor(context: OperatorContext<'interval-join'>) {
    super(context, context.functions.keyOf, context.functions.keyOfSecond);
    const { lowerMs, upperMs } = context.node.config;
    const lower = lowerMs as number;
    const upper = upperMs as number;
    // Adding 0 turns -0 into 0.
    this.#from = [lower, -upper + 0];
    this.#to = [upper, -lower + 0];
    this.#late = new LateRecords(context);
    const stretchMs = Math.max(stretchMinMs, upper - lower + 1);
    const newBuffer = (name: string, cache: RowCache): IntervalBuffer =>
      new IntervalBuffer(this.owner, name, stretchMs, cache);
    this.#buffers = [newBuffer('first', this.newCache()), newBuffer('second', this.newCache())];
    this.#cursor = new ChangeCursor(context);
    this.#pairs = new Pairs(context, (record, error) => this.userFailed(record, error));
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
    const { timestamp, splitWatermark } = this.context.scope;
    if (timestamp !== timestamp) return this.context.fail(timestampMissing(this.context.node.id));
    if (!canHold(timestamp)) return this.userFailed(value, outOfTime(timestamp));
    this.#cursor.finish();
    const isLate = splitWatermark === splitWatermark;
    if (isLate || timestamp <= this.#watermark) return this.#late.take(value, side, !isLate);
    let key: Key;
    try {
      key = side === 0 ? this.keyOf(value) : this.keyOfSecond(value);
      if (timestamp + this.#to[side] > this.#watermark) this.#buffers[side].add(key, timestamp, value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    const from = timestamp + this.#from[side];
    const to = timestamp + this.#to[side];
    this.#pairs.begin(this.#buffers[side === 0 ? 1 : 0], { key, side, value, timestamp, from, to });
    this.#cursor.start(this.#pairs);
    this.shrinkCaches();
  }

  advanceWatermark(watermark: number): boolean {
    if (watermark > this.#watermark) this.#watermark = watermark;
    this.#buffers[0].purge(watermark - this.#to[0]);
    this.#buffers[1].purge(watermark - this.#to[1]);
    return true;
  }

  protected override restoreResident(row: RestoredRow): void {
    this.#buffers[row.stateName === 'first' ? 0 : 1].restoreResident(row);
  }

  protected override noteRestored(row: RestoredRow): void {
    this.#buffers[row.stateName === 'first' ? 0 : 1].noteRestored(row);
  }

  protected override needRows(key: Key, timestamp: number, input: number): void {
    const side: Side = input === 0 ? 0 : 1;
    if (!canHold(timestamp) || timestamp <= this.#watermark) return;
    this.#buffers[side].need(this.prefetch, key, timestamp, timestamp);
    this.#buffers[side === 0 ? 1 : 0].need(
      this.prefetch,
      key,
      timestamp + this.#from[side],
      timestamp + this.#to[side],
    );
  }
}

/** The record whose partners are looked for: those of `[from, to]`. */
interface Probe {
  readonly key: Key;
  readonly side: Side;
  readonly value: unknown;
  readonly timestamp: number;
  readonly from: number;
  readonly to: number;
}

/** The pairs of one record, made one by one in order of the partner's time. */
class Pairs implements ChangeSource, IntervalJoinContext {
  firstTimestamp = Number.NaN;
  secondTimestamp = Number.NaN;
  timestamp = Number.NaN;
  readonly #context: OperatorContext<'interval-join'>;
  readonly #join: (first: unknown, second: unknown, context: IntervalJoinContext) => unknown;
  readonly #failed: (record: unknown, error: unknown) => void;
  #buffer: IntervalBuffer | null = null;
  #probe: Probe | null = null;
  /** Start of the stretch in hand, its records and the next of them. */
  #start = 0;
  #records: TimedRecords | undefined = undefined;
  #next = 0;

  constructor(context: OperatorContext<'interval-join'>, failed: (record: unknown, error: unknown) => void) {
    this.#context = context;
    this.#join = context.functions.join as (first: unknown, second: unknown, context: IntervalJoinContext) => unknown;
    this.#failed = failed;
  }

  begin(buffer: IntervalBuffer, probe: Probe): void {
    this.#buffer = buffer;
    this.#probe = probe;
    this.#enter(buffer, probe, buffer.startOf(probe.from));
  }

  step(): boolean {
    const buffer = this.#buffer;
    const probe = this.#probe;
    if (buffer === null || probe === null) return false;
    while (this.#records === undefined || this.#next >= this.#records.times.length) {
      const start = this.#start + buffer.stretchMs;
      if (start > probe.to) return this.#end();
      this.#enter(buffer, probe, start);
    }
    const { times, records } = this.#records;
    const time = times[this.#next] as number;
    if (time > probe.to) return this.#end();
    this.#pair(probe, records[this.#next++], time);
    return true;
  }

  #enter(buffer: IntervalBuffer, probe: Probe, start: number): void {
    this.#start = start;
    this.#records = buffer.recordsOf(probe.key, start);
    this.#next = this.#records === undefined ? 0 : firstAtOrAfter(this.#records.times, probe.from);
  }

  #end(): boolean {
    this.#buffer = null;
    this.#probe = null;
    this.#records = undefined;
    return false;
  }

  #pair({ side, value, timestamp }: Probe, partner: unknown, partnerTime: number): void {
    const { scope, output } = this.#context;
    const first = side === 0 ? value : partner;
    const second = side === 0 ? partner : value;
    this.firstTimestamp = side === 0 ? timestamp : partnerTime;
    this.secondTimestamp = side === 0 ? partnerTime : timestamp;
    this.timestamp = Math.max(timestamp, partnerTime);
    let result: unknown;
    try {
      result = this.#join(first, second, this);
    } catch (error) {
      return this.#failed({ first, second }, error);
    }
    scope.timestamp = this.timestamp;
    output.emit(result);
    scope.timestamp = timestamp;
  }
}

function timestampMissing(operatorId: string): EngineError {
  const message = `operator '${operatorId}' joins records by their event times, but a record has no timestamp → call withTimestamps(..) on both streams first`;
  return new EngineError('USER_FUNCTION_FAILED', message, { ids: { operator: operatorId } });
}

export function createIntervalJoinOperator(context: OperatorContext<'interval-join'>): Operator {
  return new IntervalJoinOperator(context);
}
