/**
 * The rows of one key of an updating top-n, best first. Where they are never taken back and have no identity the best n are
 * enough; else all are kept, because the next best must be known when one leaves.
 *
 * Equal ranks are ordered by the key of `ties` where there is one, then by the stored form of the rows: the order never
 * depends on the order of arrival.
 */
import { compareBytes, encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';
import { encodedText } from '../state/key-index.ts';
import type { LiveForm } from '../state/live-table.ts';

/** A row and what it is ranked by. */
export interface RankedRow {
  readonly by: number;
  readonly row: unknown;
}

/** Rows of a key, best first. */
export interface Ranking {
  readonly rows: RankedRow[];
  /** Rows by unique key; null where rows have none. */
  readonly unique: Map<string, RankedRow> | null;
}

export interface RankingOptions {
  readonly ascending: boolean;
  readonly ties: ((row: unknown) => Key) | null;
  readonly uniqueBy: ((row: unknown) => Key) | null;
}

export class RankingForm implements LiveForm<Ranking> {
  readonly #options: RankingOptions;

  constructor(options: RankingOptions) {
    this.#options = options;
  }

  create(): Ranking {
    return { rows: [], unique: this.#options.uniqueBy === null ? null : new Map() };
  }

  toPlain({ rows }: Ranking): unknown {
    const flat: unknown[] = [];
    for (const { by, row } of rows) flat.push(by, row);
    return flat;
  }

  fromPlain(plain: unknown): Ranking {
    const flat = plain as readonly unknown[];
    const ranking = this.create();
    for (let index = 0; index < flat.length; index += 2) {
      const ranked = { by: flat[index] as number, row: flat[index + 1] };
      ranking.rows.push(ranked);
      if (ranking.unique !== null) ranking.unique.set(this.uniqueText(ranked.row), ranked);
    }
    return ranking;
  }

  /** Unique key of a row. @throws what the user's function throws */
  uniqueText(row: unknown): string {
    return encodedText((this.#options.uniqueBy as (row: unknown) => Key)(row));
  }

  /** Where a row belongs: behind all rows that are better or equal. */
  place(rows: readonly RankedRow[], ranked: RankedRow): number {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compare(rows[middle] as RankedRow, ranked) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Where a row that equals this one is, -1 where none is. */
  find(rows: readonly RankedRow[], ranked: RankedRow): number {
    const behind = this.place(rows, ranked) - 1;
    if (behind < 0 || this.#compare(rows[behind] as RankedRow, ranked) !== 0) return -1;
    return behind;
  }

  /** Below 0 when the left one is better. */
  #compare(left: RankedRow, right: RankedRow): number {
    if (left === right) return 0;
    const { ascending, ties } = this.#options;
    if (left.by !== right.by) return left.by < right.by === ascending ? -1 : 1;
    const tie = ties === null ? 0 : compareKeys(ties(left.row), ties(right.row));
    return tie !== 0 ? tie : compareBytes(encodeValueToBytes(left.row), encodeValueToBytes(right.row));
  }
}

/** Key order; the common kinds without encoding. */
function compareKeys(left: Key, right: Key): number {
  if (typeof left === 'number' && typeof right === 'number') {
    if (left < right) return -1;
    if (left > right) return 1;
    if (left === right) return 0;
  }
  return compareBytes(encodeKeyToBytes(left), encodeKeyToBytes(right));
}
