/**
 * Reads stored values (layout in value-layout.ts). Strict: bytes that are not exactly one value are an error, never a
 * hang, a crash or an allocation larger than the input justifies. Strings and bytes are copies; nothing pins the input.
 */
import { EngineError, type ErrorCode } from '../errors.ts';
import { defineField, type FieldName, fieldNameOf, makeFieldName } from './field-names.ts';
import { readLatin1, readUtf16 } from './string-bytes.ts';
import { typedArrayKinds, valueDepthMax, valueFormatVersion, valueTags } from './value-layout.ts';

/**
 * Decodes the one value that fills `start .. end - 1`, version byte included.
 * @throws EngineError CHECKPOINT_UNREADABLE when the bytes are not exactly one value
 */
export function decodeValue(bytes: Uint8Array, start: number = 0, end: number = bytes.length): unknown {
  const reader = storedReader.over(bytes, start, end);
  const version = reader.byte();
  if (version !== valueFormatVersion) {
    throw reader.unreadable(`format version ${version}, this release reads version ${valueFormatVersion}`);
  }
  const value = reader.read();
  if (reader.position !== end) throw reader.unreadable('bytes follow the value');
  reader.release();
  return value;
}

/**
 * The first element of the encoded array that begins at `start`, without looking at the others.
 * @throws EngineError CHECKPOINT_UNREADABLE
 */
export function decodeFirstElement(bytes: Uint8Array, start: number): unknown {
  const reader = storedReader.over(bytes, start, bytes.length);
  const version = reader.byte();
  const tag = reader.byte();
  if (version !== valueFormatVersion || tag !== valueTags.array || reader.varint() === 0)
    throw reader.unreadable('an array with elements is expected');
  const value = reader.read(1);
  reader.release();
  return value;
}

/** What V8 can hold. */
const bigintBytesMax = 2 ** 27;

const noBytes = new Uint8Array(0);
const float64 = new Float64Array(1);
const float64Bytes = new Uint8Array(float64.buffer);

/** Reads values one after the other, without version bytes. Made once and used over many inputs. */
export class ValueReader {
  position = 0;
  #bytes: Uint8Array = noBytes;
  #end = 0;
  readonly #code: ErrorCode;

  /** @param code code of the errors thrown: CHECKPOINT_UNREADABLE or PROTOCOL */
  constructor(code: ErrorCode) {
    this.#code = code;
  }

  /** Begins to read the bytes `start .. end - 1`. */
  over(bytes: Uint8Array, start: number, end: number): this {
    this.#bytes = bytes;
    this.#end = end;
    this.position = start;
    if (start < 0 || end > bytes.length || start > end)
      throw this.unreadable(`range ${start}..${end} outside the bytes`);
    return this;
  }

  /** Lets go of the bytes. */
  release(): void {
    this.#bytes = noBytes;
  }

  /** The next value. @param depth containers around it */
  read(depth: number = 0): unknown {
    const tag = this.byte();
    if (tag >= valueTags.smallInt) return tag - valueTags.smallInt;
    if (tag >= valueTags.shortLatin1) return this.#latin1(tag - valueTags.shortLatin1);
    if (tag >= valueTags.shortObject) return this.#object(tag - valueTags.shortObject, depth);
    switch (tag) {
      case valueTags.undefined:
        return undefined;
      case valueTags.null:
        return null;
      case valueTags.false:
        return false;
      case valueTags.true:
        return true;
      case valueTags.float64:
        return this.#float64();
      case valueTags.int: {
        const zigzag = this.varint();
        return (zigzag >>> 1) ^ -(zigzag & 1);
      }
      case valueTags.bigint:
        return this.#bigint();
      case valueTags.negativeBigint:
        return -this.#bigint();
      case valueTags.latin1:
        return this.#latin1(this.varint());
      case valueTags.utf16:
        return this.#utf16();
      case valueTags.date:
        return this.#date();
      case valueTags.bytes: {
        const length = this.varint();
        const start = this.skip(length);
        return new Uint8Array(this.#bytes.subarray(start, start + length));
      }
      case valueTags.typedArray:
        return this.#typedArray();
      default:
        return this.#container(tag, depth);
    }
  }

  byte(): number {
    if (this.position >= this.#end) throw this.unreadable('the bytes end inside the value');
    return this.#bytes[this.position++] as number;
  }

  varint(): number {
    const first = this.byte();
    return first < 0x80 ? first : this.#longVarint(first & 0x7f);
  }

  #longVarint(first: number): number {
    let value = first;
    let scale = 0x80;
    for (let count = 1; count < 5; count++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      scale *= 0x80;
      if (byte >= 0x80) continue;
      if (value > 0xffff_ffff || byte === 0) break;
      return value;
    }
    throw this.unreadable('a number that is not a varint of 32 bits');
  }

  unreadable(what: string): EngineError {
    const message =
      `An encoded value cannot be read: ${what}, at byte ${this.position} of ${this.#end}. ` +
      'The data is damaged or was written by a newer release.';
    return new EngineError(this.#code, message, { domain: this.#code === 'PROTOCOL' ? 'internal' : 'external' });
  }

  #container(tag: number, depth: number): unknown {
    if (tag === valueTags.object) return this.#object(this.varint(), depth);
    if (tag === valueTags.array) return this.#array(depth);
    if (tag === valueTags.map) return this.#map(depth);
    if (tag === valueTags.set) return this.#set(depth);
    throw this.unreadable(`unknown tag ${tag}`);
  }

  /** Number of elements: each takes `elementBytes` at least, so a count beyond the rest of the input is refused at once. */
  #count(elementBytes: number, count: number, depth: number): number {
    if (depth >= valueDepthMax) throw this.unreadable(`values nested deeper than ${valueDepthMax}`);
    if (count * elementBytes > this.#end - this.position)
      throw this.unreadable(`a count of ${count} beyond the end of the bytes`);
    return count;
  }

  #object(fieldCount: number, depth: number): Record<string, unknown> {
    const count = this.#count(2, fieldCount, depth);
    const object: Record<string, unknown> = {};
    for (let index = 0; index < count; index++) {
      const field = this.#fieldName();
      const value = this.read(depth + 1);
      if (field.assignable) object[field.name] = value;
      else defineField(object, field.name, value);
    }
    return object;
  }

  #fieldName(): FieldName {
    const tag = this.byte();
    if (tag === valueTags.utf16) return makeFieldName(this.#utf16());
    const short = tag >= valueTags.shortLatin1 && tag < valueTags.smallInt;
    if (!short && tag !== valueTags.latin1) throw this.unreadable(`tag ${tag} where the name of a field belongs`);
    const length = short ? tag - valueTags.shortLatin1 : this.varint();
    const start = this.skip(length);
    return fieldNameOf(this.#bytes, start, start + length);
  }

  #array(depth: number): unknown[] {
    const count = this.#count(1, this.varint(), depth);
    const array: unknown[] = [];
    for (let index = 0; index < count; index++) array.push(this.read(depth + 1));
    return array;
  }

  #map(depth: number): Map<unknown, unknown> {
    const count = this.#count(2, this.varint(), depth);
    const map = new Map<unknown, unknown>();
    for (let index = 0; index < count; index++) {
      const key = this.read(depth + 1);
      map.set(key, this.read(depth + 1));
    }
    return map;
  }

  #set(depth: number): Set<unknown> {
    const count = this.#count(1, this.varint(), depth);
    const set = new Set<unknown>();
    for (let index = 0; index < count; index++) set.add(this.read(depth + 1));
    return set;
  }

  #float64(): number {
    const start = this.skip(8);
    for (let index = 0; index < 8; index++) float64Bytes[index] = this.#bytes[start + index] as number;
    return float64[0] as number;
  }

  #date(): Date {
    const time = this.#float64();
    const date = new Date(time);
    if (!Object.is(date.getTime(), time)) throw this.unreadable('a date out of range');
    return date;
  }

  #bigint(): bigint {
    const length = this.varint();
    const start = this.skip(length);
    if (length > bigintBytesMax) throw this.unreadable(`a bigint of ${length} bytes`);
    if (length === 0) return 0n;
    const magnitude = Buffer.from(this.#bytes.subarray(start, start + length)).reverse();
    return BigInt(`0x${magnitude.toString('hex')}`);
  }

  #latin1(length: number): string {
    const start = this.skip(length);
    return readLatin1(this.#bytes, start, start + length);
  }

  #utf16(): string {
    const length = this.varint() * 2;
    const start = this.skip(length);
    return readUtf16(this.#bytes, start, start + length);
  }

  #typedArray(): unknown {
    const kind = typedArrayKinds[this.byte()];
    const length = this.varint();
    const start = this.skip(length);
    if (kind === undefined) throw this.unreadable('an unknown kind of typed array');
    if (length % kind.BYTES_PER_ELEMENT !== 0) throw this.unreadable('a typed array that ends inside an element');
    const bytes = new Uint8Array(length);
    bytes.set(this.#bytes.subarray(start, start + length));
    return new kind(bytes.buffer);
  }

  /** Skips `count` bytes, which must be there, and returns where they begin. */
  skip(count: number): number {
    const start = this.position;
    if (count > this.#end - start) throw this.unreadable('the bytes end inside the value');
    this.position = start + count;
    return start;
  }
}

/** Decoding runs no user code, so one reader serves the thread. */
const storedReader = new ValueReader('CHECKPOINT_UNREADABLE');
