/**
 * Columns of strings: all strings joined, written once, and cut apart again by `substring`. One native call a column instead
 * of one a string is most of what makes the exchange faster than any codec that writes record by record.
 *
 * The strings cut out share one parent. That is why whoever keeps one beyond its batch copies it (`ownString`).
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { writeAscii, writeLatin1, writeUtf16 } from '../../core/codec/string-bytes.ts';
import { varintBytesMax, writeVarint } from '../../core/codec/varint.ts';
import { columnKinds } from './columnar-layout.ts';

/** Writes a column of strings. @param text all of them joined @param lengths units of each */
export function writeText(sink: ByteSink, text: string, lengths: Uint32Array, count: number): void {
  const units = text.length;
  sink.ensure(1);
  const kindPosition = sink.position++;
  writeLengths(sink, lengths, count, units);
  const ascii = units > onePassUnitsMax ? writeLargeAscii(sink, text) : writeSmallAscii(sink, text);
  sink.buffer[kindPosition] = ascii ? columnKinds.ascii : columnKinds.utf16;
  if (ascii) {
    sink.position += units;
    return;
  }
  sink.ensure(units * 2);
  writeUtf16(sink.buffer, sink.position, text);
  sink.position += units * 2;
}

/** Up to here the room one pass needs for the worst case, three bytes a unit, is taken without looking. */
const onePassUnitsMax = 256 * 1024;

function writeSmallAscii(sink: ByteSink, text: string): boolean {
  sink.ensure(text.length * 3);
  return writeAscii(sink.buffer, sink.position, text);
}

/** Looks first: a record of 16 MiB must not take 48 MiB. */
function writeLargeAscii(sink: ByteSink, text: string): boolean {
  if (Buffer.byteLength(text, 'utf8') !== text.length) return false;
  sink.ensure(text.length);
  writeLatin1(sink.buffer, sink.position, text);
  return true;
}

/** Writes the lengths of strings or arrays; `total` is their sum. */
export function writeLengths(sink: ByteSink, lengths: Uint32Array, count: number, total: number): void {
  sink.ensure(count * 4 + varintBytesMax + 1);
  const widthPosition = sink.position++;
  writeVarint(sink, total);
  const { buffer, view, position } = sink;
  let row = 0;
  while (row < count && (lengths[row] as number) < 256) {
    buffer[position + row] = lengths[row] as number;
    row++;
  }
  buffer[widthPosition] = row === count ? 1 : 4;
  if (row === count) {
    sink.position = position + count;
    return;
  }
  for (row = 0; row < count; row++) view.setUint32(position + row * 4, lengths[row] as number, true);
  sink.position = position + count * 4;
}
