/**
 * Layout of encoded keys.
 *
 * Architecture invariant: these bytes decide the key group of every row ever stored. They never change; see
 * docs/formats/key-codec.md. A key is a tag and a payload:
 *
 * ```
 * 10 false   11 true
 * 20 number  8 bytes: IEEE 754 big-endian, sign bit flipped when positive, all bits when negative; -0 is 0, one NaN, last
 * 28 bigint < 0, 29 bigint >= 0: length of the magnitude, magnitude big-endian; all complemented when negative
 *            (length: one byte, or FF and 4 bytes from 255 on)
 * 30 Date    as number; an invalid date is NaN
 * 40 string  WTF-8 (lone surrogates as 3 bytes), 00 -> 01 01, 01 -> 01 02, end 00
 * 50 bytes   escaped and ended like a string
 * 60 tuple   the elements, end 00
 * ```
 *
 * Two escapes instead of one keep the end of a string at one byte and leave nothing to what follows the key.
 */

export const keyTags = {
  end: 0x00,
  false: 0x10,
  true: 0x11,
  number: 0x20,
  negativeBigint: 0x28,
  bigint: 0x29,
  date: 0x30,
  string: 0x40,
  bytes: 0x50,
  tuple: 0x60,
} as const;

/** Tuples in tuples; more is refused (a cycle would never end). */
export const keyDepthMax = 64;
