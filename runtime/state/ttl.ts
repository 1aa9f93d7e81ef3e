/**
 * Time to live of state: whose time counts, what time a write is noted with, and what has expired.
 *
 * Event time as state sees it is the merged watermark, and while event-time timers fire the time of the timer: what a timer
 * finds does not depend on how far one watermark jumps. A write counts from the time of its record where that is later.
 * @see Flink StateTtlConfig; expired is `last access + time to live <= now`
 */
import type { StateOptions } from '../../core/state/declarations.ts';
import type { RecordScope } from '../operators/operator.ts';

/** The times of one operator's state. */
export class StateClock {
  eventTime = Number.NEGATIVE_INFINITY;
  readonly scope: RecordScope;
  readonly nowMs: () => number;

  constructor(scope: RecordScope, nowMs: () => number) {
    this.scope = scope;
    this.nowMs = nowMs;
  }

  /** Event time has come to `timestamp`; it never goes back. */
  advance(timestamp: number): void {
    if (timestamp > this.eventTime) this.eventTime = timestamp;
  }
}

export class Ttl {
  readonly durationMs: number;
  readonly renewedByReading: boolean;
  readonly #isEventTime: boolean;
  readonly #clock: StateClock;

  constructor(durationMs: number, options: StateOptions, clock: StateClock) {
    this.durationMs = durationMs;
    this.renewedByReading = options.ttlUpdate === 'onRead';
    this.#isEventTime = options.time === 'event';
    this.#clock = clock;
  }

  /** Now, in the time that counts; -Infinity before there is any. */
  get now(): number {
    return this.#isEventTime ? this.#clock.eventTime : this.#clock.nowMs();
  }

  /** The time an access is noted with; NaN where none is known: it is noted when one is. */
  stamp(): number {
    if (!this.#isEventTime) return this.#clock.nowMs();
    const { eventTime, scope } = this.#clock;
    const at = scope.timestamp > eventTime ? scope.timestamp : eventTime;
    return at === Number.NEGATIVE_INFINITY ? Number.NaN : at;
  }

  /** @param at time of the last access; NaN has not expired */
  isExpired(at: number): boolean {
    return at + this.durationMs <= this.now;
  }
}

/** The time to live a declaration asks for; null where it asks for none. */
export function ttlOf(options: StateOptions | undefined, clock: StateClock): Ttl | null {
  return options?.ttl === undefined ? null : new Ttl(options.ttl, options, clock);
}
