/**
 * Decodes one data page of a flat column to an array with a value per row. Pages with dictionary indices and plain 64-bit integers,
 * which is nearly every page there is, are decoded here; hyparquet decodes the other encodings. The whole file of 3 M flights went
 * from 1.6 to several M rows/s with this.
 */
import { convert } from 'hyparquet/src/convert.js';
import { decompressPage, readDataPage, readDataPageV2 } from 'hyparquet/src/datapage.js';
import { readPlain } from 'hyparquet/src/plain.js';
import type { DecodedArray, PageHeader } from 'hyparquet';
import { decodeHybrid } from './level-decoder.ts';
import type { ByteWindow } from './level-decoder.ts';
import { plainInt64Numbers } from './plain-int64.ts';

/** What hyparquet's decoders are told of a column. */
export type ColumnDecoder = Parameters<typeof readDataPageV2>[2];

/** A data page split into its parts: which rows have a value, and the bytes of the values. */
interface PageParts {
  readonly rows: number;
  /** 1 where the row has a value, 0 where it is null; null when all have. */
  readonly present: Uint8Array | null;
  readonly encoding: string;
  readonly values: ByteWindow;
}

export class PageDecoder {
  readonly #column: ColumnDecoder;
  readonly #optional: boolean;
  #dictionary: ArrayLike<unknown> | null = null;

  /** @param column a flat column: one value per row, at most optional */
  constructor(column: ColumnDecoder) {
    this.#column = column;
    this.#optional = column.element.repetition_type !== 'REQUIRED';
  }

  /** Takes a dictionary page; its entries are converted here, once. */
  readDictionary(header: PageHeader, compressed: Uint8Array): void {
    const { type, element, codec, compressors } = this.#column;
    const page = decompressPage(compressed, header.uncompressed_page_size, codec, compressors);
    const count = header.dictionary_page_header?.num_values ?? 0;
    const reader = { view: new DataView(page.buffer, page.byteOffset, page.byteLength), offset: 0 };
    const plain = readPlain(reader, type, count, element.type_length);
    // An ordinary array of numbers or strings: reading a BigInt64Array would make a bigint per row.
    this.#dictionary = Array.from(convert(plain, this.#column) as ArrayLike<unknown>);
  }

  /** The values of a data page, null where the row has none. */
  readValues(header: PageHeader, compressed: Uint8Array): ArrayLike<unknown> {
    const parts = header.type === 'DATA_PAGE_V2' ? this.#splitV2(header, compressed) : this.#split(header, compressed);
    if (parts.encoding.endsWith('_DICTIONARY') && this.#dictionary !== null) return lookUp(parts, this.#dictionary);
    const { column, values } = { column: this.#column, values: parts.values };
    if (parts.encoding === 'PLAIN' && column.type === 'INT64') {
      const numbers = plainInt64Numbers(values, countPresent(parts), column.element);
      if (numbers !== null) return withNulls(numbers, parts);
    }
    return withNulls(this.#decodeOther(header, compressed, parts), parts);
  }

  #split(header: PageHeader, compressed: Uint8Array): PageParts {
    const page = header.data_page_header;
    if (page === undefined) throw new Error('a data page has no header');
    const { codec, compressors } = this.#column;
    const bytes = decompressPage(compressed, header.uncompressed_page_size, codec, compressors);
    const values: ByteWindow = { bytes, at: 0, end: bytes.length };
    let present: Uint8Array | null = null;
    if (this.#optional) {
      const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
      present = presentRows({ bytes, at: 4, end: 4 + length }, page.num_values);
      values.at = 4 + length;
    }
    return { rows: page.num_values, present, encoding: page.encoding, values };
  }

  #splitV2(header: PageHeader, compressed: Uint8Array): PageParts {
    const page = header.data_page_header_v2;
    if (page === undefined) throw new Error('a data page has no header');
    const { codec, compressors } = this.#column;
    const levelBytes = page.definition_levels_byte_length;
    const levelsAt = page.repetition_levels_byte_length;
    const present =
      this.#optional && levelBytes > 0
        ? presentRows({ bytes: compressed, at: levelsAt, end: levelsAt + levelBytes }, page.num_values)
        : null;
    const packed = compressed.subarray(levelsAt + levelBytes);
    const size = header.uncompressed_page_size - levelsAt - levelBytes;
    const bytes = page.is_compressed === false ? packed : decompressPage(packed, size, codec, compressors);
    return { rows: page.num_values, present, encoding: page.encoding, values: { bytes, at: 0, end: bytes.length } };
  }

  /** Values of the rows that have one, by hyparquet. It takes a page whole, so the page is decompressed again. */
  #decodeOther(header: PageHeader, compressed: Uint8Array, parts: PageParts): ArrayLike<unknown> {
    const { dataPage } =
      header.type === 'DATA_PAGE_V2' || header.data_page_header === undefined
        ? readDataPageV2(compressed, header, this.#column)
        : readDataPage(parts.values.bytes, header.data_page_header, this.#column);
    return convert(dataPage as DecodedArray, this.#column) as ArrayLike<unknown>;
  }
}

/** Null when every row has a value, the common case, which costs nothing further on. */
function presentRows(window: ByteWindow, rows: number): Uint8Array | null {
  const levels = new Uint8Array(rows);
  decodeHybrid(window, 1, levels);
  return levels.includes(0) ? levels : null;
}

function countPresent({ rows, present }: PageParts): number {
  if (present === null) return rows;
  let count = 0;
  for (let row = 0; row < rows; row++) count += present[row] as number;
  return count;
}

function lookUp(parts: PageParts, dictionary: ArrayLike<unknown>): ArrayLike<unknown> {
  const { values } = parts;
  const indices = new Int32Array(countPresent(parts));
  const bitWidth = indices.length === 0 ? 0 : (values.bytes[values.at++] as number);
  if (bitWidth > 0) decodeHybrid(values, bitWidth, indices);
  const output: unknown[] = new Array(indices.length);
  for (let index = 0; index < indices.length; index++) output[index] = dictionary[indices[index] as number];
  return withNulls(output, parts);
}

function withNulls(values: ArrayLike<unknown>, { rows, present }: PageParts): ArrayLike<unknown> {
  if (present === null) return values;
  const output: unknown[] = new Array(rows);
  let next = 0;
  for (let row = 0; row < rows; row++) output[row] = present[row] === 1 ? values[next++] : null;
  return output;
}
