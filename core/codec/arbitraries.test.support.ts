/** Arbitrary keys and values for the property tests of the codecs: everything design §2 says survives. */
import fc from 'fast-check';
import type { Key } from '../operators.ts';

/** Strings over every kind of UTF-16 unit: ASCII, NUL and 01, Latin-1, three-byte, pairs, lone surrogates. */
export const anyString: fc.Arbitrary<string> = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        0,
        1,
        2,
        0x41,
        0x7f,
        0x80,
        0xe9,
        0xff,
        0x100,
        0x7ff,
        0x800,
        0xd7ff,
        0xd800,
        0xdbff,
        0xdc00,
        0xdfff,
        0xe000,
        0xffff,
      ),
      { maxLength: 24 },
    )
    .map((units) => String.fromCharCode(...units)),
  fc.string({ minLength: 40, maxLength: 200 }),
);

export const anyNumber: fc.Arbitrary<number> = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.integer({ min: -300, max: 300 }),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -0,
    Number.NaN,
    Infinity,
    -Infinity,
    2 ** 31 - 1,
    -(2 ** 31),
    2 ** 31,
    2 ** 32,
    Number.MIN_VALUE,
    Number.MAX_VALUE,
  ),
);

export const anyBigint: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt(),
  fc.bigInt({ min: -300n, max: 300n }),
  fc.integer({ min: 0, max: 2200 }).map((bits) => (1n << BigInt(bits)) - 1n),
  fc.integer({ min: 0, max: 2200 }).map((bits) => -(1n << BigInt(bits))),
);

export const anyDate: fc.Arbitrary<Date> = fc.date({ noInvalidDate: false });
export const anyBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.array(fc.constantFrom(0, 1, 2, 255), { maxLength: 12 }).map((bytes) => Uint8Array.from(bytes)),
);

const keyPrimitive: fc.Arbitrary<Key> = fc.oneof(anyString, anyNumber, anyBigint, fc.boolean(), anyDate, anyBytes);
export const anyKey: fc.Arbitrary<Key> = fc.letrec<{ key: Key }>((tie) => ({
  key: fc.oneof({ maxDepth: 3, depthSize: 'small' }, keyPrimitive, fc.array(tie('key'), { maxLength: 4 })),
})).key;

const typedArray: fc.Arbitrary<unknown> = fc.oneof(
  fc.int8Array(),
  fc.uint8ClampedArray(),
  fc.int16Array(),
  fc.uint16Array(),
  fc.int32Array(),
  fc.uint32Array(),
  fc.float32Array(),
  fc.float64Array(),
  fc.bigInt64Array(),
  fc.bigUint64Array(),
);

/** Leaves of values. */
export const anyPrimitive: fc.Arbitrary<unknown> = fc.oneof(
  anyString,
  anyNumber,
  anyBigint,
  fc.boolean(),
  fc.constantFrom(null, undefined),
);

const fieldName = fc.oneof(
  fc.constantFrom('a', 'b', 'price', '__proto__', 'constructor', '0', '17', '', 'toString', 'é', '\ud800', 'valueOf'),
  anyString,
);

/** A plain object from entries; `__proto__` becomes an own property. */
export function objectOf(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [name, value] of entries) {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
}

export const anyValue: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    anyPrimitive,
    anyDate,
    anyBytes,
    typedArray,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(fieldName, tie('value')), { maxLength: 5 }).map(objectOf),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 3 }).map((elements) => new Set(elements)),
  ),
})).value;

/**
 * Exact sameness as design §2 means it: -0 is not 0, NaN is NaN, order and presence of fields, class of every object.
 * Returns the path of the first difference, or undefined.
 */
export function difference(left: unknown, right: unknown, path: string = '$'): string | undefined {
  if (Object.is(left, right)) return undefined;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return path;
  const prototype: unknown = Object.getPrototypeOf(left);
  if (prototype !== Object.getPrototypeOf(right)) return path;
  const [leftParts, rightParts] = [partsOf(left), partsOf(right)];
  if (leftParts.length !== rightParts.length) return `${path} (size)`;
  for (let index = 0; index < leftParts.length; index++) {
    const [name, part] = leftParts[index] as readonly [unknown, unknown];
    const [otherName, otherPart] = rightParts[index] as readonly [unknown, unknown];
    const found =
      difference(name, otherName, `${path} name ${index}`) ??
      difference(part, otherPart, typeof name === 'object' ? `${path}.values()[${index}]` : `${path}.${String(name)}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function partsOf(value: object): (readonly [unknown, unknown])[] {
  if (value instanceof Date) return [['time', value.getTime()]];
  if (value instanceof Map) return [...value];
  if (value instanceof Set) return [...value].map((element, index) => [index, element] as const);
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return Array.from(bytes, (byte, index) => [index, byte] as const);
  }
  return Object.keys(value).map((name) => [name, (value as Record<string, unknown>)[name]] as const);
}
