/** Plain 64-bit integers as numbers without a bigint per value. */
import type { SchemaElement } from 'hyparquet';
import type { ByteWindow } from './level-decoder.ts';

const twoTo32 = 4_294_967_296;
const microsPerMs = 1000;

/** What a column's integers count, when this file can decode it: units of a millisecond, or microseconds made milliseconds. */
function unitOf({ converted_type: converted, logical_type: logical }: SchemaElement): 'one' | 'micros' | null {
  if (logical?.type === 'TIMESTAMP')
    return logical.unit === 'MILLIS' ? 'one' : logical.unit === 'MICROS' ? 'micros' : null;
  if (logical !== undefined) return null;
  if (converted === 'TIMESTAMP_MILLIS') return 'one';
  return converted === 'TIMESTAMP_MICROS' ? 'micros' : null;
}

/**
 * `count` integers of the window. Null when the column is another kind of integer, or a value is beyond what a number holds
 * exactly: then the exact way through bigints decides.
 */
export function plainInt64Numbers(window: ByteWindow, count: number, element: SchemaElement): Float64Array | null {
  const unit = unitOf(element);
  if (unit === null || window.at + count * 8 > window.end) return null;
  const view = new DataView(window.bytes.buffer, window.bytes.byteOffset + window.at, count * 8);
  const numbers = new Float64Array(count);
  for (let index = 0; index < count; index++) {
    const number = view.getInt32(index * 8 + 4, true) * twoTo32 + view.getUint32(index * 8, true);
    if (!Number.isSafeInteger(number)) return null;
    numbers[index] = unit === 'one' ? number : floorMicros(number);
  }
  return numbers;
}

/** Exact: the quotient of large numbers can round up to the next integer. */
function floorMicros(micros: number): number {
  const milliseconds = Math.floor(micros / microsPerMs);
  return milliseconds * microsPerMs > micros ? milliseconds - 1 : milliseconds;
}
