/**
 * What every table of keyed state has: metadata of rows in typed arrays by slot, and the hooks of incremental checkpoints.
 * Subclasses own keys and values.
 *
 * The hot path is one comparison: a row whose `touched` is the ledger's epoch may be changed at once; else `markChanged`
 * first writes it for whoever still needs its old contents and lists it.
 *
 * A deleted row keeps its slot while a checkpoint may need its tombstone. Beside a database (`resident: false`) a deleted
 * row is also how the table remembers that a row is absent there.
 */
import { ByteWriter } from '../../core/codec/byte-sink.ts';
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { KeyGroupRange } from '../../core/key-groups.ts';
import type { Key } from '../../core/operators.ts';
import type { RowBlockWriter } from '../checkpoint/row-block.ts';
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import type { RowAddress, StateBackend } from './backend.ts';
import type { ChangeLedger, LedgerTable, Segment } from './change-ledger.ts';
import { stateRowMaxBytes, valueTooLarge } from './value-limit.ts';

export const rowFlag = {
  used: 1,
  /** The row does not exist: deleted here, or known to be absent in the database. */
  deleted: 2,
  /** Some checkpoint may contain the row, so deleting it needs a tombstone. */
  persisted: 4,
  /** Not evicted: a record about to be processed needs it. */
  pinned: 8,
  /** The database holds the same contents. */
  stored: 16,
} as const;

/** Where a table belongs; shared by all tables of one operator. */
export interface TableOwner {
  readonly operatorId: string;
  readonly maxParallelism: number;
  readonly keyGroups: KeyGroupRange;
  readonly backend: StateBackend;
  readonly ledger: ChangeLedger;
  /** The part of a row's key that decides its key group, where that is not all of it (rows of a key and window). */
  readonly groupingKeyOf?: (key: Key) => Key;
}

/** A write of an evicted row. */
export interface RowWrite {
  readonly row: RowAddress;
  readonly value: Uint8Array | null;
}

const initialCapacity = 8;
const evictionScratch = new ByteWriter(1024);

export abstract class RowTable implements LedgerTable {
  readonly stateName: string;
  readonly owner: TableOwner;
  readonly ledger: ChangeLedger;
  readonly resident: boolean;
  touched: Uint32Array = new Uint32Array(initialCapacity);
  written: Uint32Array = new Uint32Array(initialCapacity);
  flags: Uint8Array = new Uint8Array(initialCapacity);
  keyGroups: Uint16Array = new Uint16Array(initialCapacity);
  /** Rows in the table, present or known to be absent. */
  usedCount = 0;
  /** Epoch in which a slot was last listed. Beside a database slots change rows, so it outlives the row; else it is `touched`. */
  #listed: Uint32Array;
  #segment: Segment | null = null;
  /** False while every used row exists: then nobody needs to look at its flags. */
  holdsDeleted: boolean;

  constructor(owner: TableOwner, stateName: string) {
    this.owner = owner;
    this.stateName = stateName;
    this.ledger = owner.ledger;
    this.resident = owner.backend.resident;
    this.holdsDeleted = !this.resident;
    this.#listed = this.resident ? this.touched : new Uint32Array(initialCapacity);
  }

  /** Most bytes of one encoded row; rows of one value have a lower bound. */
  protected readonly rowValueMaxBytes: number = stateRowMaxBytes;

  protected abstract encodeRowKey(slot: number, sink: ByteSink): void;
  protected abstract encodeRowValue(slot: number, sink: ByteSink): void;
  /** Forgets the value of a row; its key stays. */
  protected abstract dropValue(slot: number): void;
  /** Forgets the key of a row; its slot is handed out again. */
  protected abstract dropKey(slot: number): void;
  /** Readable key of a row, for errors. */
  protected abstract describeKey(slot: number): string;

  get capacity(): number {
    return this.flags.length;
  }

  /** Doubles the columns; subclasses add theirs. */
  protected growRows(): void {
    const capacity = this.capacity * 2;
    this.touched = grownUint32(this.touched, capacity);
    this.#listed = this.resident ? this.touched : grownUint32(this.#listed, capacity);
    this.written = grownUint32(this.written, capacity);
    const flags = new Uint8Array(capacity);
    flags.set(this.flags);
    this.flags = flags;
    const keyGroups = new Uint16Array(capacity);
    keyGroups.set(this.keyGroups);
    this.keyGroups = keyGroups;
  }

  /** True when the row of a used slot exists. */
  isPresent(slot: number): boolean {
    return ((this.flags[slot] as number) & rowFlag.deleted) === 0;
  }

  /** To be called before a row is changed whose `touched` is not the current epoch. */
  markChanged(slot: number): void {
    const ledger = this.ledger;
    if (ledger.unfinished.length > 0) ledger.preserve(this, slot);
    if (!this.resident) this.flags[slot] = (this.flags[slot] as number) & ~rowFlag.stored;
    const listed = this.#listed[slot] as number;
    this.touched[slot] = ledger.epoch;
    this.#listed[slot] = ledger.epoch;
    if (listed > ledger.openFrom) return;
    if (this.#segment === null || this.#segment.epoch !== ledger.epoch) this.#segment = ledger.openSegment(this);
    this.#segment.push(slot);
  }

  /** To be called before a live object is handed to user code, which may change it before it says so. */
  beforeHandOut(slot: number): void {
    if (this.ledger.unfinished.length > 0) this.ledger.preserve(this, slot);
  }

  /** Makes a slot a row that exists. The row counts as changed. */
  protected putRow(slot: number, keyGroup: number): void {
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    this.#use(slot, keyGroup);
  }

  /** A row that is in the restored checkpoint. */
  protected adoptRow(slot: number, keyGroup: number): void {
    this.#use(slot, keyGroup);
    this.flags[slot] = rowFlag.used | rowFlag.persisted;
  }

  /** A row as the database has it; `present` false: it has none. */
  protected cacheRow(slot: number, keyGroup: number, present: boolean): void {
    this.#use(slot, keyGroup);
    this.flags[slot] = present
      ? rowFlag.used | rowFlag.persisted | rowFlag.stored
      : rowFlag.used | rowFlag.deleted | rowFlag.stored;
  }

  /** Deletes the row; without a trace when no checkpoint and no database can have it. */
  deleteRow(slot: number): void {
    if (!this.isPresent(slot)) return;
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    this.dropValue(slot);
    const flags = this.flags[slot] as number;
    if (this.resident && (flags & rowFlag.persisted) === 0) return this.freeRow(slot);
    this.flags[slot] = flags | rowFlag.deleted;
    this.holdsDeleted = true;
  }

  /**
   * Deletes a row of a table that is about to be given up: as `deleteRow`, but an unneeded key is not looked for, since
   * nobody will ask for it again.
   */
  retireRow(slot: number): void {
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    const flags = this.flags[slot] as number;
    const persisted = (flags & rowFlag.persisted) !== 0;
    if (persisted || !this.resident) this.flags[slot] = flags | rowFlag.deleted;
    else this.flags[slot] = 0;
  }

  /** After `retireRow` of every row: no checkpoint needs to hear of a table that none has seen. */
  protected leaveLedger(): void {
    if (this.#segment === null || this.flags.some((flags) => flags !== 0)) return;
    this.ledger.dropSegment(this.#segment);
  }

  /** A restored tombstone: the row is in no checkpoint that will be read again. */
  protected forgetRow(slot: number): void {
    this.dropValue(slot);
    this.freeRow(slot);
  }

  protected freeRow(slot: number): void {
    this.flags[slot] = 0;
    this.usedCount--;
    this.dropKey(slot);
  }

  writeRow(slot: number, writer: RowBlockWriter): void {
    const flags = this.flags[slot] as number;
    if ((flags & rowFlag.used) === 0) return;
    const deleted = (flags & rowFlag.deleted) !== 0;
    if (deleted && (flags & rowFlag.persisted) === 0) return;
    writer.beginRow(this.keyGroups[slot] as number);
    this.encodeRowKey(slot, writer);
    writer.endKey();
    if (deleted) return writer.endTombstone();
    this.#encodeValue(slot, writer);
    writer.endRow();
    this.flags[slot] = flags | rowFlag.persisted;
  }

  releaseDeleted(segment: Segment, completedEpoch: number): void {
    if (!this.holdsDeleted || !this.resident) return;
    for (let index = 0; index < segment.length; index++) {
      const slot = segment.slots[index] as number;
      const gone =
        ((this.flags[slot] as number) & (rowFlag.used | rowFlag.deleted)) === (rowFlag.used | rowFlag.deleted);
      if (gone && (this.touched[slot] as number) <= completedEpoch) this.freeRow(slot);
    }
  }

  /** The encoded key of a row, in bytes of its own. */
  rowKeyBytes(slot: number): Uint8Array {
    evictionScratch.reset();
    this.encodeRowKey(slot, evictionScratch);
    return evictionScratch.take();
  }

  addressOf(keyGroup: number, key: Uint8Array): RowAddress {
    return { operatorId: this.owner.operatorId, stateName: this.stateName, keyGroup, key };
  }

  /** Takes a row out of the table. A change goes to the database and, an undecided one, to the spill. */
  evictRow(slot: number, writes: RowWrite[]): void {
    const ledger = this.ledger;
    if (ledger.unfinished.length > 0) ledger.preserve(this, slot);
    const flags = this.flags[slot] as number;
    const keyGroup = this.keyGroups[slot] as number;
    const deleted = (flags & rowFlag.deleted) !== 0;
    const undecided =
      (this.touched[slot] as number) > ledger.completedEpoch && !(deleted && (flags & rowFlag.persisted) === 0);
    const stored = (flags & rowFlag.stored) !== 0;
    if (undecided || !stored) {
      const key = this.rowKeyBytes(slot);
      const value = deleted ? null : this.#valueBytes(slot);
      if (undecided) ledger.spilled.put(ledger.epoch, this.stateName, keyGroup, key, value);
      if (!stored) writes.push({ row: this.addressOf(keyGroup, key), value });
    }
    this.touched[slot] = 0;
    this.written[slot] = 0;
    this.dropValue(slot);
    this.freeRow(slot);
  }

  #use(slot: number, keyGroup: number): void {
    const flags = this.flags[slot] as number;
    if ((flags & rowFlag.used) === 0) this.usedCount++;
    this.flags[slot] = (flags | rowFlag.used) & ~rowFlag.deleted;
    this.keyGroups[slot] = keyGroup;
  }

  #valueBytes(slot: number): Uint8Array {
    evictionScratch.reset();
    this.#encodeValue(slot, evictionScratch);
    return evictionScratch.take();
  }

  #encodeValue(slot: number, sink: ByteSink): void {
    const start = sink.position;
    try {
      this.encodeRowValue(slot, sink);
    } catch (error) {
      if (!isEngineError(error) || error.code !== 'VALUE_NOT_ENCODABLE') throw error;
      const place = `state '${this.stateName}' of operator '${this.owner.operatorId}', key ${this.describeKey(slot)}`;
      const ids = { operator: this.owner.operatorId, state: this.stateName };
      throw new EngineError('VALUE_NOT_ENCODABLE', `${place}: ${error.message}`, { cause: error, ids });
    }
    const bytes = sink.position - start;
    if (bytes > this.rowValueMaxBytes) throw this.#tooLarge(slot, bytes);
  }

  #tooLarge(slot: number, bytes: number): EngineError {
    const { operatorId } = this.owner;
    const limit = this.rowValueMaxBytes < stateRowMaxBytes ? undefined : `stateRowMaxBytes (${stateRowMaxBytes})`;
    return valueTooLarge(operatorId, this.stateName, this.describeKey(slot), bytes, limit);
  }
}

function grownUint32(array: Uint32Array, capacity: number): Uint32Array {
  const grown = new Uint32Array(capacity);
  grown.set(array);
  return grown;
}
