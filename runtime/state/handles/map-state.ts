/** Map state; with a time to live, of each entry. */
import { decodeKey } from '../../../core/codec/key-codec.ts';
import type { Key } from '../../../core/operators.ts';
import type { MapState } from '../../../core/state/declarations.ts';
import { type ExpiringRows, ExpiryCleaner } from '../expiry.ts';
import { bytesOfText, textOfBytes } from '../key-index.ts';
import { MapTable } from '../map-table.ts';
import { readTime, rowVersion, type Timed } from '../row-layout.ts';
import type { Ttl } from '../ttl.ts';
import type { DeclaredState, KeyScope, StateParts } from './state-kind.ts';

class MapHandle implements MapState<Key, unknown> {
  readonly #table: MapTable;
  readonly #scope: KeyScope;

  constructor(table: MapTable, scope: KeyScope) {
    this.#table = table;
    this.#scope = scope;
  }

  get(key: Key): unknown {
    return this.#table.get(this.#scope.key, key);
  }

  has(key: Key): boolean {
    return this.#table.has(this.#scope.key, key);
  }

  set(key: Key, value: unknown): void {
    this.#table.set(this.#scope.key, key, value);
  }

  delete(key: Key): void {
    this.#table.delete(this.#scope.key, key);
  }

  entries(): IterableIterator<[Key, unknown]> {
    return this.#table.entries(this.#scope.key);
  }

  clear(): void {
    this.#table.clear(this.#scope.key);
  }
}

class TimedMapHandle implements MapState<Key, unknown> {
  readonly #table: MapTable;
  readonly #scope: KeyScope;
  readonly #ttl: Ttl;
  readonly #heads: ExpiryCleaner;
  readonly #entries: ExpiryCleaner;

  constructor(table: MapTable, scope: KeyScope, ttl: Ttl, heads: ExpiryCleaner, entries: ExpiryCleaner) {
    this.#table = table;
    this.#scope = scope;
    this.#ttl = ttl;
    this.#heads = heads;
    this.#entries = entries;
  }

  get(key: Key): unknown {
    const kept = this.#table.get(this.#scope.key, key) as Timed | undefined;
    return kept === undefined || !this.#isAlive(key, kept) ? undefined : kept.value;
  }

  has(key: Key): boolean {
    const kept = this.#table.get(this.#scope.key, key) as Timed | undefined;
    return kept !== undefined && this.#isAlive(key, kept);
  }

  set(key: Key, value: unknown): void {
    const record = this.#scope.key;
    const timed = { at: this.#ttl.stamp(), value };
    if (!this.#heads.tracks) return this.#table.set(record, key, timed);
    const wasSpilled = this.#table.isSpilled(record);
    this.#table.set(record, key, timed);
    if (!this.#table.isSpilled(record)) return this.#heads.noteWritten(textOfBytes(this.#table.heads.keyBytes(record)));
    this.#entries.noteWritten(this.#table.entryAddress(record, key));
    if (wasSpilled) return;
    // The entry that was one too many: from now on all of them are rows.
    for (const [other] of this.#table.entries(record))
      this.#entries.noteWritten(this.#table.entryAddress(record, other));
  }

  delete(key: Key): void {
    this.#table.delete(this.#scope.key, key);
  }

  *entries(): IterableIterator<[Key, unknown]> {
    for (const [key, kept] of this.#table.entries(this.#scope.key))
      if (this.#isAlive(key, kept as Timed)) yield [key, (kept as Timed).value];
  }

  clear(): void {
    this.#table.clear(this.#scope.key);
  }

  /** Removes an entry that has expired; renews one that is read. */
  #isAlive(key: Key, kept: Timed): boolean {
    if (this.#ttl.isExpired(kept.at)) {
      this.#table.delete(this.#scope.key, key);
      return false;
    }
    if (this.#ttl.renewedByReading) (this.#table.change(this.#scope.key, key) as Timed).at = this.#ttl.stamp();
    return true;
  }
}

/** Maps that are one row: their entries expire in it. */
class ExpiringHeads implements ExpiringRows {
  readonly #table: MapTable;
  readonly #ttl: Ttl;

  constructor(table: MapTable, ttl: Ttl) {
    this.#table = table;
    this.#ttl = ttl;
  }

  get flags(): Uint8Array {
    return this.#table.heads.flags;
  }

  get slotCount(): number {
    return this.#table.heads.index.slotCount;
  }

  expireSlot(slot: number): number {
    return this.#table.expireInline(slot, this.#ttl);
  }

  slotOf(address: string): number {
    return this.#table.heads.find(decodeKey(bytesOfText(address)).key);
  }
}

/** Entries of large maps, a row each. */
class ExpiringEntries implements ExpiringRows {
  readonly #table: MapTable;
  readonly #ttl: Ttl;

  constructor(table: MapTable, ttl: Ttl) {
    this.#table = table;
    this.#ttl = ttl;
  }

  get flags(): Uint8Array {
    return this.#table.partRows.flags;
  }

  get slotCount(): number {
    return this.#table.partRows.slotCount;
  }

  expireSlot(slot: number): number {
    const rows = this.#table.partRows;
    const kept = rows.valueAt(slot) as Timed;
    if (this.#ttl.isExpired(kept.at)) {
      const { key, text } = rows.placeAt(slot);
      this.#table.delete(key, decodeKey(bytesOfText(text)).key);
      return Number.POSITIVE_INFINITY;
    }
    if (kept.at !== kept.at) {
      rows.beforeChange(slot);
      kept.at = this.#ttl.stamp();
    }
    return kept.at + this.#ttl.durationMs;
  }

  slotOf(address: string): number {
    return this.#table.entrySlotOf(address);
  }
}

export function createMapState({ owner, name, scope, ttl }: StateParts): DeclaredState {
  const table = new MapTable(owner, name, ttl !== null);
  const { resident } = owner.backend;
  const cleaners =
    ttl === null
      ? null
      : {
          heads: new ExpiryCleaner(ttl, new ExpiringHeads(table, ttl), resident),
          entries: new ExpiryCleaner(ttl, new ExpiringEntries(table, ttl), resident),
        };
  const isTimed = ttl !== null && cleaners !== null;
  return {
    handle: isTimed
      ? new TimedMapHandle(table, scope, ttl, cleaners.heads, cleaners.entries)
      : new MapHandle(table, scope),
    rowKind: 'map',
    keyedTable: table.heads,
    evictable: table,
    cleaners: isTimed ? [cleaners.heads, cleaners.entries] : [],
    restoreRow: (key, keyGroup, value) => table.restoreRow(key, keyGroup, value),
    noteStored(key, value) {
      if (!isTimed) return;
      const cleaner = decodeKey(key).end === key.length ? cleaners.heads : cleaners.entries;
      const at = value[0] === rowVersion.timed ? readTime(value) : Number.NaN;
      cleaner.noteRow(textOfBytes(key), at + ttl.durationMs);
    },
    restored: () => table.linkRestored(),
  };
}
