/**
 * Accumulators of one stretch of time, for all keys: a *pane* has a table of its own, so that dropping it is dropping a few
 * arrays. A tumbling window is one pane; a sliding one is several. Rows are addressed by key and start of the pane.
 */
import type { Key } from '../../../core/operators.ts';
import type { AggregateLayout } from '../../state/aggregate-layout.ts';
import { ColumnTable } from '../../state/column-table.ts';
import { encodedText } from '../../state/key-index.ts';
import { sortByBytes, sortedKeys } from '../../state/key-order.ts';
import { decodeNamespacedKey } from '../../state/keyed-table.ts';
import type { RowCache } from '../../state/row-cache.ts';
import type { TableOwner } from '../../state/row-table.ts';
import type { RestoredRow } from '../operator.ts';

export interface Pane {
  readonly start: number;
  readonly table: ColumnTable;
  /** Beside a database: the keys of all rows, in the cache or not, by encoded form. Null when the table has them all. */
  readonly keys: Map<string, Key> | null;
}

export interface PanesOptions {
  readonly owner: TableOwner;
  readonly stateName: string;
  readonly layout: AggregateLayout;
  readonly cache: RowCache;
  /** Called with the start of each pane that comes into being. */
  readonly created: (start: number) => void;
}

export class Panes {
  readonly stateName: string;
  readonly #options: PanesOptions;
  readonly #byStart = new Map<number, Pane>();
  /** The pane of the last record: the next one mostly belongs there too. */
  #last: Pane | null = null;

  constructor(options: PanesOptions) {
    this.stateName = options.stateName;
    this.#options = options;
  }

  /** Starts of all panes, in no order. */
  starts(): IterableIterator<number> {
    return this.#byStart.keys();
  }

  find(start: number): Pane | undefined {
    return this.#byStart.get(start);
  }

  /** The pane that starts at `start`, made if absent. */
  at(start: number): Pane {
    if (this.#last !== null && this.#last.start === start) return this.#last;
    const pane = this.#byStart.get(start) ?? this.#create(start);
    this.#last = pane;
    return pane;
  }

  /** Adds a record and returns the slot of its row. @throws what the user's functions throw; EngineError KEY_NOT_SUPPORTED */
  add(pane: Pane, key: Key, value: unknown): number {
    const slot = pane.table.add(key, value);
    if (pane.keys !== null) {
      const kept = pane.table.index.keyAt(slot);
      pane.keys.set(encodedText(kept), kept);
    }
    return slot;
  }

  /** The keys of a pane in key order. */
  sortedKeys(pane: Pane): Key[] {
    if (pane.keys !== null) return sortByBytes([...pane.keys.values()]);
    return sortedKeys(pane.table.index, pane.table.usedSlots());
  }

  /** Deletes all rows of a pane, and the pane. */
  delete(pane: Pane): void {
    if (pane.keys === null) for (const slot of pane.table.usedSlots()) pane.table.retireRow(slot);
    else for (const key of pane.keys.values()) pane.table.deleteUnread(key);
    this.drop(pane);
  }

  /** All rows of the pane are deleted: gives it up. */
  drop(pane: Pane): void {
    this.#byStart.delete(pane.start);
    if (this.#last === pane) this.#last = null;
    this.#options.cache.remove(pane.table);
    pane.table.retire();
  }

  restoreResident(row: RestoredRow): void {
    const { key, namespace } = decodeNamespacedKey(row.key);
    this.at(namespace).table.restoreRow(key, row.keyGroup, row.value);
  }

  /** Beside a database: the keys of restored rows. */
  noteRestored(row: RestoredRow): void {
    const { key, namespace } = decodeNamespacedKey(row.key);
    const keys = this.at(namespace).keys as Map<string, Key>;
    if (row.value === null) keys.delete(encodedText(key));
    else keys.set(encodedText(key), key);
  }

  #create(start: number): Pane {
    const { owner, stateName, layout, cache, created } = this.#options;
    const table = new ColumnTable(owner, stateName, layout, start);
    const pane = { start, table, keys: table.resident ? null : new Map<string, Key>() };
    this.#byStart.set(start, pane);
    cache.add(table);
    created(start);
    return pane;
  }
}
