import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import { KeyIndex } from './key-index.ts';
import { sortByBytes, sortedKeys } from './key-order.ts';

const key = fc.oneof<fc.Arbitrary<Key>[]>(
  fc.integer({ min: 0, max: 40 }),
  fc.constantFrom(Number.NaN, -0, 0.5, 2 ** 40, -1, Number.POSITIVE_INFINITY, 1e-300),
  fc.string({ maxLength: 3, unit: 'binary' }),
  fc.constantFrom('\uffee', '\ud83d\ude00', '\ud800', 'longer than thirteen'),
  fc.bigInt({ min: -3n, max: 3n }),
  fc.tuple(fc.integer({ min: 0, max: 2 }), fc.boolean()),
  fc.array(
    fc.oneof<fc.Arbitrary<Key>[]>(
      fc.constantFrom(
        -0,
        0,
        1,
        0.5,
        Number.NaN,
        2 ** 32,
        '0',
        '',
        'a',
        '\ud800',
        'longer than thirteen',
        true,
        false,
        0n,
      ),
      fc.tuple(fc.constantFrom(0, 'a')),
    ),
    { maxLength: 3 },
  ),
);
const textOf = (part: Key): string => Buffer.from(encodeKeyToBytes(part)).toString('hex');

describe('key index', () => {
  test('gives each key one slot and forgets exactly what is removed', () => {
    const step = fc.record({ key, remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
        const index = new KeyIndex(8);
        const model = new Map<string, number>();
        for (const next of steps) {
          const id = textOf(next.key);
          const known = model.get(id);
          expect(index.find(next.key)).toBe(known ?? -1);
          if (known === undefined) {
            const slot = index.insert(next.key);
            expect([...model.values()]).not.toContain(slot);
            model.set(id, slot);
          } else if (next.remove) {
            index.remove(known);
            model.delete(id);
          }
        }
        expect(index.size).toBe(model.size);
        for (const [id, slot] of model) expect(textOf(index.keyAt(slot))).toBe(id);
      }),
    );
  });

  test('finds every numeric key after growth and removals in a dense table', () => {
    const index = new KeyIndex(8);
    const slots = new Map<number, number>();
    for (let number = 0; number < 5000; number++) slots.set(number * 7, index.insert(number * 7));
    for (let number = 0; number < 5000; number += 3) {
      index.remove(slots.get(number * 7) as number);
      slots.delete(number * 7);
    }
    for (let number = 0; number < 5000; number++) expect(index.find(number * 7)).toBe(slots.get(number * 7) ?? -1);
  });

  test('finds every tuple after growth and removals in a dense table', () => {
    const index = new KeyIndex(8);
    const slots = new Map<number, number>();
    const tuple = (number: number): Key => [`channel-${number % 70}`, number, number % 2 === 0];
    for (let number = 0; number < 5000; number++) slots.set(number, index.insert(tuple(number)));
    for (let number = 0; number < 5000; number += 3) {
      index.remove(slots.get(number) as number);
      slots.delete(number);
    }
    for (let number = 0; number < 5000; number++) expect(index.find(tuple(number))).toBe(slots.get(number) ?? -1);
  });

  test('keeps its own copy of a tuple that its owner changes', () => {
    const index = new KeyIndex(8);
    const tuple = [1, 'two'];
    const slot = index.insert(tuple);
    tuple[0] = 9;
    expect(index.find([1, 'two'])).toBe(slot);
    expect(index.keyAt(slot)).toEqual([1, 'two']);
    expect(index.find(tuple)).toBe(-1);
  });

  test('keeps its own copy of a key that its owner changes', () => {
    const index = new KeyIndex(8);
    const bytes = new Uint8Array([1, 2]);
    const slot = index.insert(bytes);
    bytes[0] = 9;
    expect(index.find(new Uint8Array([1, 2]))).toBe(slot);
    expect(index.keyAt(slot)).toEqual(new Uint8Array([1, 2]));
  });

  test('sorts keys as their bytes whatever kinds are in the table', () => {
    const kinds = fc.oneof(
      fc.array(fc.double({ noNaN: true })),
      fc.array(fc.string({ unit: 'binary' })),
      fc.array(key),
    );
    fc.assert(
      fc.property(kinds, (keys) => {
        const index = new KeyIndex(8);
        const slots = keys
          .filter((part) => index.find(part) < 0 && index.insert(part) >= 0)
          .map((part) => index.find(part));
        expect(sortedKeys(index, slots).map(textOf)).toEqual(
          sortByBytes(slots.map((slot) => index.keyAt(slot))).map(textOf),
        );
      }),
    );
  });
});
