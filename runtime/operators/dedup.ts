/**
 * `keyBy(..).dedup(..)`: one record per key.
 *
 * - first by arrival: handed on at once, later ones dropped. Append-only.
 * - first by event time: the earliest record, handed on when the watermark has reached its time, since then none earlier can
 *   follow but late ones. Append-only, and the same in every replay.
 * - last (by time or arrival): handed on at once; a later one (or one of the same time) replaces it as an update. Without the
 *   record before (`emitBefore: false`) a replaced one is never decoded.
 *
 * State: one row per key, state name `kept`; `timers-event` for first by time, `timers-processing` with a time to live.
 * @see Flink Deduplicate
 */
import { ownValue } from '../../core/codec/own.ts';
import { decodeFirstElement } from '../../core/codec/value-codec.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { rowKind } from '../../core/stream/batch.ts';
import { type LiveForm, LiveTable } from '../state/live-table.ts';
import { type Timer, TimerService } from '../time/timer-service.ts';
import { ChangeOutput } from './change-output.ts';
import { DueTimers } from './due-timers.ts';
import { KeyExpiry } from './key-expiry.ts';
import { OneTableOperator } from './one-table-operator.ts';
import type { Operator, OperatorContext, RestoredRow } from './operator.ts';
import { countMetric } from './user-code.ts';

/** What is kept of a key. */
interface Kept {
  /** Event time of the record; NaN when it came by arrival. */
  time: number;
  /** The record while it may still be replaced or has to be handed on; undefined after that. */
  row: unknown;
  /** The first one was handed on: whatever follows is dropped. */
  done: boolean;
  /** Processing time of the last write, with a time to live. */
  writtenMs: number;
  /** The record is still one of the batch at hand: what is replaced before the next one need not be copied. Not stored. */
  borrowed: boolean;
}

const keptForm: LiveForm<Kept> = {
  create: () => ({ time: Number.NaN, row: undefined, done: false, writtenMs: 0, borrowed: false }),
  toPlain: ({ time, row, done, writtenMs }) => [time, row, done, writtenMs],
  fromPlain: (plain) => {
    const [time, row, done, writtenMs] = plain as [number, unknown, boolean, number];
    return { time, row, done, writtenMs, borrowed: false };
  },
};

class DedupOperator extends OneTableOperator<'dedup'> {
  readonly #table: LiveTable<Kept>;
  readonly #keepsFirst: boolean;
  readonly #byTime: boolean;
  /** Told are pairs of the record before and the new one; else only the new one. */
  readonly #emitBefore: boolean;
  /** A kept record is an object as long as its batch is at hand, and in stored form after that. */
  readonly #restsAtOnce: boolean;
  readonly #changes: ChangeOutput;
  readonly #eventTimers: TimerService;
  readonly #due: DueTimers;
  readonly #expiry: KeyExpiry | null;
  readonly #borrowers: Kept[] = [];

  constructor(context: OperatorContext<'dedup'>) {
    super(context, context.functions.keyOf);
    const { keep, by, ttlMs, emitBefore } = context.node.config;
    this.#keepsFirst = keep === 'first';
    this.#byTime = by === 'time';
    this.#emitBefore = emitBefore !== false;
    this.#restsAtOnce = !this.#emitBefore && context.backend.resident;
    this.#table = this.keep(
      new LiveTable(this.owner, 'kept', keptForm, { rests: this.#restsAtOnce ? 'at-once' : true }),
    );
    this.#changes = new ChangeOutput(context);
    this.#eventTimers = new TimerService(this.owner, 'event');
    const needRowsOfTimer = (key: Key): void => this.prefetch.need(this.#table, key);
    this.#due = new DueTimers(context, this.prefetch, this.#eventTimers, {
      needRowsOfTimer,
      fire: (timer) => this.#handOnFirst(timer),
    });
    this.#expiry =
      typeof ttlMs !== 'number'
        ? null
        : new KeyExpiry(context, this.owner, this.prefetch, ttlMs, {
            lastWriteMs: (key) => this.#table.peek(key)?.writtenMs ?? Number.NaN,
            forget: (key) => this.#forget(key),
            needRowsOfTimer,
          });
  }

  override restore(row: RestoredRow): void {
    if (this.#expiry?.restore(row) === true) return;
    if (row.stateName === this.#eventTimers.stateName)
      return this.#eventTimers.restoreRow(row.key, row.keyGroup, row.value);
    super.restore(row);
  }

  override async open(): Promise<void> {
    await super.open();
    this.#expiry?.askToBeWoken();
  }

  emit(value: unknown): void {
    const { scope } = this.context;
    if (this.#byTime && scope.timestamp !== scope.timestamp)
      return this.context.fail(timestampMissing(this.context.node.id));
    let key: Key;
    let known: Kept | undefined;
    try {
      key = this.keyOf(value);
      if (!this.#emitBefore) {
        this.#upsert(key, value);
        return this.shrinkCaches();
      }
      known = this.#table.peek(key);
    } catch (error) {
      return this.userFailed(value, error);
    }
    if (!this.#keepsFirst) this.#last(key, known, value);
    else if (this.#byTime) this.#firstByTime(key, known, value);
    else this.#firstByArrival(key, known, value);
    this.shrinkCaches();
  }

  #borrow(kept: Kept, value: unknown): void {
    kept.row = value;
    if (kept.borrowed) return;
    kept.borrowed = true;
    this.#borrowers.push(kept);
  }

  protected override beforeBatch(records: number): void {
    for (let kept = this.#borrowers.pop(); kept !== undefined; kept = this.#borrowers.pop()) {
      kept.row = ownValue(kept.row);
      kept.borrowed = false;
    }
    this.#table.rest(this.#restsAtOnce ? Number.POSITIVE_INFINITY : records);
  }

  #firstByArrival(key: Key, known: Kept | undefined, value: unknown): void {
    if (known !== undefined) return countMetric(this.context, 'duplicates', 1);
    const kept = this.#write(key, known);
    kept.done = true;
    this.context.output.emit(value);
  }

  #firstByTime(key: Key, known: Kept | undefined, value: unknown): void {
    const { timestamp, splitWatermark } = this.context.scope;
    if (splitWatermark === splitWatermark) {
      this.context.metrics.lateRecords++;
      return;
    }
    if (known !== undefined && (known.done || known.time <= timestamp))
      return countMetric(this.context, 'duplicates', 1);
    if (known !== undefined) this.#eventTimers.delete(known.time, key);
    const kept = this.#write(key, known);
    kept.time = timestamp;
    this.#borrow(kept, value);
    this.#eventTimers.register(timestamp, key);
  }

  #last(key: Key, known: Kept | undefined, value: unknown): void {
    const timestamp = this.#byTime ? this.context.scope.timestamp : Number.NaN;
    if (known !== undefined && timestamp < known.time) return countMetric(this.context, 'duplicates', 1);
    const before = known?.row;
    const isFirst = known === undefined;
    const kept = this.#write(key, known);
    kept.time = timestamp;
    this.#borrow(kept, value);
    if (isFirst) this.#changes.emit(rowKind.insert, value);
    else this.#changes.update(before, value);
  }

  /** The last record, when nobody asks for the one it replaces: of a row that rests only the time is read. */
  #upsert(key: Key, value: unknown): void {
    const timestamp = this.#byTime ? this.context.scope.timestamp : Number.NaN;
    const stored = this.#table.stored(key);
    const known = stored === null ? this.#table.peek(key) : undefined;
    const isFirst = stored === null && known === undefined;
    const knownTime = stored === null ? known?.time : storedTime(stored);
    if (knownTime !== undefined && timestamp < knownTime) return countMetric(this.context, 'duplicates', 1);
    const kept = known === undefined ? this.#table.renew(key) : this.#table.change(key);
    this.#noteWrite(key, kept, isFirst);
    kept.time = timestamp;
    if (this.#restsAtOnce) kept.row = value;
    else this.#borrow(kept, value);
    this.#changes.emit(isFirst ? rowKind.insert : rowKind.updateAfter, value);
  }

  /** What is kept of the key, to be changed. */
  #write(key: Key, known: Kept | undefined): Kept {
    const kept = this.#table.change(key);
    this.#noteWrite(key, kept, known === undefined);
    return kept;
  }

  #noteWrite(key: Key, kept: Kept, isFirst: boolean): void {
    if (this.#expiry === null) return;
    const nowMs = this.context.nowMs();
    kept.writtenMs = nowMs;
    if (isFirst) this.#expiry.begin(key, nowMs);
  }

  #handOnFirst({ key, time }: Timer): void {
    const { scope } = this.context;
    const known = this.#table.peek(key);
    if (known === undefined || known.done) return;
    const { row } = known;
    const kept = this.#table.change(key);
    kept.done = true;
    kept.row = undefined;
    scope.timestamp = time;
    scope.splitWatermark = Number.NaN;
    scope.rowKind = rowKind.insert;
    this.context.output.emit(row);
    this.shrinkCaches();
  }

  #forget(key: Key): void {
    const kept = this.#table.peek(key);
    // A record that was not handed on yet is not forgotten: its timer is still to come.
    if (kept?.row !== undefined && this.#keepsFirst) return this.#expiry?.begin(key, this.context.nowMs());
    this.#table.delete(key);
  }

  override advanceWatermark(watermark: number): boolean {
    return this.#keepsFirst && this.#byTime ? this.#due.advance(watermark) : true;
  }

  advanceProcessingTime(nowMs: number): boolean {
    return this.#expiry?.advance(nowMs) ?? true;
  }
}

/** Time of a row in stored form: the first element, behind the version of the row. */
function storedTime(row: Uint8Array): number {
  return decodeFirstElement(row, 1) as number;
}

function timestampMissing(operatorId: string): EngineError {
  const message = `operator '${operatorId}' keeps the first or last record by event time, but a record has no timestamp → call withTimestamps(..) on the stream first, or use by: 'arrival'`;
  return new EngineError('USER_FUNCTION_FAILED', message, { ids: { operator: operatorId } });
}

export function createDedupOperator(context: OperatorContext<'dedup'>): Operator {
  return new DedupOperator(context);
}
