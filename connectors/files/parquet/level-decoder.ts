/**
 * The run-length and bit-packed hybrid of parquet, for definition levels and dictionary indices. Written here because decoding it is
 * half of the time of reading a file: into typed arrays, eight packed values at a time.
 * @see https://parquet.apache.org/docs/file-format/data-pages/encodings/ (RLE = 3)
 */
import { EngineError } from '../../../core/connector/index.ts';

/** Bytes with a place to read at; `end` is exclusive. */
export interface ByteWindow {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;
}

function readVarint(window: ByteWindow): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    if (window.at >= window.end) throw truncated();
    const byte = window.bytes[window.at++] as number;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw truncated();
}

/** Fills `output` from the window. Values after the last run are an error, not zeroes. */
export function decodeHybrid(window: ByteWindow, bitWidth: number, output: Uint8Array | Int32Array): void {
  let filled = 0;
  while (filled < output.length) {
    const header = readVarint(window);
    if (header % 2 === 1) filled = unpackGroups(window, { groups: (header - 1) / 2, bitWidth }, output, filled);
    else filled = fillRun(window, { length: header / 2, bitWidth }, output, filled);
  }
}

function fillRun(
  window: ByteWindow,
  run: { length: number; bitWidth: number },
  output: Uint8Array | Int32Array,
  from: number,
): number {
  const valueBytes = (run.bitWidth + 7) >> 3;
  if (window.at + valueBytes > window.end) throw truncated();
  let value = 0;
  for (let byte = 0; byte < valueBytes; byte++) value |= (window.bytes[window.at++] as number) << (8 * byte);
  const to = Math.min(output.length, from + run.length);
  output.fill(value, from, to);
  return to;
}

/** Packed values, least significant bit first. Writers may cut the padding of the last group off: missing bytes count as zero. */
function unpackGroups(
  window: ByteWindow,
  packed: { groups: number; bitWidth: number },
  output: Uint8Array | Int32Array,
  from: number,
): number {
  const { bitWidth } = packed;
  const to = Math.min(output.length, from + packed.groups * 8);
  const lastByte = window.at + packed.groups * bitWidth;
  if (window.at + Math.ceil(((to - from) * bitWidth) / 8) > window.end) throw truncated();
  const { bytes } = window;
  // Up to 24 bits, a value fits one 32-bit accumulator with a byte to spare; wider dictionaries take the exact, slow way.
  if (bitWidth > 24) unpackWide(window, bitWidth, output.subarray(from, to));
  else {
    const mask = 2 ** bitWidth - 1;
    let at = window.at;
    let held = 0;
    let heldBits = 0;
    for (let index = from; index < to; index++) {
      while (heldBits < bitWidth) {
        held |= (bytes[at++] as number) << heldBits;
        heldBits += 8;
      }
      output[index] = held & mask;
      held >>>= bitWidth;
      heldBits -= bitWidth;
    }
  }
  window.at = Math.min(lastByte, window.end);
  return to;
}

function unpackWide(window: ByteWindow, bitWidth: number, output: Uint8Array | Int32Array): void {
  for (let index = 0; index < output.length; index++) {
    let value = 0;
    for (let bit = 0; bit < bitWidth; bit++) {
      const place = index * bitWidth + bit;
      const byte = window.bytes[window.at + (place >> 3)] as number;
      value += ((byte >> (place & 7)) & 1) * 2 ** bit;
    }
    output[index] = value;
  }
}

function truncated(): EngineError {
  return new EngineError('INPUT_MALFORMED', 'a parquet page ends in the middle of its run-length encoded values');
}
