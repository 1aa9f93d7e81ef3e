/**
 * Random numbers of one record: a pure function of (seed, index). Seeding is a mix of both (the finalizer of splitmix32, applied to
 * seed and both halves of the index), the sequence is mulberry32: small, fast, good enough for test data and for nothing secret.
 */

export interface RecordRandom {
  /** In [0, 1). */
  next(): number;
  /** Integer in [0, bound). */
  int(bound: number): number;
  /** One of the items, each as likely. Throws for an empty array. */
  pick<Item>(items: readonly Item[]): Item;
}

const twoTo32 = 4_294_967_296;

function mix(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return mixed ^ (mixed >>> 15);
}

/** A random source that is set to one record after another; a record's numbers do not depend on those of others. */
export class SeededRandom implements RecordRandom {
  readonly #seed: number;
  #state = 0;

  constructor(seed: number) {
    this.#seed = mix(mix(seed % twoTo32) + Math.floor(seed / twoTo32));
  }

  /** Starts the sequence of record `index`, an integer of at least 0. */
  seek(index: number): void {
    const high = index < twoTo32 ? 0 : Math.floor(index / twoTo32);
    this.#state = mix(mix(this.#seed + Math.imul(high, 0x9e3779b9)) + Math.imul(index | 0, 0x9e3779b9));
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / twoTo32;
  }

  int(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new RangeError('pick() needs an array with at least one item');
    return items[this.int(items.length)] as Item;
  }
}
