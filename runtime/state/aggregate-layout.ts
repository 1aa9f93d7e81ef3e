/**
 * A set of aggregates, compiled once per operator into *parts*: `count`, `sum`, `min` and `max` are one float64 column each,
 * `avg` is a sum and a count, everything else is an object column.
 *
 * A part that is not a number stays visible: once NaN came in, sum, min, max and avg are NaN, whatever the order.
 */
import type { AggregateSet, NumericAggregate, ObjectAggregate } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import { type Adder, compileAdder, partKind } from './aggregate-adder.ts';
import { compileMerger, type PartsMerger } from './aggregate-merger.ts';
import { compileResults, type ResultField, type ResultMaker } from './aggregate-results.ts';

type Select = (value: unknown) => number;
export type AnyObjectAggregate = ObjectAggregate<unknown, unknown, unknown>;

export class AggregateLayout {
  /** Kind of each float64 part, see {@link partKind}. */
  readonly partKinds: Int8Array;
  /** What each part reads from a record; null for counts. */
  readonly selects: readonly (Select | null)[];
  readonly objects: readonly AnyObjectAggregate[];
  /** Adds one record to the row of a key, see {@link compileAdder}. */
  readonly add: Adder;
  /** Merges the numeric parts of two rows, see {@link compileMerger}. */
  readonly mergeParts: PartsMerger;
  /** Makes what is emitted of a row, see {@link compileResults}. */
  readonly makeResult: ResultMaker;
  readonly #partNames: string[] = [];

  /** @param leadCount leading fields of results: 1, the key; or 3, with start and end of the window */
  constructor(set: AggregateSet<never>, leadCount: 1 | 3 = 1) {
    const fields: ResultField[] = [];
    const kinds: number[] = [];
    const selects: (Select | null)[] = [];
    const objects: AnyObjectAggregate[] = [];
    for (const [name, aggregate] of Object.entries(set)) {
      if (aggregate.kind === 'object') {
        fields.push({ name, kind: 'object', index: objects.length });
        objects.push(aggregate as AnyObjectAggregate);
        continue;
      }
      fields.push({ name, kind: aggregate.kind === 'avg' ? 'avg' : 'part', index: kinds.length });
      addParts(name, aggregate as NumericAggregate<unknown>, kinds, selects, this.#partNames);
    }
    this.partKinds = Int8Array.from(kinds);
    this.selects = selects;
    this.objects = objects;
    this.mergeParts = compileMerger(this.partKinds);
    this.makeResult = compileResults(leadCount, fields, objects);
    this.add = compileAdder(this, (part, value) => notANumber(this.#partNames[part] as string, value));
  }
}

/** Value of a part before the first record. */
export function initialPart(kind: number): number {
  if (kind === partKind.min) return Number.POSITIVE_INFINITY;
  return kind === partKind.max ? Number.NEGATIVE_INFINITY : 0;
}

function addParts(
  name: string,
  aggregate: NumericAggregate<unknown>,
  kinds: number[],
  selects: (Select | null)[],
  names: string[],
): void {
  const select = aggregate.select as Select | null;
  if (aggregate.kind !== 'count' && select === null) {
    throw new EngineError(
      'JOB_INVALID',
      `aggregate '${name}' (${aggregate.kind}) has no function that selects its number: give it one`,
    );
  }
  names.push(name);
  if (aggregate.kind === 'avg') {
    kinds.push(partKind.sum, partKind.count);
    selects.push(select, null);
    names.push(name);
    return;
  }
  kinds.push(partKind[aggregate.kind]);
  selects.push(aggregate.kind === 'count' ? null : select);
}

function notANumber(name: string, value: unknown): Error {
  const what = value === null ? 'null' : typeof value;
  return new TypeError(`the function of aggregate '${name}' must return a number, it returned ${what}`);
}
