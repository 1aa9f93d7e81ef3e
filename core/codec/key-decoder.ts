/**
 * Reads what `encodeKey` wrote (see key-layout.ts). Strict: bytes that no key encodes to are an error, so a
 * decoded key always encodes to the bytes it came from.
 */
import { EngineError } from '../errors.ts';
import type { Key } from '../operators.ts';
import { keyDepthMax, keyTags } from './key-layout.ts';

/**
 * Decodes the key that begins at `start`. Strings and bytes are copies.
 * @returns the key, and where the next one begins
 * @throws EngineError CHECKPOINT_UNREADABLE when the bytes are not an encoded key
 */
export function decodeKey(bytes: Uint8Array, start: number = 0): { key: Key; end: number } {
  const reader = new KeyReader(bytes, start);
  const key = reader.read(0);
  return { key, end: reader.position };
}

class KeyReader {
  readonly #bytes: Uint8Array;
  position: number;

  constructor(bytes: Uint8Array, position: number) {
    this.#bytes = bytes;
    this.position = position;
  }

  read(depth: number): Key {
    const tag = this.#byte();
    switch (tag) {
      case keyTags.false:
        return false;
      case keyTags.true:
        return true;
      case keyTags.number:
        return this.#number();
      case keyTags.date:
        return this.#date();
      case keyTags.negativeBigint:
      case keyTags.bigint:
        return this.#bigint(tag === keyTags.negativeBigint);
      case keyTags.string:
        return this.#string();
      case keyTags.bytes:
        return new Uint8Array(this.#unescape());
      case keyTags.tuple:
        return this.#tuple(depth);
      default:
        throw this.#unreadable(`unknown tag ${tag}`);
    }
  }

  #tuple(depth: number): Key {
    if (depth >= keyDepthMax) throw this.#unreadable(`tuples nested deeper than ${keyDepthMax}`);
    const elements: Key[] = [];
    while (this.#peek() !== keyTags.end) elements.push(this.read(depth + 1));
    this.position++;
    return elements;
  }

  #number(): number {
    this.#need(8);
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.position, 8);
    this.position += 8;
    const high = view.getUint32(0, false);
    const low = view.getUint32(4, false);
    const flipped = new DataView(new ArrayBuffer(8));
    const positive = high >= 0x8000_0000;
    flipped.setUint32(0, positive ? high ^ 0x8000_0000 : ~high, false);
    flipped.setUint32(4, positive ? low : ~low, false);
    const value = flipped.getFloat64(0, false);
    const canonical = value === value ? !Object.is(value, -0) : high === 0xfff8_0000 && low === 0;
    if (!canonical) throw this.#unreadable('a number that is not canonical');
    return value;
  }

  #date(): Date {
    const time = this.#number();
    const date = new Date(time);
    if (!Object.is(date.getTime(), time)) throw this.#unreadable('a date out of range');
    return date;
  }

  #bigint(negative: boolean): bigint {
    const flip = negative ? 0xff : 0;
    let length = this.#byte() ^ flip;
    if (length === 0xff) {
      length = 0;
      for (let index = 0; index < 4; index++) length = length * 256 + (this.#byte() ^ flip);
      if (length < 0xff) throw this.#unreadable('a bigint length that is not canonical');
    }
    this.#need(length);
    if (length === 0 ? negative : (this.#peek() ^ flip) === 0) throw this.#unreadable('a bigint that is not canonical');
    const magnitude = this.#bytes.slice(this.position, this.position + length);
    this.position += length;
    if (negative) for (let index = 0; index < length; index++) magnitude[index] = ~(magnitude[index] as number);
    if (length === 0) return 0n;
    const value = BigInt(`0x${Buffer.from(magnitude.buffer, magnitude.byteOffset, length).toString('hex')}`);
    return negative ? -value : value;
  }

  /** The bytes up to the end mark, without escapes. */
  #unescape(): number[] {
    const plain: number[] = [];
    for (;;) {
      const byte = this.#byte();
      if (byte === keyTags.end) return plain;
      if (byte !== 1) {
        plain.push(byte);
        continue;
      }
      const escaped = this.#byte();
      if (escaped !== 1 && escaped !== 2) throw this.#unreadable(`unknown escape ${escaped}`);
      plain.push(escaped - 1);
    }
  }

  #string(): string {
    const wtf8 = this.#unescape();
    const units: number[] = [];
    let index = 0;
    while (index < wtf8.length) {
      const size = this.#decodePoint(wtf8, index, units);
      index += size;
    }
    return stringOfUnits(units);
  }

  /** Appends the UTF-16 units of the code point at `index`; returns its length in bytes. */
  #decodePoint(wtf8: readonly number[], index: number, units: number[]): number {
    const lead = wtf8[index] as number;
    if (lead < 0x80) {
      units.push(lead);
      return 1;
    }
    const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || index + size > wtf8.length) throw this.#unreadable('a string that is not WTF-8');
    let point = lead & (0xff >> (size + 1));
    for (let offset = 1; offset < size; offset++) {
      const byte = wtf8[index + offset] as number;
      if ((byte & 0xc0) !== 0x80) throw this.#unreadable('a string that is not WTF-8');
      point = (point << 6) | (byte & 0x3f);
    }
    const smallest = size === 2 ? 0x80 : size === 3 ? 0x800 : 0x10000;
    if (point < smallest || point > 0x10ffff || joinsPair(units, point)) throw this.#unreadable('a string that is not WTF-8');
    if (point < 0x10000) units.push(point);
    else units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff));
    return size;
  }

  #peek(): number {
    this.#need(1);
    return this.#bytes[this.position] as number;
  }

  #byte(): number {
    this.#need(1);
    return this.#bytes[this.position++] as number;
  }

  #need(count: number): void {
    if (this.position + count > this.#bytes.length) throw this.#unreadable('the bytes end inside the key');
  }

  #unreadable(what: string): EngineError {
    const at = `at byte ${this.position} of ${this.#bytes.length}`;
    const message = `An encoded key cannot be read: ${what}, ${at}. The data is damaged or was written by a newer release.`;
    return new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external' });
  }
}

/** Two lone surrogates that form a pair are written as one code point; separately they are not canonical. */
function joinsPair(units: readonly number[], point: number): boolean {
  if (point < 0xdc00 || point >= 0xe000) return false;
  const last = units.at(-1);
  if (last === undefined || last < 0xd800 || last >= 0xdc00) return false;
  return true;
}

const unitsPerCall = 4096;

function stringOfUnits(units: readonly number[]): string {
  if (units.length <= unitsPerCall) return String.fromCharCode(...units);
  return Buffer.from(new Uint16Array(units).buffer).toString('utf16le');
}
