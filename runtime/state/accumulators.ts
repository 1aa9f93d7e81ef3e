/**
 * Accumulators of a set of aggregates in columns, by slot: numeric parts side by side in one `Float64Array`, the others in
 * arrays of objects. Who owns the slots, and when a row counts as changed, is the business of the table around them.
 *
 * Merging keeps the right side: `merge` of an aggregate may change its left argument, and what it takes over from the right
 * one by reference would be changed by the next merge. So an object is copied unless its owner gives it up.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { decodeValue, encodeValue, encodeValueToBytes } from '../../core/codec/value-codec.ts';
import { assert } from '../../core/errors.ts';
import { type AggregateLayout, type AnyObjectAggregate, initialPart } from './aggregate-layout.ts';

/** What is read of accumulators: parts by `slot * part count + part`, objects by column and slot. */
export interface AccumulatorColumns {
  readonly parts: Float64Array;
  readonly objects: readonly unknown[][];
}

export class Accumulators implements AccumulatorColumns {
  parts: Float64Array;
  readonly objects: unknown[][] = [];
  readonly #layout: AggregateLayout;
  readonly #partCount: number;

  constructor(layout: AggregateLayout, capacity: number) {
    this.#layout = layout;
    this.#partCount = layout.partKinds.length;
    this.parts = new Float64Array(capacity * this.#partCount);
    for (let column = 0; column < layout.objects.length; column++) this.objects.push([]);
  }

  grow(capacity: number): void {
    const parts = new Float64Array(capacity * this.#partCount);
    parts.set(this.parts);
    this.parts = parts;
  }

  /** Gives the memory back. */
  clear(): void {
    this.parts = new Float64Array(0);
    for (let column = 0; column < this.objects.length; column++) this.objects[column] = [];
  }

  /** The slot holds accumulators without records. @throws what the user's `create` throws */
  create(slot: number): void {
    const { partKinds, objects } = this.#layout;
    const first = slot * partKinds.length;
    for (let part = 0; part < partKinds.length; part++)
      this.parts[first + part] = initialPart(partKinds[part] as number);
    for (let column = 0; column < objects.length; column++)
      this.#keep(column, slot, (objects[column] as AnyObjectAggregate).create());
  }

  /** Adds a record to the objects of a slot. @throws what the user's `add` throws */
  addObjects(slot: number, value: unknown): void {
    const { objects } = this.#layout;
    for (let column = 0; column < objects.length; column++) {
      const accumulators = this.objects[column] as unknown[];
      accumulators[slot] = (objects[column] as AnyObjectAggregate).add(accumulators[slot], value as Readonly<unknown>);
    }
  }

  /** Takes a record back from the objects of a slot; every aggregate of the layout can. @throws what the user's `retract` throws */
  retractObjects(slot: number, value: unknown): void {
    const { objects } = this.#layout;
    for (let column = 0; column < objects.length; column++) {
      const accumulators = this.objects[column] as unknown[];
      const aggregate = objects[column] as AnyObjectAggregate;
      accumulators[slot] = aggregate.retract?.(accumulators[slot], value as Readonly<unknown>);
    }
  }

  /** The slot holds what `from` of `source` holds. */
  copy(slot: number, source: AccumulatorColumns, from: number): void {
    const partCount = this.#partCount;
    for (let part = 0; part < partCount; part++)
      this.parts[slot * partCount + part] = source.parts[from * partCount + part] as number;
    const { objects } = this.#layout;
    for (let column = 0; column < objects.length; column++)
      this.#keep(column, slot, copied(objects[column] as AnyObjectAggregate, source.objects[column]?.[from]));
  }

  /** Merges `from` of `source`, the later records, into the slot. @throws what the user's `merge` throws */
  merge(slot: number, source: AccumulatorColumns, from: number): void {
    const { objects } = this.#layout;
    for (let column = 0; column < objects.length; column++) {
      const aggregate = objects[column] as AnyObjectAggregate;
      const accumulators = this.objects[column] as unknown[];
      accumulators[slot] = aggregate.merge(accumulators[slot], copied(aggregate, source.objects[column]?.[from]));
    }
    this.#layout.mergeParts(this.parts, slot * this.#partCount, source.parts, from * this.#partCount);
  }

  /** As `merge` of a slot that is given up afterwards. @throws what the user's `merge` throws */
  absorb(slot: number, from: number): void {
    const { objects } = this.#layout;
    for (let column = 0; column < objects.length; column++) {
      const accumulators = this.objects[column] as unknown[];
      const merged = (objects[column] as AnyObjectAggregate).merge(accumulators[slot], accumulators[from]);
      accumulators[slot] = merged;
    }
    this.#layout.mergeParts(this.parts, slot * this.#partCount, this.parts, from * this.#partCount);
  }

  /** Forgets the objects of a slot. */
  drop(slot: number): void {
    for (let column = 0; column < this.objects.length; column++) this.#keep(column, slot, undefined);
  }

  /** Parts, then per object a u32 length and its plain data. */
  encode(slot: number, sink: ByteSink): void {
    const { partKinds, objects } = this.#layout;
    sink.ensure(partKinds.length * 8);
    for (let part = 0; part < partKinds.length; part++) {
      sink.view.setFloat64(sink.position, this.parts[slot * partKinds.length + part] as number, true);
      sink.position += 8;
    }
    for (let column = 0; column < objects.length; column++) this.#encodeObject(column, slot, sink);
  }

  /** Reads what `encode` wrote at `position`; returns where it ends. */
  decode(slot: number, bytes: Uint8Array, start: number, stateName: string): number {
    const { partKinds, objects } = this.#layout;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let position = start + partKinds.length * 8;
    assert(bytes.length >= position, `a row of state '${stateName}' has ${partKinds.length} numbers`);
    for (let part = 0; part < partKinds.length; part++)
      this.parts[slot * partKinds.length + part] = view.getFloat64(start + part * 8, true);
    for (let column = 0; column < objects.length; column++) {
      assert(bytes.length >= position + 4, `a row of state '${stateName}' has ${objects.length} accumulators`);
      const end = position + 4 + view.getUint32(position, true);
      assert(end <= bytes.length, `an accumulator of state '${stateName}' ends inside its row`);
      const plain = decodeValue(bytes, position + 4, end);
      this.#keep(column, slot, restored(objects[column] as AnyObjectAggregate, plain));
      position = end;
    }
    return position;
  }

  #encodeObject(column: number, slot: number, sink: ByteSink): void {
    const aggregate = this.#layout.objects[column] as AnyObjectAggregate;
    sink.ensure(4);
    const lengthAt = sink.position;
    sink.position += 4;
    encodeValue(plainOf(aggregate, (this.objects[column] as unknown[])[slot]), sink);
    sink.view.setUint32(lengthAt, sink.position - lengthAt - 4, true);
  }

  #keep(column: number, slot: number, accumulator: unknown): void {
    const accumulators = this.objects[column] as unknown[];
    // Never a hole: an array with holes becomes slow for good.
    while (accumulators.length < slot) accumulators.push(undefined);
    accumulators[slot] = accumulator;
  }
}

function plainOf(aggregate: AnyObjectAggregate, accumulator: unknown): unknown {
  return aggregate.codec === null ? accumulator : aggregate.codec.toPlain(accumulator);
}

function restored(aggregate: AnyObjectAggregate, plain: unknown): unknown {
  return aggregate.codec === null ? plain : aggregate.codec.fromPlain(plain);
}

function copied(aggregate: AnyObjectAggregate, accumulator: unknown): unknown {
  if (typeof accumulator !== 'object' || accumulator === null) return accumulator;
  return restored(aggregate, decodeValue(encodeValueToBytes(plainOf(aggregate, accumulator))));
}
