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
import { extremeAggregate } from './extreme-aggregate.ts';

type Select = (value: unknown) => number;
type Filter = (value: unknown) => boolean;
export type AnyObjectAggregate = ObjectAggregate<unknown, unknown, unknown>;

export class AggregateLayout {
  /** Kind of each float64 part, see {@link partKind}. */
  readonly partKinds: Int8Array;
  /** What each part reads from a record; null for counts. */
  readonly selects: readonly (Select | null)[];
  /** Which records each part takes; null: all. */
  readonly filters: readonly (Filter | null)[];
  readonly objects: readonly AnyObjectAggregate[];
  /** How results are read from a row, in order of the aggregates. */
  readonly fields: readonly ResultField[];
  /** The part that counts the records of a row, without a field of its own; -1 where nothing is ever taken back. */
  readonly countPart: number;
  /** Adds one record to the row of a key, see {@link compileAdder}. */
  readonly add: Adder;
  /** Merges the numeric parts of two rows, see {@link compileMerger}. */
  readonly mergeParts: PartsMerger;
  /** Takes one record back; null where the layout cannot. */
  readonly retract: Adder | null;
  /** Makes what is emitted of a row, see {@link compileResults}. */
  readonly makeResult: ResultMaker;
  readonly #partNames: string[] = [];

  /**
   * @param leadCount leading fields of results: 1, the key; or 3, with start and end of the window
   * @param retracting records can be taken back: `min` and `max` keep all numbers, and the records of a row are counted
   */
  constructor(set: AggregateSet<never>, leadCount: 1 | 3 = 1, retracting: boolean = false) {
    const fields: ResultField[] = [];
    const kinds: number[] = [];
    const selects: (Select | null)[] = [];
    const filters: (Filter | null)[] = [];
    const objects: AnyObjectAggregate[] = [];
    for (const [name, aggregate] of Object.entries(set)) {
      const object = objectFormOf(name, aggregate as NumericAggregate<unknown> | AnyObjectAggregate, retracting);
      if (object !== null) {
        fields.push({ name, kind: 'object', index: objects.length });
        objects.push(object);
        continue;
      }
      const numeric = aggregate as NumericAggregate<unknown>;
      fields.push({ name, kind: numeric.kind === 'avg' ? 'avg' : 'part', index: kinds.length });
      addParts(name, numeric, kinds, selects, this.#partNames);
      while (filters.length < kinds.length) filters.push((numeric.filter as Filter | undefined) ?? null);
    }
    this.countPart = retracting ? kinds.length : -1;
    if (retracting) {
      kinds.push(partKind.count);
      selects.push(null);
      filters.push(null);
      this.#partNames.push('records');
    }
    this.partKinds = Int8Array.from(kinds);
    this.selects = selects;
    this.filters = filters;
    this.fields = fields;
    this.objects = objects;
    this.mergeParts = compileMerger(this.partKinds);
    this.makeResult = compileResults(leadCount, fields, objects);
    const refuse = (part: number, value: unknown): Error => notANumber(this.#partNames[part] as string, value);
    this.add = compileAdder(this, refuse);
    this.retract = retracting ? compileAdder(this, refuse, true) : null;
  }
}

/** The aggregate where its accumulator is an object; null where it is columns of numbers. */
function objectFormOf(
  name: string,
  aggregate: NumericAggregate<unknown> | AnyObjectAggregate,
  retracting: boolean,
): AnyObjectAggregate | null {
  if (aggregate.kind === 'object') return aggregate;
  if (!retracting || (aggregate.kind !== 'min' && aggregate.kind !== 'max')) return null;
  return extremeAggregate(name, aggregate) as AnyObjectAggregate;
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
