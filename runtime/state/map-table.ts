/**
 * Map state. A small map is one row (the *head*) with all entries inline; past `inlineEntriesMax` the head only says so and
 * every entry is a row of its own, addressed by key and map key. Iteration follows the encoded map keys in every backend.
 *
 * An emptied or cleared head keeps its object while tombstones of its entries wait for a checkpoint, so that an entry that
 * comes back takes its own slot: one checkpoint never has two rows of one address.
 */
import { type ByteSink, ByteWriter } from '../../core/codec/byte-sink.ts';
import { decodeKey, encodeKey } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { bytesOfText, encodedText, textOfBytes } from './key-index.ts';
import { describeKey, KeyedTable } from './keyed-table.ts';
import { checkRowVersion, rowValueVersion } from './object-table.ts';
import type { EvictableTable } from './row-cache.ts';
import { rowFlag, RowTable, type RowWrite, type TableOwner } from './row-table.ts';

/** Entries of a map that is stored as one row. */
export const inlineEntriesMax = 64;

interface InlineEntry {
  readonly key: Key;
  readonly value: unknown;
}

/** The live form of one key's map. */
class MapHead {
  spilled = false;
  /** Entries by encoded map key, while not spilled. */
  readonly inline = new Map<string, InlineEntry>();
  /** Slots of entry rows in the table by encoded map key: present, or remembered as deleted. */
  readonly slots = new Map<string, number>();
}

class HeadTable extends KeyedTable {
  readonly entries: EntryTable;
  readonly #heads: (MapHead | undefined)[] = [];

  constructor(owner: TableOwner, stateName: string, entries: EntryTable) {
    super(owner, stateName, null);
    this.entries = entries;
  }

  headAt(slot: number): MapHead {
    return this.#heads[slot] as MapHead;
  }

  override evictRow(slot: number, writes: RowWrite[]): void {
    const head = this.#heads[slot];
    if (head !== undefined) for (const entrySlot of [...head.slots.values()]) this.entries.evictRow(entrySlot, writes);
    super.evictRow(slot, writes);
  }

  protected override createValue(slot: number): void {
    while (this.#heads.length <= slot) this.#heads.push(undefined);
    this.#heads[slot] ??= new MapHead();
  }

  protected override dropValue(slot: number): void {
    const head = this.#heads[slot];
    if (head === undefined) return;
    head.inline.clear();
    head.spilled = false;
  }

  protected override dropKey(slot: number): void {
    super.dropKey(slot);
    this.#heads[slot] = undefined;
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    const head = this.headAt(slot);
    sink.ensure(2);
    sink.buffer[sink.position++] = rowValueVersion;
    sink.buffer[sink.position++] = head.spilled ? 1 : 0;
    if (!head.spilled)
      encodeValue(
        sortedEntries(head).flatMap((entry) => [entry.key, entry.value]),
        sink,
      );
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    checkRowVersion(bytes, this.stateName);
    this.createValue(slot);
    const head = this.headAt(slot);
    head.inline.clear();
    head.spilled = bytes[1] === 1;
    if (head.spilled) return;
    const flat = decodeValue(bytes, 2) as unknown[];
    for (let index = 0; index < flat.length; index += 2) {
      const key = flat[index] as Key;
      head.inline.set(encodedText(key), { key, value: flat[index + 1] });
    }
  }
}

function sortedEntries(head: MapHead): InlineEntry[] {
  return [...head.inline.keys()].sort().map((text) => head.inline.get(text) as InlineEntry);
}

/** Where an entry row belongs. */
interface EntryPlace {
  readonly head: MapHead;
  readonly key: Key;
  readonly text: string;
}

class EntryTable extends RowTable {
  slotCount = 0;
  readonly #places: (EntryPlace | undefined)[] = [];
  readonly #values: unknown[] = [];
  readonly #free: number[] = [];
  #evictionHand = 0;

  valueAt(slot: number): unknown {
    return this.#values[slot];
  }

  put(place: EntryPlace, keyGroup: number, value: unknown): void {
    const known = place.head.slots.get(place.text);
    const slot = known ?? this.#insert(place);
    this.putRow(slot, keyGroup);
    this.#values[slot] = value;
  }

  /** A row as the checkpoint (`adopted`) or the database has it; undefined: it has none. */
  load(place: EntryPlace, keyGroup: number, bytes: Uint8Array | undefined, adopted: boolean): number {
    const slot = this.#insert(place);
    if (adopted) this.adoptRow(slot, keyGroup);
    else this.cacheRow(slot, keyGroup, bytes !== undefined);
    if (bytes !== undefined && bytes.length > 0) this.#values[slot] = decodeEntry(bytes, this.stateName);
    return slot;
  }

  rowKey(place: EntryPlace): Uint8Array {
    scratch.reset();
    this.#encode(place, scratch);
    return scratch.take();
  }

  evictSome(count: number, writes: RowWrite[]): number {
    let evicted = 0;
    for (let step = 0; step < this.slotCount && evicted < count; step++) {
      this.#evictionHand = this.#evictionHand + 1 >= this.slotCount ? 0 : this.#evictionHand + 1;
      if (((this.flags[this.#evictionHand] as number) & rowFlag.used) === 0) continue;
      this.evictRow(this.#evictionHand, writes);
      evicted++;
    }
    return evicted;
  }

  protected override encodeRowKey(slot: number, sink: ByteSink): void {
    this.#encode(this.#places[slot] as EntryPlace, sink);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    sink.ensure(1);
    sink.buffer[sink.position++] = rowValueVersion;
    encodeValue(this.#values[slot], sink);
  }

  protected override dropValue(slot: number): void {
    this.#values[slot] = undefined;
  }

  protected override dropKey(slot: number): void {
    const place = this.#places[slot] as EntryPlace;
    place.head.slots.delete(place.text);
    this.#places[slot] = undefined;
    this.#free.push(slot);
  }

  protected override describeKey(slot: number): string {
    const place = this.#places[slot] as EntryPlace;
    return `${describeKey(place.key)}, map key ${describeKey(decodeKey(bytesOfText(place.text)).key)}`;
  }

  #insert(place: EntryPlace): number {
    const slot = this.#free.pop() ?? this.slotCount++;
    while (slot >= this.capacity) this.growRows();
    while (this.#places.length <= slot) {
      this.#places.push(undefined);
      this.#values.push(undefined);
    }
    this.#places[slot] = place;
    place.head.slots.set(place.text, slot);
    return slot;
  }

  #encode(place: EntryPlace, sink: ByteSink): void {
    encodeKey(place.key, sink);
    const { text } = place;
    sink.ensure(text.length);
    for (let index = 0; index < text.length; index++) sink.buffer[sink.position++] = text.charCodeAt(index);
  }
}

const scratch = new ByteWriter(256);

function decodeEntry(bytes: Uint8Array, stateName: string): unknown {
  checkRowVersion(bytes, stateName);
  return decodeValue(bytes, 1);
}

export class MapTable implements EvictableTable {
  readonly heads: HeadTable;
  readonly #entries: EntryTable;
  readonly #owner: TableOwner;
  /** Restored entry rows wait for their heads. */
  readonly #restored = new Map<string, { key: Key; text: string; keyGroup: number; value: Uint8Array }>();

  constructor(owner: TableOwner, stateName: string) {
    this.#owner = owner;
    this.#entries = new EntryTable(owner, stateName);
    this.heads = new HeadTable(owner, stateName, this.#entries);
  }

  get usedCount(): number {
    return this.heads.usedCount + this.#entries.usedCount;
  }

  evictSome(count: number, writes: RowWrite[]): number {
    const evicted = this.#entries.evictSome(count, writes);
    return evicted + (evicted < count ? this.heads.evictSome(count - evicted, writes) : 0);
  }

  get(key: Key, mapKey: Key): unknown {
    const text = encodedText(mapKey);
    const headSlot = this.heads.find(key);
    return headSlot < 0 ? undefined : this.#valueOf(headSlot, text);
  }

  has(key: Key, mapKey: Key): boolean {
    const text = encodedText(mapKey);
    const headSlot = this.heads.find(key);
    return headSlot >= 0 && this.#hasEntry(headSlot, text);
  }

  set(key: Key, mapKey: Key, value: unknown): void {
    const text = encodedText(mapKey);
    const known = this.heads.find(key);
    if (known >= 0 && this.heads.headAt(known).spilled) return this.#setEntry(known, text, value);
    const slot = this.heads.upsert(key);
    const head = this.heads.headAt(slot);
    if (head.inline.size >= inlineEntriesMax && !head.inline.has(text)) {
      this.#spill(slot, head);
      return this.#setEntry(slot, text, value);
    }
    head.inline.set(text, { key: decodeKey(bytesOfText(text)).key, value: ownValue(value) });
  }

  delete(key: Key, mapKey: Key): void {
    const text = encodedText(mapKey);
    const headSlot = this.heads.find(key);
    if (headSlot < 0) return;
    const head = this.heads.headAt(headSlot);
    if (head.spilled) return this.#deleteEntry(headSlot, head, text);
    if (!head.inline.has(text)) return;
    this.heads.upsert(key);
    head.inline.delete(text);
    if (head.inline.size === 0) this.heads.deleteRow(headSlot);
  }

  clear(key: Key): void {
    const headSlot = this.heads.find(key);
    if (headSlot < 0) return;
    const head = this.heads.headAt(headSlot);
    if (head.spilled) {
      for (const text of this.#scan(headSlot).keys()) this.#deleteUnread(headSlot, head, text);
      for (const slot of [...head.slots.values()]) this.#entries.deleteRow(slot);
    }
    this.heads.deleteRow(headSlot);
  }

  /** Entries in the order of their encoded keys. Entries deleted meanwhile are left out, new ones are not visited. */
  *entries(key: Key): IterableIterator<[Key, unknown]> {
    const headSlot = this.heads.find(key);
    if (headSlot < 0) return;
    const head = this.heads.headAt(headSlot);
    const stored = head.spilled ? this.#scan(headSlot) : new Map<string, Uint8Array>();
    const texts = head.spilled ? [...new Set([...stored.keys(), ...head.slots.keys()])] : [...head.inline.keys()];
    for (const text of texts.sort()) {
      const slot = this.heads.find(key);
      if (slot < 0) return;
      const bytes = stored.get(text);
      // A row that nobody has touched is decoded from the scan instead of filling the cache.
      const unread = bytes !== undefined && head.spilled && !head.slots.has(text);
      if (unread) yield [decodeKey(bytesOfText(text)).key, decodeEntry(bytes, this.#entries.stateName)];
      else if (this.#hasEntry(slot, text)) yield [decodeKey(bytesOfText(text)).key, this.#valueOf(slot, text)];
    }
  }

  restoreRow(bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const { key, end } = decodeKey(bytes);
    if (end === bytes.length) return this.heads.restoreRow(key, keyGroup, value);
    const id = textOfBytes(bytes);
    if (value === null) this.#restored.delete(id);
    else this.#restored.set(id, { key, text: textOfBytes(bytes, end), keyGroup, value: value.slice() });
  }

  /** All rows were restored: entries are given to their heads. */
  linkRestored(): void {
    for (const { key, text, keyGroup, value } of this.#restored.values()) {
      const headSlot = this.heads.find(key);
      assert(
        headSlot >= 0 && this.heads.headAt(headSlot).spilled,
        `entries of state '${this.heads.stateName}' have their head`,
      );
      this.#entries.load({ head: this.heads.headAt(headSlot), key, text }, keyGroup, value, true);
    }
    this.#restored.clear();
  }

  #valueOf(headSlot: number, text: string): unknown {
    const head = this.heads.headAt(headSlot);
    if (!head.spilled) {
      this.heads.beforeHandOut(headSlot);
      return head.inline.get(text)?.value;
    }
    const slot = this.#entrySlot(headSlot, head, text);
    if (slot < 0 || !this.#entries.isPresent(slot)) return undefined;
    this.#entries.beforeHandOut(slot);
    return this.#entries.valueAt(slot);
  }

  #hasEntry(headSlot: number, text: string): boolean {
    const head = this.heads.headAt(headSlot);
    if (!head.spilled) return head.inline.has(text);
    const slot = this.#entrySlot(headSlot, head, text);
    return slot >= 0 && this.#entries.isPresent(slot);
  }

  /** The slot that knows an entry of a spilled map; reads the database, blocking, where the table does not know. */
  #entrySlot(headSlot: number, head: MapHead, text: string): number {
    const known = head.slots.get(text);
    if (known !== undefined) return known;
    if (this.#owner.backend.resident) return -1;
    const place = this.#place(headSlot, head, text);
    const keyGroup = this.heads.keyGroups[headSlot] as number;
    const bytes = this.#owner.backend.readBlocking(this.#entries.addressOf(keyGroup, this.#entries.rowKey(place)));
    return this.#entries.load(place, keyGroup, bytes, false);
  }

  #setEntry(headSlot: number, text: string, value: unknown): void {
    const head = this.heads.headAt(headSlot);
    const keyGroup = this.heads.keyGroups[headSlot] as number;
    const place = this.#place(headSlot, head, text);
    // Beside a database a row not in the table may exist there: it counts as such, so that deleting it leaves a tombstone.
    if (!this.#owner.backend.resident && !head.slots.has(text)) this.#entries.load(place, keyGroup, unreadEntry, false);
    this.#entries.put(place, keyGroup, ownValue(value));
  }

  #deleteEntry(headSlot: number, head: MapHead, text: string): void {
    this.#deleteUnread(headSlot, head, text);
    if (!this.#owner.backend.resident) return;
    for (const slot of head.slots.values()) if (this.#entries.isPresent(slot)) return;
    this.heads.deleteRow(headSlot);
  }

  #deleteUnread(headSlot: number, head: MapHead, text: string): void {
    let slot = head.slots.get(text);
    if (slot === undefined) {
      if (this.#owner.backend.resident) return;
      slot = this.#entries.load(
        this.#place(headSlot, head, text),
        this.heads.keyGroups[headSlot] as number,
        unreadEntry,
        false,
      );
    }
    this.#entries.deleteRow(slot);
  }

  /** Stored entries of a spilled map by encoded map key; empty when the table has them all. */
  #scan(headSlot: number): Map<string, Uint8Array> {
    const rows = new Map<string, Uint8Array>();
    if (this.#owner.backend.resident) return rows;
    const prefix = this.heads.rowKeyBytes(headSlot);
    const address = this.heads.addressOf(this.heads.keyGroups[headSlot] as number, prefix);
    for (const { key, value } of this.#owner.backend.scanBlocking(address)) {
      if (key.length > prefix.length) rows.set(textOfBytes(key, prefix.length), value);
    }
    return rows;
  }

  #spill(headSlot: number, head: MapHead): void {
    head.spilled = true;
    for (const [text, entry] of head.inline) this.#setEntry(headSlot, text, entry.value);
    head.inline.clear();
  }

  #place(headSlot: number, head: MapHead, text: string): EntryPlace {
    return { head, key: this.heads.index.keyAt(headSlot), text };
  }
}

/** Stands for a stored value nobody has read; only for a row that is put or deleted at once. */
const unreadEntry = new Uint8Array(0);
