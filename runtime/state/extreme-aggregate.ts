/**
 * `min` and `max` over records that may be taken back: all numbers of a row with how often each came, in order. The extreme
 * is at one end; adding and taking back are a binary search and a move of what lies behind.
 *
 * As in columns, a NaN makes the result NaN, here until it is taken back.
 */
import type { NumericAggregate, ObjectAggregate } from '../../core/aggregate.ts';

/** Distinct numbers in ascending order beside their counts, and how often NaN came. */
export interface SortedNumbers {
  readonly numbers: number[];
  readonly counts: number[];
  nanCount: number;
}

/** @param name of the aggregate, for errors */
export function extremeAggregate(
  name: string,
  aggregate: NumericAggregate<unknown>,
): ObjectAggregate<unknown, SortedNumbers, number> {
  const { select, filter } = aggregate;
  const isMin = aggregate.kind === 'min';
  const change = (all: SortedNumbers, value: Readonly<unknown>, difference: 1 | -1): SortedNumbers => {
    if (filter !== undefined && !filter(value)) return all;
    const number: unknown = select?.(value);
    if (typeof number !== 'number') {
      const what = number === null ? 'null' : typeof number;
      throw new TypeError(`the function of aggregate '${name}' must return a number, it returned ${what}`);
    }
    changeCount(all, number, difference);
    return all;
  };
  return {
    kind: 'object',
    options: { aggregate: aggregate.kind },
    create: () => ({ numbers: [], counts: [], nanCount: 0 }),
    add: (all, value) => change(all, value, 1),
    retract: (all, value) => change(all, value, -1),
    merge: (left, right) => {
      right.numbers.forEach((number, index) => changeCount(left, number, right.counts[index] as number));
      left.nanCount += right.nanCount;
      return left;
    },
    result: ({ numbers, nanCount }) => {
      if (nanCount > 0) return Number.NaN;
      if (numbers.length === 0) return isMin ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
      return numbers[isMin ? 0 : numbers.length - 1] as number;
    },
    sizeOf: ({ numbers }) => 100 + 16 * numbers.length,
    codec: null,
  };
}

/** What is taken back without having been added is left out: a count never falls below 0. */
function changeCount(all: SortedNumbers, number: number, difference: number): void {
  if (number !== number) {
    all.nanCount = Math.max(0, all.nanCount + difference);
    return;
  }
  const { numbers, counts } = all;
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] as number) < number) low = middle + 1;
    else high = middle;
  }
  if (low < numbers.length && numbers[low] === number) {
    counts[low] = (counts[low] as number) + difference;
    if (counts[low] === 0) {
      numbers.splice(low, 1);
      counts.splice(low, 1);
    }
  } else if (difference > 0) {
    // -0 and 0 are one number, kept as 0.
    numbers.splice(low, 0, number === 0 ? 0 : number);
    counts.splice(low, 0, difference);
  }
}
