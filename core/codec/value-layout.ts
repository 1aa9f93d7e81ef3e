/**
 * Layout of stored values, version 1. Self-describing: no schema, no shared dictionary, every value stands alone.
 *
 * Architecture invariant: what was stored once is read for ever. A tag is never given another meaning; a change gets a new
 * version byte and the old reader stays. Documented in docs/formats/value-codec.md, fixed by the files in testdata/.
 */

/** First byte of every stored value. */
export const valueFormatVersion = 1;

/** Objects, arrays, maps and sets inside each other; more is refused (a cycle would never end). */
export const valueDepthMax = 64;

export const valueTags = {
  undefined: 0x00,
  null: 0x01,
  false: 0x02,
  true: 0x03,
  /** 8 bytes little-endian. */
  float64: 0x04,
  /** Integer of 32 bits: zigzag varint. */
  int: 0x05,
  /** Varint of length of the magnitude, magnitude little-endian without leading zeros. */
  bigint: 0x06,
  negativeBigint: 0x07,
  /** Varint of length, one byte a UTF-16 unit (all below 256). */
  latin1: 0x08,
  /** Varint of length in units, two bytes a UTF-16 unit, little-endian. Lone surrogates survive. */
  utf16: 0x09,
  /** 8 bytes: float64 little-endian, ms since the epoch, NaN when invalid. */
  date: 0x0a,
  /** Varint of count, values. */
  array: 0x0b,
  /** Varint of count, then key (a string) and value, in order. */
  object: 0x0c,
  map: 0x0d,
  set: 0x0e,
  /** Varint of length, bytes. */
  bytes: 0x0f,
  /** Kind byte, varint of length in bytes, elements little-endian. */
  typedArray: 0x10,
  /** 0x20 + n: object of n fields, 0 <= n < 32. */
  shortObject: 0x20,
  /** 0x40 + n: Latin-1 string of n units, 0 <= n < 64. */
  shortLatin1: 0x40,
  /** 0x80 + n: the integer n, 0 <= n < 128. */
  smallInt: 0x80,
} as const;

type TypedArrayConstructor =
  | Int8ArrayConstructor
  | Uint8ClampedArrayConstructor
  | Int16ArrayConstructor
  | Uint16ArrayConstructor
  | Int32ArrayConstructor
  | Uint32ArrayConstructor
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor;

/** Kinds of typed arrays; the index is the kind byte. `Uint8Array` has a tag of its own. */
export const typedArrayKinds: readonly TypedArrayConstructor[] = [
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
];
