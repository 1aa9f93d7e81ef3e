/** An open parquet file: its metadata, and chunks of its columns. */
import { resolve } from 'node:path';
import type { FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet';
import type { AsyncBuffer, FileMetaData, ParquetScan } from 'hyparquet/src/types.js';
import { compressors } from 'hyparquet-compressors';
import { EngineError } from '../../../core/connector/index.ts';
import { isEngineError } from '../../../core/errors.ts';
import { openPlannedInput, readFully } from '../input-file.ts';
import type { FileSplit } from '../input-file.ts';
import { checkedNumbers, chosenColumns, recordParsers, withNumericInt64 } from './parquet-columns.ts';
import type { Int64As } from './parquet-columns.ts';

export interface ParquetReadOptions {
  /** Columns to read, in the order records have them; null for all. */
  readonly columns: readonly string[] | null;
  readonly int64: Int64As;
  /** Whether byte arrays without a string annotation are strings (files of old writers). */
  readonly binaryAsString: boolean;
}

/** Decoded columns of the rows `firstRow .. firstRow + rows - 1`. */
export interface ColumnChunk {
  readonly columns: readonly ArrayLike<unknown>[];
  readonly firstRow: number;
  readonly rows: number;
}

export interface RowRange {
  readonly start: number;
  readonly end: number;
}

function asyncBuffer(handle: FileHandle, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    async slice(start, end = byteLength) {
      const from = start < 0 ? byteLength + start : start;
      const bytes = await readFully(handle, from, Math.max(0, end - from));
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    },
  };
}

/** Row ranges of the row groups, in file order. */
export function rowGroupRanges(metadata: FileMetaData): RowRange[] {
  let start = 0;
  return metadata.row_groups.map((group) => {
    const range = { start, end: start + Number(group.num_rows) };
    start = range.end;
    return range;
  });
}

function unreadable(path: string, error: unknown): EngineError {
  if (isEngineError(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new EngineError('INPUT_MALFORMED', `${path} cannot be read as parquet: ${text}. Check that the file is complete and a parquet file.`, {
    cause: error,
    ids: { path },
  });
}

export class ParquetFile {
  readonly path: string;
  readonly columns: readonly string[];
  readonly groups: readonly RowRange[];
  readonly #handle: FileHandle;
  readonly #scan: ParquetScan;
  readonly #options: ParquetReadOptions;

  private constructor(parts: { path: string; columns: readonly string[]; metadata: FileMetaData; handle: FileHandle; scan: ParquetScan; options: ParquetReadOptions }) {
    this.path = parts.path;
    this.columns = parts.columns;
    this.groups = rowGroupRanges(parts.metadata);
    this.#handle = parts.handle;
    this.#scan = parts.scan;
    this.#options = parts.options;
  }

  /** Opens the file of a split. Fails when it changed since planning, is no parquet file or lacks a column asked for. */
  static async open(split: FileSplit, workingDirectory: string, options: ParquetReadOptions): Promise<ParquetFile> {
    const path = resolve(workingDirectory, split.path);
    const handle = await openPlannedInput(split, workingDirectory);
    try {
      const file = asyncBuffer(handle, split.bytes);
      const read = await parquetMetadataAsync(file, { parsers: recordParsers, geoparquet: false });
      const metadata = options.int64 === 'number' ? withNumericInt64(read) : read;
      const available = parquetSchema(metadata).children.map((child) => child.element.name);
      const columns = chosenColumns(available, options.columns, path);
      const scan = await parquetScan({ file, metadata, columns: [...columns], compressors, parsers: recordParsers, utf8: options.binaryAsString });
      return new ParquetFile({ path, columns, metadata, handle, scan, options });
    } catch (error) {
      await handle.close();
      throw unreadable(path, error);
    }
  }

  /** The rows from `row` to the end of its row group, but not past `end`. */
  async readChunk(row: number, end: number): Promise<ColumnChunk> {
    const group = this.groups.find((range) => row >= range.start && row < range.end);
    if (group === undefined) throw new EngineError('INTERNAL', `row ${row} is in no row group of ${this.path}`, { domain: 'internal' });
    const rowEnd = Math.min(group.end, end);
    const columns: ArrayLike<unknown>[] = [];
    try {
      for (const column of this.columns) {
        const values = await this.#scan.readColumn({ column, rowStart: row, rowEnd });
        const place = { column, path: this.path, firstRow: row };
        columns.push(this.#options.int64 === 'number' ? checkedNumbers(values, place) : values);
      }
    } catch (error) {
      throw unreadable(this.path, error);
    }
    return { columns, firstRow: row, rows: rowEnd - row };
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
