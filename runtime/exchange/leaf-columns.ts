/**
 * Writes columns without other columns in them: numbers, strings, simple values, dates, stored values. Numbers go through
 * aligned scratch arrays, because a frame begins at any byte.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { tryWriteValue } from '../../core/codec/value-codec.ts';
import { columnKinds, simpleValues } from './columnar-layout.ts';
import type { EncoderField } from './shapes.ts';
import type { Row } from './shape-code.ts';
import { writeText } from './text-columns.ts';

const scratchRows = 512;

export class LeafColumns {
  #float64 = new Float64Array(scratchRows);
  #int32 = new Int32Array(scratchRows);
  #lengths = new Uint32Array(scratchRows);

  /** Writes numbers in the narrowest kind; false, and nothing written, when some value is not a number. */
  tryNumbers(sink: ByteSink, values: readonly unknown[]): boolean {
    const count = values.length;
    const numbers = this.#float64Scratch(count);
    for (let row = 0; row < count; row++) {
      const value = values[row];
      if (typeof value !== 'number') return false;
      numbers[row] = value;
    }
    this.#numbers(sink, numbers, count);
    return true;
  }

  #numbers(sink: ByteSink, numbers: Float64Array, count: number): void {
    const integers = this.#int32Scratch(count);
    for (let row = 0; row < count; row++) {
      const value = numbers[row] as number;
      const integer = value | 0;
      if (integer !== value || (integer === 0 && 1 / value < 0))
        return writeTyped(sink, columnKinds.float64, numbers, count);
      integers[row] = integer;
    }
    writeTyped(sink, columnKinds.int32, integers, count);
  }

  /** Writes strings; false, and nothing written, when some value is not a string. */
  tryTexts(sink: ByteSink, values: readonly unknown[]): boolean {
    const count = values.length;
    const lengths = this.lengthScratch(count);
    let text = '';
    for (let row = 0; row < count; row++) {
      const value = values[row];
      if (typeof value !== 'string') return false;
      text += value;
      lengths[row] = value.length;
    }
    writeText(sink, text, lengths, count);
    return true;
  }

  /**
   * Writes one field of all rows straight from the objects, as the kind its values had so far. False, and nothing written,
   * when they have no common kind; the field remembers what it is not.
   */
  tryField(sink: ByteSink, rows: readonly Row[], field: EncoderField): boolean {
    if (field.kind === 'unknown') field.kind = kindOf((rows[0] as Row)[field.name]);
    if (field.kind === 'int32') {
      if (this.#tryInt32(sink, rows, field)) return true;
      field.kind = 'float64';
    }
    if (field.kind === 'float64') {
      if (this.#tryFloat64(sink, rows, field)) return true;
      field.kind = 'any';
    }
    if (field.kind === 'text') {
      if (this.#tryText(sink, rows, field)) return true;
      field.kind = 'any';
    }
    return false;
  }

  #tryInt32(sink: ByteSink, rows: readonly Row[], field: EncoderField): boolean {
    const integers = this.#int32Scratch(rows.length);
    if (field.gathers.int32(rows, integers) < rows.length) return false;
    writeTyped(sink, columnKinds.int32, integers, rows.length);
    return true;
  }

  #tryFloat64(sink: ByteSink, rows: readonly Row[], field: EncoderField): boolean {
    const numbers = this.#float64Scratch(rows.length);
    if (field.gathers.float64(rows, numbers) < rows.length) return false;
    writeTyped(sink, columnKinds.float64, numbers, rows.length);
    return true;
  }

  #tryText(sink: ByteSink, rows: readonly Row[], field: EncoderField): boolean {
    const lengths = this.lengthScratch(rows.length);
    const text = field.gathers.text(rows, lengths);
    if (text === null) return false;
    writeText(sink, text, lengths, rows.length);
    return true;
  }

  dates(sink: ByteSink, values: readonly Date[]): void {
    const times = this.#float64Scratch(values.length);
    for (let row = 0; row < values.length; row++) times[row] = (values[row] as Date).getTime();
    writeTyped(sink, columnKinds.date, times, values.length);
  }

  /** `undefined`, `null` and booleans. */
  simple(sink: ByteSink, values: readonly unknown[]): void {
    sink.ensure(values.length + 1);
    const buffer = sink.buffer;
    let position = sink.position;
    buffer[position++] = columnKinds.simple;
    for (let row = 0; row < values.length; row++) buffer[position++] = simpleCode(values[row]);
    sink.position = position;
  }

  /** The fallback: each value by the stored-value codec. False when one is refused. */
  tryValues(sink: ByteSink, values: readonly unknown[], depth: number): boolean {
    writeByte(sink, columnKinds.values);
    for (let row = 0; row < values.length; row++) if (!tryWriteValue(values[row], sink, depth)) return false;
    return true;
  }

  /** Room for the lengths of `count` strings or arrays, until the next call. */
  lengthScratch(count: number): Uint32Array {
    if (this.#lengths.length < count) this.#lengths = new Uint32Array(count * 2);
    return this.#lengths;
  }

  #float64Scratch(count: number): Float64Array {
    if (this.#float64.length < count) this.#float64 = new Float64Array(count * 2);
    return this.#float64;
  }

  #int32Scratch(count: number): Int32Array {
    if (this.#int32.length < count) this.#int32 = new Int32Array(count * 2);
    return this.#int32;
  }
}

export function writeByte(sink: ByteSink, byte: number): void {
  sink.ensure(1);
  sink.buffer[sink.position++] = byte;
}

function writeTyped(sink: ByteSink, kind: number, elements: Float64Array | Int32Array, count: number): void {
  const bytes = count * elements.BYTES_PER_ELEMENT;
  sink.ensure(bytes + 1);
  sink.buffer[sink.position++] = kind;
  sink.buffer.set(new Uint8Array(elements.buffer, 0, bytes), sink.position);
  sink.position += bytes;
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
