/**
 * Reads columns. Every length is checked against the rest of the frame before anything is allocated; what does not fit is
 * an `EngineError` PROTOCOL. Number columns come out as typed arrays in memory that is used again for the next frame, so a
 * column lives only until its objects are built.
 */
import { assert } from '../../core/errors.ts';
import { readLatin1, readUtf16 } from '../../core/codec/string-bytes.ts';
import type { ValueReader } from '../../core/codec/value-decoder.ts';
import { columnDepthMax, columnKinds, shapeFieldsMax } from './columnar-layout.ts';
import { ColumnArena } from './column-arena.ts';
import { type ObjectBuilder, objectBuilder } from './shape-code.ts';

/** A decoded column: typed array of the arena, or an array of its own. */
export type Column = ArrayLike<unknown>;

interface DecoderShape {
  readonly fieldCount: number;
  readonly builder: ObjectBuilder;
}

/** Code of `simpleValues` → value. */
const simpleOfCode: readonly unknown[] = [undefined, null, false, true];

export class ColumnDecoder {
  readonly #shapes: DecoderShape[] = [];
  readonly #shapesMax: number;
  readonly #arena = new ColumnArena();
  #bytes: Uint8Array = new Uint8Array(0);
  #reader!: ValueReader;

  constructor(shapesMax: number) {
    this.#shapesMax = shapesMax;
  }

  /** Reads the column of a batch's values from `reader` on. */
  decode(bytes: Uint8Array, reader: ValueReader, count: number): unknown[] {
    this.#bytes = bytes;
    this.#reader = reader;
    this.#arena.reset();
    const column = this.#column(count, 0);
    return Array.isArray(column) ? column : arrayOf(column);
  }

  #column(count: number, depth: number): Column {
    const kind = this.#reader.byte();
    switch (kind) {
      case columnKinds.int32:
        return this.#arena.int32(this.#bytes, this.#take(count * 4), count);
      case columnKinds.float64:
        return this.#arena.float64(this.#bytes, this.#take(count * 8), count);
      case columnKinds.ascii:
      case columnKinds.utf16:
        return this.#texts(count, kind);
      case columnKinds.simple:
        return this.#simple(count);
      case columnKinds.date:
        return this.#dates(count);
      case columnKinds.values:
        return this.#values(count, depth);
      default:
        return this.#nested(kind, count, depth);
    }
  }

  #nested(kind: number, count: number, depth: number): Column {
    if (kind === columnKinds.mixed) return this.#mixed(count, depth);
    if (depth >= columnDepthMax)
      throw this.#reader.unreadable(`column kind ${kind} nested deeper than ${columnDepthMax}`);
    if (kind === columnKinds.objects) return this.#objects(count, depth);
    if (kind === columnKinds.arrays) return this.#arrays(count, depth);
    throw this.#reader.unreadable(`unknown column kind ${kind}`);
  }

  /** Lengths of `count` strings or arrays, and their checked sum. */
  #lengths(count: number): { lengths: ArrayLike<number>; total: number } {
    const width = this.#reader.byte();
    const total = this.#reader.varint();
    if (width !== 1 && width !== 4) throw this.#reader.unreadable(`lengths of ${width} bytes`);
    const start = this.#take(count * width);
    const lengths =
      width === 1 ? this.#bytes.subarray(start, start + count) : this.#arena.uint32(this.#bytes, start, count);
    let sum = 0;
    for (let row = 0; row < count; row++) sum += lengths[row] as number;
    if (sum !== total) throw this.#reader.unreadable(`lengths that add up to ${sum}, not ${total}`);
    return { lengths, total };
  }

  #texts(count: number, kind: number): string[] {
    const { lengths, total } = this.#lengths(count);
    const bytes = kind === columnKinds.ascii ? total : total * 2;
    const start = this.#take(bytes);
    const text =
      kind === columnKinds.ascii
        ? readLatin1(this.#bytes, start, start + bytes)
        : readUtf16(this.#bytes, start, start + bytes);
    return cut(text, lengths, count);
  }

  #simple(count: number): unknown[] {
    const start = this.#take(count);
    const values = new Array<unknown>(count);
    for (let row = 0; row < count; row++) {
      const code = this.#bytes[start + row] as number;
      if (code >= simpleOfCode.length) throw this.#reader.unreadable(`unknown simple value ${code}`);
      values[row] = simpleOfCode[code];
    }
    return values;
  }

  #dates(count: number): Date[] {
    const times = this.#arena.float64(this.#bytes, this.#take(count * 8), count);
    const dates = new Array<Date>(count);
    for (let row = 0; row < count; row++) {
      const date = new Date(times[row] as number);
      if (!Object.is(date.getTime(), times[row])) throw this.#reader.unreadable('a date out of range');
      dates[row] = date;
    }
    return dates;
  }

  #values(count: number, depth: number): unknown[] {
    this.#need(count);
    const values = new Array<unknown>(count);
    for (let row = 0; row < count; row++) values[row] = this.#reader.read(depth);
    return values;
  }

  #arrays(count: number, depth: number): unknown[][] {
    const { lengths, total } = this.#lengths(count);
    const elements = this.#column(total, depth + 1);
    const arrays = new Array<unknown[]>(count);
    let position = 0;
    for (let row = 0; row < count; row++) {
      const array: unknown[] = [];
      for (const end = position + (lengths[row] as number); position < end; position++) array.push(elements[position]);
      arrays[row] = array;
    }
    return arrays;
  }

  #objects(count: number, depth: number): unknown[] {
    const shape = this.#shape();
    this.#need(count);
    const columns: Column[] = [];
    const present: (Uint8Array | null)[] = [];
    let sparse = false;
    for (let index = 0; index < shape.fieldCount; index++) {
      const presence = this.#presence(count);
      sparse ||= presence !== null;
      present.push(presence);
      columns.push(this.#column(presence === null ? count : onesOf(presence), depth + 1));
    }
    return sparse ? shape.builder.optional(columns, present, count) : shape.builder.exact(columns, count);
  }

  /** Which rows have the field whose column begins here; null when all do. */
  #presence(count: number): Uint8Array | null {
    if (this.#bytes[this.#reader.position] !== columnKinds.sparse) return null;
    this.#reader.byte();
    const start = this.#take(count);
    const present = this.#bytes.subarray(start, start + count);
    for (let row = 0; row < count; row++)
      if ((present[row] as number) > 1) throw this.#reader.unreadable('a presence that is not 0 or 1');
    return present;
  }

  #shape(): DecoderShape {
    const id = this.#reader.varint();
    const known = this.#shapes[id];
    if (known !== undefined) return known;
    if (id !== this.#shapes.length || id >= this.#shapesMax) throw this.#reader.unreadable(`unknown shape ${id}`);
    const shape = this.#newShape();
    this.#shapes.push(shape);
    return shape;
  }

  #newShape(): DecoderShape {
    const fieldCount = this.#reader.varint();
    if (fieldCount === 0 || fieldCount > shapeFieldsMax)
      throw this.#reader.unreadable(`a shape of ${fieldCount} fields`);
    const names: string[] = [];
    for (let index = 0; index < fieldCount; index++) {
      const name = this.#reader.read();
      if (typeof name !== 'string') throw this.#reader.unreadable('a field name that is not a string');
      names.push(name);
    }
    if (new Set(names).size !== fieldCount) throw this.#reader.unreadable('a shape that has a field twice');
    return { fieldCount, builder: objectBuilder(names) };
  }

  #mixed(count: number, depth: number): unknown[] {
    const classCount = this.#reader.byte();
    const start = this.#take(count);
    const tags = this.#bytes.subarray(start, start + count);
    const rowCounts = new Array<number>(classCount).fill(0);
    for (let row = 0; row < count; row++) {
      const tag = tags[row] as number;
      if (tag >= classCount) throw this.#reader.unreadable(`class ${tag} of ${classCount} in a mixed column`);
      rowCounts[tag] = (rowCounts[tag] as number) + 1;
    }
    const parts: Column[] = [];
    for (const rowCount of rowCounts) parts.push(this.#part(rowCount, depth));
    return interleave(parts, tags);
  }

  /** A column of one class of a mixed column; mixed columns inside each other do not occur. */
  #part(rowCount: number, depth: number): Column {
    if (rowCount === 0) throw this.#reader.unreadable('a class without rows in a mixed column');
    if (this.#bytes[this.#reader.position] === columnKinds.mixed)
      throw this.#reader.unreadable('a mixed column in a mixed column');
    return this.#column(rowCount, depth);
  }

  #need(bytes: number): void {
    this.#reader.skip(bytes);
    this.#reader.position -= bytes;
  }

  #take(bytes: number): number {
    return this.#reader.skip(bytes);
  }
}

function onesOf(present: Uint8Array): number {
  let ones = 0;
  for (let row = 0; row < present.length; row++) ones += present[row] as number;
  return ones;
}

/** `Array.from` goes through an iterator, ten times slower. */
function arrayOf(column: Column): unknown[] {
  const values = new Array<unknown>(column.length);
  for (let row = 0; row < values.length; row++) values[row] = column[row];
  return values;
}

/** Cuts joined strings apart. */
function cut(text: string, lengths: ArrayLike<number>, count: number): string[] {
  const texts = new Array<string>(count);
  let position = 0;
  for (let row = 0; row < count; row++) {
    const end = position + (lengths[row] as number);
    texts[row] = text.substring(position, end);
    position = end;
  }
  assert(position === text.length, 'checked lengths cover the text');
  return texts;
}

/** Puts the rows of the classes back in their order. */
function interleave(parts: readonly Column[], tags: Uint8Array): unknown[] {
  const count = tags.length;
  const values = new Array<unknown>(count);
  const next = new Array<number>(parts.length).fill(0);
  for (let row = 0; row < count; row++) {
    const tag = tags[row] as number;
    const at = next[tag] as number;
    values[row] = (parts[tag] as Column)[at];
    next[tag] = at + 1;
  }
  return values;
}
