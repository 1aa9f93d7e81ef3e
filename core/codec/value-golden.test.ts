/**
 * Golden files of the stored-value codec: written once by the release that introduced a format version, kept for ever.
 * Every release must read all of them, and the release whose version it is must write the same bytes.
 *
 * A new kind of value gets a new case (run once with UPDATE_GOLDEN=1, which never overwrites); an existing file is never changed.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { difference, objectOf } from './arbitraries.test.support.ts';
import { decodeValue, encodeValueToBytes } from './value-codec.ts';

const directory = fileURLToPath(new URL('./testdata/', import.meta.url));

const cases: Record<string, unknown> = {
  'value-v1-primitives': [undefined, null, false, true, 'text', ''],
  'value-v1-integers': [0, 1, 127, 128, -1, -128, 300, -300, 2 ** 31 - 1, -(2 ** 31)],
  'value-v1-floats': [-0, 0.5, -1.25, 2 ** 31, 2 ** 53, -(2 ** 53), 1e300, 5e-324, Infinity, -Infinity, NaN],
  'value-v1-bigints': [0n, 1n, -1n, 255n, 256n, -256n, 2n ** 64n, -(2n ** 64n), 2n ** 3000n],
  'value-v1-strings': [
    'a'.repeat(63),
    'b'.repeat(64),
    'é'.repeat(300),
    '\u0000\u0001',
    '漢字',
    '\u{1f600}',
    '\ud800',
    '\udc00x',
  ],
  'value-v1-dates': [new Date(0), new Date(1_700_000_000_123), new Date(-8.64e15), new Date(Number.NaN)],
  'value-v1-bytes': [Uint8Array.of(), Uint8Array.of(0, 1, 255)],
  'value-v1-typed-arrays': [
    Int8Array.of(-1, 2),
    Uint8ClampedArray.of(1, 255),
    Int16Array.of(-300),
    Uint16Array.of(65_535),
    Int32Array.of(-70_000),
    Uint32Array.of(4_000_000_000),
    Float32Array.of(0.5, -0),
    Float64Array.of(1e300, Infinity),
    BigInt64Array.of(-(2n ** 63n)),
    BigUint64Array.of(2n ** 64n - 1n),
  ],
  'value-v1-objects': [
    {},
    { b: 1, a: undefined, 'odd name': null, é: 2, '\ud800': 3 },
    objectOf([
      ['__proto__', { constructor: 'data' }],
      ['toString', 1],
    ]),
    objectOf(Array.from({ length: 40 }, (_, index) => [`field${index}`, index])),
  ],
  'value-v1-collections': [
    [],
    [[[]], [1, [2]]],
    new Map<unknown, unknown>([
      ['k', 1],
      [Number.NaN, { nested: new Map() }],
      [{ object: 'key' }, undefined],
    ]),
    new Set<unknown>([1, 'a', null, new Set()]),
  ],
};

describe('stored values', () => {
  test.each(Object.keys(cases))('golden file %s is read and written for ever', (name) => {
    const path = `${directory}${name}.bin`;
    if (process.env['UPDATE_GOLDEN'] === '1' && !existsSync(path)) writeFileSync(path, encodeValueToBytes(cases[name]));
    const stored = readFileSync(path);
    expect(difference(decodeValue(stored), cases[name])).toBeUndefined();
    expect(Buffer.from(encodeValueToBytes(cases[name])).toString('hex')).toBe(stored.toString('hex'));
  });

  test('every golden file has its case', () => {
    const files = readdirSync(directory).filter((file) => file.startsWith('value-'));
    expect(files.sort()).toEqual(
      Object.keys(cases)
        .map((name) => `${name}.bin`)
        .sort(),
    );
  });
});
