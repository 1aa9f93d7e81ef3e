/**
 * The records of a window, in order of arrival. A row per window (the *head*) holds how many chunks there are and the newest
 * records; whenever it has a chunk's worth they become a row of their own, `[key, start, end, number]`, which nobody looks at
 * until the window fires. So an append costs a bounded row however long the list is, and a checkpoint writes what is new.
 *
 * `ListTable` cuts lists the same way, but its chunks are parts of a head that an iteration reads one by one as it comes to
 * them. Here they are keyed rows, so that all chunks of the windows that are due are fetched together; and they keep the time
 * of each record, and move when sessions merge.
 *
 * Invariant: a head exists exactly where there are records; no chunk has a number of `chunkCount` or more.
 */
import type { ByteSink } from '../../../../core/codec/byte-sink.ts';
import { ownValue } from '../../../../core/codec/own.ts';
import { decodeKey } from '../../../../core/codec/key-codec.ts';
import { decodeValue, encodeValue } from '../../../../core/codec/value-codec.ts';
import { assert } from '../../../../core/errors.ts';
import type { Key } from '../../../../core/operators.ts';
import type { WindowElement } from '../../../../core/window-functions.ts';
import { KeyedTable } from '../../../state/keyed-table.ts';
import { checkRowVersion, rowValueVersion } from '../../../state/object-table.ts';
import type { Prefetch } from '../../../state/prefetch.ts';
import type { RowCache } from '../../../state/row-cache.ts';
import type { TableOwner } from '../../../state/row-table.ts';
import { type WindowId, windowOwner } from './window-id.ts';

/** Records of a chunk. */
export const chunkRecordsMax = 64;

/** Records side by side with their times; `timestamps` is null where nobody needs them. */
interface Chunk {
  values: unknown[];
  timestamps: number[] | null;
  /** Heads only: chunks written before these records. */
  chunkCount: number;
}

/** Rows of chunks: heads by window, full ones by window and number. */
class ChunkTable extends KeyedTable {
  readonly #chunks: (Chunk | undefined)[] = [];

  constructor(owner: TableOwner, stateName: string) {
    super(owner, stateName, null);
  }

  chunkAt(slot: number): Chunk {
    return this.#chunks[slot] as Chunk;
  }

  put(id: Key, chunk: Chunk): void {
    // No row of this number exists, here or in the database: there is nothing to read.
    if (!this.resident && this.index.find(id) < 0) this.cacheFetched(id, this.keyGroupOf(id), undefined);
    this.#keep(this.upsert(id), chunk);
  }

  protected override createValue(slot: number): void {
    this.#keep(slot, { values: [], timestamps: null, chunkCount: 0 });
  }

  protected override dropValue(slot: number): void {
    this.#keep(slot, undefined);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    const { chunkCount, values, timestamps } = this.chunkAt(slot);
    sink.ensure(1);
    sink.buffer[sink.position++] = rowValueVersion;
    encodeValue([chunkCount, values, timestamps], sink);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    checkRowVersion(bytes, this.stateName);
    const [chunkCount, values, timestamps] = decodeValue(bytes, 1) as [number, unknown[], number[] | null];
    this.#keep(slot, { values, timestamps, chunkCount });
  }

  #keep(slot: number, chunk: Chunk | undefined): void {
    while (this.#chunks.length < slot) this.#chunks.push(undefined);
    this.#chunks[slot] = chunk;
  }
}

export class RecordList {
  readonly #heads: ChunkTable;
  readonly #chunks: ChunkTable;
  readonly #timed: boolean;

  /** @param timed whether the records' times are kept */
  constructor(owner: TableOwner, stateName: string, timed: boolean, newCache: () => RowCache) {
    this.#heads = new ChunkTable(windowOwner(owner), stateName);
    this.#chunks = new ChunkTable(windowOwner(owner), `${stateName}.chunks`);
    this.#timed = timed;
    newCache().add(this.#heads);
    newCache().add(this.#chunks);
  }

  /** The states whose rows these are. */
  get stateNames(): readonly string[] {
    return [this.#heads.stateName, this.#chunks.stateName];
  }

  restoreRow(stateName: string, bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const { key, end } = decodeKey(bytes);
    assert(end === bytes.length, `rows of state '${stateName}' are addressed by one tuple`);
    const table = stateName === this.#heads.stateName ? this.#heads : this.#chunks;
    table.restoreRow(key, keyGroup, value);
  }

  has(id: WindowId): boolean {
    return this.#heads.find(id) >= 0;
  }

  append(id: WindowId, value: unknown, timestamp: number): void {
    this.#push(id, ownValue(value), timestamp);
  }

  /** All records in order of arrival. */
  values(id: WindowId): unknown[] {
    const values: unknown[] = [];
    this.#forEachChunk(id, (chunk) => {
      for (const value of chunk.values) values.push(value);
    });
    return values;
  }

  /** All records with their times. */
  elements(id: WindowId): WindowElement<unknown>[] {
    const elements: WindowElement<unknown>[] = [];
    this.#forEachChunk(id, ({ values, timestamps }) => {
      for (let index = 0; index < values.length; index++)
        elements.push({ value: values[index] as Readonly<unknown>, timestamp: timestamps?.[index] ?? Number.NaN });
    });
    return elements;
  }

  clear(id: WindowId): void {
    const slot = this.#heads.find(id);
    if (slot < 0) return;
    const { chunkCount } = this.#heads.chunkAt(slot);
    for (let number = 0; number < chunkCount; number++) this.#chunks.deleteUnread([...id, number]);
    this.#heads.deleteRow(slot);
  }

  replace(id: WindowId, elements: readonly WindowElement<unknown>[]): void {
    this.clear(id);
    for (const { value, timestamp } of elements) this.#push(id, value, timestamp);
  }

  /** Moves the records of a window to the end of another's. */
  move(from: WindowId, to: WindowId): void {
    const elements = this.elements(from);
    this.clear(from);
    for (const { value, timestamp } of elements) this.#push(to, value, timestamp);
  }

  /** Announces what reading the list needs; chunks where it is known how many there are. */
  need(prefetch: Prefetch, id: WindowId, withChunks: boolean): void {
    prefetch.need(this.#heads, id);
    if (!withChunks) return;
    const slot = this.#heads.index.find(id);
    if (slot < 0 || !this.#heads.isPresent(slot)) return;
    const { chunkCount } = this.#heads.chunkAt(slot);
    for (let number = 0; number < chunkCount; number++) prefetch.need(this.#chunks, [...id, number]);
  }

  #push(id: WindowId, value: unknown, timestamp: number): void {
    const slot = this.#heads.upsert(id);
    const head = this.#heads.chunkAt(slot);
    head.values.push(value);
    if (this.#timed) (head.timestamps ??= []).push(timestamp);
    if (head.values.length < chunkRecordsMax) return;
    this.#chunks.put([...id, head.chunkCount], { values: head.values, timestamps: head.timestamps, chunkCount: 0 });
    head.values = [];
    head.timestamps = null;
    head.chunkCount++;
  }

  #forEachChunk(id: WindowId, call: (chunk: Chunk) => void): void {
    const slot = this.#heads.find(id);
    if (slot < 0) return;
    const head = this.#heads.chunkAt(slot);
    for (let number = 0; number < head.chunkCount; number++) {
      const chunkSlot = this.#chunks.find([...id, number]);
      assert(chunkSlot >= 0, `chunk ${number} of state '${this.#chunks.stateName}' exists`);
      this.#chunks.beforeHandOut(chunkSlot);
      call(this.#chunks.chunkAt(chunkSlot));
    }
    this.#heads.beforeHandOut(slot);
    call(head);
  }
}
