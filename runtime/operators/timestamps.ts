/**
 * `withTimestamps`: gives each record its event time and, where it matters, the watermark of its own split. Stands in the
 * chain of a source reader; the reader merges the splits' watermarks and emits the result.
 *
 * A watermark is never poisoned: a record with a bad timestamp does not reach the strategy, and what a strategy of the author
 * returns is held to the same bounds. Nothing takes back a watermark: one record of the year 9999 would end every window.
 */
import { EngineError } from '../../core/errors.ts';
import type { OnError } from '../../core/operators.ts';
import type { PlainData } from '../../core/plain-data.ts';
import {
  timestampMax,
  timestampMaxDefault,
  type WatermarkGenerator,
  type WatermarkStrategy,
} from '../../core/watermarks.ts';
import type { SourceTime, SplitTime } from '../time/split-time.ts';
import type { Collector, OperatorContext, RecordScope } from './operator.ts';
import { StatelessOperator } from './stateless.ts';
import { countMetric, handleUserError, userError } from './user-code.ts';

/** Methods of a generator; all are asked for when it is made, not when a checkpoint needs them. */
const generatorMethods = ['onEvent', 'watermark', 'snapshot', 'restore'] as const;

export class TimestampsOperator extends StatelessOperator {
  readonly #context: OperatorContext<'timestamps'>;
  readonly #timestampOf: (value: never, sourceTimestampMs: number) => number;
  readonly #output: Collector;
  readonly #scope: RecordScope;
  readonly #time: SourceTime;
  readonly #strategy: WatermarkStrategy<unknown>;
  /** NaN unless the strategy is bounded. */
  readonly #outOfOrdernessMs: number;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #maxAheadMs: number | null;
  readonly #onBad: OnError;

  constructor(context: OperatorContext<'timestamps'>, time: SourceTime) {
    super();
    const { config } = context.node;
    this.#context = context;
    this.#timestampOf = context.functions.timestampOf;
    this.#output = context.output;
    this.#scope = context.scope;
    this.#time = time;
    this.#strategy = context.functions.watermarks as WatermarkStrategy<unknown>;
    this.#outOfOrdernessMs = this.#strategy.kind === 'bounded' ? this.#strategy.outOfOrdernessMs : Number.NaN;
    this.#minMs = (config['minTimestampMs'] ?? -timestampMax) as number;
    this.#maxMs = (config['maxTimestampMs'] ?? timestampMaxDefault) as number;
    this.#maxAheadMs = (config['maxAheadOfClockMs'] ?? null) as number | null;
    this.#onBad = (config['onBadTimestamp'] ?? 'fail') as OnError;
    time.assigned = true;
    time.idleTimeoutMs = (config['idleTimeoutMs'] ?? null) as number | null;
    time.alignment = context.functions.alignment;
  }

  emit(value: unknown): void {
    const scope = this.#scope;
    let timestamp: number;
    // What goes to a side output before it has an event time must not have that of the record before.
    scope.timestamp = Number.NaN;
    scope.splitWatermark = Number.NaN;
    try {
      timestamp = this.#timestampOf(value as never, this.#time.sourceTimestampMs);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    // False for NaN as well.
    if (typeof timestamp !== 'number' || !(timestamp >= this.#minMs && timestamp <= this.#highestMs())) {
      this.#rejectTimestamp(value, timestamp);
      return;
    }
    const split = this.#time.current;
    const watermark = split.watermarkMs;
    const outOfOrdernessMs = this.#outOfOrdernessMs;
    if (outOfOrdernessMs === outOfOrdernessMs) split.observe(timestamp, outOfOrdernessMs);
    else if (!this.#observe(split, value, timestamp)) return;
    scope.timestamp = timestamp;
    scope.splitWatermark = timestamp <= watermark ? watermark : Number.NaN;
    this.#output.emit(value);
  }

  /** The farthest time that is not bad. */
  #highestMs(): number {
    if (this.#maxAheadMs === null) return this.#maxMs;
    return Math.min(this.#maxMs, this.#context.nowMs() + this.#maxAheadMs);
  }

  /** A strategy of the author sees the record. False when it threw or returned nonsense, and the record is dealt with. */
  #observe(split: SplitTime, value: unknown, timestamp: number): boolean {
    let watermark: number | null;
    try {
      watermark = this.#ask(split, value, timestamp);
      if ((watermark ?? null) === null) return true;
      if (typeof watermark !== 'number' || !(watermark <= this.#highestMs())) throw this.#badWatermark(watermark);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return false;
    }
    if (watermark > split.watermarkMs) split.watermarkMs = watermark;
    return true;
  }

  #ask(split: SplitTime, value: unknown, timestamp: number): number | null {
    const strategy = this.#strategy;
    if (strategy.kind === 'punctuated') return strategy.watermarkOf(value as Readonly<unknown>, timestamp);
    if (strategy.kind !== 'custom') return null;
    split.generator ??= this.#createGenerator(strategy.create, split.restored);
    split.generator.onEvent(value as Readonly<unknown>, timestamp);
    return split.generator.watermark();
  }

  #createGenerator(create: () => WatermarkGenerator<unknown>, restored: PlainData | undefined) {
    const generator = create();
    const missing = generatorMethods.find((method) => typeof generator?.[method] !== 'function');
    if (missing !== undefined)
      throw new TypeError(
        `a watermark generator has no method '${missing}'; it needs ${generatorMethods.join(', ')}, so that it goes on after a restart`,
      );
    if (restored !== undefined) generator.restore(restored);
    return generator;
  }

  #badWatermark(watermark: unknown): Error {
    const { id } = this.#context.node;
    return userError(
      this.#context,
      `the watermark strategy of operator '${id}' gave ${String(watermark)}`,
      `a watermark is a number of ms, or -Infinity for none yet, and at most ${this.#highestMs()}, the latest timestamp allowed`,
    );
  }

  /** What may be done about a bad timestamp. */
  #remedy(timestamp: unknown): string {
    if (typeof timestamp !== 'number' || !Number.isFinite(timestamp))
      return 'return finite milliseconds since the epoch, ';
    const highestMs = this.#highestMs();
    const allowed = `times from ${this.#minMs} to ${highestMs} are allowed here`;
    const unit = timestamp > highestMs ? unitMistaken(timestamp) : '';
    if (unit === '' && timestamp > highestMs && highestMs === timestampMaxDefault)
      return `${allowed}, by default up to the year 2999; correct it, set maxTimestamp where such times are meant, `;
    return `${allowed}${unit}; correct it, widen minTimestamp, maxTimestamp or maxAheadOfClock, `;
  }

  #rejectTimestamp(value: unknown, timestamp: unknown): void {
    const { id } = this.#context.node;
    if (this.#onBad === 'skip') {
      countMetric(this.#context, 'badTimestamps', 1);
      return;
    }
    const message = `operator '${id}' got ${String(timestamp)} as the timestamp of a record → ${this.#remedy(timestamp)}or set onBadTimestamp: 'skip' or sideOutput(tag)`;
    const error = new EngineError('USER_FUNCTION_FAILED', message, { ids: { operator: id } });
    if (this.#onBad === 'fail') return this.#context.fail(error);
    countMetric(this.#context, 'badTimestamps', 1);
    const failed = { record: value, operator: id, message, stack: error.stack ?? message };
    this.#context.sideOutput(this.#onBad.sideOutput).emit(failed);
  }
}

/** Says so when a time far too late is one between 2000 and 2100 in another unit. */
function unitMistaken(timestamp: number): string {
  for (const [unit, perMs] of [
    ['microseconds', 1e3],
    ['nanoseconds', 1e6],
  ] as const) {
    const ms = timestamp / perMs;
    if (ms >= Date.UTC(2000, 0) && ms < Date.UTC(2100, 0))
      return ` (in ${unit} it would be ${new Date(ms).toISOString()}: divide it by ${perMs})`;
  }
  return '';
}
