import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Key } from '../operators.ts';
import { anyKey, anyNumber, anyString } from './arbitraries.test.support.ts';
import { encodeKeyToBytes } from './key-codec.ts';
import { hashBytes, hashKey, keyGroupOf } from './key-hash.ts';

/** Murmur3 of the reference, straight from its description, over bytes. */
const published: [string, number][] = [
  ['', 0],
  ['a', 0x3c2569b2],
  ['abc', 0xb3dd93fa],
  ['hello', 0x248bfa47],
  ['Hello, world!', 0xc0363e43],
  ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
];

describe('key hash', () => {
  test.each(published)('hash of bytes is murmur3 when bytes are "%s"', (text, hash) => {
    const bytes = Buffer.from(text);
    expect(hashBytes(bytes, 0, bytes.length)).toBe(hash);
  });

  test('hash of a key is the hash of its bytes', () => {
    const key: fc.Arbitrary<Key> = fc.oneof(anyString, anyNumber, fc.string({ unit: 'grapheme-ascii' }), anyKey);
    fc.assert(
      fc.property(key, (value) => {
        const bytes = encodeKeyToBytes(value);
        expect(hashKey(value)).toBe(hashBytes(bytes, 0, bytes.length));
      }),
      { numRuns: 10_000 },
    );
  });

  test.each([
    ['carrier-AA', 128, 79],
    [42, 128, 71],
    [-0, 128, 30],
    [Number.NaN, 128, 75],
    ['é', 32_768, 31_326],
    [['JFK', 7], 128, 119],
  ] satisfies [Key, number, number][])('key group of %j never changes', (key, maxParallelism, group) => {
    expect(keyGroupOf(key, maxParallelism)).toBe(group);
  });

  test('key groups are even when keys are numbers in sequence', () => {
    const counts = new Array<number>(128).fill(0);
    for (let key = 0; key < 128_000; key++) counts[keyGroupOf(key, 128)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1150);
  });
});
