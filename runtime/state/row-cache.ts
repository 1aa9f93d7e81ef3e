/**
 * Bounds the rows that the tables of one state keep in the slot beside a database. Asked between records only: live
 * objects in the hands of user code are never evicted under it.
 */
import type { StateBackend } from './backend.ts';
import type { RowWrite } from './row-table.ts';

export interface EvictableTable {
  readonly usedCount: number;
  /** Evicts up to `count` rows that nothing pins, adding what the database does not have to `writes`. Returns how many. */
  evictSome(count: number, writes: RowWrite[]): number;
}

export class RowCache {
  readonly rowsMax: number;
  readonly #backend: StateBackend;
  readonly #tables = new Set<EvictableTable>();

  constructor(backend: StateBackend) {
    this.#backend = backend;
    this.rowsMax = backend.cachedRowsMax;
  }

  add(table: EvictableTable): void {
    this.#tables.add(table);
  }

  remove(table: EvictableTable): void {
    this.#tables.delete(table);
  }

  get usedCount(): number {
    let count = 0;
    for (const table of this.#tables) count += table.usedCount;
    return count;
  }

  /** Evicts down to `rowsMax`, or to what is pinned. */
  shrink(): void {
    if (this.#backend.resident) return;
    let excess = this.usedCount - this.rowsMax;
    if (excess <= 0) return;
    const writes: RowWrite[] = [];
    for (const table of this.#tables) {
      excess -= table.evictSome(excess, writes);
      if (excess <= 0) break;
    }
    if (writes.length > 0) this.#backend.write(writes);
  }
}
