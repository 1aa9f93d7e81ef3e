/**
 * Key → slot: a slot is a small integer that indexes every column of a table. Numbers live in an open-addressing table of
 * typed arrays (no object, no boxed number per key), strings in a `Map`, flat tuples in a table over the hash of their parts
 * (`TupleIndex`), all other keys in a `Map` by their encoded form.
 *
 * The index owns slots: it hands out free ones first, so columns stay dense. Keys that enter are copies: a kept slice of a
 * batch would pin the whole batch.
 */
import { ByteWriter } from '../../core/codec/byte-sink.ts';
import { decodeKey, encodeKey } from '../../core/codec/key-codec.ts';
import { ownString } from '../../core/codec/own.ts';
import type { Key } from '../../core/operators.ts';
import { notSimple, ownTuple, tupleHash, TupleIndex } from './tuple-index.ts';

const keyKind = { free: 0, number: 1, string: 2, encoded: 3, tuple: 4 } as const;

/** Stands for the map of a table that has no string key (yet); never written. */
const noStrings = new Map<string, number>();
const scratch = new ByteWriter(256);
const float64 = new Float64Array(1);
const words = new Uint32Array(float64.buffer);

/** The encoded form of a key as a string of one character a byte; equal for equal keys. @throws EngineError KEY_NOT_SUPPORTED */
export function encodedText(key: Key): string {
  scratch.reset();
  encodeKey(key, scratch);
  return textOfBytes(scratch.buffer, 0, scratch.position);
}

/** Bytes as a string of one character each. */
export function textOfBytes(bytes: Uint8Array, start: number = 0, end: number = bytes.length): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

/** The bytes of a text made by {@link textOfBytes}. */
export function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

export class KeyIndex {
  /** Slots ever handed out; every used slot is below. */
  slotCount = 0;
  /** Keys present. */
  size = 0;
  /** True once a string with a code unit from the surrogates on came in: `<` no longer orders strings as their bytes. */
  hasWideStrings = false;
  #numbers: Float64Array;
  #kinds: Uint8Array;
  /** Keys that are not numbers, by slot. */
  #objects: (Key | undefined)[] | null = null;
  /** Slot + 1 per bucket, 0 where empty. */
  #buckets: Int32Array;
  #bucketShift: number;
  #numberCount = 0;
  #strings: Map<string, number> = noStrings;
  #tuples: TupleIndex | null = null;
  #encoded: Map<string, number> | null = null;
  readonly #free: number[] = [];

  constructor(capacity: number) {
    this.#numbers = new Float64Array(capacity);
    this.#kinds = new Uint8Array(capacity);
    this.#buckets = new Int32Array(16);
    this.#bucketShift = 28;
  }

  get capacity(): number {
    return this.#kinds.length;
  }

  /** The slot of a key, or -1. @throws EngineError KEY_NOT_SUPPORTED */
  find(key: Key): number {
    if (typeof key === 'number' && key === key) return this.#findNumber(key);
    if (typeof key !== 'string') return this.#findOther(key);
    const slot = this.#strings.get(key);
    return slot === undefined ? -1 : slot;
  }

  /** Adds a key that is absent; the caller grows its columns when the slot reaches `capacity` (see {@link grow}). */
  insert(key: Key): number {
    const slot = this.#takeSlot();
    this.size++;
    if (typeof key === 'number' && key === key) this.#insertNumber(key, slot);
    else if (typeof key === 'string') this.#insertString(key, slot);
    else this.#insertOther(key, slot);
    return slot;
  }

  /** Forgets the key of a slot; the slot is handed out again. */
  remove(slot: number): void {
    const kind = this.#kinds[slot];
    if (kind === keyKind.number) this.#removeNumber(slot);
    else if (kind === keyKind.string) this.#strings.delete(this.#objects?.[slot] as string);
    else if (kind === keyKind.tuple) this.#tuples?.remove(slot);
    else this.#encoded?.delete(encodedText(this.keyAt(slot)));
    if (this.#objects !== null) this.#objects[slot] = undefined;
    this.#kinds[slot] = keyKind.free;
    this.#free.push(slot);
    this.size--;
  }

  keyAt(slot: number): Key {
    if (this.#kinds[slot] === keyKind.number) return this.#numbers[slot] as number;
    return (this.#objects as Key[])[slot] as Key;
  }

  /** True when every key is a number other than NaN, so that numeric order is key order. */
  get numbersOnly(): boolean {
    return this.#numberCount === this.size;
  }

  get stringsOnly(): boolean {
    return this.#strings.size === this.size;
  }

  #takeSlot(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.slotCount === this.#kinds.length) this.#growSlots();
    return this.slotCount++;
  }

  #growSlots(): void {
    const capacity = this.#kinds.length * 2;
    const kinds = new Uint8Array(capacity);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
    const numbers = new Float64Array(capacity);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }

  #findNumber(key: number): number {
    const buckets = this.#buckets;
    const numbers = this.#numbers;
    const mask = buckets.length - 1;
    let bucket = hashOf(key) >>> this.#bucketShift;
    for (;;) {
      const slot = (buckets[bucket] as number) - 1;
      if (slot < 0 || numbers[slot] === key) return slot;
      bucket = (bucket + 1) & mask;
    }
  }

  #insertNumber(key: number, slot: number): void {
    if ((this.#numberCount + 1) * 2 > this.#buckets.length) this.#growBuckets();
    this.#numberCount++;
    // -0 and 0 are one key, kept as 0.
    this.#numbers[slot] = key === 0 ? 0 : key;
    this.#kinds[slot] = keyKind.number;
    this.#placeNumber(key, slot);
  }

  #placeNumber(key: number, slot: number): void {
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    let bucket = hashOf(key) >>> this.#bucketShift;
    while (buckets[bucket] !== 0) bucket = (bucket + 1) & mask;
    buckets[bucket] = slot + 1;
  }

  #growBuckets(): void {
    this.#buckets = new Int32Array(this.#buckets.length * 2);
    this.#bucketShift--;
    for (let slot = 0; slot < this.slotCount; slot++) {
      if (this.#kinds[slot] === keyKind.number) this.#placeNumber(this.#numbers[slot] as number, slot);
    }
  }

  /** Removes from the probe sequence by moving later entries back, so that no marker of deleted entries is needed. */
  #removeNumber(slot: number): void {
    const buckets = this.#buckets;
    const mask = buckets.length - 1;
    let hole = hashOf(this.#numbers[slot] as number) >>> this.#bucketShift;
    while (buckets[hole] !== slot + 1) hole = (hole + 1) & mask;
    for (let next = (hole + 1) & mask; buckets[next] !== 0; next = (next + 1) & mask) {
      const home = hashOf(this.#numbers[(buckets[next] as number) - 1] as number) >>> this.#bucketShift;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      buckets[hole] = buckets[next] as number;
      hole = next;
    }
    buckets[hole] = 0;
    this.#numberCount--;
  }

  #insertString(key: string, slot: number): void {
    const owned = ownString(key);
    if (!this.hasWideStrings && /[\ud800-\uffff]/.test(owned)) this.hasWideStrings = true;
    if (this.#strings === noStrings) this.#strings = new Map();
    this.#strings.set(owned, slot);
    this.#keepObject(owned, slot, keyKind.string);
  }

  #findOther(key: Key): number {
    if (this.#tuples !== null && Array.isArray(key)) {
      const last = this.#tuples.findLast(key as Key);
      if (last >= 0) return last;
    }
    const hash = tupleHash(key);
    if (hash !== notSimple) return this.#tuples === null ? -1 : this.#tuples.find(key, hash);
    // Encoded even where there is nothing to find: a key that is refused is refused here.
    const text = encodedText(key);
    return this.#encoded?.get(text) ?? -1;
  }

  #insertOther(key: Key, slot: number): void {
    const hash = tupleHash(key);
    if (hash === notSimple) return this.#insertEncoded(key, slot);
    const owned = ownTuple(key);
    this.#tuples ??= new TupleIndex();
    this.#tuples.insert(owned, hash, slot);
    this.#keepObject(owned, slot, keyKind.tuple);
  }

  #insertEncoded(key: Key, slot: number): void {
    const text = encodedText(key);
    this.#encoded ??= new Map();
    this.#encoded.set(text, slot);
    // Dates, bytes and tuples can be changed by their owner: the table keeps its own copy.
    this.#keepObject(decodeKey(bytesOfText(text)).key, slot, keyKind.encoded);
  }

  #keepObject(key: Key, slot: number, kind: number): void {
    this.#objects ??= [];
    const objects = this.#objects;
    while (objects.length < slot) objects.push(undefined);
    objects[slot] = key;
    this.#kinds[slot] = kind;
  }
}

/** Hash for buckets only (never for key groups): its high bits are the good ones. */
function hashOf(key: number): number {
  const integer = key | 0;
  if (integer === key) return Math.imul(integer, 0x9e3779b1);
  float64[0] = key;
  return Math.imul((words[0] as number) ^ Math.imul(words[1] as number, 0x85ebca6b), 0x9e3779b1);
}
