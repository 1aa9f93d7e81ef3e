/**
 * Value state: one live object per key. A row is a version byte and the value by the stored-value codec.
 *
 * Values are live: what `get` hands out may be changed in place before `set` is called, so a frozen row is written before it
 * is handed out.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { ownValue } from '../../core/codec/own.ts';
import type { Key } from '../../core/operators.ts';
import { describeKey, KeyedTable } from './keyed-table.ts';
import { plainLayout, type ValueLayout } from './row-layout.ts';
import type { TableOwner } from './row-table.ts';
import { isSurelyTooLarge, stateValueMaxBytes, valueEnvelopeBytes, valueTooLarge } from './value-limit.ts';

export { checkRowVersion, rowValueVersion } from './row-layout.ts';

export class ObjectTable extends KeyedTable {
  protected override readonly rowValueMaxBytes: number = stateValueMaxBytes + valueEnvelopeBytes;
  readonly #values: unknown[] = [];
  readonly #layout: ValueLayout;

  /** @param layout how values are stored: as they are, or with the time of their last access */
  constructor(owner: TableOwner, stateName: string, layout: ValueLayout = plainLayout) {
    super(owner, stateName, null);
    this.#layout = layout;
  }

  /** The live value of a key, undefined where there is none. */
  get(key: Key): unknown {
    const slot = this.find(key);
    if (slot < 0) return undefined;
    this.beforeHandOut(slot);
    return this.#values[slot];
  }

  /** Keeps a value; strings and bytes in it are copied, so that it pins no batch. */
  set(key: Key, value: unknown): void {
    if (isSurelyTooLarge(value)) throw this.#tooLarge(describeKey(key), value as string | Uint8Array);
    const slot = this.upsert(key);
    this.#values[slot] = ownValue(value);
  }

  /** As `set`, for a slot that `upsert` or `find` gave for the current record. */
  setAt(slot: number, value: unknown): void {
    if (isSurelyTooLarge(value)) throw this.#tooLarge(this.describeKey(slot), value as string | Uint8Array);
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    this.#values[slot] = ownValue(value);
  }

  /** The live value of a slot; the caller has called `beforeHandOut`. */
  valueAt(slot: number): unknown {
    return this.#values[slot];
  }

  /** To be called before the kept object of a slot is changed in place. */
  beforeChange(slot: number): void {
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
  }

  delete(key: Key): void {
    const slot = this.find(key);
    if (slot >= 0) this.deleteRow(slot);
  }

  protected override createValue(slot: number): void {
    this.#keep(slot, undefined);
  }

  protected override dropValue(slot: number): void {
    this.#keep(slot, undefined);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    this.#layout.encode(this.#values[slot], sink);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    this.#keep(slot, this.#layout.decode(bytes, this.stateName));
  }

  #tooLarge(key: string, value: string | Uint8Array): Error {
    return valueTooLarge(this.owner.operatorId, this.stateName, key, value.length);
  }

  #keep(slot: number, value: unknown): void {
    // Never a hole: an array with holes becomes slow for good.
    while (this.#values.length < slot) this.#values.push(undefined);
    this.#values[slot] = value;
  }
}
