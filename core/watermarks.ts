/**
 * How the watermark of a split follows from its records. A strategy is data where it can be (bounded, none) and user code
 * where it must be (punctuated, custom). A generator belongs to one split and sees that split's records only, in order, so
 * lateness stays a pure function of the split's earlier records; its state is checkpointed beside the split's position.
 * After Flink's WatermarkStrategy and WatermarkGenerator; there is no `onPeriodicEmit`, because a clock is not a record.
 */
import type { PlainData } from './plain-data.ts';

/** Farthest time from the epoch, in ms, that windows compute exactly with: the range of a JavaScript Date. */
export const timestampMax = 8.64e15;

/**
 * Latest time that `withTimestamps` takes unless `maxTimestamp` says otherwise: the last millisecond of the year 2999 (UTC).
 * A constant and not the clock, so that a replay judges the same. Times of milliseconds are never beyond by accident, times
 * of microseconds and nanoseconds of our days always are, and so is the year 9999 of a "never".
 */
export const timestampMaxDefault = 32_503_679_999_999;

/** Watermarks of one split, by code of the author. Must not look at clocks, randomness or other splits. */
export interface WatermarkGenerator<T> {
  /** Sees each record, after its lateness was judged. */
  onEvent(value: Readonly<T>, timestampMs: number): void;
  /**
   * Asked after each record: nothing at or before this time follows, except late records. -Infinity: not known yet. One
   * that goes back is ignored; NaN, +Infinity and times out of bounds are errors and leave the watermark where it is.
   */
  watermark(): number;
  /** Everything `watermark` depends on, as plain data; taken with the position of the split. */
  snapshot(): PlainData;
  /** Called once before the first record, with what `snapshot` returned, when a split goes on after a restart. */
  restore(state: PlainData): void;
}

/** Newest timestamp minus a fixed span. */
export interface BoundedWatermarks {
  readonly kind: 'bounded';
  readonly outOfOrdernessMs: number;
}

/** No watermark before the end of the input. */
export interface NoWatermarks {
  readonly kind: 'none';
}

/** Certain records carry the watermark. */
export interface PunctuatedWatermarks<T> {
  readonly kind: 'punctuated';
  /** The watermark that a record carries, in ms; null: none. */
  readonly watermarkOf: (value: Readonly<T>, timestampMs: number) => number | null;
}

/** A generator for each split. */
export interface CustomWatermarks<T> {
  readonly kind: 'custom';
  /** Makes the generator of one split. Called in the slot, with the first record of the split in an attempt. */
  readonly create: () => WatermarkGenerator<T>;
}

/** How watermarks are made; see `bounded`, `monotonous`, `punctuated`, `customWatermarks` and `noWatermarks`. */
export type WatermarkStrategy<T> = BoundedWatermarks | NoWatermarks | PunctuatedWatermarks<T> | CustomWatermarks<T>;

/** Sources whose splits wait for each other. Decides nothing about results and state, so it may change between runs. */
export interface AlignmentSettings {
  readonly group: string;
  readonly maxDriftMs: number;
  readonly updateIntervalMs: number;
}
