/**
 * One live object per key of a form of the operator's own: sorted rows, a buffer. The operator changes the object in place,
 * after it has said so (`change`); what it puts in must be its own (`ownValue`).
 *
 * A row is a version byte and what the form makes of the object, by the stored-value codec. In memory the rows of a table that
 * `rests` are in that form, not objects, once they are no longer asked for: resting-rows.ts.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';
import { KeyedTable } from './keyed-table.ts';
import { checkRowVersion, rowValueVersion } from './object-table.ts';
import { RestingRows } from './resting-rows.ts';
import type { TableOwner } from './row-table.ts';

/** How an object of a key is made and kept. */
export interface LiveForm<T> {
  create(): T;
  /** Plain data of the object; not changed by later changes of the object before it is encoded, that is at once. */
  toPlain(live: T): unknown;
  fromPlain(plain: unknown): T;
}

export interface LiveTableOptions {
  /** Start of the window the rows belong to; null outside windows. */
  readonly namespace?: number | null;
  /**
   * Rows go to rest in memory when the operator calls {@link LiveTable.rest}: those that were not asked for, or all of them
   * `at-once`, where hardly any row is read again.
   */
  readonly rests?: boolean | 'at-once';
}

export class LiveTable<T> extends KeyedTable {
  readonly #form: LiveForm<T>;
  /** Undefined for rows that do not exist, and those that rest. */
  readonly #live: (T | undefined)[] = [];
  readonly #resting: RestingRows | null;

  constructor(
    owner: TableOwner,
    stateName: string,
    form: LiveForm<T>,
    { namespace = null, rests = false }: LiveTableOptions = {},
  ) {
    super(owner, stateName, namespace);
    this.#form = form;
    // Beside a database rows that are not asked for leave the table.
    const objectsMin = rests === 'at-once' ? 0 : owner.backend.objectsMin;
    this.#resting = rests !== false && this.resident ? this.#newResting(objectsMin) : null;
  }

  /** The object of a key to look at, undefined where there is none. */
  peek(key: Key): T | undefined {
    const slot = this.find(key);
    if (slot < 0) return undefined;
    if (this.#resting === null) return this.#live[slot];
    return this.#awake(this.#resting, slot);
  }

  /** The row value of a key whose row rests: a view, good until the next call. Null where it is an object, or absent. */
  stored(key: Key): Uint8Array | null {
    if (this.#resting === null) return null;
    const slot = this.find(key);
    return slot >= 0 && this.#live[slot] === undefined ? this.#resting.bytesOf(slot) : null;
  }

  /** The object of a key made anew, whatever it was. */
  renew(key: Key): T {
    const slot = this.upsert(key);
    this.#resting?.forget(slot);
    this.createValue(slot);
    return this.#live[slot] as T;
  }

  /** The object of a key to be changed, made if absent. */
  change(key: Key): T {
    const slot = this.upsert(key);
    if (this.#resting === null) return this.#live[slot] as T;
    // Not "asked for": who changes a row has looked at it, or has just made it.
    const live = this.#live[slot] ?? this.#wake(this.#resting, slot);
    this.#resting.forget(slot);
    return live;
  }

  delete(key: Key): void {
    const slot = this.find(key);
    if (slot >= 0) this.deleteRow(slot);
  }

  /** To be called between batches, with the number of records of one: rows nobody asked for go to rest. */
  rest(records: number): void {
    this.#resting?.rest(records);
  }

  /** After all rows were retired: nobody asks again. */
  retire(): void {
    this.leaveLedger();
    this.#live.length = 0;
  }

  protected override createValue(slot: number): void {
    this.#keep(slot, this.#form.create());
    this.#resting?.made(slot);
  }

  protected override dropValue(slot: number): void {
    this.#keep(slot, undefined);
    this.#resting?.forget(slot);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    if (this.#resting?.has(slot) !== true) return this.#encode(slot, sink);
    const bytes = this.#resting.bytesOf(slot);
    sink.ensure(bytes.length);
    sink.buffer.set(bytes, sink.position);
    sink.position += bytes.length;
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    checkRowVersion(bytes, this.stateName);
    if (this.#resting === null) return this.#keep(slot, this.#form.fromPlain(decodeValue(bytes, 1)));
    this.#keep(slot, undefined);
    this.#resting.adopt(slot, bytes);
  }

  #newResting(objectsMin: number | undefined): RestingRows {
    const objects = {
      hasObject: (slot: number) => this.#live[slot] !== undefined,
      encodeObject: (slot: number, sink: ByteSink) => this.#encode(slot, sink),
      dropObject: (slot: number) => this.#keep(slot, undefined),
    };
    return new RestingRows(objects, objectsMin);
  }

  #awake(resting: RestingRows, slot: number): T {
    const live = this.#live[slot];
    if (live === undefined) return this.#wake(resting, slot);
    resting.asked(slot);
    return live;
  }

  #wake(resting: RestingRows, slot: number): T {
    const live = this.#form.fromPlain(decodeValue(resting.bytesOf(slot), 1));
    this.#keep(slot, live);
    resting.woken(slot);
    return live;
  }

  #encode(slot: number, sink: ByteSink): void {
    sink.ensure(1);
    sink.buffer[sink.position++] = rowValueVersion;
    encodeValue(this.#form.toPlain(this.#live[slot] as T), sink);
  }

  #keep(slot: number, live: T | undefined): void {
    // Never a hole: an array with holes becomes slow for good.
    while (this.#live.length < slot) this.#live.push(undefined);
    this.#live[slot] = live;
  }
}
