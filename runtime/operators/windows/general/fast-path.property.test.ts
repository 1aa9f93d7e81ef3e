/**
 * Aggregates over windows have two implementations: panes and counts of their own (`.aggregate(set)`), and windows with a
 * trigger (`.trigger(eventTimeTrigger()).aggregate(set)`). Over random records, watermarks and lateness they emit the same.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AggregateSet } from '../../../../core/aggregate.ts';
import type { Key } from '../../../../core/operators.ts';
import type { WindowDefinition } from '../../../../core/windows.ts';
import { eventTimeTrigger, session, sliding, tumbling } from '../../../../client/index.ts';
import { windowConfig } from '../../../../client/streams/windows.ts';
import { type InputRecord, OperatorHarness } from '../../../../testing/operator-harness.ts';
import { createWindowAggregateOperator } from '../../window-aggregate.ts';
import { type Reading, windowOptions } from './window-harness.test-support.ts';

const select = ((value: Reading) => value.n) as never;
const aggregates: AggregateSet<never> = {
  count: { kind: 'count', options: {}, select: null },
  sum: { kind: 'sum', options: {}, select },
  least: { kind: 'min', options: {}, select },
};

const windows: Readonly<Record<string, WindowDefinition<never>>> = {
  tumbling: tumbling(10, { offset: 3 }),
  sliding: sliding(20, 8),
  session: session(7),
};

interface Step {
  readonly records: readonly { key: Key; n: number; at: number; behind: number | null }[];
  readonly by: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  records: fc.array(
    fc.record({
      key: fc.constantFrom<Key>(0, 'a', 'a key that is longer than thirteen', ['a', 1]),
      n: fc.integer({ min: -5, max: 5 }),
      at: fc.integer({ min: -40, max: 60 }),
      behind: fc.option(fc.integer({ min: 0, max: 40 })),
    }),
    { maxLength: 12, size: 'max' },
  ),
  by: fc.integer({ min: 0, max: 25 }),
});

async function run(
  steps: readonly Step[],
  harness: OperatorHarness<'window'> | OperatorHarness<'window-aggregate'>,
): Promise<unknown> {
  let watermark = 0;
  const emitted: unknown[] = [];
  const take = (): void => {
    emitted.push(harness.outputs.splice(0).map(({ value, timestamp }) => ({ value, timestamp })));
  };
  for (const { records, by } of steps) {
    const inputs = records.map(
      ({ key, n, at, behind }): InputRecord => ({
        value: { key, n },
        timestamp: watermark + at,
        splitWatermark: behind === null ? Number.NaN : watermark + at + behind,
      }),
    );
    await harness.process(...inputs);
    take();
    watermark += by;
    await harness.watermark(watermark);
    take();
  }
  await harness.watermark(100_000);
  take();
  return { emitted, late: harness.metrics.lateRecords };
}

describe.each(['memory', 'cold'] as const)('windows of aggregates on the %s backend', (backend) => {
  test.each(Object.keys(windows))('emit the same with and without an explicit trigger: %s', async (name) => {
    const window = windows[name] as WindowDefinition<never>;
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 20, size: 'max' }),
      fc.constantFrom(0, 7, 30),
      async (steps, allowedLatenessMs) => {
        const fast = await OperatorHarness.open({
          create: createWindowAggregateOperator,
          config: { window: windowConfig(window), allowedLatenessMs, lateTag: 'late' },
          functions: { kind: 'window-aggregate', keyOf: ((value: Reading) => value.key) as never, aggregates },
          backend,
        });
        const trigger = eventTimeTrigger();
        const general = await OperatorHarness.open({
          ...windowOptions({ window, trigger, allowedLatenessMs, body: { aggregates } }),
          backend,
        });
        expect(await run(steps, general)).toEqual(await run(steps, fast));
      },
    );
    await fc.assert(property, { numRuns: 80 });
  });
});
