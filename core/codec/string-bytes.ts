/**
 * Strings as bytes, one or two a UTF-16 unit, with Node's native slices. They exist on `Buffer.prototype` and work on any
 * Uint8Array, so no Buffer object is made per string; the result is always a copy and pins nothing.
 */
interface NativeStringAccess {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  ucs2Slice(this: Uint8Array, start: number, end: number): string;
  latin1Write(this: Uint8Array, value: string, offset: number, length: number): number;
  ucs2Write(this: Uint8Array, value: string, offset: number, length: number): number;
  utf8Write(this: Uint8Array, value: string, offset: number, length: number): number;
}

const native = Buffer.prototype as unknown as NativeStringAccess;

/** Up to here one call of `fromCharCode` beats the call into native code: 33 ns against 74 for 12 units. */
const shortUnitsMax = 12;
const beyondLatin1 = /[^\u0000-\u00ff]/;
const unit = String.fromCharCode;

/** The string whose units are the bytes `start .. end - 1`. */
export function readLatin1(bytes: Uint8Array, start: number, end: number): string {
  return end - start > shortUnitsMax
    ? native.latin1Slice.call(bytes, start, end)
    : readShort(bytes, start, end - start);
}

/** Written out, because a loop that appends is five times slower and an array for `apply` must be allocated. */
function readShort(b: Uint8Array, at: number, length: number): string {
  switch (length) {
    case 1:
      return unit(b[at] as number);
    case 2:
      return unit(b[at] as number, b[at + 1] as number);
    case 3:
      return unit(b[at] as number, b[at + 1] as number, b[at + 2] as number);
    case 4:
      return unit(b[at] as number, b[at + 1] as number, b[at + 2] as number, b[at + 3] as number);
    case 5:
      return unit(b[at] as number, b[at + 1] as number, b[at + 2] as number, b[at + 3] as number, b[at + 4] as number);
    case 6:
      return unit(
        b[at] as number,
        b[at + 1] as number,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
      );
    case 7:
      return unit(
        b[at] as number,
        b[at + 1] as number,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
      );
    case 8:
      return unit(
        b[at] as number,
        b[at + 1] as number,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
        b[at + 7] as number,
      );
    case 9:
      return unit(
        b[at] as number,
        b[at + 1] as number,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
        b[at + 7] as number,
        b[at + 8] as number,
      );
    case 10:
      return unit(
        b[at] as number,
        b[at + 1] as number,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
        b[at + 7] as number,
        b[at + 8] as number,
        b[at + 9] as number,
      );
    case 11:
      return unit(
        b[at] as number,
        b[at + 1] as number,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
        b[at + 7] as number,
        b[at + 8] as number,
        b[at + 9] as number,
        b[at + 10] as number,
      );
    case 12:
      return unit(
        b[at] as number,
        b[at + 1] as number,
        b[at + 2] as number,
        b[at + 3] as number,
        b[at + 4] as number,
        b[at + 5] as number,
        b[at + 6] as number,
        b[at + 7] as number,
        b[at + 8] as number,
        b[at + 9] as number,
        b[at + 10] as number,
        b[at + 11] as number,
      );
    default:
      return '';
  }
}

/** The string whose units are the pairs of bytes (little-endian) of `start .. end - 1`. */
export function readUtf16(bytes: Uint8Array, start: number, end: number): string {
  return native.ucs2Slice.call(bytes, start, end);
}

/** True when every unit fits a byte. */
export function isLatin1(value: string): boolean {
  return !beyondLatin1.test(value);
}

/** Writes a Latin-1 string, a byte a unit; there must be room. */
export function writeLatin1(buffer: Uint8Array, position: number, value: string): void {
  native.latin1Write.call(buffer, value, position, value.length);
}

/** Writes any string, two bytes a unit; there must be room. */
export function writeUtf16(buffer: Uint8Array, position: number, value: string): void {
  native.ucs2Write.call(buffer, value, position, value.length * 2);
}

/**
 * Writes a string a byte a unit if all its units are ASCII; false when they are not, then the bytes written mean nothing.
 * UTF-8 takes one byte a unit for ASCII and more for everything else, so one native pass both checks and writes.
 * There must be room for three bytes a unit.
 */
export function writeAscii(buffer: Uint8Array, position: number, value: string): boolean {
  return native.utf8Write.call(buffer, value, position, value.length * 3) === value.length;
}
