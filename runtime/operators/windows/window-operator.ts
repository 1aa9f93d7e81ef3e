/**
 * What windows over time share, whichever kind they are: whose clock counts, late records, and firing in the order (end, key
 * bytes) as far as there is room.
 *
 * Event time: a record has its timestamp, and `time` is the merged watermark. Lateness is a pure function of the record's own
 * split: a window is over for a record when `last ms + allowed lateness <= split watermark`. The merged watermark only fires
 * and purges. An on-time record whose windows are purged already (its split was idle) is late too, counted as `lateAfterIdle`.
 *
 * Processing time: a record has the time it is looked at, and `time` is the millisecond before the clock, since further
 * records may come within the present one. The clock never goes back here, so no record is late. What is open at the end of
 * input fires then: it would be lost. Results have no timestamp (they hold the bounds of the window).
 */
import { EngineError } from '../../../core/errors.ts';
import type { Key } from '../../../core/operators.ts';
import { maxWatermark } from '../../../core/stream/batch.ts';
import type { AccumulatorColumns } from '../../state/accumulators.ts';
import { AggregateLayout } from '../../state/aggregate-layout.ts';
import type { RowCache } from '../../state/row-cache.ts';
import { KeyedOperator } from '../keyed-operator.ts';
import { LateRecords } from '../late-records.ts';
import type { OperatorContext } from '../operator.ts';
import { type WindowConfig, windowConfig } from './window-config.ts';

/** Keys whose windows end at one time, and the cursor in them. */
export interface Firing {
  readonly keys: readonly Key[];
  next: number;
}

/** Windows fired before other subtasks of the slot get their turn. */
const firedPerTurnMax = 1024;
/** Times beyond those of a `Date`: windows cannot be computed with. */
const maxTimestampMs = 8.64e15;

/** True for times that windows can be computed with; false for an absent one. */
export function canHold(timestamp: number): boolean {
  return Math.abs(timestamp) <= maxTimestampMs;
}

/** The error for a record whose time is no time that windows can be computed with. */
export function outOfTime(timestamp: number): RangeError {
  return new RangeError(`its event time ${timestamp} is outside of what a Date can hold`);
}

export abstract class WindowOperator<F extends Firing> extends KeyedOperator<'window-aggregate'> {
  protected readonly config: WindowConfig;
  protected readonly layout: AggregateLayout;
  protected readonly cache: RowCache;
  /** Windows whose last millisecond is at or before this have fired, or are being fired. */
  protected time = Number.NEGATIVE_INFINITY;
  readonly #late: LateRecords;
  #firing: F | null = null;
  /** The clock as it was seen last. */
  #clockMs = Number.NEGATIVE_INFINITY;
  /** Processing time asked for. */
  #askedMs = Number.POSITIVE_INFINITY;

  constructor(context: OperatorContext<'window-aggregate'>) {
    super(context, context.functions.keyOf);
    this.config = windowConfig(context);
    this.layout = new AggregateLayout(context.functions.aggregates, 3);
    this.cache = this.newCache();
    this.#late = new LateRecords(context);
  }

  /** Takes a record that has a time. `splitWatermark` is NaN where the record is on time. */
  protected abstract addRecord(value: unknown, timestamp: number, splitWatermark: number): void;
  /** Last millisecond of the window that fires next, Infinity when there is none; may be too early. */
  protected abstract earliestMs(): number;
  /** What fires next at or before `time`, taken out; null: nothing. */
  protected abstract nextFiring(time: number): F | null;
  /** Announces the rows that firing a key needs. */
  protected abstract needToFire(firing: F, key: Key): void;
  protected abstract fireKey(firing: F, key: Key): void;
  /** All keys have fired. */
  protected abstract endFiring(firing: F): void;
  /** Everything that is due has fired: drops what no record can change any more. */
  protected abstract purge(time: number): void;

  /** The firing that ran out of room, if one did. */
  protected get interrupted(): F | null {
    return this.#firing;
  }

  override async open(): Promise<void> {
    await super.open();
    this.#askToBeWoken();
  }

  emit(value: unknown): void {
    if (this.config.processingTime) return this.#emitNow(value);
    const { timestamp, splitWatermark } = this.context.scope;
    if (!canHold(timestamp)) return this.#badTimestamp(value, timestamp);
    this.addRecord(value, timestamp, splitWatermark);
    this.shrinkCaches();
  }

  advanceWatermark(watermark: number): boolean {
    if (!this.config.processingTime) return this.#advance(watermark);
    return watermark === maxWatermark ? this.#advance(watermark) : true;
  }

  advanceProcessingTime(nowMs: number): boolean {
    if (!this.config.processingTime) return true;
    this.#askedMs = Number.POSITIVE_INFINITY;
    if (!this.#advance(this.clock(nowMs) - 1)) return false;
    this.#askToBeWoken();
    return true;
  }

  /** The clock, which never goes back. `atLeastMs` is what a restored state has seen. */
  protected clock(atLeastMs: number): number {
    if (atLeastMs > this.#clockMs) this.#clockMs = atLeastMs;
    return this.#clockMs;
  }

  /** True when all windows up to `lastMs` are over for the record; then it has been counted and sent to the late output. */
  protected isLate(value: unknown, lastMs: number, splitWatermark: number, time: number): boolean {
    const expiry = lastMs + this.config.allowedLatenessMs;
    const afterIdle = !(expiry <= splitWatermark);
    if (afterIdle && expiry > time) return false;
    this.#late.take(value, 0, afterIdle);
    return true;
  }

  /** Emits the result of a window of a key. */
  protected emitResult(columns: AccumulatorColumns, slot: number, key: Key, start: number, end: number): void {
    const { scope, output } = this.context;
    const { makeResult, partKinds } = this.layout;
    let result: Record<string, unknown>;
    try {
      result = makeResult(columns.parts, slot * partKinds.length, columns.objects, slot, key, start, end);
    } catch (error) {
      return this.userFailed({ key, windowStart: start, windowEnd: end }, error);
    }
    scope.timestamp = this.config.processingTime ? Number.NaN : end - 1;
    scope.splitWatermark = Number.NaN;
    scope.rowKind = 0;
    output.emit(result);
  }

  #emitNow(value: unknown): void {
    this.addRecord(value, this.clock(this.context.nowMs()), Number.NaN);
    this.shrinkCaches();
    this.#askToBeWoken();
  }

  #askToBeWoken(): void {
    if (!this.config.processingTime) return;
    const atMs = this.earliestMs() + 1;
    if (atMs >= this.#askedMs) return;
    this.#askedMs = atMs;
    this.context.wakeAt(atMs);
  }

  #advance(time: number): boolean {
    if (time > this.time) this.time = time;
    let budget = firedPerTurnMax;
    for (;;) {
      this.#firing ??= this.nextFiring(this.time);
      if (this.#firing === null) break;
      budget = this.#fire(this.#firing, budget);
      if (this.#firing.next < this.#firing.keys.length) return false;
      this.endFiring(this.#firing);
      this.#firing = null;
    }
    this.purge(this.time);
    return true;
  }

  /** Fires windows while there is room and budget. Returns the budget left. */
  #fire(firing: F, budget: number): number {
    const { keys } = firing;
    while (firing.next < keys.length) {
      const resident = this.prefetch.prepare(firing, firing.next, keys.length, (index) =>
        this.needToFire(firing, keys[index] as Key),
      );
      const end = Math.min(firing.next + resident, keys.length);
      if (resident === 0) return budget;
      while (firing.next < end) {
        if (!this.context.hasRoom()) return budget;
        if (budget === 0) {
          this.context.wake();
          return 0;
        }
        budget--;
        this.fireKey(firing, keys[firing.next++] as Key);
      }
    }
    return budget;
  }

  #badTimestamp(value: unknown, timestamp: number): void {
    if (timestamp === timestamp) return this.userFailed(value, outOfTime(timestamp));
    this.context.fail(timestampMissing(this.context.node.id));
  }
}

export function timestampMissing(operatorId: string): EngineError {
  const message = `operator '${operatorId}' puts records into event-time windows, but a record has no timestamp → call withTimestamps(..) on the stream first`;
  return new EngineError('USER_FUNCTION_FAILED', message, { ids: { operator: operatorId } });
}
