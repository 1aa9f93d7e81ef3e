/**
 * Fires due timers of one service resumably: in parts as room and turn allow, with the rows of each part fetched together
 * beside a database. Every operator with timers fires them through this, so that none forgets one of the two.
 */
import type { Key } from '../../core/operators.ts';
import type { Timer, TimerService } from '../time/timer-service.ts';
import type { AnyOperatorContext } from './operator.ts';

/** Timers fired before other subtasks of the slot get their turn. */
const firedPerTurnMax = 1024;

export interface TimerOwner {
  /** Announces the rows that a timer of the key needs; `stage` where they are fetched in stages. */
  needRowsOfTimer(key: Key, timer: Timer, stage?: number): void;
  fire(timer: Timer): void;
  /** False while what an earlier timer emits waits for room; always true where it is left out. */
  emitted?(): boolean;
}

/** `Prefetch` or `StagedPrefetch`. */
interface TimerRows {
  prepare(owner: object, from: number, length: number, want: (index: number, stage?: number) => void): number;
  forgetStretch(): void;
}

export class DueTimers {
  readonly #context: AnyOperatorContext;
  readonly #prefetch: TimerRows;
  readonly #timers: TimerService;
  readonly #owner: TimerOwner;

  constructor(context: AnyOperatorContext, prefetch: TimerRows, timers: TimerService, owner: TimerOwner) {
    this.#context = context;
    this.#prefetch = prefetch;
    this.#timers = timers;
    this.#owner = owner;
  }

  /** False when not all that was due by `target` has fired: call again. */
  advance(target: number): boolean {
    let budget = firedPerTurnMax;
    for (;;) {
      if (!this.#hasEmitted()) return false;
      const resident = this.#prepare(target, budget);
      if (resident === 0) return false;
      for (let fired = 0; fired < resident; fired++) {
        if (!this.#hasEmitted() || !this.#context.hasRoom()) return false;
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

  #hasEmitted(): boolean {
    return this.#owner.emitted?.() ?? true;
  }

  /** How many due timers have their rows in the slot; 0 while they are being fetched. */
  #prepare(target: number, budget: number): number {
    const { backend } = this.#context;
    if (backend.resident) return budget;
    if (this.#timers.earliest > target) return 1;
    const due = this.#timers.dueTimers(target, Math.min(budget, backend.cachedRowsMax));
    if (due.length === 0) return 1;
    const count = this.#prefetch.prepare(this.#timers, 0, due.length, (index, stage) => {
      const timer = due[index] as Timer;
      this.#owner.needRowsOfTimer(timer.key, timer, stage);
    });
    // What is resident now is used up at once: the next stretch is planned anew.
    if (count > 0) this.#prefetch.forgetStretch();
    return count;
  }
}
