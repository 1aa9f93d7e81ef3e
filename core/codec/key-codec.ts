/**
 * The key codec: canonical, order-preserving and prefix-free. Equal keys give equal bytes, bytes compare as keys do, and no
 * encoded key is a prefix of another, so concatenated keys (key, namespace, user key) sort part by part.
 *
 * Strings and numbers are nearly all keys there are: they are written without a call per part.
 */
import { EngineError } from '../errors.ts';
import type { Key } from '../operators.ts';
import { type ByteSink, ByteWriter } from './byte-sink.ts';
import { keyDepthMax, keyTags } from './key-layout.ts';

export { decodeKey } from './key-decoder.ts';

/**
 * Writes the encoded key at the sink's position.
 * @throws EngineError KEY_NOT_SUPPORTED naming the place of the first part that cannot be a key; nothing is written then
 */
export function encodeKey(key: Key, sink: ByteSink): void {
  if (typeof key === 'string') return writeString(key, sink);
  if (typeof key === 'number') return writeNumber(keyTags.number, key, sink);
  const start = sink.position;
  if (writePart(key, sink, 0)) return;
  sink.position = start;
  throw keyNotSupported(key);
}

const scratch = new ByteWriter(256);

/** The encoded key in bytes of its own. @throws EngineError KEY_NOT_SUPPORTED */
export function encodeKeyToBytes(key: Key): Uint8Array {
  scratch.reset();
  encodeKey(key, scratch);
  return scratch.take();
}

/** Order of bytes, unsigned, shorter first: that of `Buffer.compare`. Negative, 0 or positive. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = left.length < right.length ? left.length : right.length;
  for (let index = 0; index < length; index++) {
    const difference = (left[index] as number) - (right[index] as number);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** False where the part cannot be (in) a key. */
function writePart(part: unknown, sink: ByteSink, depth: number): boolean {
  switch (typeof part) {
    case 'string':
      writeString(part, sink);
      return true;
    case 'number':
      writeNumber(keyTags.number, part, sink);
      return true;
    case 'boolean':
      sink.ensure(1);
      sink.buffer[sink.position++] = part ? keyTags.true : keyTags.false;
      return true;
    case 'bigint':
      writeBigint(part, sink);
      return true;
    case 'object':
      return writeObjectPart(part, sink, depth);
    default:
      return false;
  }
}

function writeObjectPart(part: object | null, sink: ByteSink, depth: number): boolean {
  if (Array.isArray(part)) return writeTuple(part, sink, depth);
  if (part instanceof Date) writeNumber(keyTags.date, part.getTime(), sink);
  else if (part instanceof Uint8Array) writeBytes(part, sink);
  else return false;
  return true;
}

function writeTuple(tuple: readonly unknown[], sink: ByteSink, depth: number): boolean {
  if (depth >= keyDepthMax) return false;
  sink.ensure(1);
  sink.buffer[sink.position++] = keyTags.tuple;
  for (let index = 0; index < tuple.length; index++) {
    if (!writePart(tuple[index], sink, depth + 1)) return false;
  }
  sink.ensure(1);
  sink.buffer[sink.position++] = keyTags.end;
  return true;
}

function writeNumber(tag: number, value: number, sink: ByteSink): void {
  sink.ensure(9);
  const { buffer, view, position } = sink;
  buffer[position] = tag;
  if (value > 0) {
    view.setFloat64(position + 1, value, false);
    buffer[position + 1] = (buffer[position + 1] as number) ^ 0x80;
  } else if (value < 0) {
    view.setFloat64(position + 1, value, false);
    view.setInt32(position + 1, ~view.getInt32(position + 1, false), false);
    view.setInt32(position + 5, ~view.getInt32(position + 5, false), false);
  } else {
    // 0 and -0 are 0; there is one NaN whatever its bits, and it sorts after Infinity.
    view.setUint32(position + 1, value === 0 ? 0x8000_0000 : 0xfff8_0000, false);
    view.setUint32(position + 5, 0, false);
  }
  sink.position = position + 9;
}

function writeBigint(value: bigint, sink: ByteSink): void {
  const negative = value < 0n;
  const flip = negative ? 0xff : 0;
  let digits = value === 0n ? '' : (negative ? -value : value).toString(16);
  if (digits.length % 2 === 1) digits = `0${digits}`;
  const length = digits.length / 2;
  sink.ensure(length + 6);
  sink.buffer[sink.position++] = negative ? keyTags.negativeBigint : keyTags.bigint;
  if (length < 0xff) {
    sink.buffer[sink.position++] = length ^ flip;
  } else {
    sink.buffer[sink.position++] = 0xff ^ flip;
    sink.view.setUint32(sink.position, (negative ? ~length : length) >>> 0, false);
    sink.position += 4;
  }
  for (let index = 0; index < length; index++) {
    sink.buffer[sink.position++] = Number.parseInt(digits.slice(index * 2, index * 2 + 2), 16) ^ flip;
  }
}

function writeString(value: string, sink: ByteSink): void {
  const length = value.length;
  sink.ensure(length * 3 + 2);
  const buffer = sink.buffer;
  let position = sink.position;
  buffer[position++] = keyTags.string;
  for (let index = 0; index < length; index++) {
    const unit = value.charCodeAt(index);
    if (unit > 1 && unit < 0x80) {
      buffer[position++] = unit;
    } else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(value, index + 1)) {
      position = writePair(buffer, position, unit, value.charCodeAt(++index));
    } else {
      position = writeUnit(buffer, position, unit);
    }
  }
  buffer[position++] = keyTags.end;
  sink.position = position;
}

function isLowSurrogate(value: string, index: number): boolean {
  if (index >= value.length) return false;
  const unit = value.charCodeAt(index);
  return unit >= 0xdc00 && unit < 0xe000;
}

function writePair(buffer: Uint8Array, start: number, high: number, low: number): number {
  const point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
  buffer[start] = 0xf0 | (point >> 18);
  buffer[start + 1] = 0x80 | ((point >> 12) & 0x3f);
  buffer[start + 2] = 0x80 | ((point >> 6) & 0x3f);
  buffer[start + 3] = 0x80 | (point & 0x3f);
  return start + 4;
}

/** One UTF-16 unit that is not plain ASCII: 00 and 01 escaped, others as 2 or 3 bytes (a lone surrogate too). */
function writeUnit(buffer: Uint8Array, start: number, unit: number): number {
  if (unit < 2) {
    buffer[start] = 1;
    buffer[start + 1] = unit + 1;
    return start + 2;
  }
  if (unit < 0x800) {
    buffer[start] = 0xc0 | (unit >> 6);
    buffer[start + 1] = 0x80 | (unit & 0x3f);
    return start + 2;
  }
  buffer[start] = 0xe0 | (unit >> 12);
  buffer[start + 1] = 0x80 | ((unit >> 6) & 0x3f);
  buffer[start + 2] = 0x80 | (unit & 0x3f);
  return start + 3;
}

function writeBytes(value: Uint8Array, sink: ByteSink): void {
  sink.ensure(value.length * 2 + 2);
  const buffer = sink.buffer;
  let position = sink.position;
  buffer[position++] = keyTags.bytes;
  for (let index = 0; index < value.length; index++) {
    const byte = value[index] as number;
    if (byte > 1) {
      buffer[position++] = byte;
    } else {
      buffer[position++] = 1;
      buffer[position++] = byte + 1;
    }
  }
  buffer[position++] = keyTags.end;
  sink.position = position;
}

function keyNotSupported(key: unknown): EngineError {
  const found = findRefused(key, 'key', 0) ?? { path: 'key', what: 'an unknown value' };
  return new EngineError(
    'KEY_NOT_SUPPORTED',
    `${found.path} is ${found.what}. Keys are strings, numbers, bigints, booleans, Dates, bytes (Uint8Array) and arrays of ` +
      'these: return one of them from the key function, for example [record.a, record.b].',
    { ids: { path: found.path } },
  );
}

function findRefused(part: unknown, path: string, depth: number): { path: string; what: string } | undefined {
  if (Array.isArray(part)) {
    if (depth >= keyDepthMax) return { path, what: `nested deeper than ${keyDepthMax} (or contains itself)` };
    for (let index = 0; index < part.length; index++) {
      const found = findRefused(part[index], `${path}[${index}]`, depth + 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (part === null || part === undefined) return { path, what: String(part) };
  if (typeof part === 'function' || typeof part === 'symbol') return { path, what: `a ${typeof part}` };
  if (typeof part !== 'object' || part instanceof Date || part instanceof Uint8Array) return undefined;
  const prototype: unknown = Object.getPrototypeOf(part);
  if (prototype === Object.prototype || prototype === null) return { path, what: 'an object' };
  return { path, what: `an instance of ${part.constructor?.name || 'a class'}` };
}
