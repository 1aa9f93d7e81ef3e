import { describe, expect, test } from 'vitest';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createReduceOperator } from './reduce.ts';

interface Sum {
  readonly name: string | number;
  readonly amount: number;
}

const reduceSum: HarnessOptions<'reduce'> = {
  create: createReduceOperator,
  functions: {
    kind: 'reduce',
    keyOf: ((value: Sum) => value.name) as never,
    reduce: ((left: Sum, right: Sum): Sum => ({ name: left.name, amount: left.amount + right.amount })) as never,
  },
};
const record = (name: string | number, amount: number) => ({ value: { name, amount } });

describe.each(['memory', 'cold'] as const)('reduce on the %s backend', (backend) => {
  test('emits the running value with every record', async () => {
    const harness = await OperatorHarness.open({ ...reduceSum, backend });
    await harness.process(record('a', 1), record('b', 10), record('a', 2));
    expect(harness.values).toEqual([
      { name: 'a', amount: 1 },
      { name: 'b', amount: 10 },
      { name: 'a', amount: 3 },
    ]);
  });

  test('goes on from the checkpoint when restored with another parallelism', async () => {
    const harness = await OperatorHarness.open({ ...reduceSum, backend });
    for (let key = 0; key < 500; key++) await harness.process(record(key, key), record(`key ${key}`, 1));
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    expect(image.rows).toHaveLength(1000);
    for (const subtaskIndex of [0, 1, 2]) {
      const restored = await OperatorHarness.open({
        ...reduceSum,
        backend,
        parallelism: 3,
        subtaskIndex,
        restore: image.rows,
      });
      const own = image.rows.filter(
        (row) => row.keyGroup >= restored.keyGroups.first && row.keyGroup <= restored.keyGroups.last,
      );
      const again = new CheckpointImage();
      again.apply(restored.checkpoint(2));
      expect(again.rows).toHaveLength(0);
      expect(own.length).toBeGreaterThan(0);
    }
    const restored = await OperatorHarness.open({ ...reduceSum, backend, restore: image.rows });
    await restored.process(record(7, 1), record('key 7', 1));
    expect(restored.values).toEqual([
      { name: 7, amount: 8 },
      { name: 'key 7', amount: 2 },
    ]);
  });

  test('a frozen row keeps its contents when it changes before it is encoded', async () => {
    const harness = await OperatorHarness.open({ ...reduceSum, backend });
    await harness.process(record('a', 1), record('b', 1));
    const frozen = harness.freeze(1);
    await harness.process(record('a', 100));
    const image = new CheckpointImage();
    image.apply(harness.encode(frozen));
    const restored = await OperatorHarness.open({ ...reduceSum, backend, restore: image.rows });
    await restored.process(record('a', 1));
    expect(restored.values).toEqual([{ name: 'a', amount: 2 }]);
    harness.operator.checkpointCompleted(1);
    image.apply(harness.checkpoint(2));
    const later = await OperatorHarness.open({ ...reduceSum, backend, restore: image.rows });
    await later.process(record('a', 1));
    expect(later.values).toEqual([{ name: 'a', amount: 102 }]);
  });

  test('names operator and path when a key is refused', async () => {
    const harness = await OperatorHarness.open({ ...reduceSum, backend, operatorId: 'totals' });
    const error = await engineErrorOf(harness.process(record({ nested: 1 } as never, 1)));
    expect(error.code).toBe('KEY_NOT_SUPPORTED');
    expect(error.message).toContain("operator 'totals'");
    expect(error.ids['operator']).toBe('totals');
  });
});

test('a record is skipped and counted when its function throws under skip', async () => {
  const functions = {
    ...reduceSum.functions,
    reduce: (() => {
      throw new Error('no sum today');
    }) as never,
  };
  const harness = await OperatorHarness.open({ ...reduceSum, functions, config: { onError: 'skip' } });
  await harness.process(record('a', 1), record('a', 2));
  expect(harness.values).toEqual([{ name: 'a', amount: 1 }]);
  expect(harness.counter('skipped')).toBe(1);
});

test('a record goes to the side output with its error when its function throws under sideOutput', async () => {
  const functions = {
    ...reduceSum.functions,
    keyOf: (() => {
      throw new Error('no key today');
    }) as never,
  };
  const harness = await OperatorHarness.open({
    ...reduceSum,
    functions,
    operatorId: 'totals',
    config: { onError: { sideOutput: 'errors' } },
  });
  await harness.process(record('a', 1));
  expect(harness.side('errors').map((output) => output.value)).toMatchObject([
    { record: { name: 'a', amount: 1 }, operator: 'totals', message: expect.stringContaining('no key today') },
  ]);
});

test('the attempt fails with operator and cause when its function throws under fail', async () => {
  const cause = new Error('no key today');
  const functions = {
    ...reduceSum.functions,
    keyOf: (() => {
      throw cause;
    }) as never,
  };
  const harness = await OperatorHarness.open({ ...reduceSum, functions, operatorId: 'totals' });
  const error = await engineErrorOf(harness.process(record('a', 1)));
  expect(error.code).toBe('USER_FUNCTION_FAILED');
  expect(error.cause).toBe(cause);
  expect(error.ids['operator']).toBe('totals');
});
