import { describe, expect, test } from 'vitest';
import type { AggregateSet } from '../../core/aggregate.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createAggregateOperator } from './aggregate.ts';

interface Reading {
  readonly key: string | number;
  readonly n: number;
}

const select = ((value: Reading) => value.n) as never;
const numeric = {
  count: { kind: 'count', options: {}, select: null },
  sum: { kind: 'sum', options: {}, select },
  min: { kind: 'min', options: {}, select },
  max: { kind: 'max', options: {}, select },
  mean: { kind: 'avg', options: {}, select },
} as const;
/** All numbers seen, as a set that is not plain data. */
const seen = {
  kind: 'object',
  options: { aggregate: 'seen' },
  create: () => new Set<number>(),
  add: (accumulator: Set<number>, value: Reading) => {
    if (value.n < 0) throw new Error('negative');
    return accumulator.add(value.n);
  },
  merge: (left: Set<number>, right: Set<number>) => new Set([...left, ...right]),
  result: (accumulator: Set<number>) => [...accumulator],
  sizeOf: null,
  codec: {
    toPlain: (accumulator: Set<number>) => [...accumulator],
    fromPlain: (plain: unknown) => new Set(plain as number[]),
  },
};

function aggregates(set: object): HarnessOptions<'aggregate'> {
  return {
    create: createAggregateOperator,
    functions: {
      kind: 'aggregate',
      keyOf: ((value: Reading) => value.key) as never,
      aggregates: set as AggregateSet<never>,
    },
  };
}
const of = (key: string | number, n: number) => ({ value: { key, n } });

describe.each(['memory', 'cold'] as const)('aggregate on the %s backend', (backend) => {
  test('emits the results so far with every record', async () => {
    const harness = await OperatorHarness.open({ ...aggregates(numeric), backend });
    await harness.process(of('a', 4), of('a', -2), of('b', 1));
    expect(harness.values).toEqual([
      { key: 'a', count: 1, sum: 4, min: 4, max: 4, mean: 4 },
      { key: 'a', count: 2, sum: 2, min: -2, max: 4, mean: 1 },
      { key: 'b', count: 1, sum: 1, min: 1, max: 1, mean: 1 },
    ]);
  });

  test('keeps object accumulators over a restore', async () => {
    const options = { ...aggregates({ seen, count: numeric.count }), backend };
    const harness = await OperatorHarness.open(options);
    for (let key = 0; key < 150; key++) await harness.process(of(key, key), of(key, key + 1));
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await OperatorHarness.open({ ...options, restore: image.rows });
    await restored.process(of(77, 5));
    expect(restored.values).toEqual([{ key: 77, seen: [77, 78, 5], count: 3 }]);
  });

  test('leaves numbers and rows as they were when a function of one aggregate throws', async () => {
    const harness = await OperatorHarness.open({
      ...aggregates({ count: numeric.count, seen }),
      backend,
      config: { onError: 'skip' },
    });
    await harness.process(of('a', -1), of('a', 1), of('a', -1), of('a', 2));
    expect(harness.values).toEqual([
      { key: 'a', count: 1, seen: [1] },
      { key: 'a', count: 2, seen: [1, 2] },
    ]);
    expect(harness.counter('skipped')).toBe(2);
  });

  test('shows NaN in every numeric result once a record brought it', async () => {
    const harness = await OperatorHarness.open({ ...aggregates(numeric), backend });
    await harness.process(of('a', 1), of('a', Number.NaN), of('a', 2));
    expect(harness.values.at(-1)).toEqual({
      key: 'a',
      count: 3,
      sum: Number.NaN,
      min: Number.NaN,
      max: Number.NaN,
      mean: Number.NaN,
    });
  });
});

test('names the aggregate when its function returns something else than a number', async () => {
  const harness = await OperatorHarness.open(
    aggregates({ total: { kind: 'sum', options: {}, select: () => undefined } }),
  );
  const error = await engineErrorOf(harness.process(of('a', 1)));
  expect(error.code).toBe('USER_FUNCTION_FAILED');
  expect(error.message).toContain("'total'");
});
