/**
 * Accumulators of a set of aggregates, one row per key: numeric parts in one `Float64Array`, other accumulators in object
 * columns. Two million keys are a handful of arrays, so the garbage collector has nothing to walk. The parts of a row stand
 * side by side: keys come in any order, so an update pays for cache lines, and a row is one or two of them.
 *
 * Row value: `u8 version | u8 marks | f64 LE per part | per object accumulator: u32 LE length, stored value`.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { Accumulators } from './accumulators.ts';
import type { AdderTable } from './aggregate-adder.ts';
import type { AggregateLayout } from './aggregate-layout.ts';
import { KeyedTable } from './keyed-table.ts';
import { checkRowVersion, rowValueVersion } from './object-table.ts';
import type { RowWrite, TableOwner } from './row-table.ts';

/** Mark of a row whose present contents were emitted (window results). */
export const firedMark = 1;
const headerBytes = 2;
const initialCapacity = 8;

export class ColumnTable extends KeyedTable implements AdderTable {
  readonly layout: AggregateLayout;
  /** Parts by `slot * partCount + part`: those of `accumulators`, one step nearer for the adder. */
  parts: Float64Array;
  readonly accumulators: Accumulators;
  readonly #partCount: number;
  #marks = new Uint8Array(initialCapacity);

  constructor(owner: TableOwner, stateName: string, layout: AggregateLayout, namespace: number | null = null) {
    super(owner, stateName, namespace);
    this.layout = layout;
    this.#partCount = layout.partKinds.length;
    this.accumulators = new Accumulators(layout, initialCapacity);
    this.parts = this.accumulators.parts;
  }

  /**
   * Adds one record to the row of a key and returns its slot.
   * When a user function throws, numeric parts and the existence of the row are as before.
   * @throws EngineError KEY_NOT_SUPPORTED, or what the user's functions throw
   */
  add(key: Key, value: unknown): number {
    return this.layout.add(this, key, value);
  }

  /** What is emitted of a row. @throws what the user's functions throw */
  resultOf(
    slot: number,
    key: Key,
    windowStart: number = Number.NaN,
    windowEnd: number = Number.NaN,
  ): Record<string, unknown> {
    const { makeResult } = this.layout;
    return makeResult(this.parts, slot * this.#partCount, this.accumulators.objects, slot, key, windowStart, windowEnd);
  }

  /** Adds the accumulators of one row to those of another, which may be changed; the first stays as it is. @throws what the user's functions throw */
  mergeRow(target: number, source: number): void {
    if (this.touched[target] !== this.ledger.epoch) this.markChanged(target);
    this.accumulators.merge(target, this.accumulators, source);
  }

  isFired(slot: number): boolean {
    return ((this.#marks[slot] as number) & firedMark) !== 0;
  }

  setFired(slot: number, fired: boolean): void {
    if (this.isFired(slot) === fired) return;
    if (this.touched[slot] !== this.ledger.epoch) this.markChanged(slot);
    this.#marks[slot] = fired ? firedMark : 0;
  }

  /** All rows are deleted and nobody asks again: gives the memory of values back; keys stay for tombstones. */
  retire(): void {
    if (!this.resident) {
      const writes: RowWrite[] = [];
      this.evictAll(writes);
      if (writes.length > 0) this.owner.backend.write(writes);
    }
    this.leaveLedger();
    this.accumulators.clear();
    this.parts = this.accumulators.parts;
    this.#marks = new Uint8Array(0);
  }

  addObjects(key: Key, value: unknown): number {
    return this.#changeObjects(key, value, false);
  }

  retractObjects(key: Key, value: unknown): number {
    return this.#changeObjects(key, value, true);
  }

  #changeObjects(key: Key, value: unknown, retract: boolean): number {
    const isNew = this.find(key) < 0;
    const slot = this.upsert(key);
    try {
      if (retract) this.accumulators.retractObjects(slot, value);
      else this.accumulators.addObjects(slot, value);
    } catch (error) {
      if (isNew) this.deleteRow(slot);
      throw error;
    }
    return slot;
  }

  protected override growRows(): void {
    super.growRows();
    this.accumulators.grow(this.capacity);
    this.parts = this.accumulators.parts;
    const marks = new Uint8Array(this.capacity);
    marks.set(this.#marks);
    this.#marks = marks;
  }

  protected override createValue(slot: number): void {
    this.accumulators.create(slot);
    this.#marks[slot] = 0;
  }

  protected override dropValue(slot: number): void {
    this.accumulators.drop(slot);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    sink.ensure(headerBytes);
    sink.buffer[sink.position] = rowValueVersion;
    sink.buffer[sink.position + 1] = this.#marks[slot] as number;
    sink.position += headerBytes;
    this.accumulators.encode(slot, sink);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    checkRowVersion(bytes, this.stateName);
    const end = this.accumulators.decode(slot, bytes, headerBytes, this.stateName);
    assert(end === bytes.length, `a row of state '${this.stateName}' has nothing after its accumulators`);
    this.#marks[slot] = bytes[1] as number;
  }
}
