/**
 * One live object per key of a form of the operator's own: sorted rows, a buffer. The operator changes the object in place,
 * after it has said so (`change`); what it puts in must be its own (`ownValue`).
 *
 * A row is a version byte and what the form makes of the object, by the stored-value codec.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';
import { KeyedTable } from './keyed-table.ts';
import { checkRowVersion, rowValueVersion } from './object-table.ts';
import type { TableOwner } from './row-table.ts';

/** How an object of a key is made and kept. */
export interface LiveForm<T> {
  create(): T;
  /** Plain data of the object; not changed by later changes of the object before it is encoded, that is at once. */
  toPlain(live: T): unknown;
  fromPlain(plain: unknown): T;
}

export class LiveTable<T> extends KeyedTable {
  readonly #form: LiveForm<T>;
  readonly #live: (T | undefined)[] = [];

  constructor(owner: TableOwner, stateName: string, form: LiveForm<T>, namespace: number | null = null) {
    super(owner, stateName, namespace);
    this.#form = form;
  }

  /** The object of a key to look at, undefined where there is none. */
  peek(key: Key): T | undefined {
    const slot = this.find(key);
    return slot < 0 ? undefined : this.#live[slot];
  }

  /** The object of a key to be changed, made if absent. */
  change(key: Key): T {
    return this.#live[this.upsert(key)] as T;
  }

  delete(key: Key): void {
    const slot = this.find(key);
    if (slot >= 0) this.deleteRow(slot);
  }

  /** After all rows were retired: nobody asks again. */
  retire(): void {
    this.leaveLedger();
    this.#live.length = 0;
  }

  protected override createValue(slot: number): void {
    this.#keep(slot, this.#form.create());
  }

  protected override dropValue(slot: number): void {
    this.#keep(slot, undefined);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    sink.ensure(1);
    sink.buffer[sink.position++] = rowValueVersion;
    encodeValue(this.#form.toPlain(this.#live[slot] as T), sink);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    checkRowVersion(bytes, this.stateName);
    this.#keep(slot, this.#form.fromPlain(decodeValue(bytes, 1)));
  }

  #keep(slot: number, live: T | undefined): void {
    // Never a hole: an array with holes becomes slow for good.
    while (this.#live.length < slot) this.#live.push(undefined);
    this.#live[slot] = live;
  }
}
