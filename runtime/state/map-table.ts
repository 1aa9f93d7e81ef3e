/**
 * Map state. A small map is one row (the *head*) with all entries inline; past `inlineEntriesMax` the head only says so and
 * every entry is a row of its own, addressed by key and map key. Iteration follows the encoded map keys in every backend.
 *
 * An emptied or cleared head keeps its object while tombstones of its entries wait for a checkpoint, so that an entry that
 * comes back takes its own slot: one checkpoint never has two rows of one address.
 *
 * With a time to live the kept value of every entry is a `Timed`; who calls knows.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeKey } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { EntryTable } from './entry-table.ts';
import { bytesOfText, encodedText, textOfBytes } from './key-index.ts';
import { describeKey } from './keyed-table.ts';
import { HeadTable, PartTable, type RestoredPart } from './part-table.ts';
import { plainLayout, rowVersion, type Timed, timedLayout, unknownRowVersion } from './row-layout.ts';
import type { TableOwner } from './row-table.ts';
import type { Ttl } from './ttl.ts';
import { isSurelyTooLarge, stateValueMaxBytes, valueEnvelopeBytes, valueTooLarge } from './value-limit.ts';

/** Entries of a map that is stored as one row. */
export const inlineEntriesMax = 64;

interface InlineEntry {
  readonly key: Key;
  readonly value: unknown;
}

/** The live form of one key's map. */
export class MapHead {
  spilled = false;
  /** Entries by encoded map key, while not spilled. */
  readonly inline = new Map<string, InlineEntry>();
  /** Slots of entry rows in the table by encoded map key: present, or remembered as deleted. */
  readonly slots = new Map<string, number>();
  /** Entry rows that exist; counted in the memory backend only, elsewhere nobody knows. */
  rowCount = 0;
}

class MapHeads extends HeadTable<MapHead> {
  readonly #timed: boolean;

  constructor(owner: TableOwner, stateName: string, entries: EntryTable<MapHead>, timed: boolean) {
    super(owner, stateName, entries);
    this.#timed = timed;
  }

  protected override newHead(): MapHead {
    return new MapHead();
  }

  protected override emptyHead(head: MapHead): void {
    head.inline.clear();
    head.spilled = false;
    head.rowCount = 0;
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    const head = this.headAt(slot);
    sink.ensure(2);
    sink.buffer[sink.position++] = this.#timed ? rowVersion.timedMap : rowVersion.plain;
    sink.buffer[sink.position++] = head.spilled ? 1 : 0;
    if (head.spilled) return;
    const entries = sortedEntries(head);
    if (this.#timed) encodeValue(entries.flatMap(timedParts), sink);
    else
      encodeValue(
        entries.flatMap((entry) => [entry.key, entry.value]),
        sink,
      );
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    const hasTimes = bytes[0] === rowVersion.timedMap;
    if (!hasTimes && bytes[0] !== rowVersion.plain) throw unknownRowVersion(bytes, this.stateName);
    this.createValue(slot);
    const head = this.headAt(slot);
    head.inline.clear();
    head.spilled = bytes[1] === 1;
    if (head.spilled) return;
    const flat = decodeValue(bytes, 2) as unknown[];
    for (let index = 0; index < flat.length; index += hasTimes ? 3 : 2) {
      const key = flat[index] as Key;
      const value = flat[index + 1];
      const at = hasTimes ? (flat[index + 2] as number) : Number.NaN;
      head.inline.set(encodedText(key), { key, value: this.#timed ? ({ at, value } satisfies Timed) : value });
    }
  }
}

function timedParts({ key, value }: InlineEntry): unknown[] {
  const timed = value as Timed;
  return [key, timed.value, timed.at];
}

function sortedEntries(head: MapHead): InlineEntry[] {
  return [...head.inline.keys()].sort().map((text) => head.inline.get(text) as InlineEntry);
}

export class MapTable extends PartTable<MapHead, MapHeads> {
  readonly #stateName: string;

  /** @param timed true where values are kept with the time of their last access */
  constructor(owner: TableOwner, stateName: string, timed: boolean = false) {
    const layout = timed ? timedLayout : plainLayout;
    const entryMaxBytes = stateValueMaxBytes + valueEnvelopeBytes;
    const entries = new EntryTable<MapHead>(owner, stateName, layout, 'map key', entryMaxBytes);
    super(owner, new MapHeads(owner, stateName, entries, timed), entries);
    this.#stateName = stateName;
  }

  #tooLarge(key: Key, mapKey: Key, value: string | Uint8Array): Error {
    const place = `${describeKey(key)}, map key ${describeKey(mapKey)}`;
    return valueTooLarge(this.owner.operatorId, this.#stateName, place, value.length);
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
    if (isSurelyTooLarge(value)) throw this.#tooLarge(key, mapKey, value as string | Uint8Array);
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

  /** The kept value of an entry that exists, which may be changed in place. */
  change(key: Key, mapKey: Key): unknown {
    const text = encodedText(mapKey);
    const headSlot = this.heads.find(key);
    const head = this.heads.headAt(headSlot);
    if (!head.spilled) {
      this.heads.upsert(key);
      return head.inline.get(text)?.value;
    }
    const slot = this.#entrySlot(headSlot, head, text);
    this.partRows.beforeChange(slot);
    return this.partRows.valueAt(slot);
  }

  /** The slot of the row of an entry of a large map, by the address of the row; -1 where there is none. */
  entrySlotOf(address: string): number {
    const bytes = bytesOfText(address);
    const { key, end } = decodeKey(bytes);
    const headSlot = this.heads.find(key);
    if (headSlot < 0 || end === bytes.length) return -1;
    const head = this.heads.headAt(headSlot);
    if (!head.spilled) return -1;
    const slot = this.#entrySlot(headSlot, head, address.slice(end));
    return slot >= 0 && this.partRows.isPresent(slot) ? slot : -1;
  }

  /** True when the entries of a key's map are rows of their own. */
  isSpilled(key: Key): boolean {
    const headSlot = this.heads.find(key);
    return headSlot >= 0 && this.heads.headAt(headSlot).spilled;
  }

  /** Address of the row that an entry has, or would have, in a large map. */
  entryAddress(key: Key, mapKey: Key): string {
    return textOfBytes(this.heads.keyBytes(key)) + encodedText(mapKey);
  }

  /** Removes the entries in the row of a map that have expired; see `ExpiringRows.expireSlot`. */
  expireInline(headSlot: number, ttl: Ttl): number {
    const head = this.heads.headAt(headSlot);
    if (head.spilled) return this.#expireSpilled(headSlot, head, ttl);
    let earliest = Number.POSITIVE_INFINITY;
    for (const [text, entry] of head.inline) {
      const kept = entry.value as Timed;
      if (ttl.isExpired(kept.at)) {
        this.heads.beforeChange(headSlot);
        head.inline.delete(text);
        continue;
      }
      if (kept.at !== kept.at) {
        this.heads.beforeChange(headSlot);
        kept.at = ttl.stamp();
      }
      if (kept.at < earliest) earliest = kept.at;
    }
    if (head.inline.size === 0) this.heads.deleteRow(headSlot);
    return earliest + ttl.durationMs;
  }

  /** The entries of a large map go by themselves; beside a database nobody counts them, so now and then they are looked for. */
  #expireSpilled(headSlot: number, head: MapHead, ttl: Ttl): number {
    if (this.owner.backend.resident) return Number.POSITIVE_INFINITY;
    let left = false;
    for (const slot of head.slots.values()) left ||= this.partRows.isPresent(slot);
    if (!left) for (const text of this.#scan(headSlot).keys()) left ||= !head.slots.has(text);
    if (left) return ttl.now + ttl.durationMs;
    this.heads.deleteRow(headSlot);
    return Number.POSITIVE_INFINITY;
  }

  clear(key: Key): void {
    const headSlot = this.heads.find(key);
    if (headSlot < 0) return;
    const head = this.heads.headAt(headSlot);
    if (head.spilled) {
      for (const text of this.#scan(headSlot).keys()) this.#deleteUnread(headSlot, head, text);
      for (const slot of [...head.slots.values()]) this.partRows.deleteRow(slot);
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
      if (unread) yield [decodeKey(bytesOfText(text)).key, this.partRows.decode(bytes)];
      else if (this.#hasEntry(slot, text)) yield [decodeKey(bytesOfText(text)).key, this.#valueOf(slot, text)];
    }
  }

  protected override link(headSlot: number, { key, text, keyGroup, value }: RestoredPart): void {
    assert(
      headSlot >= 0 && this.heads.headAt(headSlot).spilled,
      `entries of state '${this.heads.stateName}' have their head`,
    );
    const head = this.heads.headAt(headSlot);
    this.partRows.load({ head, key, text }, keyGroup, value, true);
    head.rowCount++;
  }

  #valueOf(headSlot: number, text: string): unknown {
    const head = this.heads.headAt(headSlot);
    if (!head.spilled) {
      this.heads.beforeHandOut(headSlot);
      return head.inline.get(text)?.value;
    }
    const slot = this.#entrySlot(headSlot, head, text);
    if (slot < 0 || !this.partRows.isPresent(slot)) return undefined;
    this.partRows.beforeHandOut(slot);
    return this.partRows.valueAt(slot);
  }

  #hasEntry(headSlot: number, text: string): boolean {
    const head = this.heads.headAt(headSlot);
    if (!head.spilled) return head.inline.has(text);
    const slot = this.#entrySlot(headSlot, head, text);
    return slot >= 0 && this.partRows.isPresent(slot);
  }

  /** The slot that knows an entry of a spilled map; reads the database, blocking, where the table does not know. */
  #entrySlot(headSlot: number, head: MapHead, text: string): number {
    const known = head.slots.get(text);
    if (known !== undefined) return known;
    if (this.owner.backend.resident) return -1;
    const place = this.placeOf(headSlot, text);
    const keyGroup = this.heads.keyGroups[headSlot] as number;
    return this.partRows.load(place, keyGroup, this.readPart(place, keyGroup), false);
  }

  #setEntry(headSlot: number, text: string, value: unknown): void {
    const head = this.heads.headAt(headSlot);
    const keyGroup = this.heads.keyGroups[headSlot] as number;
    const place = this.placeOf(headSlot, text);
    this.assumeStored(place, keyGroup);
    const known = head.slots.get(text);
    if (known === undefined || !this.partRows.isPresent(known)) head.rowCount++;
    this.partRows.put(place, keyGroup, ownValue(value));
  }

  #deleteEntry(headSlot: number, head: MapHead, text: string): void {
    this.#deleteUnread(headSlot, head, text);
    if (this.owner.backend.resident && head.rowCount === 0) this.heads.deleteRow(headSlot);
  }

  #deleteUnread(headSlot: number, head: MapHead, text: string): void {
    this.assumeStored(this.placeOf(headSlot, text), this.heads.keyGroups[headSlot] as number);
    const slot = head.slots.get(text);
    if (slot === undefined) return;
    if (this.partRows.isPresent(slot)) head.rowCount--;
    this.partRows.deleteRow(slot);
  }

  /** Stored entries of a spilled map by encoded map key; empty when the table has them all. */
  #scan(headSlot: number): Map<string, Uint8Array> {
    const rows = new Map<string, Uint8Array>();
    if (this.owner.backend.resident) return rows;
    const prefix = this.heads.rowKeyBytes(headSlot);
    const address = this.heads.addressOf(this.heads.keyGroups[headSlot] as number, prefix);
    for (const { key, value } of this.owner.backend.scanBlocking(address)) {
      if (key.length > prefix.length) rows.set(textOfBytes(key, prefix.length), value);
    }
    return rows;
  }

  #spill(headSlot: number, head: MapHead): void {
    head.spilled = true;
    for (const [text, entry] of head.inline) this.#setEntry(headSlot, text, entry.value);
    head.inline.clear();
  }
}
