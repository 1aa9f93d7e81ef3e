/** Event times beyond those of a Date, should a record ever have one: they neither loop nor make state, in prefetching either. */
import { describe, expect, test } from 'vitest';
import { OperatorHarness } from '../../testing/operator-harness.ts';
import { createIntervalJoinOperator } from './interval-join.ts';
import { createWindowOperator } from './windows/general/window-operator.ts';
import { eventTimeTrigger } from '../../client/windows/triggers.ts';

const badTimes = [1e308, -1e308, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 8.64e15 + 2];
const keyOf = (() => 'k') as never;

describe.each(['memory', 'cold'] as const)('beside %s', (backend) => {
  test.each(badTimes)('an interval join skips a record of %d by its policy and joins the others', async (timestamp) => {
    const harness = await OperatorHarness.open({
      create: createIntervalJoinOperator,
      backend,
      config: { lowerMs: 0, upperMs: 5, lateTag: null, lateSecondTag: null, onError: 'skip' },
      functions: { kind: 'interval-join', keyOf, keyOfSecond: keyOf, join: ((a: number, b: number) => a + b) as never },
    });
    await harness.process({ value: 1, timestamp: 10 }, { value: 2, timestamp }, { value: 3, timestamp: 12 });
    expect(harness.failure).toBeNull();
    expect(harness.counter('skipped')).toBe(1);
    expect(harness.checkpoint(1)).toHaveLength(1);
  });

  test.each(badTimes)('sliding windows with a function skip a record of %d by their policy', async (timestamp) => {
    const harness = await OperatorHarness.open({
      create: createWindowOperator,
      backend,
      config: { allowedLatenessMs: 0, lateTag: null, onError: 'skip' },
      functions: {
        kind: 'window',
        keyOf,
        window: { kind: 'sliding', time: 'event', sizeMs: 100, slideMs: 50, offsetMs: 0 },
        trigger: eventTimeTrigger() as never,
        evictor: null,
        reduce: null,
        aggregates: null,
        windowFunction: null,
        resultOf: ((all: readonly unknown[]) => all.length) as never,
      },
    });
    await harness.process({ value: 1, timestamp: 10 }, { value: 2, timestamp }, { value: 3, timestamp: 12 });
    await harness.watermark(1_000);
    expect(harness.failure).toBeNull();
    expect(harness.counter('skipped')).toBe(1);
    expect(harness.outputs.map(({ value }) => value)).toEqual([2, 2]);
  });
});
