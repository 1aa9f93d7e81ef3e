import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEngineError } from '../errors.ts';
import type { Key } from '../operators.ts';
import { anyKey, difference } from './arbitraries.test.support.ts';
import { ByteWriter } from './byte-sink.ts';
import { compareBytes, decodeKey, encodeKey, encodeKeyToBytes } from './key-codec.ts';

const runs = { numRuns: 2000 };

/** What a key is after a round trip: -0 is 0. */
function normal(key: Key): Key {
  if (typeof key === 'number') return key === 0 ? 0 : key;
  return Array.isArray(key) ? key.map(normal) : key;
}

/** Order of keys by definition, written without looking at bytes. */
function compareKeys(left: Key, right: Key): number {
  const rank = typeRank(left) - typeRank(right);
  if (rank !== 0) return rank;
  if (Array.isArray(left)) return compareTuples(left, right as readonly Key[]);
  if (typeof left === 'string') return compareCodePoints(left, right as string);
  if (left instanceof Date) return compareNumbers(left.getTime(), (right as Date).getTime());
  if (left instanceof Uint8Array) return Buffer.compare(left, right as Uint8Array);
  if (typeof left === 'number') return compareNumbers(left, right as number);
  return left < right ? -1 : left > right ? 1 : 0;
}

function typeRank(key: Key): number {
  if (Array.isArray(key)) return 6;
  if (key instanceof Date) return 3;
  if (key instanceof Uint8Array) return 5;
  return ['boolean', 'number', 'bigint', '', 'string'].indexOf(typeof key);
}

function compareNumbers(left: number, right: number): number {
  if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
  return left < right ? -1 : left > right ? 1 : 0;
}

function compareTuples(left: readonly Key[], right: readonly Key[]): number {
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const order = compareKeys(left[index] as Key, right[index] as Key);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function compareCodePoints(left: string, right: string): number {
  const points = (text: string) => [...text].map((character) => character.codePointAt(0) as number);
  return compareTuples(points(left), points(right));
}

describe('key codec', () => {
  test('key returns the same when decoded, whatever surrounds its bytes', () => {
    fc.assert(
      fc.property(anyKey, fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (key, before, after) => {
        const bytes = encodeKeyToBytes(key);
        const decoded = decodeKey(Buffer.concat([before, bytes, after]), before.length);
        expect(difference(decoded.key, normal(key))).toBeUndefined();
        expect(decoded.end).toBe(before.length + bytes.length);
      }),
      runs,
    );
  });

  test('bytes compare as keys do', () => {
    fc.assert(
      fc.property(anyKey, anyKey, (left, right) => {
        const order = compareBytes(encodeKeyToBytes(left), encodeKeyToBytes(right));
        expect(Math.sign(order)).toBe(Math.sign(compareKeys(left, right)));
      }),
      runs,
    );
  });

  test('concatenated keys sort part by part', () => {
    fc.assert(
      fc.property(anyKey, anyKey, anyKey, anyKey, (a, b, c, d) => {
        const join = (left: Key, right: Key) => Buffer.concat([encodeKeyToBytes(left), encodeKeyToBytes(right)]);
        expect(Math.sign(compareBytes(join(a, b), join(c, d)))).toBe(Math.sign(compareKeys(a, c) || compareKeys(b, d)));
      }),
      runs,
    );
  });

  test('no encoded key is a prefix of another', () => {
    fc.assert(
      fc.property(anyKey, anyKey, (left, right) => {
        const [a, b] = [encodeKeyToBytes(left), encodeKeyToBytes(right)];
        if (Buffer.compare(a, b) !== 0) expect(Buffer.compare(a, b.subarray(0, a.length))).not.toBe(0);
      }),
      runs,
    );
  });

  test.each([
    ['string', 'a\u0000\u0001é\u{1f600}\ud800', '40 61 01 01 01 02 c3 a9 f0 9f 98 80 ed a0 80 00'],
    ['number 1', 1, '20 bf f0 00 00 00 00 00 00'],
    ['number -1', -1, '20 40 0f ff ff ff ff ff ff'],
    ['number -0', -0, '20 80 00 00 00 00 00 00 00'],
    ['number NaN', Number.NaN, '20 ff f8 00 00 00 00 00 00'],
    ['bigint 0', 0n, '29 00'],
    ['bigint 256', 256n, '29 02 01 00'],
    ['bigint -256', -256n, '28 fd fe ff'],
    ['boolean', true, '11'],
    ['date', new Date(0), '30 80 00 00 00 00 00 00 00'],
    ['invalid date', new Date(Number.NaN), '30 ff f8 00 00 00 00 00 00'],
    ['bytes', Uint8Array.of(0, 1, 2, 255), '50 01 01 01 02 02 ff 00'],
    ['tuple', ['a', [false], []], '60 40 61 00 60 10 00 60 00 00'],
  ] satisfies [string, Key, string][])('bytes of %s never change', (_name, key, hex) => {
    expect(Buffer.from(encodeKeyToBytes(key)).toString('hex')).toBe(hex.replaceAll(' ', ''));
  });

  test.each([
    ['undefined', undefined, 'key', 'undefined'],
    ['null', null, 'key', 'null'],
    ['an object', { a: 1 }, 'key', 'an object'],
    ['a symbol', ['a', [1, Symbol('s')]], 'key[1][1]', 'a symbol'],
    ['a hole', [1, , 2], 'key[1]', 'undefined'],
    ['a map', [new Map()], 'key[0]', 'an instance of Map'],
    ['a function', () => 1, 'key', 'a function'],
    ['a typed array', new Float64Array(1), 'key', 'an instance of Float64Array'],
  ])('key is refused naming the part when it is or contains %s', (_name, key, path, what) => {
    const sink = new ByteWriter(16);
    const error = thrownBy(() => encodeKey(key as Key, sink));
    expect(error).toMatchObject({ code: 'KEY_NOT_SUPPORTED', ids: { path } });
    expect((error as Error).message).toContain(what);
    expect(sink.position).toBe(0);
  });

  test('key is refused when it contains itself', () => {
    const key: unknown[] = [];
    key.push(key);
    expect(thrownBy(() => encodeKey(key as Key, new ByteWriter()))).toMatchObject({ code: 'KEY_NOT_SUPPORTED' });
  });

  test('decoded key encodes to the bytes it came from when bytes are random', () => {
    const tagged = fc.tuple(
      fc.constantFrom(0x10, 0x20, 0x28, 0x29, 0x30, 0x40, 0x50, 0x60, 7),
      fc.uint8Array({ maxLength: 24 }),
    );
    fc.assert(
      fc.property(tagged, ([tag, rest]) => {
        const bytes = Uint8Array.of(tag, ...rest);
        let decoded: { key: Key; end: number };
        try {
          decoded = decodeKey(bytes);
        } catch (error) {
          expect(isEngineError(error) && error.code).toBe('CHECKPOINT_UNREADABLE');
          return;
        }
        expect(Buffer.from(encodeKeyToBytes(decoded.key))).toEqual(Buffer.from(bytes.subarray(0, decoded.end)));
      }),
      { numRuns: 20_000 },
    );
  });
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}
