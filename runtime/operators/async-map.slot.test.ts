/** Asynchronous operators from a source to a sink: real subtasks, event loop, checkpoints and restores. */
import { describe, expect, it } from 'vitest';
import {
  type AsyncOptions,
  count,
  defineJob,
  type JobEnvironment,
  milliseconds,
  minutes,
  planJob,
  tumbling,
} from '../../client/index.ts';
import { generator } from '../../connectors/generator/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';

interface Reading {
  readonly index: number;
  readonly at: number;
}

const readings = (count: number) =>
  generator<Reading>({ count, splits: 1, seed: 1, make: (index) => ({ index, at: index * 1000 }) });

const plan = (define: (env: JobEnvironment) => void, parallelism = 1) =>
  planJob(defineJob('asynchronous', define), { parallelism });

async function run(define: (env: JobEnvironment) => void): Promise<Deliveries> {
  const delivered = new Deliveries();
  const harness = await new SlotHarness({ job: plan(define), onDelivery: delivered.take }).start();
  await harness.finish();
  return delivered;
}

describe.each(['ordered', 'unordered'] as const)('an asynchronous operator, %s', (order) => {
  const options: AsyncOptions<Reading, Reading> = { order, capacity: 64 };

  it('makes 10,000 calls and hands on each answer once', { timeout: 60_000 }, async () => {
    let inFlight = 0;
    let most = 0;
    const delivered = await run((env) => {
      env
        .from(readings(10_000))
        .asyncMap(async (reading) => {
          most = Math.max(most, ++inFlight);
          await new Promise((resolve) => setImmediate(resolve));
          if (reading.index % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
          inFlight--;
          return { ...reading, index: reading.index * 2 };
        }, options)
        .collect('out');
    });
    const got = (delivered.channels.get('out') as Reading[]).map((reading) => reading.index);
    const expected = Array.from({ length: 10_000 }, (_, index) => index * 2);
    expect(order === 'ordered' ? got : got.toSorted((a, b) => a - b)).toEqual(expected);
    expect(most).toBeGreaterThan(32);
    expect(most).toBeLessThanOrEqual(64);
  });

  it('lets no window fire before the answers for its records', { timeout: 60_000 }, async () => {
    const delivered = await run((env) => {
      env
        .from(readings(2_000))
        .withTimestamps((reading) => reading.at, { outOfOrderness: milliseconds(0) })
        .asyncMap(async (reading) => {
          // The first of a minute is slow: its window may not fire without it.
          const turns = reading.index % 60 === 0 ? 20 : 1;
          for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
          return reading;
        }, options)
        .keyBy(() => 'all')
        .window(tumbling(minutes(1)))
        .aggregate({ readings: count() })
        .collect('minutes');
    });
    const counts = (delivered.channels.get('minutes') as { readings: number }[]).map((minute) => minute.readings);
    expect(counts).toEqual([...Array.from({ length: 33 }, () => 60), 20]);
  });
});
