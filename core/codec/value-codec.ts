/**
 * The stored-value codec: everything that is kept (state, splits, positions, committables) and whatever the columnar
 * exchange cannot put in a column. Layout in value-layout.ts; reading in value-decoder.ts.
 *
 * What is written is exactly what is read back, or it is refused: a value that would come back changed (a class instance, a
 * function, an array with holes, a cycle) is an error naming the place. The writer keeps no path; only a refusal looks for it.
 */
import { type ByteSink, ByteWriter } from './byte-sink.ts';
import { isLatin1, writeAscii, writeLatin1, writeUtf16 } from './string-bytes.ts';
import { fieldNamesOf, shortObjectMax } from './written-names.ts';
import { valueNotEncodable } from './value-refusal.ts';
import { typedArrayKinds, valueDepthMax, valueFormatVersion, valueTags } from './value-layout.ts';
import { varintBytesMax, writeVarint } from './varint.ts';

export { decodeFirstElement, decodeValue } from './value-decoder.ts';

/**
 * Writes the version byte and the value at the sink's position.
 * @throws EngineError VALUE_NOT_ENCODABLE naming the place; nothing is written then
 */
export function encodeValue(value: unknown, sink: ByteSink): void {
  sink.ensure(1);
  sink.buffer[sink.position++] = valueFormatVersion;
  if (tryWriteValue(value, sink)) return;
  sink.position--;
  throw valueNotEncodable(value);
}

/** A larger scratch buffer, from one huge value, is not kept. */
const scratchBytesMax = 1024 * 1024;
let scratch = new ByteWriter(1024);

/** The encoded value in bytes of its own. @throws EngineError VALUE_NOT_ENCODABLE */
export function encodeValueToBytes(value: unknown): Uint8Array {
  // A getter of the value may encode something itself, so the scratch is not simply reset.
  const sink = scratch;
  const start = sink.position;
  try {
    encodeValue(value, sink);
    return sink.buffer.slice(start, sink.position);
  } finally {
    sink.position = start;
    if (start === 0 && sink.buffer.length > scratchBytesMax) scratch = new ByteWriter(1024);
  }
}

/**
 * Writes a value without the version byte; false (and nothing written) when some part is refused.
 * @param depth containers around it
 */
export function tryWriteValue(value: unknown, sink: ByteSink, depth: number = 0): boolean {
  const start = sink.position;
  if (writeValue(value, sink, depth)) return true;
  sink.position = start;
  return false;
}

function writeValue(value: unknown, sink: ByteSink, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      writeString(value, sink);
      return true;
    case 'number':
      writeNumber(value, sink);
      return true;
    case 'boolean':
      writeTag(value ? valueTags.true : valueTags.false, sink);
      return true;
    case 'undefined':
      writeTag(valueTags.undefined, sink);
      return true;
    case 'bigint':
      writeBigint(value, sink);
      return true;
    case 'object':
      if (value !== null) return writeObject(value, sink, depth);
      writeTag(valueTags.null, sink);
      return true;
    default:
      return false;
  }
}

function writeTag(tag: number, sink: ByteSink): void {
  sink.ensure(1);
  sink.buffer[sink.position++] = tag;
}

function writeNumber(value: number, sink: ByteSink): void {
  sink.ensure(9);
  const integer = value | 0;
  if (integer === value && (integer !== 0 || !Object.is(value, -0))) {
    if (integer >= 0 && integer < 0x80) {
      sink.buffer[sink.position++] = valueTags.smallInt + integer;
      return;
    }
    sink.buffer[sink.position++] = valueTags.int;
    writeVarint(sink, (integer << 1) ^ (integer >> 31));
    return;
  }
  sink.buffer[sink.position] = valueTags.float64;
  writeFloat64(sink, sink.position + 1, value);
  sink.position += 9;
}

/** Every NaN is written with the same bits, so that equal values give equal bytes. */
function writeFloat64(sink: ByteSink, position: number, value: number): void {
  if (value === value) {
    sink.view.setFloat64(position, value, true);
  } else {
    sink.view.setUint32(position, 0, true);
    sink.view.setUint32(position + 4, 0x7ff8_0000, true);
  }
}

/** From here on the native call is cheaper than a loop, which follows a slice to its parent at every unit. */
const nativeLengthMin = 24;
/** Up to here room for the three bytes a unit that UTF-8 may take is no waste. */
const asciiLengthMax = 4096;

function writeString(value: string, sink: ByteSink): void {
  const length = value.length;
  if (length < nativeLengthMin) {
    sink.ensure(length * 2 + varintBytesMax + 1);
    return writeShortString(value, sink);
  }
  const mayBeAscii = length <= asciiLengthMax;
  sink.ensure(length * (mayBeAscii ? 3 : 2) + varintBytesMax + 1);
  if (!mayBeAscii || !writeAsciiString(value, sink)) writeLongString(value, sink);
}

/** One native pass that both checks and writes; false when there is more than ASCII. */
function writeAsciiString(value: string, sink: ByteSink): boolean {
  const length = value.length;
  const start = sink.position;
  if (length < 64) {
    sink.buffer[sink.position++] = valueTags.shortLatin1 + length;
  } else {
    sink.buffer[sink.position++] = valueTags.latin1;
    writeVarint(sink, length);
  }
  if (!writeAscii(sink.buffer, sink.position, value)) {
    sink.position = start;
    return false;
  }
  sink.position += length;
  return true;
}

function writeLongString(value: string, sink: ByteSink): void {
  if (value.length < 64) writeShortString(value, sink);
  else if (isLatin1(value)) writeLongLatin1(value, sink);
  else writeUtf16String(value, sink);
}

/** Most strings are short names: one loop writes and checks at once. */
function writeShortString(value: string, sink: ByteSink): void {
  const length = value.length;
  const buffer = sink.buffer;
  const start = sink.position + 1;
  let beyond = 0;
  for (let index = 0; index < length; index++) {
    const unit = value.charCodeAt(index);
    beyond |= unit;
    buffer[start + index] = unit;
  }
  if (beyond > 0xff) return writeUtf16String(value, sink);
  buffer[start - 1] = valueTags.shortLatin1 + length;
  sink.position = start + length;
}

function writeLongLatin1(value: string, sink: ByteSink): void {
  sink.buffer[sink.position++] = valueTags.latin1;
  writeVarint(sink, value.length);
  writeLatin1(sink.buffer, sink.position, value);
  sink.position += value.length;
}

function writeUtf16String(value: string, sink: ByteSink): void {
  sink.buffer[sink.position++] = valueTags.utf16;
  writeVarint(sink, value.length);
  writeUtf16(sink.buffer, sink.position, value);
  sink.position += value.length * 2;
}

function writeBigint(value: bigint, sink: ByteSink): void {
  const negative = value < 0n;
  let digits = value === 0n ? '' : (negative ? -value : value).toString(16);
  if (digits.length % 2 === 1) digits = `0${digits}`;
  const length = digits.length / 2;
  sink.ensure(length + varintBytesMax + 1);
  sink.buffer[sink.position++] = negative ? valueTags.negativeBigint : valueTags.bigint;
  writeVarint(sink, length);
  for (let end = digits.length; end > 0; end -= 2) {
    sink.buffer[sink.position++] = Number.parseInt(digits.slice(end - 2, end), 16);
  }
}

function writeObject(value: object, sink: ByteSink, depth: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return writePlainObject(value, sink, depth);
  switch (prototype) {
    case Array.prototype:
      return Array.isArray(value) && writeArray(value, sink, depth);
    case Date.prototype:
      return value instanceof Date && writeDate(value, sink);
    case Map.prototype:
      return value instanceof Map && writeMap(value, sink, depth);
    case Set.prototype:
      return value instanceof Set && writeSet(value, sink, depth);
    default:
      return ArrayBuffer.isView(value) && writeView(value, prototype, sink);
  }
}

function writePlainObject(value: object, sink: ByteSink, depth: number): boolean {
  if (depth >= valueDepthMax) return false;
  const keys = Object.keys(value);
  const count = keys.length;
  if (count >= shortObjectMax) return writeLargeObject(value, keys, sink, depth);
  writeTag(valueTags.shortObject + count, sink);
  const names = fieldNamesOf(keys);
  if (names === null) return writeFields(value, keys, sink, depth);
  const { bytes, ends } = names;
  let from = 0;
  for (let index = 0; index < count; index++) {
    const end = ends[index] as number;
    sink.ensure(end - from);
    const { buffer } = sink;
    let position = sink.position;
    while (from < end) buffer[position++] = bytes[from++] as number;
    sink.position = position;
    if (!writeValue((value as Record<string, unknown>)[keys[index] as string], sink, depth + 1)) return false;
  }
  return true;
}

function writeLargeObject(value: object, keys: readonly string[], sink: ByteSink, depth: number): boolean {
  writeTag(valueTags.object, sink);
  writeVarint(sink, keys.length);
  return writeFields(value, keys, sink, depth);
}

function writeFields(value: object, keys: readonly string[], sink: ByteSink, depth: number): boolean {
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    writeString(key, sink);
    if (!writeValue((value as Record<string, unknown>)[key], sink, depth + 1)) return false;
  }
  return true;
}

function writeArray(value: readonly unknown[], sink: ByteSink, depth: number): boolean {
  if (depth >= valueDepthMax) return false;
  writeTag(valueTags.array, sink);
  const length = value.length;
  writeVarint(sink, length);
  for (let index = 0; index < length; index++) {
    const element = value[index];
    if (element === undefined && !(index in value)) return false;
    if (!writeValue(element, sink, depth + 1)) return false;
  }
  return true;
}

function writeMap(value: ReadonlyMap<unknown, unknown>, sink: ByteSink, depth: number): boolean {
  if (depth >= valueDepthMax) return false;
  writeTag(valueTags.map, sink);
  writeVarint(sink, value.size);
  for (const [key, entry] of value) {
    if (!writeValue(key, sink, depth + 1) || !writeValue(entry, sink, depth + 1)) return false;
  }
  return true;
}

function writeSet(value: ReadonlySet<unknown>, sink: ByteSink, depth: number): boolean {
  if (depth >= valueDepthMax) return false;
  writeTag(valueTags.set, sink);
  writeVarint(sink, value.size);
  for (const element of value) if (!writeValue(element, sink, depth + 1)) return false;
  return true;
}

function writeDate(value: Date, sink: ByteSink): boolean {
  sink.ensure(9);
  sink.buffer[sink.position] = valueTags.date;
  writeFloat64(sink, sink.position + 1, value.getTime());
  sink.position += 9;
  return true;
}

function writeView(value: ArrayBufferView, prototype: unknown, sink: ByteSink): boolean {
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  sink.ensure(bytes.length + varintBytesMax + 2);
  if (prototype === Uint8Array.prototype || prototype === Buffer.prototype) {
    sink.buffer[sink.position++] = valueTags.bytes;
  } else {
    const kind = typedArrayKinds.findIndex((candidate) => candidate.prototype === prototype);
    if (kind < 0) return false;
    sink.buffer[sink.position++] = valueTags.typedArray;
    sink.buffer[sink.position++] = kind;
  }
  writeVarint(sink, bytes.length);
  sink.buffer.set(bytes, sink.position);
  sink.position += bytes.length;
  return true;
}
