/**
 * One flat column of one row group as a stream of pages. Compressed bytes are read in windows, so memory is bounded by a few pages
 * however large the row group is (a parquet file of one row group with 100 M rows is legal).
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parquetHeader } from 'hyparquet/src/column.js';
import type { PageHeader } from 'hyparquet';
import { PageDecoder } from './page-decoder.ts';
import type { ColumnDecoder } from './page-decoder.ts';

/** Where a column chunk lies in the file, and how to read there. */
export interface ColumnChunkBytes {
  readonly start: number;
  readonly end: number;
  /** The bytes `from .. to - 1` of the file. */
  read(from: number, to: number): Promise<Buffer>;
}

const windowBytes = 1024 * 1024;
const headerFirstBytes = 64 * 1024;
const none: ArrayLike<unknown> = [];

export class ColumnStream {
  readonly #chunk: ColumnChunkBytes;
  readonly #decoder: PageDecoder;
  #window: Buffer = Buffer.alloc(0);
  /** Offset in the file of the window, and of the next page. */
  #windowStart: number;
  #next: number;
  #values: ArrayLike<unknown> = none;
  #taken = 0;
  #toSkip: number;

  /** @param skipRows rows at the start of the row group that are not wanted */
  constructor(chunk: ColumnChunkBytes, column: ColumnDecoder, skipRows: number) {
    this.#chunk = chunk;
    this.#decoder = new PageDecoder(column);
    this.#windowStart = chunk.start;
    this.#next = chunk.start;
    this.#toSkip = skipRows;
  }

  /** Rows that can be taken without reading. */
  get available(): number {
    return this.#values.length - this.#taken;
  }

  /** Reads pages until at least one row is available. */
  async fill(): Promise<void> {
    while (this.available === 0) {
      if (this.#next >= this.#chunk.end) throw new Error('a column chunk has fewer rows than its row group');
      await this.#readPage();
      // Decoding a page can take milliseconds; others in this thread get their turn between pages.
      await nextTurn();
    }
  }

  /** The next `count` rows, at most `available`. */
  take(count: number): ArrayLike<unknown> {
    const from = this.#taken;
    this.#taken += count;
    const values = this.#values;
    if (from === 0 && count === values.length) return values;
    return Array.isArray(values)
      ? values.slice(from, from + count)
      : (values as Float64Array).subarray(from, from + count);
  }

  async #readPage(): Promise<void> {
    const { header, headerBytes } = await this.#readHeader();
    const start = this.#next + headerBytes;
    const bytes = await this.#bytes(start, start + header.compressed_page_size);
    this.#next = start + header.compressed_page_size;
    if (header.type === 'DICTIONARY_PAGE') return this.#decoder.readDictionary(header, bytes);
    const rows = header.data_page_header?.num_values ?? header.data_page_header_v2?.num_values;
    if (rows === undefined) return;
    if (rows <= this.#toSkip) {
      this.#toSkip -= rows;
      return;
    }
    this.#values = this.#decoder.readValues(header, bytes);
    this.#taken = this.#toSkip;
    this.#toSkip = 0;
  }

  /** A header's length is known only after parsing it: tried with more bytes until it is whole. */
  async #readHeader(): Promise<{ header: PageHeader; headerBytes: number }> {
    for (let length = headerFirstBytes; ; length *= 4) {
      const end = Math.min(this.#next + length, this.#chunk.end);
      const bytes = await this.#bytes(this.#next, end);
      const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
      try {
        return { header: parquetHeader(reader), headerBytes: reader.offset };
      } catch (error) {
        if (!(error instanceof RangeError) || end === this.#chunk.end) throw error;
      }
    }
  }

  async #bytes(from: number, to: number): Promise<Buffer> {
    if (to > this.#chunk.end) throw new Error('a page reaches beyond its column chunk');
    if (from < this.#windowStart || to > this.#windowStart + this.#window.length) {
      const end = Math.min(this.#chunk.end, Math.max(to, from + windowBytes));
      this.#window = await this.#chunk.read(from, end);
      this.#windowStart = from;
      if (this.#window.length < to - from) throw new Error('the file ends inside a column chunk');
    }
    return this.#window.subarray(from - this.#windowStart, to - this.#windowStart);
  }
}
