/**
 * Aggregates whose accumulators are numbers: the runtime keeps them in columns of float64, so they cost no object per
 * key. A NaN among the numbers makes the result NaN, as in JavaScript's own arithmetic.
 */
import type { NumericAggregate, NumericAggregateKind } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';

/** A numeric aggregate with the type of its result. */
export type NumberAggregate<In> = NumericAggregate<In> & { readonly outType?: number };

function numeric<In>(kind: NumericAggregateKind, select: ((value: In) => number) | null): NumberAggregate<In> {
  if (select !== null && typeof select !== 'function') {
    throw new EngineError('JOB_INVALID', `${kind}(...) needs a function that gives the number of a record, got ${typeof select}`);
  }
  return Object.freeze({ kind, options: {}, select });
}

/** Number of records. */
export const count = (): NumberAggregate<unknown> => numeric('count', null);
/** Sum, added in order of arrival (float64: with fractions the last digits depend on the order). */
export const sum = <In>(select: (value: In) => number): NumberAggregate<In> => numeric('sum', select);
/** Smallest number. */
export const min = <In>(select: (value: In) => number): NumberAggregate<In> => numeric('min', select);
/** Largest number. */
export const max = <In>(select: (value: In) => number): NumberAggregate<In> => numeric('max', select);
/** Arithmetic mean: sum divided by count. */
export const avg = <In>(select: (value: In) => number): NumberAggregate<In> => numeric('avg', select);
