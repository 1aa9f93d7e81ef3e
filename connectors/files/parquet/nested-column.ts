/** A nested column (list, map, struct), decoded by hyparquet, which takes the rest of the row group at once. */
import type { ParquetScan } from 'hyparquet/src/types.js';

export class NestedColumn {
  readonly #scan: ParquetScan;
  readonly #column: string;
  readonly #rows: { readonly start: number; readonly end: number };
  #values: ArrayLike<unknown> = [];
  #taken = 0;

  constructor(scan: ParquetScan, column: string, rows: { readonly start: number; readonly end: number }) {
    this.#scan = scan;
    this.#column = column;
    this.#rows = rows;
  }

  get available(): number {
    return this.#values.length - this.#taken;
  }

  async fill(): Promise<void> {
    this.#values = await this.#scan.readColumn({ column: this.#column, rowStart: this.#rows.start, rowEnd: this.#rows.end });
    this.#taken = 0;
  }

  take(count: number): ArrayLike<unknown> {
    this.#taken += count;
    return Array.prototype.slice.call(this.#values, this.#taken - count, this.#taken);
  }
}
