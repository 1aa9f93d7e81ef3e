/**
 * Fires due timers of one service resumably: in parts as room and turn allow, with the rows of the keys of each part fetched
 * together beside a database.
 */
import type { Key } from '../../core/operators.ts';
import type { Prefetch } from '../state/prefetch.ts';
import type { Timer, TimerService } from '../time/timer-service.ts';
import type { AnyOperatorContext } from './operator.ts';

/** Timers fired before other subtasks of the slot get their turn. */
const firedPerTurnMax = 1024;

export interface TimerOwner {
  /** Announces the rows that a timer of the key needs. */
  needRowsOfTimer(key: Key): void;
  fire(timer: Timer): void;
}

export class DueTimers {
  readonly #context: AnyOperatorContext;
  readonly #prefetch: Prefetch;
  readonly #timers: TimerService;
  readonly #owner: TimerOwner;

  constructor(context: AnyOperatorContext, prefetch: Prefetch, timers: TimerService, owner: TimerOwner) {
    this.#context = context;
    this.#prefetch = prefetch;
    this.#timers = timers;
    this.#owner = owner;
  }

  /** False when not all that was due by `target` has fired: call again. */
  advance(target: number): boolean {
    let budget = firedPerTurnMax;
    for (;;) {
      const resident = this.#prepare(target, budget);
      if (resident === 0) return false;
      for (let fired = 0; fired < resident; fired++) {
        if (!this.#context.hasRoom()) return false;
        const timer = this.#timers.takeDue(target);
        if (timer === null) return true;
        this.#owner.fire(timer);
      }
      budget -= resident;
      if (budget <= 0) {
        this.#context.wake();
        return false;
      }
    }
  }

  /** How many due timers have their rows in the slot; 0 while they are being fetched. */
  #prepare(target: number, budget: number): number {
    const { backend } = this.#context;
    if (backend.resident) return budget;
    if (this.#timers.earliest > target) return 1;
    const keys = this.#timers.dueKeys(target, Math.min(budget, backend.cachedRowsMax));
    if (keys.length === 0) return 1;
    const need = (index: number): void => this.#owner.needRowsOfTimer(keys[index] as Key);
    const count = this.#prefetch.prepare(this.#timers, 0, keys.length, need);
    // What is resident now is used up at once: the next stretch is planned anew.
    if (count > 0) this.#prefetch.forgetStretch();
    return count;
  }
}
