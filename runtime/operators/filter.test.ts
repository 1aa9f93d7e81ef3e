import { expect, test } from 'vitest';
import { engineErrorOf, type HarnessOptions, OperatorHarness } from '../../testing/operator-harness.ts';
import { FilterOperator } from './filter.ts';

const even: HarnessOptions<'filter'> = {
  create: (context) => new FilterOperator(context),
  functions: { kind: 'filter', filter: ((value: number) => value % 2 === 0) as never },
};

const throwing: HarnessOptions<'filter'> = {
  ...even,
  operatorId: 'no-threes',
  functions: {
    kind: 'filter',
    filter: ((value: number) => {
      if (value === 3) throw new Error('three');
      return true;
    }) as never,
  },
};

test('filter passes the records its function holds for, with their time', async () => {
  const harness = await OperatorHarness.open(even);
  await harness.process({ value: 1 }, { value: 2, timestamp: 20 }, { value: 3 }, { value: 4 });
  expect(harness.values).toEqual([2, 4]);
  expect(harness.outputs[0]?.timestamp).toBe(20);
});

test('filter fails the attempt naming the operator when its function throws', async () => {
  const harness = await OperatorHarness.open(throwing);
  const error = await engineErrorOf(harness.process({ value: 3 }));
  expect(error.code).toBe('USER_FUNCTION_FAILED');
  expect(error.ids['operator']).toBe('no-threes');
});

test('filter goes on with the next record when its function throws under skip', async () => {
  const harness = await OperatorHarness.open({ ...throwing, config: { onError: 'skip' } });
  await harness.process({ value: 1 }, { value: 3 }, { value: 5 });
  expect(harness.values).toEqual([1, 5]);
  expect(harness.counter('skipped')).toBe(1);
});

test('filter opens and closes a function object once', async () => {
  const calls: string[] = [];
  const filter = {
    open: () => void calls.push('open'),
    call: () => true,
    close: () => void calls.push('close'),
  };
  const harness = await OperatorHarness.open({ ...even, functions: { kind: 'filter', filter: filter as never } });
  await harness.process({ value: 1 });
  await harness.operator.close();
  expect(calls).toEqual(['open', 'close']);
});
