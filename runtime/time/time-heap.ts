/** A binary heap of distinct times: the earliest first. */
export class TimeHeap {
  readonly #times: number[] = [];

  get size(): number {
    return this.#times.length;
  }

  /** The earliest time, Infinity when empty. */
  get earliest(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  /** All times up to `limit`, in order. */
  upTo(limit: number): number[] {
    return this.#times.filter((time) => time <= limit).sort((left, right) => left - right);
  }

  /** Adds a time; the caller sees to it that it is not there yet. */
  push(time: number): void {
    const times = this.#times;
    let index = times.length;
    times.push(time);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if ((times[parent] as number) <= time) break;
      times[index] = times[parent] as number;
      index = parent;
    }
    times[index] = time;
  }

  /** Removes the earliest time. */
  pop(): void {
    const times = this.#times;
    const last = times.pop();
    if (last === undefined || times.length === 0) return;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= times.length) break;
      if (child + 1 < times.length && (times[child + 1] as number) < (times[child] as number)) child++;
      if ((times[child] as number) >= last) break;
      times[index] = times[child] as number;
      index = child;
    }
    times[index] = last;
  }
}
