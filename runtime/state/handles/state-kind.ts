/** What a kind of state is to the operator that declares it: tables to restore, prefetch, evict and clean up. */
import type { Key } from '../../../core/operators.ts';
import type { ExpiryCleaner } from '../expiry.ts';
import type { KeyedTable } from '../keyed-table.ts';
import type { EvictableTable } from '../row-cache.ts';
import type { RowKind } from '../row-layout.ts';
import type { TableOwner } from '../row-table.ts';
import type { Ttl } from '../ttl.ts';

/** The key whose state the handles show. */
export interface KeyScope {
  key: Key;
}

/** What every kind of state is made of. */
export interface StateParts {
  readonly owner: TableOwner;
  readonly name: string;
  readonly scope: KeyScope;
  readonly ttl: Ttl | null;
}

/** One declared state of an operator. */
export interface DeclaredState {
  /** What user code is given. */
  readonly handle: object;
  readonly rowKind: RowKind;
  /** Rows known by the record key alone, which are fetched before a record is processed. */
  readonly keyedTable: KeyedTable;
  /** Everything the state keeps in the slot, for the cache. */
  readonly evictable: EvictableTable;
  readonly cleaners: readonly ExpiryCleaner[];
  /** A row of the restored checkpoint, in the memory backend. */
  restoreRow(key: Uint8Array, keyGroup: number, value: Uint8Array | null): void;
  /** A row of the restored checkpoint that went to the database. */
  noteStored(key: Uint8Array, value: Uint8Array): void;
  /** All rows were restored. */
  restored(): void;
}
