/**
 * Exact quantiles: keeps every number, 8 bytes a record of state. For groups too large for that, `quantileSketch`.
 */
import type { Aggregate } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import { objectAggregate } from './aggregate-of.ts';
import { nearestRank } from './nearest-rank.ts';

/**
 * The exact p-quantile by nearest rank: the smallest number that at least the share `p` of all numbers does not exceed.
 * Independent of the order of arrival.
 * @param p      above 0, at most 1 (0.5: the lower median, 1: the maximum)
 * @param select the number of a record; NaN is refused, it has no place in an order
 * @throws EngineError JOB_INVALID unless 0 < p <= 1
 */
export function quantile<In>(p: number, select: (value: In) => number): Aggregate<In, number> {
  const rankIndex = nearestRank(p);
  return objectAggregate<In, number[], number>(
    {
      create: () => [],
      add: (numbers, value) => {
        numbers.push(orderedNumber(select(value), 'quantile'));
        return numbers;
      },
      merge: (left, right) => {
        for (const number of right) left.push(number);
        return left;
      },
      result: (numbers) => Float64Array.from(numbers).sort()[rankIndex(numbers.length)] ?? Number.NaN,
      sizeOf: (numbers) => 64 + 8 * numbers.length,
      codec: {
        toPlain: (numbers) => Float64Array.from(numbers),
        fromPlain: (plain) => Array.from(plain as Float64Array),
      },
    },
    { aggregate: 'quantile', p },
    { select },
  );
}

/** @throws EngineError USER_FUNCTION_FAILED when `value` is not a number or NaN */
export function orderedNumber(value: number, aggregate: string): number {
  if (typeof value === 'number' && !Number.isNaN(value)) return value;
  throw new EngineError(
    'USER_FUNCTION_FAILED',
    `${aggregate}: the function gave ${String(value)}, which has no place among numbers in order; filter such records out before`,
  );
}
