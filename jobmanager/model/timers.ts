/** Named timers of a model: at most one of each name runs; one that fires after it was replaced or cleared means nothing. */
import type { JobMasterAction, TimerName } from './job-master-protocol.ts';

export class Timers {
  readonly #generations = new Map<TimerName, number>();
  readonly #running = new Set<TimerName>();

  set(timer: TimerName, delayMs: number): JobMasterAction {
    const generation = (this.#generations.get(timer) ?? 0) + 1;
    this.#generations.set(timer, generation);
    this.#running.add(timer);
    return { kind: 'set-timer', timer, generation, delayMs: Math.max(0, delayMs) };
  }

  /** Nothing when it does not run. */
  clear(timer: TimerName): JobMasterAction[] {
    return this.#running.delete(timer) ? [{ kind: 'clear-timer', timer }] : [];
  }

  isRunning(timer: TimerName): boolean {
    return this.#running.has(timer);
  }

  /** True when this is the timer that was set last; it no longer runs afterwards. */
  fired(timer: TimerName, generation: number): boolean {
    if (!this.#running.has(timer) || this.#generations.get(timer) !== generation) return false;
    this.#running.delete(timer);
    return true;
  }
}
