/**
 * Where rows of keyed state live beyond the cache of live objects in the slot.
 *
 * - memory: nowhere else. The cache has no floor, `resident` is true and nothing below is ever called.
 * - others (the cold test backend now, RocksDB later): in a database owned by the state host thread. The cache holds at most
 *   `cachedRowsMax` rows; absent rows are fetched by `fetch` (asynchronously, for a batch) or `readBlocking` (a read nobody
 *   could foresee).
 *
 * Writes are ordered before later reads of the same backend.
 */
import type { RowSpill } from './row-spill.ts';

export interface RowAddress {
  readonly operatorId: string;
  readonly stateName: string;
  readonly keyGroup: number;
  /** Encoded row key: key, namespace, user key. */
  readonly key: Uint8Array;
}

export interface StateBackend {
  /** True when the cache is all there is. */
  readonly resident: boolean;
  /** Rows kept in the cache of one table when nothing pins them; Infinity when resident. */
  readonly cachedRowsMax: number;
  /** When resident: how many rows of a table that rests are objects at least (resting-rows.ts). */
  readonly objectsMin?: number;
  /** Where changed rows wait for a checkpoint when they leave the cache; null when resident: none leave. */
  readonly spill: RowSpill | null;
  /** The values of rows, in order; undefined where absent. */
  fetch(rows: readonly RowAddress[]): Promise<(Uint8Array | undefined)[]>;
  /** Blocks the slot until the host answered. */
  readBlocking(row: RowAddress): Uint8Array | undefined;
  /** All rows whose key starts with `prefix`, in key order, blocking. */
  scanBlocking(prefix: RowAddress): { key: Uint8Array; value: Uint8Array }[];
  /** Puts (value) or deletes (null) rows. */
  write(rows: readonly { row: RowAddress; value: Uint8Array | null }[]): void;
  close(): Promise<void>;
}

/** Everything stays in the slot. */
export const memoryBackend: StateBackend = {
  resident: true,
  cachedRowsMax: Number.POSITIVE_INFINITY,
  spill: null,
  fetch: () => Promise.reject(new Error('the memory backend holds no rows outside the slot')),
  readBlocking: () => undefined,
  scanBlocking: () => [],
  write: () => undefined,
  close: () => Promise.resolve(),
};
