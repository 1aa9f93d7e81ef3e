/**
 * Evictors: which records of a window the function sees, and which stay for the next firing. A window with an evictor keeps
 * its records, also where `reduce` or `aggregate` would do without.
 *
 * @see Flink CountEvictor, TimeEvictor, DeltaEvictor
 */
import { EngineError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { WindowElement, WindowEvictor } from '../../core/window-functions.ts';
import type { Duration } from '../durations.ts';

/** Options of the evictors. */
export interface EvictorOptions {
  /** Evict after the function has seen the records, not before. Default false. */
  readonly after?: boolean;
}

type Keep<In> = (elements: readonly WindowElement<In>[]) => readonly WindowElement<In>[];

/**
 * Keeps the newest `count` records.
 * @param count 1 or more
 * @throws EngineError JOB_INVALID when it is not such a number
 */
export function countEvictor<In>(count: number, options: EvictorOptions = {}): WindowEvictor<In> {
  if (!Number.isSafeInteger(count) || count < 1)
    throw invalid(`countEvictor: count is ${String(count)}; use a whole number of 1 or more`);
  return evictorOf('count', { count }, options, (elements) =>
    elements.length <= count ? elements : elements.slice(elements.length - count),
  );
}

/**
 * Keeps the records of the last `span`: those whose time is later than the newest one's minus `span`. Records without a time
 * are all kept.
 * @param span whole milliseconds, 1 or more
 * @throws EngineError JOB_INVALID when it is not such a number
 */
export function timeEvictor<In>(span: Duration, options: EvictorOptions = {}): WindowEvictor<In> {
  if (!Number.isSafeInteger(span) || span < 1) {
    throw invalid(
      `timeEvictor: ${String(span)} is not a whole number of milliseconds of 1 or more; write for example minutes(5)`,
    );
  }
  return evictorOf('time', { spanMs: span }, options, (elements) => {
    let newest = Number.NEGATIVE_INFINITY;
    for (const { timestamp } of elements) if (timestamp > newest) newest = timestamp;
    return elements.filter(({ timestamp }) => !(timestamp <= newest - span));
  });
}

/**
 * Keeps the records that differ from the newest by less than `threshold`.
 * @param delta pure; the difference of a record and the newest
 * @throws EngineError JOB_INVALID when the threshold is not a number or `delta` not a function
 */
export function deltaEvictor<In>(
  threshold: number,
  delta: (record: Readonly<In>, newest: Readonly<In>) => number,
  options: EvictorOptions = {},
): WindowEvictor<In> {
  if (typeof threshold !== 'number' || threshold !== threshold || typeof delta !== 'function')
    throw invalid('deltaEvictor needs a threshold that is a number, and a function of two records');
  return evictorOf('delta', { threshold }, options, (elements) => {
    const newest = elements.at(-1);
    return newest === undefined ? elements : elements.filter(({ value }) => delta(value, newest.value) < threshold);
  });
}

function evictorOf<In>(kind: string, data: JsonObject, options: EvictorOptions, keep: Keep<In>): WindowEvictor<In> {
  const after = options.after === true;
  const described = { kind, options: { ...data, after } };
  return after ? { ...described, evictAfter: keep } : { ...described, evictBefore: keep };
}

function invalid(message: string): EngineError {
  return new EngineError('JOB_INVALID', message);
}
