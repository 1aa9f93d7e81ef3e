/**
 * Reads what `encodeKey` wrote (see key-layout.ts). Strict: bytes that no key encodes to are an error, so a decoded key
 * always encodes to the bytes it came from.
 *
 * State of a call stands in variables of the module: decoding runs no user code, and an object per key would cost more
 * than the key.
 */
import { EngineError } from '../errors.ts';
import type { Key } from '../operators.ts';
import { keyDepthMax, keyTags } from './key-layout.ts';
import { readLatin1, readUtf16 } from './string-bytes.ts';

const noBytes = new Uint8Array(0);
let input: Uint8Array = noBytes;
let position = 0;

const float64 = new Float64Array(1);
const words = new Uint32Array(float64.buffer);

/**
 * Decodes the key that begins at `start`. Strings and bytes are copies.
 * @returns the key, and where the next one begins
 * @throws EngineError CHECKPOINT_UNREADABLE when the bytes are not an encoded key
 */
export function decodeKey(bytes: Uint8Array, start: number = 0): { key: Key; end: number } {
  input = bytes;
  position = start;
  const key = readKey(0);
  input = noBytes;
  return { key, end: position };
}

function readKey(depth: number): Key {
  const tag = readByte();
  switch (tag) {
    case keyTags.string:
      return readString();
    case keyTags.number:
      return readNumber();
    case keyTags.false:
      return false;
    case keyTags.true:
      return true;
    case keyTags.date:
      return readDate();
    case keyTags.negativeBigint:
    case keyTags.bigint:
      return readBigint(tag === keyTags.negativeBigint);
    case keyTags.bytes:
      return unescaped();
    case keyTags.tuple:
      return readTuple(depth);
    default:
      throw unreadable(`unknown tag ${tag}`);
  }
}

function readTuple(depth: number): Key {
  if (depth >= keyDepthMax) throw unreadable(`tuples nested deeper than ${keyDepthMax}`);
  const elements: Key[] = [];
  while (peekByte() !== keyTags.end) elements.push(readKey(depth + 1));
  position++;
  return elements;
}

function readNumber(): number {
  const high = readWord();
  const low = readWord();
  const positive = high >= 0x8000_0000;
  words[1] = positive ? high ^ 0x8000_0000 : ~high;
  words[0] = positive ? low : ~low;
  const value = float64[0] as number;
  const canonical = value === value ? value !== 0 || positive : high === 0xfff8_0000 && low === 0;
  if (!canonical) throw unreadable('a number that is not canonical');
  return value;
}

function readWord(): number {
  need(4);
  const at = position;
  position = at + 4;
  const high = ((input[at] as number) << 24) | ((input[at + 1] as number) << 16);
  return (high | ((input[at + 2] as number) << 8) | (input[at + 3] as number)) >>> 0;
}

function readDate(): Date {
  const time = readNumber();
  const date = new Date(time);
  if (!Object.is(date.getTime(), time)) throw unreadable('a date out of range');
  return date;
}

/** What V8 can hold. */
const bigintBytesMax = 2 ** 27;

function readBigint(negative: boolean): bigint {
  const flip = negative ? 0xff : 0;
  let length = readByte() ^ flip;
  if (length === 0xff) {
    length = (negative ? ~readWord() : readWord()) >>> 0;
    if (length < 0xff || length > bigintBytesMax) throw unreadable(`a bigint length of ${length}`);
  }
  need(length);
  if (length === 0 ? negative : (peekByte() ^ flip) === 0) throw unreadable('a bigint that is not canonical');
  if (length === 0) return 0n;
  const magnitude = Buffer.from(input.subarray(position, position + length));
  position += length;
  if (negative) for (let index = 0; index < length; index++) magnitude[index] = ~(magnitude[index] as number);
  const value = BigInt(`0x${magnitude.toString('hex')}`);
  return negative ? -value : value;
}

/** The bytes up to the end mark, without escapes; `position` moves behind the mark. */
function unescaped(): Uint8Array {
  const end = input.indexOf(keyTags.end, position);
  if (end < 0) throw unreadable('the bytes end inside the key');
  const plain = new Uint8Array(input.subarray(position, end));
  let length = 0;
  for (let index = 0; index < plain.length; index++) {
    let byte = plain[index] as number;
    if (byte === 1) {
      const escaped = plain[++index];
      if (escaped !== 1 && escaped !== 2) throw unreadable(`unknown escape ${escaped}`);
      byte = escaped - 1;
    }
    plain[length++] = byte;
  }
  position = end + 1;
  return length === plain.length ? plain : plain.slice(0, length);
}

function readString(): string {
  const start = position;
  let end = start;
  let byte = 0;
  while (end < input.length && (byte = input[end] as number) > 1 && byte < 0x80) end++;
  if (end < input.length && byte === keyTags.end) {
    position = end + 1;
    return readLatin1(input, start, end);
  }
  return readWtf8(unescaped());
}

function readWtf8(wtf8: Uint8Array): string {
  const units = new Uint16Array(wtf8.length);
  let count = 0;
  let index = 0;
  while (index < wtf8.length) {
    const size = pointSize(wtf8, index);
    const point = readPoint(wtf8, index, size);
    if (point >= 0xdc00 && point < 0xe000 && count > 0 && isHighSurrogate(units[count - 1] as number)) throw notWtf8();
    if (point < 0x10000) {
      units[count++] = point;
    } else {
      units[count++] = 0xd800 + ((point - 0x10000) >> 10);
      units[count++] = 0xdc00 + ((point - 0x10000) & 0x3ff);
    }
    index += size;
  }
  return readUtf16(new Uint8Array(units.buffer), 0, count * 2);
}

/** A high surrogate that a low one follows is written as one code point of four bytes. */
function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00;
}

function pointSize(wtf8: Uint8Array, index: number): number {
  const lead = wtf8[index] as number;
  const size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || index + size > wtf8.length) throw notWtf8();
  return size;
}

const smallestOfSize: readonly number[] = [0, 0, 0x80, 0x800, 0x10000];

function readPoint(wtf8: Uint8Array, index: number, size: number): number {
  const lead = wtf8[index] as number;
  if (size === 1) return lead;
  let point = lead & (0xff >> (size + 1));
  for (let offset = 1; offset < size; offset++) {
    const byte = wtf8[index + offset] as number;
    if ((byte & 0xc0) !== 0x80) throw notWtf8();
    point = (point << 6) | (byte & 0x3f);
  }
  if (point < (smallestOfSize[size] as number) || point > 0x10ffff) throw notWtf8();
  return point;
}

function peekByte(): number {
  need(1);
  return input[position] as number;
}

function readByte(): number {
  need(1);
  return input[position++] as number;
}

function need(count: number): void {
  if (position + count > input.length) throw unreadable('the bytes end inside the key');
}

function notWtf8(): EngineError {
  return unreadable('a string that is not WTF-8');
}

function unreadable(what: string): EngineError {
  const at = `at byte ${position} of ${input.length}`;
  const message = `An encoded key cannot be read: ${what}, ${at}. The data is damaged or was written by a newer release.`;
  return new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external' });
}
