/**
 * Slots of a table in the order of their encoded keys. Numbers and most strings order natively like their bytes; the rest
 * is encoded and compared.
 */
import { encodeKeyToBytes, compareBytes } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import type { KeyIndex } from './key-index.ts';

/** Compares keys as their encoded bytes compare. */
export function compareKeys(left: Key, right: Key): number {
  if (typeof left === 'number' && typeof right === 'number' && left === left && right === right) return left - right;
  return compareBytes(encodeKeyToBytes(left), encodeKeyToBytes(right));
}

/** The keys of some slots, in key order. */
export function sortedKeys(index: KeyIndex, slots: readonly number[]): Key[] {
  if (index.numbersOnly) return Array.from(Float64Array.from(slots, (slot) => index.keyAt(slot) as number).sort());
  const keys = slots.map((slot) => index.keyAt(slot));
  // Without surrogates and what sorts between them in UTF-8, UTF-16 order is byte order; 0 and 1 are escaped in order.
  if (index.stringsOnly && !index.hasWideStrings) return keys.sort();
  return sortByBytes(keys);
}

/** Sorts any keys by their encoded bytes. */
export function sortByBytes(keys: readonly Key[]): Key[] {
  const encoded = keys.map((key) => ({ key, bytes: encodeKeyToBytes(key) }));
  encoded.sort((left, right) => compareBytes(left.bytes, right.bytes));
  return encoded.map((entry) => entry.key);
}
