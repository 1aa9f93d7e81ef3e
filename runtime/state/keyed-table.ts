/**
 * A table with one row per key (and one namespace: the start of a window, or none). Beside a database it is a cache: a key
 * it does not know is read, blocking where nobody fetched it before, and "absent there" is remembered like a row.
 */
import { type ByteSink, ByteWriter } from '../../core/codec/byte-sink.ts';
import { decodeKey, encodeKey } from '../../core/codec/key-codec.ts';
import { keyGroupOf } from '../../core/codec/key-hash.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { KeyIndex } from './key-index.ts';
import { rowFlag, RowTable, type RowWrite, type TableOwner } from './row-table.ts';

const initialCapacity = 8;
const scratchSink = new ByteWriter(256);

export abstract class KeyedTable extends RowTable {
  readonly index = new KeyIndex(initialCapacity);
  /** Start of the window the rows belong to; null outside windows. */
  readonly namespace: number | null;
  #evictionHand = 0;

  constructor(owner: TableOwner, stateName: string, namespace: number | null) {
    super(owner, stateName);
    this.namespace = namespace;
  }

  /** Sets the value of a row that has just come into being. */
  protected abstract createValue(slot: number): void;
  /** Sets the value of a row from stored bytes. */
  protected abstract decodeRowValue(slot: number, bytes: Uint8Array): void;

  /** The slot of the key's row, or -1 where there is none. @throws EngineError KEY_NOT_SUPPORTED */
  find(key: Key): number {
    const slot = this.resident ? this.index.find(key) : this.locate(key);
    return slot >= 0 && this.holdsDeleted && !this.isPresent(slot) ? -1 : slot;
  }

  /** The slot of the key's row, made if absent; the row may be changed. @throws EngineError KEY_NOT_SUPPORTED */
  upsert(key: Key): number {
    const slot = this.resident ? this.index.find(key) : this.locate(key);
    if (slot < 0) return this.#create(key);
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    if (this.holdsDeleted && !this.isPresent(slot)) this.#revive(slot);
    return slot;
  }

  /** A slot that knows whether the key has a row; reads the database, blocking, where the table does not know. */
  locate(key: Key): number {
    const slot = this.index.find(key);
    if (slot >= 0) return slot;
    const keyGroup = this.keyGroupOf(key);
    const row = this.addressOf(keyGroup, this.keyBytes(key));
    return this.cacheFetched(key, keyGroup, this.owner.backend.readBlocking(row));
  }

  /** Takes a row as the database has it, unless the table knows better. Returns its slot. */
  cacheFetched(key: Key, keyGroup: number, value: Uint8Array | undefined): number {
    const known = this.index.find(key);
    if (known >= 0) return known;
    const slot = this.#insert(key);
    this.cacheRow(slot, keyGroup, value !== undefined);
    if (value !== undefined) this.decodeRowValue(slot, value);
    return slot;
  }

  /** A row of the restored checkpoint; the later of two calls for a row counts. `value` null: a tombstone. */
  restoreRow(key: Key, keyGroup: number, value: Uint8Array | null): void {
    const known = this.index.find(key);
    if (value === null) {
      if (known >= 0) this.forgetRow(known);
      return;
    }
    const slot = known >= 0 ? known : this.#insert(key);
    this.adoptRow(slot, keyGroup);
    this.decodeRowValue(slot, value);
  }

  /** Deletes the row of a key that exists, here or in the database, without reading it. */
  deleteUnread(key: Key): void {
    let slot = this.index.find(key);
    if (slot < 0) {
      slot = this.#insert(key);
      this.cacheRow(slot, this.keyGroupOf(key), true);
    }
    this.deleteRow(slot);
  }

  /** Slots of the rows in the table that exist. */
  usedSlots(): number[] {
    const slots: number[] = [];
    for (let slot = 0; slot < this.index.slotCount; slot++) {
      if (((this.flags[slot] as number) & (rowFlag.used | rowFlag.deleted)) === rowFlag.used) slots.push(slot);
    }
    return slots;
  }

  /** Encoded row key: the key and the namespace. */
  keyBytes(key: Key): Uint8Array {
    scratchSink.position = 0;
    this.#encode(key, scratchSink);
    return scratchSink.buffer.slice(0, scratchSink.position);
  }

  /** @throws EngineError INTERNAL when the key belongs to another subtask (its record was routed wrongly) */
  keyGroupOf(key: Key): number {
    const { groupingKeyOf } = this.owner;
    const keyGroup = keyGroupOf(groupingKeyOf === undefined ? key : groupingKeyOf(key), this.owner.maxParallelism);
    const { first, last } = this.owner.keyGroups;
    assert(
      keyGroup >= first && keyGroup <= last,
      `operator '${this.owner.operatorId}' got a key of key group ${keyGroup}, has ${first}..${last}`,
    );
    return keyGroup;
  }

  /** Evicts up to `count` rows that nothing pins. Returns how many. */
  evictSome(count: number, writes: RowWrite[]): number {
    const slotCount = this.index.slotCount;
    let evicted = 0;
    for (let step = 0; step < slotCount && evicted < count; step++) {
      this.#evictionHand = this.#evictionHand + 1 >= slotCount ? 0 : this.#evictionHand + 1;
      const flags = this.flags[this.#evictionHand] as number;
      if ((flags & rowFlag.used) === 0 || (flags & rowFlag.pinned) !== 0) continue;
      this.evictRow(this.#evictionHand, writes);
      evicted++;
    }
    return evicted;
  }

  evictAll(writes: RowWrite[]): void {
    for (let slot = 0; slot < this.index.slotCount; slot++) {
      if (((this.flags[slot] as number) & rowFlag.used) !== 0) this.evictRow(slot, writes);
    }
  }

  protected override encodeRowKey(slot: number, sink: ByteSink): void {
    this.#encode(this.index.keyAt(slot), sink);
  }

  protected override dropKey(slot: number): void {
    this.index.remove(slot);
  }

  protected override describeKey(slot: number): string {
    return describeKey(this.index.keyAt(slot));
  }

  #create(key: Key): number {
    const keyGroup = this.keyGroupOf(key);
    const slot = this.#insert(key);
    this.putRow(slot, keyGroup);
    this.createValue(slot);
    return slot;
  }

  #revive(slot: number): void {
    this.putRow(slot, this.keyGroups[slot] as number);
    this.createValue(slot);
  }

  #insert(key: Key): number {
    const slot = this.index.insert(key);
    while (slot >= this.capacity) this.growRows();
    return slot;
  }

  #encode(key: Key, sink: ByteSink): void {
    encodeKey(key, sink);
    if (this.namespace !== null) encodeKey(this.namespace, sink);
  }
}

/** Key and namespace of a row key that was made by a table with namespaces. */
export function decodeNamespacedKey(bytes: Uint8Array): { key: Key; namespace: number } {
  const { key, end } = decodeKey(bytes);
  const namespace = decodeKey(bytes, end);
  assert(
    namespace.end === bytes.length && typeof namespace.key === 'number',
    'a window row is addressed by key and window start',
  );
  return { key, namespace: namespace.key };
}

/** A key for people: shortened text. */
export function describeKey(key: Key): string {
  const text = typeof key === 'string' ? JSON.stringify(key) : String(key);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
