/**
 * Timers of windows: those that triggers set, and those of the engine that remove a window. Both are rows of the same two
 * timer services, told apart by their namespace: `[start, end]` and `[start, end, 1]`. So at one time the timer of the trigger
 * comes before the removal.
 */
import type { Key, TimerRegistry } from '../../../../core/operators.ts';
import type { TableOwner } from '../../../state/row-table.ts';
import type { CallGate } from '../../call-gate.ts';
import {
  boundedTimerTime,
  timerTimeOf,
  type TimeDomain,
  type Timer,
  TimerService,
} from '../../../time/timer-service.ts';

/** The third part of the namespace of a removal. */
const removalMark = 1;

export class WindowTimers {
  readonly event: TimerService;
  readonly processing: TimerService;
  /** Set when a processing-time timer was registered; whoever asks to be woken resets it. */
  processingChanged = false;

  constructor(owner: TableOwner) {
    this.event = new TimerService(owner, 'event');
    this.processing = new TimerService(owner, 'processing');
  }

  of(domain: TimeDomain): TimerService {
    return domain === 'event' ? this.event : this.processing;
  }

  setRemoval(domain: TimeDomain, timeMs: number, key: Key, start: number, end: number): void {
    if (domain === 'processing') this.processingChanged = true;
    this.of(domain).register(timeMs, key, [start, end, removalMark]);
  }

  deleteRemoval(domain: TimeDomain, timeMs: number, key: Key, start: number, end: number): void {
    this.of(domain).delete(timeMs, key, [start, end, removalMark]);
  }
}

/** The window of a timer. */
export function windowOfTimer(timer: Timer): { start: number; end: number; isRemoval: boolean } {
  const [start, end, mark] = timer.namespace as readonly [number, number, number?];
  return { start, end, isRemoval: mark === removalMark };
}

/** What triggers see of the timers: those of one window of one key at a time. */
export class TriggerTimers implements TimerRegistry {
  key: Key = 0;
  namespace: readonly [start: number, end: number] = [0, 0];
  readonly #timers: WindowTimers;
  readonly #gate: CallGate;

  constructor(timers: WindowTimers, gate: CallGate) {
    this.#timers = timers;
    this.#gate = gate;
  }

  registerEventTime(timestampMs: number): void {
    this.#gate.check('timers');
    const time = timerTimeOf(timestampMs, this.key, this.namespace[1]);
    this.#timers.event.register(time, this.key, this.namespace);
  }

  deleteEventTime(timestampMs: number): void {
    this.#gate.check('timers');
    this.#timers.event.delete(boundedTimerTime(timestampMs, this.namespace[1]), this.key, this.namespace);
  }

  registerProcessingTime(timestampMs: number): void {
    this.#gate.check('timers');
    const time = timerTimeOf(timestampMs, this.key, this.namespace[1]);
    this.#timers.processingChanged = true;
    this.#timers.processing.register(time, this.key, this.namespace);
  }

  deleteProcessingTime(timestampMs: number): void {
    this.#gate.check('timers');
    this.#timers.processing.delete(boundedTimerTime(timestampMs, this.namespace[1]), this.key, this.namespace);
  }
}
