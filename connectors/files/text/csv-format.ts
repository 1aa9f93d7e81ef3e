/** CSV records as objects: the header names the fields, the option `columns` gives some of them types. */
import { EngineError } from '../../../core/connector/index.ts';
import type { PlainData } from '../../../core/connector/index.ts';
import { nearestNames } from '../nearest-names.ts';
import { rowsBuilder } from '../row-builder.ts';
import type { BuildRows } from '../row-builder.ts';
import { QuoteFinder, findCsvRecordEnd, splitCsvFields } from './csv-fields.ts';
import { MalformedText, decodeUtf8, noRecord } from './text-format.ts';
import type { TextFormat } from './text-format.ts';

/** What the text of a CSV column is read as. */
export type CsvType = 'string' | 'number' | 'boolean';

export interface CsvShape {
  /** Names of the fields, or null when the first record has them. */
  readonly header: readonly string[] | null;
  /** One ASCII character. */
  readonly delimiter: string;
  /** Types by name; others are strings. */
  readonly columns: Readonly<Record<string, CsvType>>;
}

const space = 0x20;
const zero = 0x30;
/** The second characters of `0x10`, `0o10`, `0b10`. */
const radixMarks: ReadonlySet<number> = new Set([...'xXoObB'].map((mark) => mark.charCodeAt(0)));

type Convert = (text: string, name: string) => unknown;

const converters: Readonly<Record<CsvType, Convert>> = { string: (text) => text, number: toNumber, boolean: toBoolean };

export class CsvFormat<T> implements TextFormat<T> {
  readonly multiline = true;
  readonly #path: string;
  readonly #shape: CsvShape;
  readonly #framing: { readonly delimiter: number; readonly quotes: QuoteFinder };
  #names: readonly string[] | null = null;
  /** One per field; null where the field stays text. */
  #converters: readonly (Convert | null)[] = [];
  /** A field's value as a column of one row, as the row builder takes it. */
  #cells: unknown[][] = [];
  #build: BuildRows | null = null;

  /** @param state what `state()` of an earlier format of this file returned, or null */
  constructor(path: string, shape: CsvShape, state: PlainData) {
    this.#path = path;
    this.#shape = shape;
    this.#framing = { delimiter: shape.delimiter.charCodeAt(0), quotes: new QuoteFinder() };
    const names = (state as readonly string[] | null) ?? shape.header;
    if (names !== null) this.#setNames(names);
  }

  findEnd(buffer: Buffer, from: number): number {
    return findCsvRecordEnd(buffer, from, this.#framing);
  }

  decode(buffer: Buffer, from: number, to: number): T | typeof noRecord {
    const fields = splitCsvFields(decodeUtf8(buffer, from, to), this.#shape.delimiter);
    if (this.#names === null || this.#build === null) {
      this.#setNames(fields);
      return noRecord;
    }
    if (fields.length !== this.#names.length) {
      throw new MalformedText(`the record has ${fields.length} fields, the header ${this.#names.length}`);
    }
    for (let index = 0; index < fields.length; index++) {
      const text = fields[index] as string;
      const convert = this.#converters[index];
      (this.#cells[index] as unknown[])[0] = convert == null ? text : convert(text, this.#names[index] as string);
    }
    return this.#build(this.#cells, 0, 1)[0] as T;
  }

  state(): PlainData {
    return this.#names;
  }

  #setNames(names: readonly string[]): void {
    const repeated = names.find((name, index) => names.indexOf(name) !== index);
    if (repeated !== undefined)
      throw this.#invalid(
        'INPUT_MALFORMED',
        `has the column "${repeated}" twice in its header. Give the names with the option header`,
      );
    for (const name of Object.keys(this.#shape.columns)) {
      if (names.includes(name)) continue;
      const nearest = nearestNames(name, names).map((right) => `"${right}"`);
      throw this.#invalid(
        'PARAMETER_INVALID',
        `has no column "${name}", which the option columns gives a type. Nearest: ${nearest.join(', ')}`,
      );
    }
    this.#names = [...names];
    this.#converters = names.map((name) => {
      const type = Object.hasOwn(this.#shape.columns, name) ? this.#shape.columns[name] : undefined;
      return type === undefined || type === 'string' ? null : converters[type];
    });
    this.#cells = names.map(() => [null]);
    this.#build = rowsBuilder(names);
  }

  #invalid(code: 'INPUT_MALFORMED' | 'PARAMETER_INVALID', what: string): EngineError {
    return new EngineError(code, `${this.#path} ${what}.`, { ids: { path: this.#path } });
  }
}

/** Empty is null. Otherwise everything `Number` takes except its surprises: blanks around, hexadecimal, Infinity. */
function toNumber(text: string, name: string): number | null {
  const { length } = text;
  if (length === 0) return null;
  const number = Number(text);
  const isBlank = text.charCodeAt(0) <= space || text.charCodeAt(length - 1) <= space;
  if (
    Number.isFinite(number) &&
    !isBlank &&
    !(length > 2 && text.charCodeAt(0) === zero && radixMarks.has(text.charCodeAt(1)))
  )
    return number;
  throw new MalformedText(`"${text.slice(0, 40)}" in column "${name}" is not a number`);
}

function toBoolean(text: string, name: string): boolean | null {
  switch (text.toLowerCase()) {
    case '':
      return null;
    case 'true':
    case '1':
      return true;
    case 'false':
    case '0':
      return false;
    default:
      throw new MalformedText(`"${text.slice(0, 40)}" in column "${name}" is not true, false, 1 or 0`);
  }
}
