/**
 * How `window(...)` groups the records of a key. Definitions are data, except the gap function of a session and the
 * functions of triggers and evictors, which only slots have.
 *
 * Event-time windows fire when the merged watermark reaches their last millisecond, processing-time windows when the clock
 * does. Lateness exists in event time only.
 */

/** Whose time decides where a record goes and when a window fires. */
export type WindowTime = 'event' | 'processing';

/** Tumbling windows: `[start, start + sizeMs)` with starts at `offsetMs` modulo `sizeMs`. */
export interface TumblingWindows {
  readonly kind: 'tumbling';
  readonly time: WindowTime;
  readonly sizeMs: number;
  readonly offsetMs: number;
}

/** Sliding windows: one of `sizeMs` starts every `slideMs`, at `offsetMs` modulo `slideMs`; a record is in all that cover it. */
export interface SlidingWindows {
  readonly kind: 'sliding';
  readonly time: WindowTime;
  readonly sizeMs: number;
  readonly slideMs: number;
  readonly offsetMs: number;
}

/**
 * Session windows: each record opens `[timestamp, timestamp + gap)`, and windows of a key that touch or overlap are merged.
 * One of the two gaps is null.
 */
export interface SessionWindows<In = never> {
  readonly kind: 'session';
  readonly time: WindowTime;
  readonly gapMs: number | null;
  /** The gap of a record in ms, above 0; pure. */
  readonly gapOf: ((value: Readonly<In>) => number) | null;
}

/** One window per key that never ends: fires by its trigger only. */
export interface GlobalWindows {
  readonly kind: 'global';
}

/** Windows of `size` records of a key; a new one starts every `slide` records (`slide === size`: tumbling). Without time. */
export interface CountWindows {
  readonly kind: 'count';
  readonly size: number;
  readonly slide: number;
}

/** How `window(...)` groups records. */
export type WindowDefinition<In = never> =
  | TumblingWindows
  | SlidingWindows
  | SessionWindows<In>
  | GlobalWindows
  | CountWindows;
