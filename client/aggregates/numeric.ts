/**
 * Aggregates whose accumulators are numbers: the runtime keeps them in columns of float64, so they cost no object per
 * key. Give them numbers: a NaN among them leaves sum and mean without meaning.
 */
import type { Aggregate, NumericAggregateKind } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';

function numeric<In>(kind: NumericAggregateKind, select: ((value: In) => number) | null): Aggregate<In, number> {
  if (select !== null && typeof select !== 'function') {
    throw new EngineError(
      'JOB_INVALID',
      `${kind}(...) needs a function that gives the number of a record, got ${typeof select}`,
    );
  }
  return Object.freeze({ kind, options: {}, select: select as ((value: Readonly<In>) => number) | null });
}

/** Number of records. */
export const count = (): Aggregate<unknown, number> => numeric('count', null);
/** Sum, added in order of arrival (float64: with fractions the last digits depend on the order). */
export const sum = <In>(select: (value: In) => number): Aggregate<In, number> => numeric('sum', select);
/** Smallest number. */
export const min = <In>(select: (value: In) => number): Aggregate<In, number> => numeric('min', select);
/** Largest number. */
export const max = <In>(select: (value: In) => number): Aggregate<In, number> => numeric('max', select);
/** Arithmetic mean: sum divided by count. */
export const avg = <In>(select: (value: In) => number): Aggregate<In, number> => numeric('avg', select);
