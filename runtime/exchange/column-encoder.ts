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
import { columnDepthMax, columnKinds } from './columnar-layout.ts';
import { LeafColumns, writeByte } from './leaf-columns.ts';
import { type EncoderField, type EncoderShape, EncoderShapes } from './shapes.ts';
import type { Row } from './shape-code.ts';
import { writeLengths } from './text-columns.ts';

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
  readonly #leaves = new LeafColumns();

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
        if (this.#leaves.tryNumbers(this.#sink, values)) return true;
        break;
      case 'string':
        if (this.#leaves.tryTexts(this.#sink, values)) return true;
        break;
      case 'object':
        if (depth < columnDepthMax && isPlain(values[0]) && !this.#prototypePolluted) {
          const shape = this.#shapes.shapeOf(values[0]);
          if (shape !== null && this.#shapes.exact && allExactly(values, shape)) {
            return this.#objects(values as readonly Row[], { shape, exact: true }, depth);
          }
        }
        break;
      default:
    }
    return this.#classified(values, depth);
  }

  #objects(rows: readonly Row[], group: ShapeGroup, depth: number): boolean {
    const { shape, exact } = group;
    writeByte(this.#sink, columnKinds.objects);
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

  #field(rows: readonly Row[], field: EncoderField, depth: number): boolean {
    if (this.#leaves.tryField(this.#sink, rows, field)) return true;
    const values = new Array<unknown>(rows.length);
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
    writeByte(this.#sink, columnKinds.sparse);
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
    if (count === 0 || classRows[first] === count)
      return this.#class(count === 0 ? classes.simple : first, values, groups, depth);
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
    if (isPlain(value))
      return depth < columnDepthMax && !this.#prototypePolluted ? this.#classOfPlain(value, groups) : classes.other;
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
  #mixed(
    values: readonly unknown[],
    tags: Uint8Array,
    classRows: Uint32Array,
    groups: ShapeGroup[],
    depth: number,
  ): boolean {
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
        return this.#leaves.tryNumbers(this.#sink, values);
      case classes.text:
        return this.#leaves.tryTexts(this.#sink, values);
      case classes.simple:
        this.#leaves.simple(this.#sink, values);
        return true;
      case classes.date:
        this.#leaves.dates(this.#sink, values as readonly Date[]);
        return true;
      case classes.array:
        return this.#arrays(values as readonly (readonly unknown[])[], depth);
      case classes.other:
        return this.#leaves.tryValues(this.#sink, values, depth);
      default:
        return this.#objects(values as readonly Row[], groups[tag - classes.firstShape] as ShapeGroup, depth);
    }
  }

  #arrays(values: readonly (readonly unknown[])[], depth: number): boolean {
    const lengths = this.#leaves.lengthScratch(values.length);
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
    writeByte(this.#sink, columnKinds.arrays);
    writeLengths(this.#sink, lengths, values.length, elements.length);
    return this.#column(elements, depth + 1);
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
