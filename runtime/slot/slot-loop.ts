/**
 * The cooperative run queue of a slot: a ready subtask runs for about a millisecond, then the next. The event loop turns at
 * least every few milliseconds, so credits, control messages and sibling subtasks are served. Nothing here is a promise.
 */
import type { Subtask } from '../subtask/subtask.ts';
import type { SnapshotEncoder } from './snapshot-encoder.ts';

/** Longest run of one subtask, in ms. */
export const stepBudgetMs = 1;
/** Longest time between two turns of the event loop, in ms. */
export const turnBudgetMs = 5;
/** Time for encoding frozen rows per turn, in ms. */
export const encodeBudgetMs = 2;

/** Tells a watcher in another thread which subtask is running: `[turns, running subtask + 1 or 0]`. */
export type Pulse = Int32Array;

/** Calls back after a time, unless the function it returns was called before. */
export function alarm(delayMs: number, then: () => void): () => void {
  const timer = setTimeout(then, delayMs);
  return () => clearTimeout(timer);
}

interface Seat {
  readonly subtask: Subtask;
  queued: boolean;
  wakeAtMs: number;
  busyMs: number;
  backPressuredMs: number;
  idleMs: number;
  /** `performance.now()` since when it waits. */
  waitingSinceMs: number;
}

export class SlotLoop {
  readonly #seats: Seat[] = [];
  #queue: Seat[] = [];
  readonly #encoder: SnapshotEncoder;
  readonly #pulse: Pulse;
  #scheduled = false;
  #started = false;
  #stopped = false;
  #timer: NodeJS.Timeout | null = null;
  #timerAtMs = Number.POSITIVE_INFINITY;

  readonly #nowMs: () => number;

  /** @param nowMs processing time, ms since the epoch */
  constructor(encoder: SnapshotEncoder, pulse: Pulse, nowMs: () => number) {
    this.#encoder = encoder;
    this.#pulse = pulse;
    this.#nowMs = nowMs;
  }

  /** Takes a subtask into the slot; returns its place. */
  add(subtask: Subtask): number {
    const waitingSinceMs = performance.now();
    const seat = {
      queued: false,
      wakeAtMs: Number.POSITIVE_INFINITY,
      busyMs: 0,
      backPressuredMs: 0,
      idleMs: 0,
      waitingSinceMs,
    };
    this.#seats.push({ subtask, ...seat });
    return this.#seats.length - 1;
  }

  get subtasks(): readonly Subtask[] {
    return this.#seats.map((seat) => seat.subtask);
  }

  /** Whole milliseconds a subtask has spent so far. */
  times(place: number): { busyMs: number; backPressuredMs: number; idleMs: number } {
    const { busyMs, backPressuredMs, idleMs } = this.#seats[place];
    return { busyMs: Math.round(busyMs), backPressuredMs: Math.round(backPressuredMs), idleMs: Math.round(idleMs) };
  }

  wake(place: number): void {
    const seat = this.#seats[place];
    if (seat.queued) return;
    seat.queued = true;
    this.#queue.push(seat);
    this.#schedule();
  }

  /** @param timestampMs processing time, ms since the epoch */
  wakeAt(place: number, timestampMs: number): void {
    const seat = this.#seats[place];
    if (timestampMs >= seat.wakeAtMs) return;
    seat.wakeAtMs = timestampMs;
    this.#setTimer(timestampMs);
  }

  /** Frozen rows wait, or the store thread takes more: encode in the next turn. */
  encodeSoon(): void {
    this.#schedule();
  }

  /**
   * Runs the subtasks from now on. Before, wakes are only noted: records of other slots arrive while this one still
   * restores its state and opens its operators.
   */
  start(): void {
    this.#started = true;
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#scheduled || !this.#started || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    if (this.#stopped) return;
    Atomics.add(this.#pulse, 0, 1);
    const turnEndMs = performance.now() + turnBudgetMs;
    this.#encoder.encode(performance.now() + encodeBudgetMs);
    let nowMs = performance.now();
    while (this.#queue.length > 0 && nowMs < turnEndMs && !this.#stopped) {
      const round = this.#queue;
      this.#queue = [];
      for (const seat of round) {
        seat.queued = false;
        nowMs = this.#run(seat, nowMs);
      }
    }
    if (this.#queue.length > 0 || this.#encoder.hasWork) this.#schedule();
  };

  #run(seat: Seat, nowMs: number): number {
    const waitedMs = nowMs - seat.waitingSinceMs;
    if (seat.subtask.backPressured) seat.backPressuredMs += waitedMs;
    else seat.idleMs += waitedMs;
    Atomics.store(this.#pulse, 1, this.#seats.indexOf(seat) + 1);
    let ready = false;
    try {
      ready = seat.subtask.step(nowMs + stepBudgetMs) === 'ready';
    } catch (error) {
      // A throw that no operator handled: an engine error, or user code reached without its guard. The attempt fails.
      seat.subtask.fail(error);
    }
    Atomics.store(this.#pulse, 1, 0);
    const endMs = performance.now();
    seat.busyMs += endMs - nowMs;
    seat.waitingSinceMs = endMs;
    if (ready && !seat.queued) {
      seat.queued = true;
      this.#queue.push(seat);
    }
    return endMs;
  }

  #setTimer(timestampMs: number): void {
    if (timestampMs >= this.#timerAtMs || this.#stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerAtMs = timestampMs;
    this.#timer = setTimeout(this.clockMoved, Math.min(Math.max(0, timestampMs - this.#nowMs()), 2 ** 31 - 1));
  }

  /** Processing time has moved: wakes whoever asked to be woken by now. */
  readonly clockMoved = (): void => {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#nowMs();
    this.#seats.forEach((seat, place) => {
      if (seat.wakeAtMs <= nowMs) {
        seat.wakeAtMs = Number.POSITIVE_INFINITY;
        this.wake(place);
      } else if (seat.wakeAtMs !== Number.POSITIVE_INFINITY) {
        this.#setTimer(seat.wakeAtMs);
      }
    });
  };
}
