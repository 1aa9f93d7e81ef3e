import fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import type { Aggregate, ObjectAggregate } from '../../core/aggregate.ts';
import { AggregateLayout } from '../../runtime/state/aggregate-layout.ts';
import { count, defineJob, hours, sum, tumbling } from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';
import { countDistinct } from './count-distinct.ts';
import { drive } from './drive.test-support.ts';
import { filtered } from './filtered.ts';
import { avg, max, min } from './numeric.ts';

const value = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.constantFrom('0', 'a', '', 1n, true, null, undefined, Number.NaN, -0),
  fc.date({ min: new Date(0), max: new Date(3), noInvalidDate: true }),
  fc.tuple(fc.constantFrom('x', 'y'), fc.integer({ min: 0, max: 2 })),
);
type Value = typeof value extends fc.Arbitrary<infer T> ? T : never;

/** Values in words: equal keys have equal words. */
const words = (one: Value): string =>
  one instanceof Date ? `date ${one.getTime()}` : `${typeof one} ${Array.isArray(one) ? one.join() : String(one)}`;
const distinct = (values: readonly Value[]): number =>
  new Set(values.filter((one) => one !== null && one !== undefined).map(words)).size;

describe('countDistinct', () => {
  test('counts different keys, however records are grouped or stored', () => {
    const driver = drive(countDistinct((one: Value) => one));
    fc.assert(
      fc.property(fc.array(fc.array(value, { maxLength: 12 }), { maxLength: 4 }), (groups) => {
        const all = groups.flat();
        expect(driver.over(all)).toBe(distinct(all));
        expect(driver.merged(groups)).toBe(distinct(all));
        expect(driver.throughCheckpoints(all)).toBe(distinct(all));
      }),
    );
  });

  test('takes records back when they came before', () => {
    const aggregate = countDistinct((one: Value) => one) as unknown as ObjectAggregate<Value, unknown, number>;
    fc.assert(
      fc.property(fc.array(value, { maxLength: 20 }), fc.nat(), (values, seed) => {
        const left = values.filter((_, index) => (index * 7 + seed) % 3 !== 0);
        let accumulator = values.reduce((all: unknown, one) => aggregate.add(all, one), aggregate.create());
        for (const [index, one] of values.entries())
          if ((index * 7 + seed) % 3 === 0) accumulator = aggregate.retract?.(accumulator, one);
        expect(aggregate.result(accumulator)).toBe(distinct(left));
      }),
    );
  });

  test('refuses what is no function', () => {
    expect(() => countDistinct(7 as never)).toThrow(/countDistinct.*got number/);
  });
});

interface Bid {
  price: number;
  channel: string;
}

describe('filtered', () => {
  test('leaves records out of numbers and objects, and asks one predicate once', () => {
    let asked = 0;
    const cheap = (bid: Bid): boolean => {
      asked++;
      return bid.price < 10;
    };
    const price = (bid: Bid): number => bid.price;
    const set = {
      all: count(),
      cheap: filtered(count(), cheap),
      total: filtered(sum(price), cheap),
      least: filtered(min(price), cheap),
      most: filtered(max(price), cheap),
      mean: filtered(avg(price), cheap),
    };
    const layout = new AggregateLayout(set as never);
    const parts = Float64Array.from(layout.partKinds, (kind) => (kind === 2 ? Infinity : kind === 3 ? -Infinity : 0));
    const table = { parts, upsert: () => 0, addObjects: () => 0 };
    for (const bid of [4, 40, 6]) layout.add(table, 'k', { price: bid, channel: 'x' });
    expect(layout.makeResult(parts, 0, [], 0, 'k', 0, 0)).toEqual({
      key: 'k',
      all: 3,
      cheap: 2,
      total: 10,
      least: 4,
      most: 6,
      mean: 5,
    });
    expect(asked).toBe(3);
  });

  test('lets selectors see only the records that pass', () => {
    const twice = filtered(
      filtered(
        countDistinct((bid: Bid) => bid.channel.toUpperCase()),
        (bid: Bid) => bid.channel !== undefined,
      ),
      (bid: Bid) => bid.price > 1,
    );
    expect(drive(twice).over([{ price: 2, channel: 'a' }, { price: 1, channel: 'b' }, { price: 3 } as Bid])).toBe(1);
  });

  test('knows the records of its stream, also in windows, and is part of the graph', () => {
    const define = (withFilter: boolean) =>
      defineJob('job', (env) => {
        const bids = env.from(testSource<Bid>());
        bids
          .keyBy((bid) => bid.channel)
          .window(tumbling(hours(1)))
          .aggregate({ cheap: withFilter ? filtered(count(), (bid) => bid.price < 10) : count() })
          .uid('w')
          .print();
      });
    const configs = [true, false].map((withFilter) =>
      JSON.stringify(define(withFilter).plan({ parallelism: 1 }).graph.vertices),
    );
    expect(configs[0]).not.toBe(configs[1]);
    expectTypeOf(
      filtered(
        sum((bid: Bid) => bid.price),
        (bid: Bid) => bid.price < 1,
      ),
    ).toEqualTypeOf<Aggregate<Bid, number>>();
  });

  test.each([
    [() => filtered(count(), 7 as never), /needs a function/],
    [() => filtered(7 as never, () => true), /needs an aggregate first/],
  ])('refuses what it cannot use', (make, message) => {
    expect(make).toThrow(message);
  });
});
