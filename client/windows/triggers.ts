/**
 * Triggers: when a window fires. Each is an ordinary trigger as users can write them; what it remembers of a window is in
 * declared state, so checkpoints and merging sessions need nothing special.
 *
 * @see Flink EventTimeTrigger, ProcessingTimeTrigger, CountTrigger, DeltaTrigger, Continuous*Trigger, PurgingTrigger
 */
import { EngineError } from '../../core/errors.ts';
import { type ValueStateDeclaration, valueState } from '../../core/state/declarations.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { TriggerContext, TriggerResult, WindowTrigger } from '../../core/window-functions.ts';
import type { Duration } from '../durations.ts';

type NoState = Record<never, never>;
/** Next time at which a continuous trigger fires. */
type NextTime = { readonly next: ValueStateDeclaration<number> };

/**
 * Fires when the watermark reaches the last millisecond of the window; for records that come later, within the allowed
 * lateness, at once. What event-time windows have by default.
 */
export function eventTimeTrigger(): WindowTrigger<unknown, Record<never, never>> {
  const lastMs = (context: TriggerContext<NoState>): number => context.window.end - 1;
  return {
    kind: 'event-time',
    timerAtEnd: 'event',
    onElement(_value, context) {
      if (lastMs(context) <= context.watermark) return 'fire';
      context.timers.registerEventTime(lastMs(context));
      return 'continue';
    },
    onEventTime: (timeMs, context) => (timeMs === lastMs(context) ? 'fire' : 'continue'),
    onMerge(context) {
      if (lastMs(context) > context.watermark) context.timers.registerEventTime(lastMs(context));
    },
    clear: (context) => context.timers.deleteEventTime(lastMs(context)),
  };
}

/** Fires when the clock has passed the last millisecond of the window. What processing-time windows have by default. */
export function processingTimeTrigger(): WindowTrigger<unknown, Record<never, never>> {
  const lastMs = (context: TriggerContext<NoState>): number => context.window.end - 1;
  return {
    kind: 'processing-time',
    timerAtEnd: 'processing',
    onElement(_value, context) {
      context.timers.registerProcessingTime(lastMs(context));
      return 'continue';
    },
    onProcessingTime: () => 'fire',
    onMerge: (context) => context.timers.registerProcessingTime(lastMs(context)),
    clear: (context) => context.timers.deleteProcessingTime(lastMs(context)),
  };
}

/**
 * Fires each time `count` more records have come. Keeps the records unless wrapped: `purging(countTrigger(100))`.
 * @param count 1 or more
 * @throws EngineError JOB_INVALID when it is not such a number
 */
export function countTrigger(count: number): WindowTrigger<unknown, { readonly count: ValueStateDeclaration<number> }> {
  if (!Number.isSafeInteger(count) || count < 1)
    throw invalid(`countTrigger: count is ${String(count)}; use a whole number of 1 or more`);
  return {
    kind: 'count',
    options: { count },
    state: { count: valueState<number>() },
    onElement(_value, { state }) {
      const seen = (state.count.value() ?? 0) + 1;
      if (seen < count) {
        state.count.update(seen);
        return 'continue';
      }
      state.count.clear();
      return 'fire';
    },
    onMerge(context) {
      let seen = context.state.count.value() ?? 0;
      context.forEachMerged((state) => {
        seen += state.count.value() ?? 0;
      });
      if (seen > 0) context.state.count.update(seen);
    },
  };
}

/**
 * Fires for a record that differs from the one it fired for last (at first: from the first record) by more than `threshold`.
 * Not for sessions.
 * @param delta pure; the difference of two records
 * @throws EngineError JOB_INVALID when the threshold is not a number or `delta` not a function
 */
export function deltaTrigger<In>(
  threshold: number,
  delta: (earlier: Readonly<In>, later: Readonly<In>) => number,
): WindowTrigger<In, { readonly last: ValueStateDeclaration<{ readonly record: In }> }> {
  if (typeof threshold !== 'number' || threshold !== threshold || typeof delta !== 'function')
    throw invalid('deltaTrigger needs a threshold that is a number, and a function of two records');
  return {
    kind: 'delta',
    options: { threshold },
    state: { last: valueState<{ readonly record: In }>() },
    onElement(record, { state }) {
      const last = state.last.value();
      if (last !== undefined && !(delta(last.record as Readonly<In>, record) > threshold)) return 'continue';
      state.last.update({ record: record as In });
      return last === undefined ? 'continue' : 'fire';
    },
  };
}

/**
 * Fires every `interval` of event time while the window has records, at multiples of the interval, and at its end.
 * @param interval whole milliseconds, 1 or more
 * @throws EngineError JOB_INVALID when it is not such a number
 */
export function continuousEventTime(
  interval: Duration,
): WindowTrigger<unknown, { readonly next: ValueStateDeclaration<number> }> {
  const intervalMs = checkInterval('continuousEventTime', interval);
  const lastMs = (context: TriggerContext<NextTime>): number => context.window.end - 1;
  const fireAfter = (timeMs: number, context: TriggerContext<NextTime>): void => {
    const next = Math.min(timeMs + intervalMs, lastMs(context));
    context.state.next.update(next);
    context.timers.registerEventTime(next);
  };
  return {
    kind: 'continuous-event-time',
    options: { intervalMs },
    state: { next: valueState<number>() },
    timerAtEnd: 'event',
    onElement(_value, context) {
      if (lastMs(context) <= context.watermark) return 'fire';
      context.timers.registerEventTime(lastMs(context));
      if (context.state.next.value() === undefined) fireAfter(floorTo(context.timestamp, intervalMs), context);
      return 'continue';
    },
    onEventTime(timeMs, context) {
      if (timeMs === lastMs(context)) return 'fire';
      if (timeMs !== context.state.next.value()) return 'continue';
      fireAfter(timeMs, context);
      return 'fire';
    },
    onMerge(context) {
      if (lastMs(context) > context.watermark) context.timers.registerEventTime(lastMs(context));
      const next = earliestNext(context.forEachMerged.bind(context), context.state.next.value());
      if (next === undefined) return;
      context.state.next.update(next);
      context.timers.registerEventTime(next);
    },
    clear(context) {
      context.timers.deleteEventTime(lastMs(context));
      const next = context.state.next.value();
      if (next !== undefined) context.timers.deleteEventTime(next);
    },
  };
}

/**
 * Fires every `interval` of the clock while the window is there, at multiples of the interval. A processing-time window fires
 * at its end as well, and once at the end of all input; an event-time window does not: what came after the last firing is seen
 * by none.
 * @param interval whole milliseconds, 1 or more
 * @throws EngineError JOB_INVALID when it is not such a number
 */
export function continuousProcessingTime(
  interval: Duration,
): WindowTrigger<unknown, { readonly next: ValueStateDeclaration<number> }> {
  const intervalMs = checkInterval('continuousProcessingTime', interval);
  const fireAt = (timeMs: number, context: TriggerContext<NextTime>): void => {
    context.state.next.update(timeMs);
    context.timers.registerProcessingTime(timeMs);
  };
  const fireAfter = (timeMs: number, context: TriggerContext<NextTime>): void => {
    const lastMs = context.window.end - 1;
    // An event-time window may lie in the past of the clock: its end is no bound then.
    fireAt(timeMs < lastMs ? Math.min(timeMs + intervalMs, lastMs) : timeMs + intervalMs, context);
  };
  return {
    kind: 'continuous-processing-time',
    options: { intervalMs },
    state: { next: valueState<number>() },
    onElement(_value, context) {
      if (context.state.next.value() === undefined) fireAfter(floorTo(context.processingTimeMs, intervalMs), context);
      return 'continue';
    },
    onProcessingTime(timeMs, context) {
      if (timeMs !== context.state.next.value()) return 'continue';
      const lastMs = context.window.end - 1;
      // Before its time: all input has ended. Only the end counts then; a day of seconds would be 86,400 equal results.
      if (timeMs > context.processingTimeMs && timeMs < lastMs) {
        fireAt(lastMs, context);
        return 'continue';
      }
      fireAfter(timeMs, context);
      return 'fire';
    },
    onMerge(context) {
      const next = earliestNext(context.forEachMerged.bind(context), context.state.next.value());
      if (next !== undefined) fireAt(next, context);
    },
    clear(context) {
      const next = context.state.next.value();
      if (next !== undefined) context.timers.deleteProcessingTime(next);
    },
  };
}

/** The trigger, but each firing drops the records of the window. State and timers of the trigger stay. */
export function purging<In, D extends StateDeclarations>(trigger: WindowTrigger<In, D>): WindowTrigger<In, D> {
  if (typeof trigger !== 'object' || trigger === null || typeof trigger.onElement !== 'function')
    throw invalid('purging(...) needs a trigger, for example purging(countTrigger(100))');
  const purged = (result: TriggerResult): TriggerResult => (result === 'fire' ? 'fireAndPurge' : result);
  const { onEventTime, onProcessingTime, onMerge, clear, state, timerAtEnd } = trigger;
  return {
    kind: 'purging',
    options: { of: { kind: trigger.kind ?? 'custom', ...trigger.options } },
    ...(state === undefined ? {} : { state }),
    ...(timerAtEnd === undefined ? {} : { timerAtEnd }),
    onElement: (value, context) => purged(trigger.onElement(value, context)),
    ...(onEventTime === undefined
      ? {}
      : { onEventTime: (timeMs, context) => purged(onEventTime.call(trigger, timeMs, context)) }),
    ...(onProcessingTime === undefined
      ? {}
      : { onProcessingTime: (timeMs, context) => purged(onProcessingTime.call(trigger, timeMs, context)) }),
    ...(onMerge === undefined ? {} : { onMerge: onMerge.bind(trigger) }),
    ...(clear === undefined ? {} : { clear: clear.bind(trigger) }),
  };
}

/** Never fires: for windows that are looked at by `onClear` only. */
export function neverTrigger(): WindowTrigger<unknown, Record<never, never>> {
  return { kind: 'never', onElement: () => 'continue', onMerge: () => undefined };
}

type ForEachMerged = (
  call: (state: { readonly next: { value(): number | undefined } }, window: unknown) => void,
) => void;

/** The earliest of the times at which windows that become one would fire. */
function earliestNext(forEachMerged: ForEachMerged, own: number | undefined): number | undefined {
  let earliest = own;
  forEachMerged((state) => {
    const next = state.next.value();
    if (next !== undefined && (earliest === undefined || next < earliest)) earliest = next;
  });
  return earliest;
}

function floorTo(timeMs: number, intervalMs: number): number {
  return Math.floor(timeMs / intervalMs) * intervalMs;
}

function checkInterval(name: string, interval: unknown): number {
  if (typeof interval === 'number' && Number.isSafeInteger(interval) && interval >= 1) return interval;
  throw invalid(
    `${name}: interval ${String(interval)} is not a whole number of milliseconds of 1 or more; write for example seconds(10)`,
  );
}

function invalid(message: string): EngineError {
  return new EngineError('JOB_INVALID', message);
}
