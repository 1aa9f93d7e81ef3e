/**
 * What the columns of a parquet file become in a record: epoch milliseconds for dates and timestamps, numbers (checked) or
 * bigints for 64-bit integers, strings, bytes, null. hyparquet calls the parsers here once per dictionary entry and not
 * once per row where a column has a dictionary, which is why numbers are made there and not afterwards.
 */
import type { FileMetaData, ParquetParsers, SchemaElement } from 'hyparquet';
import { EngineError } from '../../../core/connector/index.ts';
import { nearestNames } from '../nearest-names.ts';

/** How INT64 columns arrive: as numbers, failing outside ±2^53, or as bigints. */
export type Int64As = 'number' | 'bigint';

const microsPerMs = 1000n;
const nanosPerMs = 1_000_000n;
const dayMs = 86_400_000;

/** Division rounding down: before 1970, truncation would move an instant into the next millisecond. */
function floorDivide(value: bigint, divisor: bigint): number {
  const quotient = value / divisor;
  return Number(value % divisor < 0n ? quotient - 1n : quotient);
}

/** Leaves integers that a number cannot hold as bigints; {@link checkedNumbers} reports them with their row. */
function integer(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

export const recordParsers: Partial<ParquetParsers> = {
  timestampFromMilliseconds: integer,
  timestampFromMicroseconds: (micros) => floorDivide(micros, microsPerMs),
  timestampFromNanoseconds: (nanos) => floorDivide(nanos, nanosPerMs),
  dateFromDays: (days) => days * dayMs,
};

/**
 * Metadata whose plain INT64 columns are declared as millisecond timestamps. hyparquet then gives them to
 * `timestampFromMilliseconds`, dictionary entries once each; otherwise it makes one bigint per row.
 */
export function withNumericInt64(metadata: FileMetaData): FileMetaData {
  return { ...metadata, schema: metadata.schema.map(numericInt64) };
}

function numericInt64(element: SchemaElement): SchemaElement {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (type !== 'INT64') return element;
  const signedInteger = logical === undefined || (logical.type === 'INTEGER' && logical.isSigned);
  if (!signedInteger || (converted !== undefined && converted !== 'INT_64')) return element;
  return {
    ...element,
    converted_type: undefined,
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  };
}

/** Where the values of a column come from; `firstRow` is the row of the first one in the file. */
interface ColumnPlace {
  readonly column: string;
  readonly path: string;
  readonly firstRow: number;
}

/** The values of a column, lists and structs included, with every remaining bigint made a number. */
export function checkedNumbers(values: ArrayLike<unknown>, place: ColumnPlace): ArrayLike<unknown> {
  if (!needsCheck(values)) return values;
  const numbers: unknown[] = new Array(values.length);
  for (let index = 0; index < values.length; index++) numbers[index] = numeric(values[index], place, index);
  return numbers;
}

function needsCheck(values: ArrayLike<unknown>): boolean {
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) return true;
  if (!Array.isArray(values)) return false;
  for (let index = 0; index < values.length; index++) {
    const type = typeof values[index];
    if (type === 'bigint' || (type === 'object' && values[index] !== null)) return true;
  }
  return false;
}

function numeric(value: unknown, place: ColumnPlace, index: number): unknown {
  if (typeof value === 'bigint') {
    const number = integer(value);
    if (typeof number === 'bigint') throw tooWide(number, place, index);
    return number;
  }
  if (Array.isArray(value)) return value.map((item) => numeric(item, place, index));
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, numeric(item, place, index)]));
}

function tooWide(value: bigint, place: ColumnPlace, index: number): EngineError {
  const row = place.firstRow + index;
  return new EngineError(
    'INPUT_MALFORMED',
    `column "${place.column}" of ${place.path} has the integer ${value} in row ${row}, which a JavaScript number cannot hold exactly (±2^53). Read the file with files.parquet(path, { int64: 'bigint' }), or leave the column out with the option columns.`,
    { ids: { path: place.path, column: place.column, row } },
  );
}

/** The columns to read, in the order asked for; all of the file when none are asked for. */
export function chosenColumns(
  available: readonly string[],
  asked: readonly string[] | null,
  path: string,
): readonly string[] {
  if (asked === null) return available;
  for (const column of asked) {
    if (available.includes(column)) continue;
    const nearest = nearestNames(column, available).map((name) => `"${name}"`);
    throw new EngineError(
      'PARAMETER_INVALID',
      `${path} has no column "${column}". Nearest: ${nearest.join(', ')}; it has ${available.length} columns. Correct the option columns.`,
      { ids: { path, column } },
    );
  }
  return asked;
}
