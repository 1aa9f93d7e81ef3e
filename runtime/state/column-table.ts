/**
 * Accumulators of a set of aggregates, one row per key: numeric parts in one `Float64Array`, other accumulators in object
 * columns. Two million keys are a handful of arrays, so the garbage collector has nothing to walk. The parts of a row stand
 * side by side: keys come in any order, so an update pays for cache lines, and a row is one or two of them.
 *
 * Row value: `u8 version | u8 marks | f64 LE per part | per object accumulator: u32 LE length, stored value`.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import { assert } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { type AdderTable, partKind } from './aggregate-adder.ts';
import { type AggregateLayout, type AnyObjectAggregate, initialPart } from './aggregate-layout.ts';
import { KeyedTable } from './keyed-table.ts';
import { checkRowVersion, rowValueVersion } from './object-table.ts';
import type { RowWrite, TableOwner } from './row-table.ts';

/** Mark of a row whose present contents were emitted (window results). */
export const firedMark = 1;
const headerBytes = 2;
const initialCapacity = 8;

export class ColumnTable extends KeyedTable implements AdderTable {
  readonly layout: AggregateLayout;
  /** Parts by `slot * partCount + part`. */
  parts: Float64Array;
  readonly #partCount: number;
  readonly #objects: unknown[][] = [];
  #marks = new Uint8Array(initialCapacity);

  constructor(owner: TableOwner, stateName: string, layout: AggregateLayout, namespace: number | null = null) {
    super(owner, stateName, namespace);
    this.layout = layout;
    this.#partCount = layout.partKinds.length;
    this.parts = new Float64Array(initialCapacity * this.#partCount);
    for (let column = 0; column < layout.objects.length; column++) this.#objects.push([]);
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
    return makeResult(this.parts, slot * this.#partCount, this.#objects, slot, key, windowStart, windowEnd);
  }

  /** Adds the accumulators of one row to those of another, which may be changed; the first stays as it is. @throws what the user's functions throw */
  mergeRow(target: number, source: number): void {
    const { partKinds, objects } = this.layout;
    const merged = objects.map((aggregate, column) => {
      const accumulators = this.#objects[column] as unknown[];
      return aggregate.merge(accumulators[target], accumulators[source]);
    });
    if (this.touched[target] !== this.ledger.epoch) this.markChanged(target);
    merged.forEach((accumulator, column) => this.#keep(column, target, accumulator));
    for (let part = 0; part < partKinds.length; part++) {
      const cell = target * partKinds.length + part;
      const other = this.parts[source * partKinds.length + part] as number;
      this.parts[cell] = mergedPart(partKinds[part] as number, this.parts[cell] as number, other);
    }
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
    this.parts = new Float64Array(0);
    for (let column = 0; column < this.#objects.length; column++) this.#objects[column] = [];
    this.#marks = new Uint8Array(0);
  }

  addObjects(key: Key, value: unknown): number {
    const isNew = this.find(key) < 0;
    const slot = this.upsert(key);
    try {
      const { objects } = this.layout;
      for (let column = 0; column < objects.length; column++) {
        const accumulators = this.#objects[column] as unknown[];
        accumulators[slot] = (objects[column] as AnyObjectAggregate).add(
          accumulators[slot],
          value as Readonly<unknown>,
        );
      }
    } catch (error) {
      if (isNew) this.deleteRow(slot);
      throw error;
    }
    return slot;
  }

  protected override growRows(): void {
    super.growRows();
    const parts = new Float64Array(this.capacity * this.#partCount);
    parts.set(this.parts);
    this.parts = parts;
    const marks = new Uint8Array(this.capacity);
    marks.set(this.#marks);
    this.#marks = marks;
  }

  protected override createValue(slot: number): void {
    const { partKinds, objects } = this.layout;
    for (let part = 0; part < partKinds.length; part++)
      this.parts[slot * partKinds.length + part] = initialPart(partKinds[part] as number);
    for (let column = 0; column < objects.length; column++)
      this.#keep(column, slot, (objects[column] as AnyObjectAggregate).create());
    this.#marks[slot] = 0;
  }

  protected override dropValue(slot: number): void {
    for (let column = 0; column < this.#objects.length; column++) this.#keep(column, slot, undefined);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    const { partKinds, objects } = this.layout;
    sink.ensure(headerBytes + partKinds.length * 8);
    sink.buffer[sink.position] = rowValueVersion;
    sink.buffer[sink.position + 1] = this.#marks[slot] as number;
    sink.position += headerBytes;
    for (let part = 0; part < partKinds.length; part++) {
      sink.view.setFloat64(sink.position, this.parts[slot * partKinds.length + part] as number, true);
      sink.position += 8;
    }
    for (let column = 0; column < objects.length; column++) this.#encodeObject(column, slot, sink);
  }

  #encodeObject(column: number, slot: number, sink: ByteSink): void {
    const aggregate = this.layout.objects[column] as AnyObjectAggregate;
    const accumulator = (this.#objects[column] as unknown[])[slot];
    sink.ensure(4);
    const lengthAt = sink.position;
    sink.position += 4;
    encodeValue(aggregate.codec === null ? accumulator : aggregate.codec.toPlain(accumulator), sink);
    sink.view.setUint32(lengthAt, sink.position - lengthAt - 4, true);
  }

  protected override decodeRowValue(slot: number, bytes: Uint8Array): void {
    checkRowVersion(bytes, this.stateName);
    const { partKinds, objects } = this.layout;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let position = headerBytes + partKinds.length * 8;
    assert(bytes.length >= position, `a row of state '${this.stateName}' has ${partKinds.length} numbers`);
    this.#marks[slot] = bytes[1] as number;
    for (let part = 0; part < partKinds.length; part++) {
      this.parts[slot * partKinds.length + part] = view.getFloat64(headerBytes + part * 8, true);
    }
    for (let column = 0; column < objects.length; column++) {
      assert(bytes.length >= position + 4, `a row of state '${this.stateName}' has ${objects.length} accumulators`);
      const end = position + 4 + view.getUint32(position, true);
      assert(end <= bytes.length, `an accumulator of state '${this.stateName}' ends inside its row`);
      this.#keep(column, slot, restored(objects[column] as AnyObjectAggregate, decodeValue(bytes, position + 4, end)));
      position = end;
    }
    assert(position === bytes.length, `a row of state '${this.stateName}' has nothing after its accumulators`);
  }

  #keep(column: number, slot: number, accumulator: unknown): void {
    const accumulators = this.#objects[column] as unknown[];
    while (accumulators.length < slot) accumulators.push(undefined);
    accumulators[slot] = accumulator;
  }
}

/** `Math.min` and `Math.max` keep NaN, as adding does. */
function mergedPart(kind: number, left: number, right: number): number {
  if (kind === partKind.min) return Math.min(left, right);
  return kind === partKind.max ? Math.max(left, right) : left + right;
}

function restored(aggregate: AnyObjectAggregate, plain: unknown): unknown {
  return aggregate.codec === null ? plain : aggregate.codec.fromPlain(plain);
}
