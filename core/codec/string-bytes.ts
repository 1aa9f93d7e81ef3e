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

/** Below this length a loop over the units beats the call into native code; also the longest string built by `+` that V8 keeps flat. */
const loopUnitsMax = 12;
const beyondLatin1 = /[^\u0000-\u00ff]/;

/** The string whose units are the bytes `start .. end - 1`. */
export function readLatin1(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > loopUnitsMax) return native.latin1Slice.call(bytes, start, end);
  let text = '';
  for (let index = start; index < end; index++) text += String.fromCharCode(bytes[index] as number);
  return text;
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
