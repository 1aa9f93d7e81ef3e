import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareBytes, encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import { aggregateOf } from './aggregate-of.ts';
import { drive } from './drive.test-support.ts';
import { first, last } from './first-last.ts';
import { topN } from './top-n.ts';

interface Bid {
  price: number;
  time: number;
  bidder: string;
}
const bids = fc.array(
  fc.record({
    price: fc.integer({ min: 0, max: 4 }),
    time: fc.integer({ min: 0, max: 3 }),
    bidder: fc.constantFrom('a', 'b', 'c'),
  }),
  { maxLength: 40 },
);

const byPrice = (bid: Readonly<Bid>): number => bid.price;
const byTime = (bid: Readonly<Bid>): number => bid.time;

/** The definition, slowly: sort everything, take n. */
function naiveTop(n: number, values: readonly Bid[], descending: boolean): Bid[] {
  const order = (left: Bid, right: Bid): number =>
    (descending ? right.price - left.price : left.price - right.price) ||
    left.time - right.time ||
    compareBytes(encodeValueToBytes(left), encodeValueToBytes(right));
  return [...values].sort(order).slice(0, n);
}

describe('top n', () => {
  test('is the beginning of the sorted records when compared with a sort', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), bids, fc.boolean(), (n, values, descending) => {
        expect(drive(topN(n, byPrice, { order: descending ? 'desc' : 'asc', ties: byTime })).over(values)).toEqual(
          naiveTop(n, values, descending),
        );
      }),
    );
  });

  test('is the same when records come in another order, merged or through checkpoints', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), bids, fc.nat(40), (n, values, cut) => {
        const driver = drive(topN(n, byPrice));
        const expected = driver.over(values);
        expect(driver.over([...values].reverse())).toEqual(expected);
        expect(driver.merged([values.slice(cut), values.slice(0, cut)])).toEqual(expected);
        expect(driver.throughCheckpoints(values)).toEqual(expected);
      }),
    );
  });

  test('ranks by any key type when it is not a number', () => {
    const words = ['pear', 'apple', 'fig'];
    expect(drive(topN<string>(2, (word) => word)).over(words)).toEqual(['pear', 'fig']);
    expect(drive(topN<string>(2, (word) => [word.length, word], { order: 'asc' })).over(words)).toEqual([
      'fig',
      'pear',
    ]);
  });

  test('is refused when the order is none', () => {
    expect(() => topN(1, byPrice, { order: 'up' as never })).toThrow(/topN: order is "up"; use 'desc' or 'asc'/);
  });

  test('ranks NaN as key order does when it occurs', () => {
    const greatest = compareBytes(encodeKeyToBytes(Number.NaN), encodeKeyToBytes(Number.POSITIVE_INFINITY)) > 0;
    const [best] = drive(topN<number>(1, (value) => value)).over([1, Number.NaN, 2]);
    expect(best).toBe(greatest ? Number.NaN : 2);
  });

  test('hands out a list of its own when asked for a result', () => {
    const results: string[][] = [];
    const aggregate = topN<string>(3, (word) => word);
    if (aggregate.kind !== 'object') throw new Error('expected an object aggregate');
    let accumulator = aggregate.create() as never;
    for (const word of ['a', 'b']) {
      accumulator = aggregate.add(accumulator, word) as never;
      results.push(aggregate.result(accumulator));
    }
    expect(results).toEqual([['a'], ['b', 'a']]);
  });

  test.each([0, -1, 1.5, Number.NaN])('is refused when n is %s', (n) => {
    expect(() => topN(n, byPrice)).toThrow(expect.objectContaining({ code: 'JOB_INVALID' }));
  });
});

describe('first and last', () => {
  test('are those of the whole when groups are merged in order', () => {
    const value = fc.oneof(fc.string(), fc.constant(undefined), fc.constant(null));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), fc.nat(20), (values, cut) => {
        const groups = [values.slice(0, cut), values.slice(cut)];
        for (const [aggregate, expected] of [
          [first((v: unknown) => v), values[0]],
          [last((v: unknown) => v), values.at(-1)],
        ] as const) {
          expect(drive(aggregate).over(values)).toBe(expected);
          expect(drive(aggregate).merged(groups)).toBe(expected);
          expect(drive(aggregate).throughCheckpoints(values)).toBe(expected);
        }
      }),
    );
  });
});

describe('aggregate of', () => {
  test('runs the given functions when driven', () => {
    const distinct = aggregateOf({
      name: 'distinct',
      create: () => new Set<string>(),
      add: (seen, word: string) => seen.add(word),
      merge: (left, right) => new Set([...left, ...right]),
      result: (seen) => seen.size,
    });
    expect(distinct.options).toEqual({ aggregate: 'distinct' });
    expect(
      drive(distinct).merged([
        ['a', 'b'],
        ['b', 'c', 'a'],
      ]),
    ).toBe(3);
    expect(drive(distinct).throughCheckpoints(['a', 'b', 'a'])).toBe(2);
  });

  test('keeps this of a definition when it is an object with methods', () => {
    class Sum {
      readonly start = 10;
      create(): number {
        return this.start;
      }
      add(total: number, value: number): number {
        return total + value;
      }
      merge(left: number, right: number): number {
        return left + right - this.start;
      }
      result(total: number): number {
        return total - this.start;
      }
    }
    expect(drive(aggregateOf(new Sum())).merged([[1], [2, 3]])).toBe(6);
  });

  test('is refused when a function is missing', () => {
    expect(() => aggregateOf({ create: () => 0, add: (a: number) => a, result: (a: number) => a } as never)).toThrow(
      /lacks the function 'merge'/,
    );
  });
});
