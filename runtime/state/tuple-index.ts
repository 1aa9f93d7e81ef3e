/**
 * Slots of keys that are flat tuples of strings, numbers and booleans: an open-addressing table over a hash of the parts, so
 * that finding one encodes nothing and allocates nothing. `[record.a, record.b]` is how people write a key of two fields.
 *
 * Other tuples (NaN, dates, bytes, bigints or tuples in them) are not *simple*; {@link tupleHash} says so.
 */
import { ownString } from '../../core/codec/own.ts';
import type { Key } from '../../core/operators.ts';

/** What {@link tupleHash} gives for a key that is not a simple tuple. */
export const notSimple = -1;

const float64 = new Float64Array(1);
const words = new Uint32Array(float64.buffer);
const multiplier = 0x9e3779b1;

/** 31 bits of which all are good; equal for equal tuples. `notSimple` for all other keys. */
export function tupleHash(key: Key): number {
  if (!Array.isArray(key)) return notSimple;
  const parts = key as readonly unknown[];
  let hash = parts.length;
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index];
    if (typeof part === 'number' && part === part) hash = Math.imul(hash ^ numberBits(part), multiplier);
    else if (typeof part === 'string') hash = stringHash(hash, part);
    else if (typeof part === 'boolean') hash = Math.imul(hash ^ (part ? 3 : 5), multiplier);
    else return notSimple;
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 1;
}

/** -0 is an integer here, so it has the bits of 0. */
function numberBits(part: number): number {
  const integer = part | 0;
  if (integer === part) return integer;
  float64[0] = part;
  return (words[0] as number) ^ Math.imul(words[1] as number, 0x85ebca6b);
}

function stringHash(start: number, text: string): number {
  let hash = start ^ text.length;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return Math.imul(hash, multiplier);
}

/** A simple tuple in memory of its own: its owner may change it, and its strings may be slices of a batch. */
export function ownTuple(key: Key): Key {
  return (key as readonly (string | number | boolean)[]).map((part) => {
    if (typeof part === 'string') return ownString(part);
    // -0 and 0 are one key, kept as 0.
    return part === 0 ? 0 : part;
  });
}

function sameTuple(left: readonly unknown[], right: readonly unknown[]): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

export class TupleIndex {
  /** Slot + 1 a bucket, 0 where empty. */
  #buckets = new Int32Array(16);
  #bucketShift = 27;
  #count = 0;
  /** By slot: hash and key of its tuple. */
  #hashes = new Int32Array(16);
  readonly #tuples: (Key | undefined)[] = [];
  /** Where the last search ended: an operator often looks for the key of one record several times. */
  #lastSlot = 0;

  /** The slot of the tuple found last when it is this one, by its parts; else -1. */
  findLast(key: Key): number {
    const last = this.#tuples[this.#lastSlot];
    return last !== undefined && sameTuple(last as never, key as never) ? this.#lastSlot : -1;
  }

  /** The slot of a simple tuple, or -1. */
  find(key: Key, hash: number): number {
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    let bucket = hash >>> this.#bucketShift;
    for (;;) {
      const slot = (buckets[bucket] as number) - 1;
      if (slot < 0) return -1;
      if (this.#hashes[slot] === hash && sameTuple(this.#tuples[slot] as never, key as never)) {
        this.#lastSlot = slot;
        return slot;
      }
      bucket = (bucket + 1) & mask;
    }
  }

  /** Adds a tuple that is absent; it is the index's own from now on. */
  insert(key: Key, hash: number, slot: number): void {
    if ((this.#count + 1) * 2 > this.#buckets.length) this.#growBuckets();
    if (slot >= this.#hashes.length) this.#growSlots(slot);
    this.#count++;
    this.#hashes[slot] = hash;
    // Never a hole: an array with holes becomes slow for good.
    while (this.#tuples.length <= slot) this.#tuples.push(undefined);
    this.#tuples[slot] = key;
    this.#lastSlot = slot;
    this.#place(slot);
  }

  /** Moves later entries of the probe sequence back, so that no marker of removed ones is needed. */
  remove(slot: number): void {
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    let hole = (this.#hashes[slot] as number) >>> this.#bucketShift;
    while (buckets[hole] !== slot + 1) hole = (hole + 1) & mask;
    for (let next = (hole + 1) & mask; buckets[next] !== 0; next = (next + 1) & mask) {
      const home = (this.#hashes[(buckets[next] as number) - 1] as number) >>> this.#bucketShift;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      buckets[hole] = buckets[next] as number;
      hole = next;
    }
    buckets[hole] = 0;
    this.#tuples[slot] = undefined;
    this.#count--;
  }

  #place(slot: number): void {
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    let bucket = (this.#hashes[slot] as number) >>> this.#bucketShift;
    while (buckets[bucket] !== 0) bucket = (bucket + 1) & mask;
    buckets[bucket] = slot + 1;
  }

  #growBuckets(): void {
    const old = this.#buckets;
    this.#buckets = new Int32Array(old.length * 2);
    this.#bucketShift--;
    for (const entry of old) if (entry !== 0) this.#place(entry - 1);
  }

  #growSlots(slot: number): void {
    const hashes = new Int32Array(Math.max(this.#hashes.length * 2, slot + 1));
    hashes.set(this.#hashes);
    this.#hashes = hashes;
  }
}
