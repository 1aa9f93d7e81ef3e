/**
 * Which windows a record belongs to, as starts and ends in two arrays that are used again for every record. Sessions get the
 * window of the record alone; merging is another matter (`session-sets.ts`). Global and count windows are one that never ends.
 */
import type { WindowDefinition } from '../../../../core/windows.ts';

export class WindowAssigner {
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  count = 0;
  readonly #window: WindowDefinition<never>;

  constructor(window: WindowDefinition<never>) {
    this.#window = window;
  }

  /** True when windows of a key that touch are merged. */
  get merges(): boolean {
    return this.#window.kind === 'session';
  }

  /** True when windows end. */
  get finite(): boolean {
    return this.#window.kind !== 'global' && this.#window.kind !== 'count';
  }

  /** @param time event time of the record, or the clock. @throws what a gap function throws, or RangeError for what it returned */
  assign(time: number, value: unknown): void {
    const window = this.#window;
    this.count = 0;
    switch (window.kind) {
      case 'tumbling':
        return this.#add(startOf(time, window.sizeMs, window.offsetMs), window.sizeMs);
      case 'sliding':
        return this.#assignSliding(time, window.sizeMs, window.slideMs, window.offsetMs);
      case 'session':
        return this.#add(time, window.gapMs ?? checkedGap(window.gapOf as (value: unknown) => unknown, value));
      default:
        this.starts[0] = Number.NEGATIVE_INFINITY;
        this.ends[0] = Number.POSITIVE_INFINITY;
        this.count = 1;
    }
  }

  /** The windows that cover the time, the earliest first: that is the order in which they fire. */
  #assignSliding(time: number, sizeMs: number, slideMs: number, offsetMs: number): void {
    const last = startOf(time, slideMs, offsetMs);
    const behind = Math.floor((sizeMs - 1 - (time - last)) / slideMs);
    for (let steps = behind; steps >= 0; steps--) this.#add(last - steps * slideMs, sizeMs);
  }

  #add(start: number, lengthMs: number): void {
    this.starts[this.count] = start;
    this.ends[this.count] = start + lengthMs;
    this.count++;
  }
}

function startOf(time: number, sizeMs: number, offsetMs: number): number {
  // Adding 0 turns -0 into 0.
  return Math.floor((time - offsetMs) / sizeMs) * sizeMs + offsetMs + 0;
}

function checkedGap(gapOf: (value: unknown) => unknown, value: unknown): number {
  const gapMs = gapOf(value);
  if (typeof gapMs === 'number' && gapMs >= 1 && gapMs < Number.POSITIVE_INFINITY) return gapMs;
  throw new RangeError(
    `the gap function of the session window returned ${String(gapMs)}, not milliseconds of 1 or more`,
  );
}
