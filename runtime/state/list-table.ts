/**
 * List state. The newest elements stand in the head row of the key; when there are `chunkElementsMax` they become a row of
 * their own, a *chunk*, addressed by key and number. So adding touches the head and, now and then, a new chunk; it never
 * reads or writes an earlier one, and a checkpoint writes what was added.
 *
 * With a time to live every element has the time of its last access; a chunk goes when all its elements have expired, so
 * numbers may be missing between the first chunk and the next one.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeKey } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { EntryTable } from './entry-table.ts';
import { bytesOfText, encodedText, textOfBytes } from './key-index.ts';
import { HeadTable, PartTable, type RestoredPart } from './part-table.ts';
import { rowVersion, unknownRowVersion, type ValueLayout } from './row-layout.ts';
import type { TableOwner } from './row-table.ts';
import type { Ttl } from './ttl.ts';

/** Elements of a chunk, and of the head before it becomes one. */
export const chunkElementsMax = 64;

/** Elements with the times of their last access; `times` is empty without a time to live. */
export interface Elements {
  values: unknown[];
  times: number[];
}

/** The live form of one key's list. */
class ListHead {
  /** Numbers of the first chunk there may be and of the next one. */
  firstChunk = 0;
  nextChunk = 0;
  /** Chunks that exist. */
  chunkCount = 0;
  /** The newest elements. */
  tail: Elements = { values: [], times: [] };
  readonly slots = new Map<string, number>();
  /** Changes when the list is cleared: an iteration under way ends. */
  generation = 0;
}

const chunkLayout = (timed: boolean): ValueLayout => ({
  encode(kept, sink) {
    writeVersion(timed, sink);
    encodeValue(partsOf(kept as Elements, timed), sink);
  },
  decode(bytes, stateName) {
    return elementsOf(bytes, readParts(bytes, stateName), 0, timed);
  },
});

class ListHeads extends HeadTable<ListHead> {
  readonly #timed: boolean;

  constructor(owner: TableOwner, stateName: string, chunks: EntryTable<ListHead>, timed: boolean) {
    super(owner, stateName, chunks);
    this.#timed = timed;
  }

  protected override newHead(): ListHead {
    return new ListHead();
  }

  protected override emptyHead(head: ListHead): void {
    head.firstChunk = 0;
    head.nextChunk = 0;
    head.chunkCount = 0;
    head.tail = { values: [], times: [] };
    head.generation++;
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    const { firstChunk, nextChunk, chunkCount, tail } = this.headAt(slot);
    writeVersion(this.#timed, sink);
    encodeValue([firstChunk, nextChunk, chunkCount, ...partsOf(tail, this.#timed)], sink);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    const parts = readParts(bytes, this.stateName);
    this.createValue(slot);
    const head = this.headAt(slot);
    head.firstChunk = parts[0] as number;
    head.nextChunk = parts[1] as number;
    head.chunkCount = parts[2] as number;
    head.tail = elementsOf(bytes, parts, 3, this.#timed);
  }
}

function writeVersion(timed: boolean, sink: ByteSink): void {
  sink.ensure(1);
  sink.buffer[sink.position++] = timed ? rowVersion.timedList : rowVersion.list;
}

function partsOf({ values, times }: Elements, timed: boolean): unknown[] {
  return timed ? [values, Float64Array.from(times)] : [values];
}

function readParts(bytes: Uint8Array, stateName: string): unknown[] {
  if (bytes[0] !== rowVersion.list && bytes[0] !== rowVersion.timedList) throw unknownRowVersion(bytes, stateName);
  return decodeValue(bytes, 1) as unknown[];
}

function elementsOf(bytes: Uint8Array, parts: readonly unknown[], from: number, timed: boolean): Elements {
  const values = parts[from] as unknown[];
  if (!timed) return { values, times: [] };
  const stored = bytes[0] === rowVersion.timedList ? (parts[from + 1] as Float64Array) : null;
  return { values, times: stored === null ? values.map(() => Number.NaN) : [...stored] };
}

export class ListTable extends PartTable<ListHead, ListHeads> {
  readonly #ttl: Ttl | null;

  /** @param ttl time to live of each element, null for ever */
  constructor(owner: TableOwner, stateName: string, ttl: Ttl | null = null) {
    const chunks = new EntryTable<ListHead>(owner, stateName, chunkLayout(ttl !== null), 'chunk');
    super(owner, new ListHeads(owner, stateName, chunks, ttl !== null), chunks);
    this.#ttl = ttl;
  }

  /** Adds an element. Returns the address of the chunk that became full with it, or null. */
  add(key: Key, value: unknown): string | null {
    const owned = ownValue(value);
    const slot = this.heads.upsert(key);
    const head = this.heads.headAt(slot);
    head.tail.values.push(owned);
    if (this.#ttl !== null) head.tail.times.push(this.#ttl.stamp());
    return head.tail.values.length < chunkElementsMax ? null : this.#sealTail(slot, head);
  }

  clear(key: Key): void {
    const headSlot = this.heads.find(key);
    if (headSlot < 0) return;
    const head = this.heads.headAt(headSlot);
    for (let number = head.firstChunk; number < head.nextChunk; number++) this.#deleteChunk(headSlot, head, number);
    this.heads.deleteRow(headSlot);
  }

  /**
   * The elements that have not expired, oldest first. What is added meanwhile is not visited; ends when the list is cleared.
   * A chunk that is not in the table is decoded without filling the cache.
   */
  *elements(key: Key): IterableIterator<unknown> {
    const headSlot = this.heads.find(key);
    if (headSlot < 0) return;
    const head = this.heads.headAt(headSlot);
    const { generation, firstChunk, nextChunk, tail } = head;
    const tailCount = tail.values.length;
    for (let number = firstChunk; number <= nextChunk; number++) {
      const part = number === nextChunk ? tail : this.#readChunk(this.heads.find(key), number);
      if (part === null) continue;
      const count = number === nextChunk ? tailCount : part.values.length;
      if (number === nextChunk) this.heads.beforeHandOut(this.heads.find(key));
      const alive = this.#ttl === null ? null : this.#alive(part, count, this.#ttl);
      if (this.#ttl?.renewedByReading === true) this.#renew(key, number, part, count, alive as boolean[]);
      for (let index = 0; index < count; index++) {
        if (alive !== null && alive[index] === false) continue;
        yield part.values[index];
        // `clear` and `update` drop the value of the head, and so does its last element when it expires.
        if (head.generation !== generation) return;
      }
    }
  }

  /** Which elements have not expired, as of now. */
  #alive({ times }: Elements, count: number, ttl: Ttl): boolean[] {
    return Array.from({ length: count }, (_, index) => !ttl.isExpired(times[index] as number));
  }

  /** Reading renews: the elements that have not expired get a new time. */
  #renew(key: Key, number: number, part: Elements, count: number, alive: readonly boolean[]): void {
    const headSlot = this.heads.find(key);
    const head = this.heads.headAt(headSlot);
    const at = (this.#ttl as Ttl).stamp();
    let kept = part;
    // The tail that this iteration saw may have become a chunk meanwhile.
    if (part === head.tail) this.heads.beforeChange(headSlot);
    else {
      const slot = this.chunkSlot(headSlot, encodedText(number));
      if (slot < 0) return;
      this.partRows.beforeChange(slot);
      kept = this.partRows.valueAt(slot) as Elements;
    }
    for (let index = 0; index < count; index++) if (alive[index] === true) kept.times[index] = at;
  }

  /** Removes what has expired in the head of a slot; see `ExpiringRows.expireSlot`. Chunks are rows of their own. */
  expireHead(headSlot: number): number {
    const ttl = this.#ttl as Ttl;
    const head = this.heads.headAt(headSlot);
    const { tail } = head;
    const stamp = ttl.stamp();
    if (tail.times.some((at) => at !== at) && stamp === stamp) {
      this.heads.beforeChange(headSlot);
      tail.times = tail.times.map((at) => (at === at ? at : stamp));
    }
    if (tail.times.some((at) => ttl.isExpired(at))) {
      this.heads.beforeChange(headSlot);
      const alive = this.#alive(tail, tail.values.length, ttl);
      // A new object: an iteration under way goes on with the one it saw.
      head.tail = {
        values: tail.values.filter((_, index) => alive[index]),
        times: tail.times.filter((_, index) => alive[index]),
      };
    }
    if (head.tail.values.length === 0) {
      if (head.chunkCount === 0) this.heads.deleteRow(headSlot);
      return Number.POSITIVE_INFINITY;
    }
    return Math.min(...head.tail.times) + ttl.durationMs;
  }

  /** Removes a chunk whose elements have all expired; see `ExpiringRows.expireSlot`. */
  expireChunk(slot: number): number {
    const ttl = this.#ttl as Ttl;
    const elements = this.partRows.valueAt(slot) as Elements;
    const stamp = ttl.stamp();
    if (elements.times.some((at) => at !== at) && stamp === stamp) {
      this.partRows.beforeChange(slot);
      elements.times = elements.times.map((at) => (at === at ? at : stamp));
    }
    const newest = Math.max(...elements.times);
    if (!ttl.isExpired(newest)) return newest + ttl.durationMs;
    this.#dropChunk(slot);
    return Number.POSITIVE_INFINITY;
  }

  protected override link(headSlot: number, { key, text, keyGroup, value }: RestoredPart): void {
    assert(headSlot >= 0, `chunks of state '${this.heads.stateName}' have their head`);
    this.partRows.load({ head: this.heads.headAt(headSlot), key, text }, keyGroup, value, true);
  }

  #dropChunk(slot: number): void {
    const { key, head, text } = this.partRows.placeAt(slot);
    const headSlot = this.heads.find(key);
    this.heads.beforeChange(headSlot);
    this.partRows.deleteRow(slot);
    head.chunkCount--;
    if (head.firstChunk === decodeKey(bytesOfText(text)).key) head.firstChunk++;
    if (head.chunkCount === 0 && head.tail.values.length === 0) this.heads.deleteRow(headSlot);
  }

  /** The slot of a chunk by the address of its row; -1 where there is none. */
  chunkSlotOf(address: string): number {
    const bytes = bytesOfText(address);
    const { key, end } = decodeKey(bytes);
    const headSlot = this.heads.find(key);
    if (headSlot < 0) return -1;
    return this.chunkSlot(headSlot, address.slice(end));
  }

  /** The slot of a chunk that exists, read into the table where need be; -1 where there is none. */
  chunkSlot(headSlot: number, text: string): number {
    const head = this.heads.headAt(headSlot);
    const known = head.slots.get(text);
    if (known !== undefined) return this.partRows.isPresent(known) ? known : -1;
    if (this.owner.backend.resident) return -1;
    const place = this.placeOf(headSlot, text);
    const keyGroup = this.heads.keyGroups[headSlot] as number;
    const bytes = this.readPart(place, keyGroup);
    return bytes === undefined ? -1 : this.partRows.load(place, keyGroup, bytes, false);
  }

  #readChunk(headSlot: number, number: number): Elements | null {
    const head = this.heads.headAt(headSlot);
    const text = encodedText(number);
    const slot = head.slots.get(text);
    if (slot !== undefined) {
      if (!this.partRows.isPresent(slot)) return null;
      this.partRows.beforeHandOut(slot);
      return this.partRows.valueAt(slot) as Elements;
    }
    if (this.owner.backend.resident) return null;
    const bytes = this.readPart(this.placeOf(headSlot, text), this.heads.keyGroups[headSlot] as number);
    return bytes === undefined ? null : (this.partRows.decode(bytes) as Elements);
  }

  #sealTail(headSlot: number, head: ListHead): string {
    const text = encodedText(head.nextChunk);
    const place = this.placeOf(headSlot, text);
    const keyGroup = this.heads.keyGroups[headSlot] as number;
    this.assumeStored(place, keyGroup);
    this.partRows.put(place, keyGroup, head.tail);
    head.tail = { values: [], times: [] };
    head.nextChunk++;
    head.chunkCount++;
    return textOfBytes(this.partRows.rowKey(place));
  }

  #deleteChunk(headSlot: number, head: ListHead, number: number): void {
    const place = this.placeOf(headSlot, encodedText(number));
    this.assumeStored(place, this.heads.keyGroups[headSlot] as number);
    const slot = head.slots.get(place.text);
    if (slot !== undefined) this.partRows.deleteRow(slot);
  }
}
