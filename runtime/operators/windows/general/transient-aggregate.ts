/** Aggregates over records at hand: what `aggregate` gives where an evictor keeps the records instead of accumulators. */
import type { AggregateSet } from '../../../../core/aggregate.ts';
import type { Key } from '../../../../core/operators.ts';
import type { AdderTable } from '../../../state/aggregate-adder.ts';
import { AggregateLayout, type AnyObjectAggregate, initialPart } from '../../../state/aggregate-layout.ts';

export class TransientAggregate implements AdderTable {
  parts: Float64Array;
  readonly #layout: AggregateLayout;
  readonly #objects: unknown[][];

  constructor(aggregates: AggregateSet<never>) {
    this.#layout = new AggregateLayout(aggregates, 3);
    this.parts = new Float64Array(this.#layout.partKinds.length);
    this.#objects = this.#layout.objects.map(() => [undefined]);
  }

  /** The result of the records. @throws what the user's functions throw */
  resultOf(values: readonly unknown[], key: Key, start: number, end: number): unknown {
    const { partKinds, objects, add, makeResult } = this.#layout;
    partKinds.forEach((kind, part) => {
      this.parts[part] = initialPart(kind);
    });
    objects.forEach((aggregate, column) => {
      (this.#objects[column] as unknown[])[0] = aggregate.create();
    });
    for (const value of values) add(this, key, value);
    return makeResult(this.parts, 0, this.#objects, 0, key, start, end);
  }

  upsert(): number {
    return 0;
  }

  addObjects(_key: Key, value: unknown): number {
    this.#layout.objects.forEach((aggregate: AnyObjectAggregate, column) => {
      const accumulators = this.#objects[column] as unknown[];
      accumulators[0] = aggregate.add(accumulators[0], value as Readonly<unknown>);
    });
    return 0;
  }
}
