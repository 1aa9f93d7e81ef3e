/**
 * The loop of all slots of a test: one queue, advanced by hand, with a clock that only moves when it is told to. Which of the
 * ready subtasks runs next is asked of the test, so a seed decides the order.
 */
import type { SubtaskLoop } from '../../runtime/slot/slot-loop.ts';
import type { SnapshotEncoder } from '../../runtime/slot/snapshot-encoder.ts';
import type { Subtask } from '../../runtime/subtask/subtask.ts';

interface Seat {
  readonly subtask: Subtask;
  readonly slot: SlotFacade;
  queued: boolean;
  wakeAtMs: number;
}

interface SlotFacade {
  started: boolean;
  stopped: boolean;
}

const noTimes = { busyMs: 0, backPressuredMs: 0, idleMs: 0 };

export class VirtualScheduler {
  nowMs: number;
  readonly #choose: (count: number) => number;
  readonly #encoders: { readonly encoder: SnapshotEncoder; readonly slot: SlotFacade }[] = [];
  readonly #seats: Seat[] = [];
  readonly #queue: Seat[] = [];

  /** @param choose which of so many ready subtasks is next, from 0 */
  constructor(nowMs: number, choose: (count: number) => number = () => 0) {
    this.nowMs = nowMs;
    this.#choose = choose;
  }

  /** The loop of one slot. */
  loop(encoder: SnapshotEncoder): SubtaskLoop {
    const slot: SlotFacade = { started: false, stopped: false };
    const seats: Seat[] = [];
    this.#encoders.push({ encoder, slot });
    return {
      add: (subtask) => {
        const seat: Seat = { subtask, slot, queued: false, wakeAtMs: Number.POSITIVE_INFINITY };
        seats.push(seat);
        this.#seats.push(seat);
        return seats.length - 1;
      },
      times: () => noTimes,
      wake: (place) => this.#wake(seats[place] as Seat),
      wakeAt: (place, timestampMs) => {
        const seat = seats[place] as Seat;
        seat.wakeAtMs = Math.min(seat.wakeAtMs, timestampMs);
        if (seat.wakeAtMs <= this.nowMs) this.#clockReached(seat);
      },
      encodeSoon: () => {},
      start: () => void (slot.started = true),
      stop: () => void (slot.stopped = true),
      clockMoved: () => this.advanceTo(this.nowMs),
    };
  }

  /** Earliest processing time somebody waits for; Infinity when nobody does. */
  get nextWakeMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const seat of this.#seats) if (!seat.slot.stopped) next = Math.min(next, seat.wakeAtMs);
    return next;
  }

  advanceTo(nowMs: number): void {
    this.nowMs = Math.max(this.nowMs, nowMs);
    for (const seat of this.#seats) if (seat.wakeAtMs <= this.nowMs) this.#clockReached(seat);
  }

  /** Runs one ready subtask as briefly as it can; false when none is ready. */
  step(): boolean {
    // Before its slot has started, a wake is only noted.
    const ready = this.#queue.filter((seat) => seat.slot.started && !seat.slot.stopped);
    if (ready.length === 0) return false;
    const seat = ready[this.#choose(ready.length)] as Seat;
    this.#queue.splice(this.#queue.indexOf(seat), 1);
    this.#run(seat);
    return true;
  }

  /** Encodes what was frozen; false when nothing was. */
  encode(): boolean {
    let worked = false;
    for (const { encoder, slot } of this.#encoders) {
      if (slot.stopped) continue;
      worked ||= encoder.hasWork;
      encoder.encode(Number.POSITIVE_INFINITY);
    }
    return worked;
  }

  #wake(seat: Seat): void {
    if (seat.queued) return;
    seat.queued = true;
    this.#queue.push(seat);
  }

  #clockReached(seat: Seat): void {
    seat.wakeAtMs = Number.POSITIVE_INFINITY;
    this.#wake(seat);
  }

  #run(seat: Seat): void {
    seat.queued = false;
    try {
      // A deadline long past: one piece of work, at most a few dozen records.
      if (seat.subtask.step(Number.NEGATIVE_INFINITY) === 'ready') this.#wake(seat);
    } catch (error) {
      // A throw that no operator handled, as in the slot loop: the attempt fails.
      seat.subtask.fail(error);
    }
  }
}
