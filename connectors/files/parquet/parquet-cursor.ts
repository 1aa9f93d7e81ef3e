/**
 * Reads the rows of one split. At most two chunks are in memory: the one that is consumed and the one that is read ahead.
 * The position is the number of the next row in the file.
 */
import type { PlainData, SourceBatch, SplitCursor } from '../../../core/connector/index.ts';
import { rowsBuilder } from '../row-builder.ts';
import type { BuildRows } from '../row-builder.ts';
import type { ParquetFile, RowChunk, RowRange } from './parquet-file.ts';

const noChunk: RowChunk = { columns: [], firstRow: 0, rows: 0 };

export class ParquetCursor<T> implements SplitCursor<T> {
  readonly #file: ParquetFile;
  readonly #end: number;
  readonly #build: BuildRows;
  #chunk = noChunk;
  /** Read ahead and complete. */
  #arrived: RowChunk | null = null;
  /** Read ahead and not complete. */
  #reading: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;
  /** First row that no chunk has been asked for. */
  #unread: number;
  #nextRow: number;
  #batchRow: number;

  constructor(file: ParquetFile, range: RowRange) {
    this.#file = file;
    this.#end = range.end;
    this.#build = rowsBuilder(file.columns);
    this.#unread = range.start;
    this.#nextRow = range.start;
    this.#batchRow = range.start;
    this.#readAhead();
  }

  get ended(): boolean {
    return this.#nextRow >= this.#end;
  }

  poll(recordsMax: number): SourceBatch<T> | null {
    if (this.#nextRow >= this.#chunk.firstRow + this.#chunk.rows && !this.#takeArrived()) return null;
    const chunk = this.#chunk;
    const from = this.#nextRow - chunk.firstRow;
    const to = Math.min(from + recordsMax, chunk.rows);
    this.#batchRow = this.#nextRow;
    this.#nextRow = chunk.firstRow + to;
    return { values: this.#build(chunk.columns, from, to) as T[], timestamps: null };
  }

  async ready(): Promise<void> {
    if (this.#reading !== null && this.#arrived === null) await this.#reading;
    if (this.#failure !== null) throw this.#failure.error;
  }

  position(consumed: number): PlainData {
    return { row: this.#batchRow + consumed };
  }

  async close(): Promise<void> {
    this.#unread = this.#end;
    await this.#reading;
    await this.#file.close();
  }

  #takeArrived(): boolean {
    if (this.#arrived === null) return false;
    this.#chunk = this.#arrived;
    this.#arrived = null;
    this.#readAhead();
    return true;
  }

  #readAhead(): void {
    if (this.#unread >= this.#end) return;
    this.#reading = this.#file.readChunk(this.#unread, this.#end).then(
      (chunk) => {
        this.#arrived = chunk;
        this.#unread = Math.max(this.#unread, chunk.firstRow + chunk.rows);
        this.#reading = null;
      },
      (error: unknown) => {
        this.#failure = { error };
        this.#reading = null;
      },
    );
  }
}
