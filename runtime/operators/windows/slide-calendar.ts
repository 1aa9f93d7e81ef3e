/**
 * Arithmetic of sliding windows, in ms or in records of a key. Window starts are `offset` modulo `slide`. Time is cut at
 * every start and every end of a window and nowhere else, into one or two *panes* a slide: a record is in all windows that
 * cover its pane, so it is added once, however many those are. (Cutting by the greatest common divisor of size and slide,
 * which is the usual way, gives 600,001 panes to ten minutes and a millisecond that slide by a minute; this gives 21.)
 *
 * @see Krishnamurthy, Wu, Franklin: On-the-fly sharing for streamed aggregation, SIGMOD 2006 (paired windows)
 */
export class SlideCalendar {
  readonly size: number;
  readonly slide: number;
  readonly #offset: number;
  /** Where windows end within a slide. */
  readonly #endsAt: number;

  constructor(size: number, slide: number, offset: number) {
    this.size = size;
    this.slide = slide;
    this.#offset = offset;
    this.#endsAt = size % slide;
  }

  /** Start of the pane that holds `at`. */
  paneOf(at: number): number {
    const start = this.lastWindowOf(at);
    return at < start + this.#endsAt ? start : start + this.#endsAt;
  }

  /** Start of the first window that covers `at`. */
  firstWindowOf(at: number): number {
    return this.lastWindowOf(at - this.size) + this.slide;
  }

  /** Start of the last window that covers `at`. */
  lastWindowOf(at: number): number {
    // Adding 0 turns -0 into 0.
    return Math.floor((at - this.#offset) / this.slide) * this.slide + this.#offset + 0;
  }

  /** Start of the first window whose last millisecond is after `time`; -Infinity for the beginning of time. */
  firstWindowAfter(time: number): number {
    return time === Number.NEGATIVE_INFINITY ? time : this.firstWindowOf(time + 1);
  }
}
