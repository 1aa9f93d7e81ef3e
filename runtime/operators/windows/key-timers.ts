/**
 * When to look at a key next: one time per key, at or before the earliest thing that is due for it. Extending a session only
 * moves its end away, so nothing is done then: whoever looks finds the new end and arms the key again. A key that is armed
 * earlier than before leaves its old entry in the heap, where it is passed over.
 *
 * Derived from rows, never stored; in the slot in every backend.
 */
import type { Key } from '../../../core/operators.ts';
import { KeyIndex } from '../../state/key-index.ts';
import { sortedKeys } from '../../state/key-order.ts';

const initialCapacity = 16;

export class KeyTimers {
  readonly #index = new KeyIndex(initialCapacity);
  /** Time a key is armed for, by its slot. */
  #armed = new Float64Array(initialCapacity);
  /** A binary heap: times beside slots. */
  #times = new Float64Array(initialCapacity);
  #slots = new Int32Array(initialCapacity);
  #size = 0;

  /** Time of the earliest entry, Infinity when there is none. */
  get earliest(): number {
    return this.#size === 0 ? Number.POSITIVE_INFINITY : (this.#times[0] as number);
  }

  /** Looks at the key at `time`, unless it is armed for an earlier one. */
  arm(key: Key, time: number): void {
    let slot = this.#index.find(key);
    if (slot < 0) {
      slot = this.#index.insert(key);
      if (slot >= this.#armed.length) this.#armed = grown(this.#armed);
    } else if ((this.#armed[slot] as number) <= time) return;
    this.#armed[slot] = time;
    this.#push(time, slot);
  }

  /** The keys armed for the earliest time, in key order; they are armed no more. Empty when the entries were passed over. */
  takeEarliest(): Key[] {
    const time = this.earliest;
    const slots: number[] = [];
    while (this.#size > 0 && this.#times[0] === time) {
      const slot = this.#slots[0] as number;
      this.#pop();
      if (this.#armed[slot] !== time) continue;
      this.#armed[slot] = Number.NaN;
      slots.push(slot);
    }
    const keys = slots.length === 1 ? [this.#index.keyAt(slots[0] as number)] : sortedKeys(this.#index, slots);
    for (const slot of slots) this.#index.remove(slot);
    return keys;
  }

  #push(time: number, slot: number): void {
    if (this.#size === this.#times.length) {
      this.#times = grown(this.#times);
      const slots = new Int32Array(this.#times.length);
      slots.set(this.#slots);
      this.#slots = slots;
    }
    const times = this.#times;
    let index = this.#size++;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if ((times[parent] as number) <= time) break;
      this.#move(parent, index);
      index = parent;
    }
    times[index] = time;
    this.#slots[index] = slot;
  }

  #pop(): void {
    const times = this.#times;
    const size = --this.#size;
    const time = times[size] as number;
    let index = 0;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= size) break;
      if (child + 1 < size && (times[child + 1] as number) < (times[child] as number)) child++;
      if ((times[child] as number) >= time) break;
      this.#move(child, index);
      index = child;
    }
    times[index] = time;
    this.#slots[index] = this.#slots[size] as number;
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from] as number;
    this.#slots[to] = this.#slots[from] as number;
  }
}

function grown(array: Float64Array): Float64Array<ArrayBuffer> {
  const twice = new Float64Array(array.length * 2);
  twice.set(array);
  return twice;
}
