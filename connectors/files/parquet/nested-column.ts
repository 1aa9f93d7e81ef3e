/** A nested column (list, map, struct), decoded by hyparquet, which takes the rest of the row group at once. */
import type { ParquetScan } from 'hyparquet';

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
    this.#values = await this.#scan.readColumn({
      column: this.#column,
      rowStart: this.#rows.start,
      rowEnd: this.#rows.end,
    });
    this.#taken = 0;
  }

  take(count: number): ArrayLike<unknown> {
    const taken: unknown[] = new Array(count);
    // hyparquet has undefined for some null lists; a record has null.
    for (let row = 0; row < count; row++) taken[row] = this.#values[this.#taken + row] ?? null;
    this.#taken += count;
    return taken;
  }
}
