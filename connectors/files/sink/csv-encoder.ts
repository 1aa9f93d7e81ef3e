/**
 * Records as CSV lines (RFC 4180, but with line feeds). Columns are those of the option or of the first record, and every record
 * must have the same: a column that appears later would be lost silently otherwise. Null and undefined are empty; an empty
 * string is quoted, so that it can be told from them, and from an empty line.
 */
import { EngineError } from '../../../core/connector/index.ts';
import type { RecordEncoder } from './record-encoder.ts';

export class CsvEncoder<T> implements RecordEncoder<T> {
  readonly extension = 'csv';
  readonly #delimiter: string;
  readonly #withHeader: boolean;
  #columns: readonly string[] | null;

  constructor(options: {
    readonly delimiter: string;
    readonly withHeader: boolean;
    readonly columns: readonly string[] | null;
  }) {
    this.#delimiter = options.delimiter;
    this.#withHeader = options.withHeader;
    this.#columns = options.columns;
  }

  header(): string {
    return this.#withHeader && this.#columns !== null ? this.#line(this.#columns) : '';
  }

  encode(value: T): string {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notARow(value);
    const row = value as Readonly<Record<string, unknown>>;
    this.#columns ??= Object.keys(row);
    const { length } = this.#columns;
    let known = 0;
    const cells: unknown[] = new Array(length);
    for (let index = 0; index < length; index++) {
      const name = this.#columns[index] as string;
      if (!Object.hasOwn(row, name)) continue;
      known++;
      cells[index] = row[name];
    }
    if (known < Object.keys(row).length) throw this.#unknownColumn(row);
    return this.#line(cells);
  }

  #line(cells: readonly unknown[]): string {
    let line = '';
    for (let index = 0; index < cells.length; index++) {
      if (index > 0) line += this.#delimiter;
      line += this.#cell(cells[index], index);
    }
    // A line without any character would not be a record for a reader.
    return line.length === 0 ? '""\n' : `${line}\n`;
  }

  #cell(value: unknown, index: number): string {
    if (value === null || value === undefined) return '';
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
    if (typeof value !== 'string') throw this.#notACell(value, index);
    if (value.length === 0) return '""';
    return value.includes(this.#delimiter) || /["\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  }

  #notACell(value: unknown, index: number): EngineError {
    const name = this.#columns?.[index] ?? String(index);
    const kind = typeof value === 'object' ? (value?.constructor?.name ?? 'object') : typeof value;
    return new EngineError(
      'VALUE_NOT_ENCODABLE',
      `field ${name} is a ${kind}, which a CSV cell cannot hold. Map the record before the sink to strings, numbers, booleans, dates or null.`,
      { ids: { field: name } },
    );
  }

  #unknownColumn(row: Readonly<Record<string, unknown>>): EngineError {
    const columns = this.#columns ?? [];
    const extra = Object.keys(row).find((name) => !columns.includes(name)) ?? '';
    return new EngineError(
      'VALUE_NOT_ENCODABLE',
      `field ${extra} is not one of the columns of the file (${columns.join(', ')}). Name all columns with the option sinkColumns, or map the record before the sink.`,
      { ids: { field: extra } },
    );
  }
}

function notARow(value: unknown): EngineError {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
  return new EngineError(
    'VALUE_NOT_ENCODABLE',
    `the record itself is ${kind}; a CSV line is made of an object. Map the record before the sink.`,
  );
}
