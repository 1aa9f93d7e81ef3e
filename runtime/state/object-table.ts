/**
 * Value state: one live object per key. A row is a version byte and the value by the stored-value codec.
 *
 * Values are live: what `get` hands out may be changed in place before `set` is called, so a frozen row is written before it
 * is handed out.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { KeyedTable } from './keyed-table.ts';
import type { TableOwner } from './row-table.ts';

/** Version of the layout of a stored row value. */
export const rowValueVersion = 1;

/** @throws EngineError CHECKPOINT_UNREADABLE when a row was written by another version */
export function checkRowVersion(bytes: Uint8Array, stateName: string): void {
  if (bytes.length > 0 && bytes[0] === rowValueVersion) return;
  throw new EngineError(
    'CHECKPOINT_UNREADABLE',
    `a row of state '${stateName}' has layout version ${bytes[0]}, this release reads ${rowValueVersion}`,
    {
      domain: 'internal',
      ids: { state: stateName },
    },
  );
}

export class ObjectTable extends KeyedTable {
  readonly #values: unknown[] = [];

  constructor(owner: TableOwner, stateName: string) {
    super(owner, stateName, null);
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
    const slot = this.upsert(key);
    this.#values[slot] = ownValue(value);
  }

  /** As `set`, for a slot that `upsert` or `find` gave for the current record. */
  setAt(slot: number, value: unknown): void {
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    this.#values[slot] = ownValue(value);
  }

  /** The live value of a slot; the caller has called `beforeHandOut`. */
  valueAt(slot: number): unknown {
    return this.#values[slot];
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
    sink.ensure(1);
    sink.buffer[sink.position++] = rowValueVersion;
    encodeValue(this.#values[slot], sink);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    checkRowVersion(bytes, this.stateName);
    this.#keep(slot, decodeValue(bytes, 1));
  }

  #keep(slot: number, value: unknown): void {
    // Never a hole: an array with holes becomes slow for good.
    while (this.#values.length < slot) this.#values.push(undefined);
    this.#values[slot] = value;
  }
}
