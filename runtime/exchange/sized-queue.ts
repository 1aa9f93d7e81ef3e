/**
 * First in, first out, with the bytes of each item beside it: the queue of both kinds of channel. A ring of parallel arrays,
 * so that neither pushing nor taking allocates, and a taken item is not kept alive.
 */
const initialCapacity = 16;

/** A queue of items and their sizes. Its bound is the caller's: credit. */
export class SizedQueue<T> {
  #items: (T | undefined)[] = new Array<T | undefined>(initialCapacity).fill(undefined);
  #sizes: number[] = new Array<number>(initialCapacity).fill(0);
  #head = 0;
  #length = 0;
  #bytes = 0;
  /** Bytes of the item that `shift` returned last. */
  shiftedBytes = 0;

  get length(): number {
    return this.#length;
  }

  /** Sum of the sizes of what is queued. */
  get bytes(): number {
    return this.#bytes;
  }

  push(item: T, bytes: number): void {
    if (this.#length === this.#items.length) this.#grow();
    const index = (this.#head + this.#length) & (this.#items.length - 1);
    this.#items[index] = item;
    this.#sizes[index] = bytes;
    this.#length += 1;
    this.#bytes += bytes;
  }

  /** The oldest item, left where it is; undefined when empty. */
  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#items[this.#head];
  }

  /** Takes the oldest item; undefined when empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.shiftedBytes = this.#sizes[this.#head] as number;
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#items.length - 1);
    this.#length -= 1;
    this.#bytes -= this.shiftedBytes;
    return item;
  }

  clear(): void {
    while (this.#length > 0) this.shift();
  }

  #grow(): void {
    const capacity = this.#items.length;
    const items = new Array<T | undefined>(capacity * 2).fill(undefined);
    const sizes = new Array<number>(capacity * 2).fill(0);
    for (let i = 0; i < this.#length; i++) {
      const from = (this.#head + i) & (capacity - 1);
      items[i] = this.#items[from];
      sizes[i] = this.#sizes[from] as number;
    }
    this.#items = items;
    this.#sizes = sizes;
    this.#head = 0;
  }
}
