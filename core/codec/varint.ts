/** Unsigned LEB128 up to 32 bits, the lengths and counts of both value formats. */
import type { ByteSink } from './byte-sink.ts';

/** Most bytes `writeVarint` writes. */
export const varintBytesMax = 5;

/** @param value integer in 0 .. 2^32 - 1 */
export function writeVarint(sink: ByteSink, value: number): void {
  sink.ensure(varintBytesMax);
  const buffer = sink.buffer;
  let position = sink.position;
  let rest = value >>> 0;
  while (rest > 0x7f) {
    buffer[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[position++] = rest;
  sink.position = position;
}
