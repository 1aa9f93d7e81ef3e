/**
 * `withTimestamps` as the author writes it: watermark strategies, what is done with bad timestamps, idleness and alignment.
 * Everything is checked here, at definition time.
 */
import { EngineError } from '../../core/errors.ts';
import type { OnError, OutputTag } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import {
  type AlignmentSettings,
  type BoundedWatermarks,
  type CustomWatermarks,
  type NoWatermarks,
  type PunctuatedWatermarks,
  timestampMax,
  timestampMaxDefault,
  type WatermarkGenerator,
  type WatermarkStrategy,
} from '../../core/watermarks.ts';
import { type Duration, seconds } from '../durations.ts';
import { checkDuration, checkFunction, checkId } from './checks.ts';
import { outputTag } from './tags.ts';

/** Watermark = newest timestamp - `outOfOrderness` - 1 ms. Flink: `forBoundedOutOfOrderness`. */
export function bounded(outOfOrderness: Duration): BoundedWatermarks {
  return { kind: 'bounded', outOfOrdernessMs: checkDuration(outOfOrderness, 0, 'bounded') };
}

/** For splits whose timestamps never go back: `bounded(0)`; equal ones are on time. Flink: `forMonotonousTimestamps`. */
export function monotonous(): BoundedWatermarks {
  return { kind: 'bounded', outOfOrdernessMs: 0 };
}

/**
 * Certain records carry the watermark: `watermarkOf` returns it, or null for a record that says nothing. It is a promise of
 * the data: nothing at or before it follows, except late records.
 */
export function punctuated<T>(
  watermarkOf: (value: Readonly<T>, timestampMs: number) => number | null,
): PunctuatedWatermarks<T> {
  return { kind: 'punctuated', watermarkOf: checkFunction(watermarkOf, 'punctuated') };
}

/** One generator for each split, made by `create`; see {@link WatermarkGenerator}. */
export function customWatermarks<T>(create: () => WatermarkGenerator<T>): CustomWatermarks<T> {
  return { kind: 'custom', create: checkFunction(create, 'customWatermarks') };
}

/** Timestamps without watermarks: event time stands still until the end of the input. Flink: `noWatermarks`. */
export function noWatermarks(): NoWatermarks {
  return { kind: 'none' };
}

/** Sources of a group read at most `maxDrift` of event time ahead of the slowest of them. */
export interface AlignmentOptions {
  /** Sources that name the same group wait for each other: 1 to 100 letters, digits, `.`, `_`, `-`. */
  readonly group: string;
  /** A split whose watermark is further ahead of the slowest split of the group is not read until that has caught up. */
  readonly maxDrift: Duration;
  /** How often slots tell each other how far they are. Default 1 s. Within a slot it is known at once. */
  readonly updateInterval?: Duration;
}

/** Options of {@link Stream.withTimestamps} besides the strategy. */
export interface TimeSettings {
  /** A split without records for this long no longer holds back event time. Default: never. */
  readonly idleTimeout?: Duration;
  /**
   * What happens to a record whose timestamp is bad: not a finite number, more than 8.64e15 ms from the epoch, or out of the
   * bounds below. `fail` the attempt (default), `skip` and count it as `badTimestamps`, or send a {@link FailedRecord} to a
   * side output: `sideOutput(tag)`. It never moves a watermark.
   */
  readonly onBadTimestamp?: OnError;
  /** A timestamp before this time (ms since the epoch) is bad. */
  readonly minTimestamp?: number;
  /**
   * A timestamp after this time (ms since the epoch) is bad, and so is a watermark of a generator. Default: the last
   * millisecond of the year 2999, so that one record of the year 9999 does not end every window.
   */
  readonly maxTimestamp?: number;
  /**
   * A timestamp further ahead of processing time than this is bad. Depends on the clock: a replay may judge otherwise.
   * Default: off.
   */
  readonly maxAheadOfClock?: Duration;
  /** Waits for slower sources of a group. Default: no. */
  readonly alignment?: AlignmentOptions;
}

/** Options of {@link Stream.withTimestamps}: `outOfOrderness`, which is short for `watermarks: bounded(...)`, or `watermarks`. */
export type TimestampOptions<T = unknown> = TimeSettings &
  (
    | {
        /** How much older than the newest record seen a record of the same split may be and still be on time. */
        readonly outOfOrderness: Duration;
        readonly watermarks?: undefined;
      }
    | {
        /** How the watermark of a split follows from its records. */
        readonly watermarks: WatermarkStrategy<T>;
        readonly outOfOrderness?: undefined;
      }
  );

/** What the options become: data for the graph and its hash, and what is left to functions. */
export interface PlannedTime {
  readonly config: JsonObject;
  readonly watermarks: WatermarkStrategy<never>;
  readonly alignment: AlignmentSettings | null;
}

const optionNames: ReadonlySet<string> = new Set([
  'outOfOrderness',
  'watermarks',
  'idleTimeout',
  'onBadTimestamp',
  'minTimestamp',
  'maxTimestamp',
  'maxAheadOfClock',
  'alignment',
]);

/** @throws EngineError JOB_INVALID */
export function planTime<T>(options: TimestampOptions<T>): PlannedTime {
  if (typeof options !== 'object' || options === null)
    throw invalid(`needs options, for example { outOfOrderness: seconds(5) }, got ${String(options)}`);
  const unknown = Object.keys(options).find((name) => !optionNames.has(name));
  if (unknown !== undefined) throw invalid(`has no option '${unknown}'; there are ${[...optionNames].join(', ')}`);
  const watermarks = strategyOf(options) as WatermarkStrategy<never>;
  const { idleTimeout, maxAheadOfClock, alignment } = options;
  const config = {
    ...(watermarks.kind === 'bounded'
      ? { outOfOrdernessMs: watermarks.outOfOrdernessMs }
      : { watermarks: watermarks.kind }),
    idleTimeoutMs: idleTimeout === undefined ? null : checkDuration(idleTimeout, 1, 'withTimestamps: idleTimeout'),
    onBadTimestamp: badTimestampReaction(options.onBadTimestamp ?? 'fail'),
    ...boundsOf(options),
    ...(maxAheadOfClock === undefined
      ? {}
      : { maxAheadOfClockMs: checkDuration(maxAheadOfClock, 0, 'withTimestamps: maxAheadOfClock') }),
  } as JsonObject;
  if (alignment !== undefined && watermarks.kind === 'none')
    throw invalid(
      ': alignment needs watermarks, and noWatermarks() has none: all others of the group would wait for ever',
    );
  return { config, watermarks, alignment: alignment === undefined ? null : alignmentOf(alignment) };
}

function strategyOf<T>({ outOfOrderness, watermarks }: TimestampOptions<T>): WatermarkStrategy<T> {
  if (outOfOrderness !== undefined && watermarks !== undefined)
    throw invalid('has outOfOrderness and watermarks; outOfOrderness is short for watermarks: bounded(...), keep one');
  if (outOfOrderness !== undefined) {
    const outOfOrdernessMs = checkDuration(outOfOrderness, 0, 'withTimestamps: outOfOrderness');
    return { kind: 'bounded', outOfOrdernessMs };
  }
  switch (watermarks?.kind) {
    case 'bounded':
      return bounded(watermarks.outOfOrdernessMs);
    case 'punctuated':
      return punctuated(watermarks.watermarkOf);
    case 'custom':
      return customWatermarks(watermarks.create);
    case 'none':
      return noWatermarks();
    default:
      throw invalid(
        'needs outOfOrderness, or watermarks: bounded(seconds(5)), monotonous(), punctuated(...), customWatermarks(...) or noWatermarks()',
      );
  }
}

function badTimestampReaction(reaction: OnError): OnError {
  if (reaction === 'fail' || reaction === 'skip') return reaction;
  if (typeof reaction === 'object' && reaction !== null && typeof reaction.sideOutput === 'string') {
    const { tag } = outputTag(reaction.sideOutput) satisfies OutputTag<unknown>;
    return { sideOutput: tag };
  }
  throw invalid(`: onBadTimestamp is ${JSON.stringify(reaction)}; use 'fail', 'skip' or sideOutput(tag)`);
}

function boundsOf<T>({ minTimestamp, maxTimestamp }: TimestampOptions<T>): JsonObject {
  for (const [name, bound] of Object.entries({ minTimestamp, maxTimestamp })) {
    if (bound === undefined || (typeof bound === 'number' && Math.abs(bound) <= timestampMax)) continue;
    throw invalid(
      `: ${name} is ${String(bound)}; use ms since the epoch, for example Date.UTC(2100, 0), at most ${timestampMax} from it`,
    );
  }
  if (minTimestamp !== undefined && maxTimestamp !== undefined && minTimestamp > maxTimestamp)
    throw invalid(`: minTimestamp ${minTimestamp} is after maxTimestamp ${maxTimestamp}: every record would be bad`);
  if (minTimestamp !== undefined && maxTimestamp === undefined && minTimestamp > timestampMaxDefault)
    throw invalid(
      `: minTimestamp ${minTimestamp} is after the year 2999, the latest that is allowed by default: set maxTimestamp too`,
    );
  return {
    ...(minTimestamp === undefined ? {} : { minTimestampMs: minTimestamp }),
    ...(maxTimestamp === undefined ? {} : { maxTimestampMs: maxTimestamp }),
  };
}

function alignmentOf({ group, maxDrift, updateInterval = seconds(1) }: AlignmentOptions): AlignmentSettings {
  return {
    group: checkId(group, 'withTimestamps: alignment.group'),
    maxDriftMs: checkDuration(maxDrift, 0, 'withTimestamps: alignment.maxDrift'),
    updateIntervalMs: checkDuration(updateInterval, 1, 'withTimestamps: alignment.updateInterval'),
  };
}

function invalid(what: string): EngineError {
  return new EngineError('JOB_INVALID', what.startsWith(':') ? `withTimestamps${what}` : `withTimestamps ${what}`);
}
