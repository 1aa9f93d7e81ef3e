/** An open parquet file: its metadata, and its rows as chunks of columns, read in order. */
import { resolve } from 'node:path';
import type { FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, parquetScan, parquetSchema } from 'hyparquet';
import { DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import type { AsyncBuffer, ColumnChunk, FileMetaData, ParquetScan, SchemaTree } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { EngineError } from '../../../core/connector/index.ts';
import { isEngineError } from '../../../core/errors.ts';
import { openPlannedInput, readFully } from '../input-file.ts';
import type { FileSplit } from '../input-file.ts';
import { ColumnStream } from './column-stream.ts';
import { NestedColumn } from './nested-column.ts';
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
export interface RowChunk {
  readonly columns: readonly ArrayLike<unknown>[];
  readonly firstRow: number;
  readonly rows: number;
}

export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** Rows of one column that are read in order. */
export interface ColumnRows {
  readonly available: number;
  fill(): Promise<void>;
  take(count: number): ArrayLike<unknown>;
}

const parsers = { ...DEFAULT_PARSERS, ...recordParsers };

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
function rowGroupRanges(metadata: FileMetaData): RowRange[] {
  let start = 0;
  return metadata.row_groups.map((group) => {
    const range = { start, end: start + Number(group.num_rows) };
    start = range.end;
    return range;
  });
}

function unreadable(path: string, error: unknown): EngineError {
  if (isEngineError(error) && 'path' in error.ids) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new EngineError(
    'INPUT_MALFORMED',
    `${path} cannot be read as parquet: ${text}. Check that the file is complete and a parquet file.`,
    {
      cause: error,
      ids: { path },
    },
  );
}

interface ParquetParts {
  readonly path: string;
  readonly handle: FileHandle;
  readonly metadata: FileMetaData;
  readonly tree: SchemaTree;
  readonly columns: readonly string[];
  readonly scan: ParquetScan;
  readonly options: ParquetReadOptions;
}

export class ParquetFile {
  readonly path: string;
  readonly columns: readonly string[];
  readonly groups: readonly RowRange[];
  readonly #parts: ParquetParts;
  /** The columns of the row group that is being read, all at the same row. */
  #open: readonly ColumnRows[] = [];
  #openRow = -1;

  private constructor(parts: ParquetParts) {
    this.path = parts.path;
    this.columns = parts.columns;
    this.groups = rowGroupRanges(parts.metadata);
    this.#parts = parts;
  }

  /** Opens the file of a split. Fails when it changed since planning, is no parquet file or lacks a column asked for. */
  static async open(split: FileSplit, workingDirectory: string, options: ParquetReadOptions): Promise<ParquetFile> {
    const path = resolve(workingDirectory, split.path);
    const handle = await openPlannedInput(split, workingDirectory);
    try {
      const file = asyncBuffer(handle, split.bytes);
      const read = await parquetMetadataAsync(file, { parsers: recordParsers, geoparquet: false });
      const metadata = options.int64 === 'number' ? withNumericInt64(read) : read;
      const tree = parquetSchema(metadata);
      const available = tree.children.map((child) => child.element.name);
      const columns = chosenColumns(available, options.columns, path);
      const scan = await parquetScan({
        file,
        metadata,
        columns: [...columns],
        compressors,
        parsers,
        utf8: options.binaryAsString,
      });
      return new ParquetFile({ path, handle, metadata, tree, columns, scan, options });
    } catch (error) {
      await handle.close();
      throw unreadable(path, error);
    }
  }

  /**
   * The rows from `row` on: as many as all columns have in memory after reading their next pages, within the row group and
   * before `end`. Cheap when called with the rows in order.
   */
  async readChunk(row: number, end: number): Promise<RowChunk> {
    const group = this.groups.findIndex((range) => row >= range.start && row < range.end);
    const range = this.groups[group];
    if (range === undefined)
      throw new EngineError('INTERNAL', `row ${row} is in no row group of ${this.path}`, { domain: 'internal' });
    try {
      if (row !== this.#openRow || row === range.start)
        this.#open = this.columns.map((column) => this.#openColumn(column, group, row));
      let rows = Math.min(range.end, end) - row;
      for (const column of this.#open) {
        if (column.available === 0) await column.fill();
        rows = Math.min(rows, column.available);
      }
      this.#openRow = row + rows;
      return { columns: this.#open.map((column, index) => this.#take(column, index, row, rows)), firstRow: row, rows };
    } catch (error) {
      throw unreadable(this.path, error);
    }
  }

  async close(): Promise<void> {
    await this.#parts.handle.close();
  }

  #take(column: ColumnRows, index: number, firstRow: number, rows: number): ArrayLike<unknown> {
    const values = column.take(rows);
    if (this.#parts.options.int64 === 'bigint') return values;
    return checkedNumbers(values, { column: this.columns[index] as string, path: this.path, firstRow });
  }

  #openColumn(column: string, group: number, row: number): ColumnRows {
    const { metadata, tree, scan, options, handle } = this.#parts;
    const range = this.groups[group] as RowRange;
    const child = tree.children.find(({ element }) => element.name === column);
    const chunk = metadata.row_groups[group]?.columns.find(({ meta_data: meta }) => meta?.path_in_schema[0] === column);
    const isFlat = child !== undefined && child.children.length === 0 && child.element.repetition_type !== 'REPEATED';
    if (!isFlat || chunk?.meta_data === undefined)
      return new NestedColumn(scan, column, { start: row, end: range.end });
    const { type, codec, path_in_schema: pathInSchema } = chunk.meta_data;
    const decoder = {
      pathInSchema,
      type,
      element: child.element,
      schemaPath: [tree, child],
      codec,
      parsers,
      compressors,
      utf8: options.binaryAsString,
    };
    const read = (from: number, to: number): Promise<Buffer> => readFully(handle, from, to - from);
    return new ColumnStream({ ...chunkBytes(chunk), read }, decoder, row - range.start);
  }
}

function chunkBytes({ meta_data: meta, file_path: elsewhere }: ColumnChunk): RowRange {
  if (meta === undefined || elsewhere !== undefined)
    throw new Error('its columns lie in other files, which is not supported');
  // Some writers leave the offset of the dictionary out: then the first "data" page is the dictionary.
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset);
  return { start, end: start + Number(meta.total_compressed_size) };
}
