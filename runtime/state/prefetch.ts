/**
 * Makes the rows of a stretch of records (or of due timers) resident beside a database: one asynchronous fetch for all that
 * are absent, pinned until the next stretch. Only the subtask that asked waits; it is woken by `wake`.
 *
 * A stretch takes as many records as its rows fit into the cache, at least one. Rows nobody announced are read blocking by
 * the tables themselves, so this decides speed, never results.
 */
import type { Key } from '../../core/operators.ts';
import type { RowAddress, StateBackend } from './backend.ts';
import type { KeyedTable } from './keyed-table.ts';
import { textOfBytes } from './key-index.ts';
import type { RowCache } from './row-cache.ts';
import { rowFlag } from './row-table.ts';

interface AbsentRow {
  readonly table: KeyedTable;
  readonly key: Key;
  readonly address: RowAddress;
}

export class Prefetch {
  readonly #backend: StateBackend;
  readonly #caches: readonly RowCache[];
  readonly #wake: () => void;
  readonly #fail: (error: unknown) => void;
  #pinnedTables: KeyedTable[] = [];
  #pinnedSlots: number[] = [];
  readonly #absent = new Map<string, AbsentRow>();
  readonly #rowsOfState = new Map<string, number>();
  #fetching = false;
  #closed = false;
  /** The stretch that is resident: whose it is, where it starts, how long it is. */
  #owner: object | null = null;
  #from = 0;
  #count = 0;

  constructor(backend: StateBackend, caches: readonly RowCache[], wake: () => void, fail: (error: unknown) => void) {
    this.#backend = backend;
    this.#caches = caches;
    this.#wake = wake;
    this.#fail = fail;
  }

  /**
   * How many of the items `from .. length - 1` of `owner` have their rows in the slot; 0 while they are being fetched.
   * @param want calls `need` for every row that item `index` is known to need
   */
  prepare(owner: object, from: number, length: number, want: (index: number) => void): number {
    if (this.#backend.resident) return length - from;
    if (this.#fetching) return 0;
    if (this.#owner === owner && this.#from === from && this.#count > 0) return Math.min(this.#count, length - from);
    if (!this.#spillHasRoom()) return 0;
    this.#release();
    this.#plan(owner, from, length, want);
    if (this.#absent.size === 0) return this.#count;
    this.#fetch();
    return 0;
  }

  /** One row that the item being planned needs. @throws EngineError KEY_NOT_SUPPORTED */
  need(table: KeyedTable, key: Key): void {
    const slot = table.index.find(key);
    if (slot >= 0) {
      if (((table.flags[slot] as number) & rowFlag.pinned) === 0) this.#countRow(table.stateName);
      return this.#pin(table, slot);
    }
    const bytes = table.keyBytes(key);
    const id = `${table.stateName}\0${textOfBytes(bytes)}`;
    if (this.#absent.has(id)) return;
    this.#absent.set(id, { table, key, address: table.addressOf(table.keyGroupOf(key), bytes) });
    this.#countRow(table.stateName);
  }

  /** The stretch is used up: the next call plans anew. Its rows stay pinned until then. */
  forgetStretch(): void {
    this.#owner = null;
  }

  close(): void {
    this.#closed = true;
  }

  /** A stretch makes the cache evict as many rows as it brings in; it waits while what was evicted before is under way. */
  #spillHasRoom(): boolean {
    const { spill } = this.#backend;
    if (spill === null || spill.hasRoom) return true;
    spill.whenRoom(() => {
      if (!this.#closed) this.#wake();
    });
    return false;
  }

  #plan(owner: object, from: number, length: number, want: (index: number) => void): void {
    const rowsMax = this.#backend.cachedRowsMax;
    this.#owner = owner;
    this.#from = from;
    this.#count = 0;
    this.#rowsOfState.clear();
    for (let index = from; index < length && this.#rowsBelow(rowsMax); index++) {
      try {
        want(index);
      } catch {
        // The item's own processing meets the same error (a key that is refused) and handles it.
      }
      this.#count++;
    }
  }

  #rowsBelow(rowsMax: number): boolean {
    for (const rows of this.#rowsOfState.values()) if (rows >= rowsMax) return false;
    return true;
  }

  #countRow(stateName: string): void {
    this.#rowsOfState.set(stateName, (this.#rowsOfState.get(stateName) ?? 0) + 1);
  }

  #pin(table: KeyedTable, slot: number): void {
    const flags = table.flags[slot] as number;
    if ((flags & rowFlag.pinned) !== 0) return;
    table.flags[slot] = flags | rowFlag.pinned;
    this.#pinnedTables.push(table);
    this.#pinnedSlots.push(slot);
  }

  #release(): void {
    for (let index = 0; index < this.#pinnedSlots.length; index++) {
      const { flags } = this.#pinnedTables[index] as KeyedTable;
      const slot = this.#pinnedSlots[index] as number;
      flags[slot] = (flags[slot] as number) & ~rowFlag.pinned;
    }
    this.#pinnedTables = [];
    this.#pinnedSlots = [];
    this.#owner = null;
    this.#count = 0;
    for (const cache of this.#caches) cache.shrink();
  }

  #fetch(): void {
    this.#fetching = true;
    const rows = [...this.#absent.values()];
    this.#absent.clear();
    this.#backend.fetch(rows.map((row) => row.address)).then(
      (values) => {
        if (!this.#closed) this.#arrived(rows, values);
      },
      (error: unknown) => {
        this.#fetching = false;
        if (!this.#closed) this.#fail(error);
      },
    );
  }

  #arrived(rows: readonly AbsentRow[], values: readonly (Uint8Array | undefined)[]): void {
    this.#fetching = false;
    try {
      for (let index = 0; index < rows.length; index++) {
        const { table, key, address } = rows[index] as AbsentRow;
        this.#pin(table, table.cacheFetched(key, address.keyGroup, values[index]));
      }
      for (const cache of this.#caches) cache.shrink();
    } catch (error) {
      return this.#fail(error);
    }
    this.#wake();
  }
}
