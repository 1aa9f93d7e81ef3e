/**
 * Writes columns: looks at the values of a column, picks the narrowest kind that holds them all, and splits columns of
 * several kinds by class. What was learned (shapes, kinds of fields) only ever makes it faster: every value is still
 * checked while it is gathered, so nothing depends on the next batch being like the last.
 *
 * Methods return false when some value is refused; the frame is then given up.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { tryWriteValue } from '../../core/codec/value-codec.ts';
import { writeVarint } from '../../core/codec/varint.ts';
import { columnDepthMax, columnKinds, simpleValues } from './columnar-layout.ts';
import { type EncoderField, type EncoderShape, EncoderShapes } from './shapes.ts';
import type { Row } from './shape-code.ts';
import { writeLengths, writeText } from './text-columns.ts';

/** Classes of a mixed column; shapes get the numbers from `firstShape` on. */
const classes = { number: 0, text: 1, simple: 2, date: 3, array: 4, other: 5, firstShape: 6 } as const;
const classesMax = 255;

/** Rows of one shape within a column. */
interface ShapeGroup {
  readonly shape: EncoderShape;
  /** No row leaves a field out. */
  exact: boolean;
}

export class ColumnEncoder {
  readonly #shapes: EncoderShapes;
  #shapesWritten: EncoderShape[] = [];
  #sink!: ByteSink;
  /** Object.prototype has enumerable fields: `for in` would show them, so no shapes. */
  #prototypePolluted = false;
  #float64 = new Float64Array(512);
  #int32 = new Int32Array(512);
  #lengths = new Uint32Array(512);

  constructor(shapesMax: number) {
    this.#shapes = new EncoderShapes(shapesMax);
  }

  /** Writes the column of a batch; false when a value is refused, then nothing was learned that the decoder does not know. */
  encode(values: readonly unknown[], sink: ByteSink): boolean {
    this.#sink = sink;
    this.#prototypePolluted = hasEnumerableFields(Object.prototype);
    const shapesBefore = this.#shapesWritten.length;
    let written = false;
    try {
      written = this.#column(values, 0);
    } finally {
      if (!written) this.#forgetShapesFrom(shapesBefore);
    }
    return written;
  }

  /** A frame that is never sent must not count as having told the decoder about shapes. */
  #forgetShapesFrom(count: number): void {
    for (const shape of this.#shapesWritten.slice(count)) shape.wireId = -1;
    this.#shapesWritten = this.#shapesWritten.slice(0, count);
  }

  #column(values: readonly unknown[], depth: number): boolean {
    switch (typeof values[0]) {
      case 'number':
        if (this.#tryNumbers(values)) return true;
        break;
      case 'string':
        if (this.#tryTexts(values)) return true;
        break;
      case 'object':
        if (depth < columnDepthMax && isPlain(values[0]) && !this.#prototypePolluted) {
          const shape = this.#shapes.shapeOf(values[0]);
          if (shape !== null && this.#shapes.exact && allExactly(values, shape)) return this.#objects(values as readonly Row[], { shape, exact: true }, depth);
        }
    }
    return this.#classified(values, depth);
  }

  #tryNumbers(values: readonly unknown[]): boolean {
    const count = values.length;
    const numbers = this.#float64Scratch(count);
    for (let row = 0; row < count; row++) {
      const value = values[row];
      if (typeof value !== 'number') return false;
      numbers[row] = value;
    }
    this.#numbers(numbers, count);
    return true;
  }

  #numbers(numbers: Float64Array, count: number): void {
    const integers = this.#int32Scratch(count);
    for (let row = 0; row < count; row++) {
      const value = numbers[row] as number;
      const integer = value | 0;
      if (integer !== value || (integer === 0 && 1 / value < 0)) return this.#typed(columnKinds.float64, numbers, count);
      integers[row] = integer;
    }
    this.#typed(columnKinds.int32, integers, count);
  }

  #typed(kind: number, elements: Float64Array | Int32Array, count: number): void {
    const bytes = count * elements.BYTES_PER_ELEMENT;
    this.#sink.ensure(bytes + 1);
    this.#sink.buffer[this.#sink.position++] = kind;
    this.#sink.buffer.set(new Uint8Array(elements.buffer, 0, bytes), this.#sink.position);
    this.#sink.position += bytes;
  }

  #tryTexts(values: readonly unknown[]): boolean {
    const count = values.length;
    const lengths = this.#lengthScratch(count);
    let text = '';
    for (let row = 0; row < count; row++) {
      const value = values[row];
      if (typeof value !== 'string') return false;
      text += value;
      lengths[row] = value.length;
    }
    writeText(this.#sink, text, lengths, count);
    return true;
  }

  #objects(rows: readonly Row[], group: ShapeGroup, depth: number): boolean {
    const { shape, exact } = group;
    this.#kind(columnKinds.objects);
    this.#shapeReference(shape);
    if (!exact) return this.#optionalFields(rows, shape, depth);
    for (let index = 0; index < shape.fields.length; index++) {
      if (!this.#field(rows, shape.fields[index] as EncoderField, depth)) return false;
    }
    return true;
  }

  #shapeReference(shape: EncoderShape): void {
    if (shape.wireId >= 0) return writeVarint(this.#sink, shape.wireId);
    shape.wireId = this.#shapesWritten.length;
    this.#shapesWritten.push(shape);
    writeVarint(this.#sink, shape.wireId);
    writeVarint(this.#sink, shape.names.length);
    for (const name of shape.names) tryWriteValue(name, this.#sink);
  }

  /** One field of all rows, by the kind its values had so far. */
  #field(rows: readonly Row[], field: EncoderField, depth: number): boolean {
    const count = rows.length;
    if (field.kind === 'unknown') field.kind = kindOf((rows[0] as Row)[field.name]);
    if (field.kind === 'int32') {
      const integers = this.#int32Scratch(count);
      if (field.gathers.int32(rows, integers) === count) {
        this.#typed(columnKinds.int32, integers, count);
        return true;
      }
      field.kind = 'float64';
    }
    if (field.kind === 'float64') {
      const numbers = this.#float64Scratch(count);
      if (field.gathers.float64(rows, numbers) === count) {
        this.#typed(columnKinds.float64, numbers, count);
        return true;
      }
      field.kind = 'any';
    }
    if (field.kind === 'text') {
      const lengths = this.#lengthScratch(count);
      const text = field.gathers.text(rows, lengths);
      if (text !== null) {
        writeText(this.#sink, text, lengths, count);
        return true;
      }
      field.kind = 'any';
    }
    const values = new Array<unknown>(count);
    field.gathers.any(rows, values);
    return this.#column(values, depth + 1);
  }

  /** Rows of which some leave fields out: walks each row once along the names of the shape. */
  #optionalFields(rows: readonly Row[], shape: EncoderShape, depth: number): boolean {
    const names = shape.names;
    const count = rows.length;
    const present = new Uint8Array(count * names.length);
    const columns: unknown[][] = names.map(() => []);
    for (let row = 0; row < count; row++) {
      const object = rows[row] as Row;
      let index = 0;
      for (const name in object) {
        while (names[index] !== name) index++;
        present[index * count + row] = 1;
        (columns[index++] as unknown[]).push(object[name]);
      }
    }
    return columns.every((column, index) => {
      if (column.length < count) this.#sparse(present.subarray(index * count, index * count + count));
      return this.#column(column, depth + 1);
    });
  }

  #sparse(present: Uint8Array): void {
    this.#kind(columnKinds.sparse);
    this.#sink.ensure(present.length);
    this.#sink.buffer.set(present, this.#sink.position);
    this.#sink.position += present.length;
  }

  /** A column of which nothing is known: gives each row a class, and each class a column. */
  #classified(values: readonly unknown[], depth: number): boolean {
    const count = values.length;
    const tags = new Uint8Array(count);
    const groups: ShapeGroup[] = [];
    const classRows = new Uint32Array(classesMax + 1);
    for (let row = 0; row < count; row++) {
      const tag = this.#classOf(values[row], groups, depth);
      tags[row] = tag;
      classRows[tag] = (classRows[tag] as number) + 1;
    }
    const first = tags[0] as number;
    if (count === 0 || classRows[first] === count) return this.#class(count === 0 ? classes.simple : first, values, groups, depth);
    return this.#mixed(values, tags, classRows, groups, depth);
  }

  #classOf(value: unknown, groups: ShapeGroup[], depth: number): number {
    switch (typeof value) {
      case 'number':
        return classes.number;
      case 'string':
        return classes.text;
      case 'undefined':
      case 'boolean':
        return classes.simple;
      case 'object':
        return value === null ? classes.simple : this.#classOfObject(value, groups, depth);
      default:
        return classes.other;
    }
  }

  #classOfObject(value: object, groups: ShapeGroup[], depth: number): number {
    if (isPlain(value)) return depth < columnDepthMax && !this.#prototypePolluted ? this.#classOfPlain(value, groups) : classes.other;
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Date.prototype && value instanceof Date) return classes.date;
    if (prototype === Array.prototype && Array.isArray(value) && depth < columnDepthMax) return classes.array;
    return classes.other;
  }

  #classOfPlain(value: Row, groups: ShapeGroup[]): number {
    const shape = this.#shapes.shapeOf(value);
    if (shape === null) return classes.other;
    const exact = this.#shapes.exact;
    let index = 0;
    while (index < groups.length && (groups[index] as ShapeGroup).shape !== shape) index++;
    if (index === groups.length) {
      if (classes.firstShape + index >= classesMax) return classes.other;
      groups.push({ shape, exact });
    }
    if (!exact) (groups[index] as ShapeGroup).exact = false;
    return classes.firstShape + index;
  }

  /** Classes are numbered anew in order of their first row, so that a frame says how many there are and no more. */
  #mixed(values: readonly unknown[], tags: Uint8Array, classRows: Uint32Array, groups: ShapeGroup[], depth: number): boolean {
    const parts: unknown[][] = [];
    const partClasses: number[] = [];
    const partOfClass = new Int16Array(classesMax + 1).fill(-1);
    const filled: number[] = [];
    for (let row = 0; row < tags.length; row++) {
      const tag = tags[row] as number;
      let part = partOfClass[tag] as number;
      if (part < 0) {
        part = partClasses.push(tag) - 1;
        partOfClass[tag] = part;
        parts.push(new Array<unknown>(classRows[tag] as number));
        filled.push(0);
      }
      tags[row] = part;
      const at = filled[part] as number;
      (parts[part] as unknown[])[at] = values[row];
      filled[part] = at + 1;
    }
    this.#sink.ensure(tags.length + 2);
    this.#sink.buffer[this.#sink.position++] = columnKinds.mixed;
    this.#sink.buffer[this.#sink.position++] = parts.length;
    this.#sink.buffer.set(tags, this.#sink.position);
    this.#sink.position += tags.length;
    return parts.every((part, index) => this.#class(partClasses[index] as number, part, groups, depth));
  }

  /** A column of one class. */
  #class(tag: number, values: readonly unknown[], groups: readonly ShapeGroup[], depth: number): boolean {
    switch (tag) {
      case classes.number:
        return this.#tryNumbers(values);
      case classes.text:
        return this.#tryTexts(values);
      case classes.simple:
        return this.#simple(values);
      case classes.date:
        return this.#dates(values as readonly Date[]);
      case classes.array:
        return this.#arrays(values as readonly (readonly unknown[])[], depth);
      case classes.other:
        return this.#values(values, depth);
      default:
        return this.#objects(values as readonly Row[], groups[tag - classes.firstShape] as ShapeGroup, depth);
    }
  }

  #simple(values: readonly unknown[]): boolean {
    this.#sink.ensure(values.length + 1);
    const buffer = this.#sink.buffer;
    let position = this.#sink.position;
    buffer[position++] = columnKinds.simple;
    for (let row = 0; row < values.length; row++) buffer[position++] = simpleCode(values[row]);
    this.#sink.position = position;
    return true;
  }

  #dates(values: readonly Date[]): boolean {
    const count = values.length;
    const times = this.#float64Scratch(count);
    for (let row = 0; row < count; row++) times[row] = (values[row] as Date).getTime();
    this.#typed(columnKinds.date, times, count);
    return true;
  }

  #arrays(values: readonly (readonly unknown[])[], depth: number): boolean {
    const lengths = this.#lengthScratch(values.length);
    const elements: unknown[] = [];
    for (let row = 0; row < values.length; row++) {
      const array = values[row] as readonly unknown[];
      lengths[row] = array.length;
      for (let index = 0; index < array.length; index++) {
        const element = array[index];
        if (element === undefined && !(index in array)) return false;
        elements.push(element);
      }
    }
    this.#kind(columnKinds.arrays);
    writeLengths(this.#sink, lengths, values.length, elements.length);
    return this.#column(elements, depth + 1);
  }

  /** The fallback: each value by the stored-value codec. */
  #values(values: readonly unknown[], depth: number): boolean {
    this.#kind(columnKinds.values);
    for (let row = 0; row < values.length; row++) {
      if (!tryWriteValue(values[row], this.#sink, depth)) return false;
    }
    return true;
  }

  #kind(kind: number): void {
    this.#sink.ensure(1);
    this.#sink.buffer[this.#sink.position++] = kind;
  }

  #float64Scratch(count: number): Float64Array {
    if (this.#float64.length < count) this.#float64 = new Float64Array(count * 2);
    return this.#float64;
  }

  #int32Scratch(count: number): Int32Array {
    if (this.#int32.length < count) this.#int32 = new Int32Array(count * 2);
    return this.#int32;
  }

  #lengthScratch(count: number): Uint32Array {
    if (this.#lengths.length < count) this.#lengths = new Uint32Array(count * 2);
    return this.#lengths;
  }
}

function isPlain(value: unknown): value is Row {
  if (value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function allExactly(values: readonly unknown[], shape: EncoderShape): boolean {
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    if (typeof value !== 'object' || !isPlain(value) || !shape.matchesExactly(value)) return false;
  }
  return true;
}

function hasEnumerableFields(object: object): boolean {
  for (const _name in object) return true;
  return false;
}

function kindOf(value: unknown): EncoderField['kind'] {
  if (typeof value === 'number') return 'int32';
  return typeof value === 'string' ? 'text' : 'any';
}

function simpleCode(value: unknown): number {
  switch (value) {
    case undefined:
      return simpleValues.undefined;
    case null:
      return simpleValues.null;
    case false:
      return simpleValues.false;
    default:
      return simpleValues.true;
  }
}
