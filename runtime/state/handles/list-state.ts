/** List state; with a time to live, of each element. */
import { decodeKey } from '../../../core/codec/key-codec.ts';
import type { ListState } from '../../../core/state/declarations.ts';
import { type ExpiringRows, ExpiryCleaner } from '../expiry.ts';
import { bytesOfText, textOfBytes } from '../key-index.ts';
import { ListTable } from '../list-table.ts';
import type { DeclaredState, KeyScope, StateParts } from './state-kind.ts';

interface ListCleaners {
  readonly heads: ExpiryCleaner;
  readonly chunks: ExpiryCleaner;
}

class ListHandle implements ListState<object> {
  readonly #table: ListTable;
  readonly #scope: KeyScope;
  readonly #cleaners: ListCleaners | null;

  constructor(table: ListTable, scope: KeyScope, cleaners: ListCleaners | null) {
    this.#table = table;
    this.#scope = scope;
    this.#cleaners = cleaners;
  }

  add(value: unknown): void {
    const { key } = this.#scope;
    const sealed = this.#table.add(key, value);
    if (this.#cleaners?.heads.tracks !== true) return;
    this.#cleaners.heads.noteWritten(textOfBytes(this.#table.heads.keyBytes(key)));
    if (sealed !== null) this.#cleaners.chunks.noteWritten(sealed);
  }

  addAll(values: Iterable<unknown>): void {
    for (const value of values) this.add(value);
  }

  get(): IterableIterator<object> {
    return this.#table.elements(this.#scope.key) as IterableIterator<object>;
  }

  [Symbol.iterator](): IterableIterator<object> {
    return this.get();
  }

  update(values: Iterable<unknown>): void {
    // What replaces the list may be read from it.
    const replacement = [...values];
    this.clear();
    this.addAll(replacement);
  }

  clear(): void {
    this.#table.clear(this.#scope.key);
  }
}

const rowsOfHeads = (table: ListTable): ExpiringRows => ({
  get flags() {
    return table.heads.flags;
  },
  get slotCount() {
    return table.heads.index.slotCount;
  },
  expireSlot: (slot) => table.expireHead(slot),
  slotOf: (address) => table.heads.find(decodeKey(bytesOfText(address)).key),
});

const rowsOfChunks = (table: ListTable): ExpiringRows => ({
  get flags() {
    return table.partRows.flags;
  },
  get slotCount() {
    return table.partRows.slotCount;
  },
  expireSlot: (slot) => table.expireChunk(slot),
  slotOf: (address) => table.chunkSlotOf(address),
});

export function createListState({ owner, name, scope, ttl }: StateParts): DeclaredState {
  const table = new ListTable(owner, name, ttl);
  const { resident } = owner.backend;
  const cleaners =
    ttl === null
      ? null
      : {
          heads: new ExpiryCleaner(ttl, rowsOfHeads(table), resident),
          chunks: new ExpiryCleaner(ttl, rowsOfChunks(table), resident),
        };
  return {
    handle: new ListHandle(table, scope, cleaners),
    rowKind: 'list',
    keyedTable: table.heads,
    evictable: table,
    cleaners: cleaners === null ? [] : [cleaners.heads, cleaners.chunks],
    restoreRow: (key, keyGroup, value) => table.restoreRow(key, keyGroup, value),
    noteStored(key) {
      if (cleaners === null) return;
      const isHead = decodeKey(key).end === key.length;
      // When their elements expire is inside: they are looked at once, soon.
      (isHead ? cleaners.heads : cleaners.chunks).noteRow(textOfBytes(key), Number.NaN);
    },
    restored: () => table.linkRestored(),
  };
}
