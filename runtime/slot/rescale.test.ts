/** Several slots over loopback TCP: the same results at any parallelism, and when it changes between attempts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  count,
  defineJob,
  emits,
  hours,
  mapState,
  minutes,
  outputTag,
  planJob,
  sum,
  tumbling,
  valueState,
} from '../../client/index.ts';
import { generator } from '../../connectors/generator/index.ts';
import { canonical, Deliveries } from '../../testing/deliveries.ts';
import { SlotsHarness, type SlotsHarnessOptions } from '../../testing/slots-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { memoryBackend } from '../state/backend.ts';

interface Reading {
  readonly sensor: string;
  readonly at: number;
  readonly value: number;
}

const readings = 4_000;
const farFuture = 8e12;
const fired = outputTag<string>('fired');

/** Windows, event-time and processing-time timers, two kinds of state, four splits, three sinks. */
const jobAt = (parallelism: number) =>
  planJob(
    defineJob('rescaled', (env) => {
      const source = generator<Reading>({
        count: readings,
        splits: 4,
        seed: 5,
        make: (index, random) => ({
          sensor: `a sensor with a long name ${random.int(60)}`,
          at: index * 20_000 - random.int(3_600_000),
          value: random.int(100),
        }),
      });
      const stream = env
        .from(source, { uid: 'readings' })
        .withTimestamps((reading) => reading.at, { outOfOrderness: minutes(10) });
      const hourly = stream
        .keyBy((reading) => reading.sensor)
        .window(tumbling(hours(1)))
        .aggregate({ readings: count(), total: sum((reading) => reading.value) });
      hourly.collect('hourly');
      hourly.late().collect('late');
      const totals = stream
        .keyBy((reading) => reading.sensor)
        .process(emits<unknown>(), {
          state: { total: valueState<number>(), perValue: mapState<number, number>() },
          onRecord: (reading, context) => {
            const { total, perValue } = context.state;
            total.update((total.value() ?? 0) + reading.value);
            perValue.set(reading.value, (perValue.get(reading.value) ?? 0) + 1);
            context.timers.registerEventTime(farFuture);
            context.timers.registerProcessingTime(farFuture);
          },
          onTimer: (time, context) => {
            if (context.timeDomain === 'processing') return context.output(fired, context.key);
            context.emit({
              key: context.key,
              time,
              total: context.state.total.value(),
              values: [...context.state.perValue.entries()],
            });
          },
        });
      totals.collect('totals');
      totals.sideOutput(fired).collect('fired');
    }),
    { parallelism },
  );

/** Runs the parts one after the other, each from the checkpoint of the one before; the last to its end. */
async function runAt(
  parallelisms: readonly number[],
  options: Partial<SlotsHarnessOptions> = {},
): Promise<Map<string, unknown[]>> {
  const delivered = new Deliveries();
  let restore: SlotsHarness['newest'] = null;
  for (const [place, parallelism] of parallelisms.entries()) {
    const job = jobAt(parallelism);
    const last = place === parallelisms.length - 1;
    const clock = last ? { nowMs: () => farFuture + 1 } : {};
    const harness = await new SlotsHarness({
      job,
      restore,
      attempt: place + 1,
      onDelivery: delivered.take,
      ...clock,
      ...options,
    }).start();
    if (last) {
      await harness.finish();
      break;
    }
    await harness.checkpoint();
    await harness.checkpoint();
    await harness.kill();
    restore = harness.newest;
    // Vertices that had finished are not started again: their processing-time timers never fire.
    if (restore !== null && restore.finished.length > 0) delivered.channels.set('ended early', []);
  }
  return delivered.channels;
}

const expectEqual = (actual: Map<string, unknown[]>, expected: Map<string, unknown[]>): void => {
  for (const channel of ['hourly', 'late', 'totals']) {
    expect(canonical(actual.get(channel)), channel).toEqual(canonical(expected.get(channel)));
  }
  // A timer whose time has passed fires with every record that asks for it again: how often depends on the moment.
  if (!actual.has('ended early')) expect(new Set(actual.get('fired'))).toEqual(new Set(expected.get('fired')));
};

describe.each([
  ['memory', () => memoryBackend],
  ['cold', () => createColdTestBackend()],
] as const)('slots with the %s backend', (_, backend) => {
  it('deliver the results of one slot when the job goes on with two, three and one', { timeout: 60_000 }, async () => {
    const whole = await runAt([1]);
    expect(whole.get('late')?.length).toBeGreaterThan(10);
    expect(whole.get('totals')).toHaveLength(60);
    expect(new Set(whole.get('fired')).size).toBe(60);
    expectEqual(await runAt([1, 2, 3, 1], { backend }), whole);
  });

  it('deliver the results of one slot through any changes of parallelism', { timeout: 60_000 }, async () => {
    const whole = await runAt([1]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }),
        async (parallelisms) => {
          expectEqual(await runAt(parallelisms, { backend }), whole);
        },
      ),
      { numRuns: 5 },
    );
  });
});
