/**
 * State of a key that is a head row and rows of its parts: a map with its entries, a list with its chunks. The head knows which
 * parts are in the table; a part is written without reading the others.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import { type EntryPlace, type EntryTable, type PartOwner, unreadEntry } from './entry-table.ts';
import { textOfBytes } from './key-index.ts';
import { KeyedTable } from './keyed-table.ts';
import type { EvictableTable } from './row-cache.ts';
import type { RowWrite, TableOwner } from './row-table.ts';

/** Live heads by slot; subclasses say what a head is and how it is written. */
export abstract class HeadTable<Head extends PartOwner> extends KeyedTable {
  readonly #parts: EntryTable<Head>;
  readonly #heads: (Head | undefined)[] = [];

  constructor(owner: TableOwner, stateName: string, parts: EntryTable<Head>) {
    super(owner, stateName, null);
    this.#parts = parts;
  }

  protected abstract newHead(): Head;
  /** Makes a head one without parts. Its object stays: tombstones of its parts may wait for a checkpoint. */
  protected abstract emptyHead(head: Head): void;

  headAt(slot: number): Head {
    return this.#heads[slot] as Head;
  }

  /** To be called before the head of a slot is changed. */
  beforeChange(slot: number): void {
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
  }

  override evictRow(slot: number, writes: RowWrite[]): void {
    const head = this.#heads[slot];
    if (head !== undefined) for (const partSlot of [...head.slots.values()]) this.#parts.evictRow(partSlot, writes);
    super.evictRow(slot, writes);
  }

  protected override createValue(slot: number): void {
    while (this.#heads.length <= slot) this.#heads.push(undefined);
    this.#heads[slot] ??= this.newHead();
  }

  protected override dropValue(slot: number): void {
    const head = this.#heads[slot];
    if (head !== undefined) this.emptyHead(head);
  }

  protected override dropKey(slot: number): void {
    super.dropKey(slot);
    this.#heads[slot] = undefined;
  }
}

/** A restored part and the key of its head. */
export interface RestoredPart {
  readonly key: Key;
  readonly text: string;
  readonly keyGroup: number;
  readonly value: Uint8Array;
}

/** What the tables of such state have in common. */
export abstract class PartTable<Head extends PartOwner, Heads extends HeadTable<Head>> implements EvictableTable {
  readonly heads: Heads;
  readonly partRows: EntryTable<Head>;
  protected readonly owner: TableOwner;
  /** Restored parts wait for their heads. */
  readonly #restored = new Map<string, RestoredPart>();

  constructor(owner: TableOwner, heads: Heads, partRows: EntryTable<Head>) {
    this.owner = owner;
    this.heads = heads;
    this.partRows = partRows;
  }

  /** Gives a restored part to its head. */
  protected abstract link(headSlot: number, part: RestoredPart): void;

  get usedCount(): number {
    return this.heads.usedCount + this.partRows.usedCount;
  }

  evictSome(count: number, writes: RowWrite[]): number {
    const evicted = this.partRows.evictSome(count, writes);
    return evicted + (evicted < count ? this.heads.evictSome(count - evicted, writes) : 0);
  }

  restoreRow(bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const { key, end } = decodeKey(bytes);
    if (end === bytes.length) return this.heads.restoreRow(key, keyGroup, value);
    const id = textOfBytes(bytes);
    if (value === null) this.#restored.delete(id);
    else this.#restored.set(id, { key, text: textOfBytes(bytes, end), keyGroup, value: value.slice() });
  }

  /** All rows were restored: parts are given to their heads. */
  linkRestored(): void {
    for (const part of this.#restored.values()) this.link(this.heads.find(part.key), part);
    this.#restored.clear();
  }

  protected placeOf(headSlot: number, text: string): EntryPlace<Head> {
    return { head: this.heads.headAt(headSlot), key: this.heads.index.keyAt(headSlot), text };
  }

  /** The bytes of a part in the database; undefined where there are none. Blocks. */
  protected readPart(place: EntryPlace<Head>, keyGroup: number): Uint8Array | undefined {
    return this.owner.backend.readBlocking(this.partRows.addressOf(keyGroup, this.partRows.rowKey(place)));
  }

  /** Beside a database a row not in the table may exist there: it counts as such, so that deleting it leaves a tombstone. */
  protected assumeStored(place: EntryPlace<Head>, keyGroup: number): void {
    if (this.owner.backend.resident || place.head.slots.has(place.text)) return;
    this.partRows.load(place, keyGroup, unreadEntry, false);
  }
}
