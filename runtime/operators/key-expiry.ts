/**
 * Time to live of a key's state, in processing time: forgotten when nothing was written for `ttlMs`. One timer a key; when it
 * is due and the key was written since, it is set anew. State: timers under `timers-processing`.
 *
 * What expires leaves no trace in the output: it is a bound of state, not an event.
 */
import type { Key } from '../../core/operators.ts';
import type { Prefetch } from '../state/prefetch.ts';
import type { TableOwner } from '../state/row-table.ts';
import { type Timer, TimerService } from '../time/timer-service.ts';
import { DueTimers } from './due-timers.ts';
import type { AnyOperatorContext, RestoredRow } from './operator.ts';

/** Whose state expires. */
export interface ExpiringState {
  /** Processing time of the last write of a key; NaN where it has no state. */
  lastWriteMs(key: Key): number;
  forget(key: Key): void;
  needRowsOfTimer(key: Key): void;
}

export class KeyExpiry {
  readonly #context: AnyOperatorContext;
  readonly #ttlMs: number;
  readonly #state: ExpiringState;
  readonly #timers: TimerService;
  readonly #due: DueTimers;

  constructor(context: AnyOperatorContext, owner: TableOwner, prefetch: Prefetch, ttlMs: number, state: ExpiringState) {
    this.#context = context;
    this.#ttlMs = ttlMs;
    this.#state = state;
    this.#timers = new TimerService(owner, 'processing');
    this.#due = new DueTimers(context, prefetch, this.#timers, {
      needRowsOfTimer: (key) => state.needRowsOfTimer(key),
      fire: (timer) => this.#fire(timer),
    });
  }

  /** The key's state has come into being at `nowMs`. */
  begin(key: Key, nowMs: number): void {
    this.#timers.register(nowMs + this.#ttlMs, key);
    this.askToBeWoken();
  }

  /** True when the row was one of its timers. */
  restore(row: RestoredRow): boolean {
    if (row.stateName !== this.#timers.stateName) return false;
    this.#timers.restoreRow(row.key, row.keyGroup, row.value);
    return true;
  }

  advance(nowMs: number): boolean {
    const done = this.#due.advance(nowMs);
    if (done) this.askToBeWoken();
    return done;
  }

  askToBeWoken(): void {
    const { earliest } = this.#timers;
    if (earliest < Number.POSITIVE_INFINITY) this.#context.wakeAt(earliest);
  }

  #fire({ key }: Timer): void {
    const lastMs = this.#state.lastWriteMs(key);
    if (lastMs !== lastMs) return;
    const expiryMs = lastMs + this.#ttlMs;
    if (expiryMs > this.#context.nowMs()) this.#timers.register(expiryMs, key);
    else this.#state.forget(key);
  }
}
