/**
 * Prefetch in two steps, for rows whose addresses stand in other rows (the state of a session, the chunks of a list): the
 * first step brings those other rows, the second all. Without it every such row would be read blocking.
 */
import type { Prefetch } from '../../../state/prefetch.ts';

interface Stretch {
  readonly owner: object;
  readonly from: number;
  readonly count: number;
}

export class StagedPrefetch {
  readonly #prefetch: Prefetch;
  /** What has gone through the first step; itself the owner of the second. */
  #first: Stretch | null = null;

  constructor(prefetch: Prefetch) {
    this.#prefetch = prefetch;
  }

  /** As `Prefetch.prepare`; `want` is given the step as well, 0 or 1. */
  prepare(owner: object, from: number, length: number, want: (index: number, stage: number) => void): number {
    if (this.#first === null || this.#first.owner !== owner || this.#first.from !== from) {
      const count = this.#prefetch.prepare(owner, from, length, (index) => want(index, 0));
      if (count === 0) return 0;
      this.#first = { owner, from, count };
    }
    const end = Math.min(from + this.#first.count, length);
    return this.#prefetch.prepare(this.#first, from, end, (index) => want(index, 1));
  }

  /** The stretch is used up: the next call plans anew. */
  forgetStretch(): void {
    this.#first = null;
    this.#prefetch.forgetStretch();
  }
}
