/** Distinct times in order, in an array: new ones mostly belong at its end, and old ones leave at its beginning. */
export class SortedTimes {
  readonly #times: number[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** The earliest time; there is one. */
  get first(): number {
    return this.#times[0] as number;
  }

  /** Adds a time; the caller sees to it that it is not there yet. */
  add(time: number): void {
    const times = this.#times;
    if (times.length === 0 || time > (times[times.length - 1] as number)) times.push(time);
    else times.splice(this.#indexOf(time), 0, time);
  }

  removeFirst(): void {
    this.#times.shift();
  }

  /** The earliest time that is `time` or later. */
  atOrAfter(time: number): number | undefined {
    return this.#times[this.#indexOf(time)];
  }

  /** Times from `from` (inclusive) to `to` (exclusive), in order. */
  between(from: number, to: number): number[] {
    return this.#times.slice(this.#indexOf(from), this.#indexOf(to));
  }

  /** Index of the first time at or after `time`. */
  #indexOf(time: number): number {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#times[middle] as number) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
