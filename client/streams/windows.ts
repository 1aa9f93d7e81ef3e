/** Window definitions: what `window(...)` takes. */
import { EngineError } from '../../core/errors.ts';
import type {
  CountWindows,
  GlobalWindows,
  SessionWindows,
  SlidingWindows,
  TumblingWindows,
  WindowDefinition,
  WindowTime,
} from '../../core/windows.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { Duration } from '../durations.ts';

/** Most windows that a record may be in: a late one is added to each by itself. */
const windowsPerRecordMax = 100_000;
/** The same of windows that keep their records, where every record is added to each. */
const keptWindowsPerRecordMax = 10_000;

/** Options of {@link tumbling} and {@link sliding}. */
export interface AlignedWindowOptions {
  /** Shifts the starts: `hours(-8)` gives days of UTC+8. May be negative. Default 0. */
  readonly offset?: Duration;
  /** Event time (default), or the clock of the machine. */
  readonly time?: WindowTime;
}

/** Options of {@link session}. */
export interface SessionWindowOptions {
  /** Event time (default), or the clock of the machine. */
  readonly time?: WindowTime;
}

/**
 * Windows of one length that follow each other: `[start, start + size)`, starts at `offset` modulo `size` from the epoch.
 * @param size whole milliseconds, 1 or more
 * @throws EngineError JOB_INVALID when size or offset are not such numbers
 */
export function tumbling(size: Duration, options: AlignedWindowOptions = {}): TumblingWindows {
  const sizeMs = checkMs('tumbling', 'size', size);
  return Object.freeze({
    kind: 'tumbling',
    time: checkTime('tumbling', options.time),
    sizeMs,
    offsetMs: checkOffset('tumbling', options.offset, sizeMs),
  });
}

/**
 * Windows of one length of which a new one starts every `slide`: a record is in every window that covers it. What a record
 * costs does not depend on how many those are.
 * @param size  whole milliseconds, 1 or more
 * @param slide whole milliseconds, 1..size
 * @throws EngineError JOB_INVALID when size, slide or offset are not such numbers
 */
export function sliding(size: Duration, slide: Duration, options: AlignedWindowOptions = {}): SlidingWindows {
  const sizeMs = checkMs('sliding', 'size', size);
  const slideMs = checkMs('sliding', 'slide', slide);
  if (slideMs > sizeMs) {
    throw invalid(
      `sliding window: slide ${slideMs} ms is longer than size ${sizeMs} ms, so records between two windows would be in none; use a slide of at most the size`,
    );
  }
  const perRecord = Math.ceil(sizeMs / slideMs);
  if (perRecord > windowsPerRecordMax) throw tooManyWindows(perRecord, windowsPerRecordMax);
  return Object.freeze({
    kind: 'sliding',
    time: checkTime('sliding', options.time),
    sizeMs,
    slideMs,
    offsetMs: checkOffset('sliding', options.offset, slideMs),
  });
}

/**
 * Windows of activity: the records of a key that follow each other by `gap` or less, since sessions that just touch are one. A
 * session ends `gap` after its last record; records that lie between two sessions and touch both make them one.
 * @param gap whole milliseconds of 1 or more, or a pure function that gives them for each record
 * @throws EngineError JOB_INVALID when the gap is neither
 */
export function session<In>(
  gap: Duration | ((value: Readonly<In>) => number),
  options: SessionWindowOptions = {},
): SessionWindows<In> {
  const time = checkTime('session', options.time);
  if (typeof gap === 'function') return Object.freeze({ kind: 'session', time, gapMs: null, gapOf: gap });
  return Object.freeze({ kind: 'session', time, gapMs: checkMs('session', 'gap', gap), gapOf: null });
}

/** One window per key that never ends. It needs a trigger, and a purging one where it must not grow for ever. */
export function globalWindow(): GlobalWindows {
  return Object.freeze({ kind: 'global' });
}

/**
 * Windows of `size` records of a key, in order of arrival; with `slide` a result every `slide` records over the last `size`.
 * @param size  1 or more
 * @param slide 1..size; default: size
 * @throws EngineError JOB_INVALID when they are not such numbers
 */
export function countWindow(size: number, slide: number = size): CountWindows {
  for (const [name, value] of [
    ['size', size],
    ['slide', slide],
  ] as const) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw invalid(`count window: ${name} ${String(value)} is not a whole number of 1 or more`);
  }
  if (slide > size)
    throw invalid(`count window: slide ${slide} is more than size ${size}, so some records would be in no window`);
  return Object.freeze({ kind: 'count', size, slide });
}

/** Checks a definition again: an object literal of the same shape gets to `window(...)` as well. */
export function checkWindow<In>(window: WindowDefinition<In>): WindowDefinition<In> {
  switch ((window as WindowDefinition<In> | null | undefined)?.kind) {
    case 'tumbling': {
      const { sizeMs, offsetMs, time } = window as TumblingWindows;
      return tumbling(sizeMs, { offset: offsetMs, time });
    }
    case 'sliding': {
      const { sizeMs, slideMs, offsetMs, time } = window as SlidingWindows;
      return sliding(sizeMs, slideMs, { offset: offsetMs, time });
    }
    case 'session': {
      const { gapMs, gapOf, time } = window as SessionWindows<In>;
      return session(gapOf ?? (gapMs as number), { time });
    }
    case 'global':
      return globalWindow();
    case 'count': {
      const { size, slide } = window as CountWindows;
      return countWindow(size, slide);
    }
    default:
      throw invalid('window(...) needs a window, for example tumbling(hours(1)) or session(minutes(30))');
  }
}

/** For windows with a trigger, an evictor or a function, which have every record once for each window. */
export function checkKeptWindows(window: WindowDefinition<never>): void {
  if (window.kind !== 'sliding') return;
  const perRecord = Math.ceil(window.sizeMs / window.slideMs);
  if (perRecord > keptWindowsPerRecordMax) throw tooManyWindows(perRecord, keptWindowsPerRecordMax);
}

function tooManyWindows(perRecord: number, max: number): EngineError {
  return invalid(
    `sliding window: every record would be in ${perRecord} windows, and at most ${max} are possible here; use a longer slide or a shorter size`,
  );
}

/** The definition as data, for the job graph. */
export function windowConfig(window: WindowDefinition<never>): JsonObject {
  if (window.kind !== 'session') return { ...window };
  // The gap function is code: its text is in the fingerprint of functions, like that of any user function.
  return { kind: 'session', time: window.time, gapMs: window.gapMs };
}

function checkMs(kind: string, what: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
  throw invalid(
    `${kind} window: ${what} ${String(value)} is not a whole number of milliseconds of 1 or more; write for example minutes(5)`,
  );
}

function checkOffset(kind: string, offset: number | undefined, modulo: number): number {
  if (offset === undefined) return 0;
  if (!Number.isSafeInteger(offset)) {
    throw invalid(
      `${kind} window: offset ${String(offset)} is not a whole number of milliseconds; write for example hours(-8)`,
    );
  }
  return ((offset % modulo) + modulo) % modulo;
}

function checkTime(kind: string, time: WindowTime | undefined): WindowTime {
  if (time === undefined || time === 'event' || time === 'processing') return time ?? 'event';
  throw invalid(`${kind} window: time is ${JSON.stringify(time)}; use 'event' or 'processing'`);
}

function invalid(message: string): EngineError {
  return new EngineError('JOB_INVALID', message);
}
