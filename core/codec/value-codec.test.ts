import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isEngineError } from '../errors.ts';
import { anyValue, difference, objectOf } from './arbitraries.test.support.ts';
import { ByteWriter } from './byte-sink.ts';
import { decodeFirstElement, decodeValue, encodeValue, encodeValueToBytes } from './value-codec.ts';

const runs = { numRuns: 3000 };

describe('value codec', () => {
  test('value is the same after a round trip', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        expect(difference(decodeValue(encodeValueToBytes(value)), value)).toBeUndefined();
      }),
      runs,
    );
  });

  test('value encodes to the same bytes after a round trip', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeValueToBytes(value);
        expect(encodeValueToBytes(decodeValue(bytes))).toEqual(bytes);
      }),
      runs,
    );
  });

  test('object is written the same way however often objects of its fields, or of others, were written before', () => {
    const fields = (count: number, name: (index: number) => string): Record<string, unknown> =>
      objectOf(Array.from({ length: count }, (_, index) => [name(index), index] as const));
    const objects = [
      { a: 1, b: { a: 2, b: 'x' } },
      { b: 1, a: { c: 2, a: 'x' } },
      { é: 1, '\u0100': 2 },
      { 1: 'one', ['n'.repeat(64)]: 2 },
      fields(31, (index) => `name ${index}`),
      fields(32, (index) => `name ${index}`),
      fields(31, (index) => `other ${index}`),
      {},
    ];
    const first = objects.map((object) => encodeValueToBytes(object));
    fc.assert(
      fc.property(fc.array(fc.nat(objects.length - 1), { minLength: 40, maxLength: 80 }), (order) => {
        for (const index of order) {
          const bytes = encodeValueToBytes(objects[index]);
          expect(bytes).toEqual(first[index]);
          expect(decodeValue(bytes)).toEqual(objects[index]);
        }
      }),
    );
    for (const [index, object] of objects.entries()) {
      for (let time = 0; time < 40; time++) expect(encodeValueToBytes(object)).toEqual(first[index]);
    }
  });

  test('string is read as it was whatever its length and units', () => {
    for (const length of [23, 24, 63, 64, 4096, 4097]) {
      for (const unit of ['a', 'é', '漢', '\ud800']) {
        const texts = [unit.repeat(length), `${'a'.repeat(length - 1)}${unit}`];
        for (const text of texts) expect(decodeValue(encodeValueToBytes(text))).toBe(text);
      }
    }
  });

  test('first element of an array is read without the others', () => {
    const bytes = encodeValueToBytes([1.5, { rest: 'x' }]);
    expect(decodeFirstElement(bytes, 0)).toBe(1.5);
    expect(decodeFirstElement(bytes.subarray(0, 12), 0)).toBe(1.5);
    for (const value of [[], 'x', { a: 1 }])
      expect(thrownBy(() => decodeFirstElement(encodeValueToBytes(value), 0))).toMatchObject({
        code: 'CHECKPOINT_UNREADABLE',
      });
  });

  test('value is read from the middle of a buffer', () => {
    const sink = new ByteWriter(4);
    encodeValue({ first: 1 }, sink);
    const start = sink.position;
    encodeValue({ second: 'two' }, sink);
    expect(decodeValue(sink.buffer, start, sink.position)).toEqual({ second: 'two' });
  });

  test('buffer becomes a Uint8Array and an object without prototype a plain one', () => {
    const decoded = decodeValue(
      encodeValueToBytes([Buffer.from('hi'), Object.assign(Object.create(null), { a: 1 })]),
    ) as unknown[];
    expect(decoded).toStrictEqual([Uint8Array.of(104, 105), { a: 1 }]);
  });

  test.each([
    ['a function', { a: [0, 1, 2, { b: () => 1 }] }, '$.a[3].b', 'a function'],
    ['a symbol', { 'odd name': Symbol('s') }, '$["odd name"]', 'a symbol'],
    ['a class instance', { a: new (class Order {})() }, '$.a', 'an instance of Order'],
    ['an error', [new Error('x')], '$[0]', 'an instance of Error'],
    ['a hole', [[1, , 2]], '$[0][1]', 'a hole'],
    ['a map value', new Map([['k', Symbol('s')]]), '$.values()[0]', 'a symbol'],
    ['an array buffer', { a: new ArrayBuffer(1) }, '$.a', 'an instance of ArrayBuffer'],
    ['a boxed number', { a: Object(1) }, '$.a', 'an instance of Number'],
    ['an array subclass', { a: new (class List extends Array {})() }, '$.a', 'an instance of List'],
    ['an object made by Object.create', Object.create(Object.create(null)), '$', 'a prototype of its own'],
  ])('value is refused naming the place when it contains %s', (_name, value, path, what) => {
    const sink = new ByteWriter(16);
    const error = thrownBy(() => encodeValue(value, sink));
    expect(error).toMatchObject({ code: 'VALUE_NOT_ENCODABLE', ids: { path } });
    expect((error as Error).message).toContain(what);
    expect(sink.position).toBe(0);
  });

  test('value is refused as a cycle when it contains itself', () => {
    const value: Record<string, unknown> = { list: [] };
    (value['list'] as unknown[]).push(value);
    const error = thrownBy(() => encodeValueToBytes(value));
    expect(error).toMatchObject({ code: 'VALUE_NOT_ENCODABLE', ids: { path: '$.list[0]' } });
    expect((error as Error).message).toContain('contains itself');
  });

  test.each(['array', 'object', 'map', 'set'])(
    'value survives at depth 64 and is refused at 65 when nested in %s',
    (kind) => {
      const nest = (depth: number): unknown => {
        let value: unknown = 'leaf';
        for (let level = 0; level < depth; level++) {
          value = { array: [value], object: { a: value }, map: new Map([[value, value]]), set: new Set([value]) }[kind];
          if (kind === 'map') value = new Map([['k', (value as Map<unknown, unknown>).values().next().value]]);
        }
        return value;
      };
      expect(decodeValue(encodeValueToBytes(nest(64)))).toStrictEqual(nest(64));
      expect(thrownBy(() => encodeValueToBytes(nest(65)))).toMatchObject({ code: 'VALUE_NOT_ENCODABLE' });
    },
  );

  test('every truncation is refused', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), (value, at) => {
        const bytes = encodeValueToBytes(value);
        expect(thrownBy(() => decodeValue(bytes, 0, at % bytes.length))).toMatchObject({
          code: 'CHECKPOINT_UNREADABLE',
        });
      }),
      runs,
    );
  });

  test('bytes after the value and another version are refused', () => {
    const bytes = encodeValueToBytes('x');
    expect(thrownBy(() => decodeValue(Uint8Array.of(...bytes, 0)))).toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
    expect(thrownBy(() => decodeValue(Uint8Array.of(9, ...bytes.subarray(1))))).toMatchObject({
      code: 'CHECKPOINT_UNREADABLE',
    });
  });

  test('random bytes give a value or an engine error, never anything else', () => {
    const tag = fc.oneof(fc.integer({ min: 0, max: 0x12 }), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(tag, { maxLength: 64 }), (tags) => {
        const error = thrownBy(() => decodeValue(Uint8Array.of(1, ...tags)));
        if (error !== undefined) expect(isEngineError(error) && error.code).toBe('CHECKPOINT_UNREADABLE');
      }),
      { numRuns: 30_000 },
    );
  });

  test('changed bytes give a value or an engine error, never anything else', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.integer({ min: 0, max: 255 }), (value, at, byte) => {
        const bytes = encodeValueToBytes(value);
        bytes[at % bytes.length] = byte;
        const error = thrownBy(() => decodeValue(bytes));
        if (error !== undefined) expect(isEngineError(error) && error.code).toBe('CHECKPOINT_UNREADABLE');
      }),
      { numRuns: 10_000 },
    );
  });

  test.each([
    ['array', [0x0b]],
    ['object', [0x0c]],
    ['map', [0x0d]],
    ['set', [0x0e]],
    ['bytes', [0x0f]],
    ['typed array', [0x10, 7]],
    ['string', [0x08]],
    ['two-byte string', [0x09]],
    ['bigint', [0x06]],
  ])('length of 4 GiB of %s is refused without allocating', (_name, prefix) => {
    const bytes = Uint8Array.of(1, ...prefix, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0);
    expect(thrownBy(() => decodeValue(bytes))).toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
  });

  test('getter that encodes a value itself disturbs nothing', () => {
    const value = {
      get inner(): number {
        return encodeValueToBytes([1, 2, 3]).length;
      },
      after: 'x',
    };
    expect(decodeValue(encodeValueToBytes(value))).toEqual({ inner: 6, after: 'x' });
  });

  test('decoded bytes and strings share nothing with the input', () => {
    const input = encodeValueToBytes({ bytes: Uint8Array.of(1, 2), text: 'a'.repeat(100), floats: Float64Array.of(1) });
    const decoded = decodeValue(input) as { bytes: Uint8Array; text: string; floats: Float64Array };
    expect(decoded.bytes.buffer.byteLength).toBe(2);
    expect(decoded.floats.buffer.byteLength).toBe(8);
    input.fill(0);
    expect(decoded).toEqual({ bytes: Uint8Array.of(1, 2), text: 'a'.repeat(100), floats: Float64Array.of(1) });
  });

  test('__proto__ is data', () => {
    const value = objectOf([['__proto__', { polluted: true }]]);
    const decoded = decodeValue(encodeValueToBytes(value)) as object;
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Object.keys(decoded)).toEqual(['__proto__']);
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
