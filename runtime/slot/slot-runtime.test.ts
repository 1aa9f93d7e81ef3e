/**
 * The slice of a slot from source to sink, in this thread: results, lateness, side inputs, checkpoints and restarts, on
 * the memory and on the cold backend.
 */
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
  quantile,
  sum,
  tumbling,
  valueState,
} from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import { canonical, Deliveries } from '../../testing/deliveries.ts';
import { SlotHarness, type SlotHarnessOptions } from '../../testing/slot-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { memoryBackend } from '../state/backend.ts';

interface Reading {
  readonly sensor: string;
  readonly at: number;
  readonly value: number;
}

const backends = [
  ['memory', () => memoryBackend],
  ['cold', () => createColdTestBackend()],
] as const;

/** Runs a job to its end and returns what `collect` channels delivered, by channel. */
async function runToEnd(options: Omit<SlotHarnessOptions, 'onDelivery'>): Promise<Map<string, unknown[]>> {
  const delivered = new Deliveries();
  const harness = await new SlotHarness({ ...options, onDelivery: delivered.take }).start();
  await harness.finish();
  return delivered.channels;
}

const windowsJob = (readings: readonly Reading[]) =>
  planJob(
    defineJob('windows', (env) => {
      const hourly = env
        .from(collection(readings), { uid: 'readings' })
        .withTimestamps((reading) => reading.at, { outOfOrderness: minutes(10) })
        .keyBy((reading) => reading.sensor)
        .window(tumbling(hours(1)))
        .aggregate({
          readings: count(),
          total: sum((reading) => reading.value),
          p50: quantile(0.5, (reading) => reading.value),
        });
      hourly.collect('hourly');
      hourly.late().collect('late');
      hourly
        .keyBy((hour) => hour.windowStart)
        .aggregate({ sensors: count() })
        .collect('running');
    }),
    {},
  );

/** The same, computed by brute force from the definition in words. */
function windowsOracle(readings: readonly Reading[]) {
  const late: Reading[] = [];
  const windows = new Map<string, Reading[]>();
  let newest = Number.NEGATIVE_INFINITY;
  for (const reading of readings) {
    const start = Math.floor(reading.at / 3_600_000) * 3_600_000;
    if (start + 3_600_000 - 1 <= newest - 600_000 - 1) late.push(reading);
    else windows.set(`${reading.sensor} ${start}`, [...(windows.get(`${reading.sensor} ${start}`) ?? []), reading]);
    newest = Math.max(newest, reading.at);
  }
  const hourly = [...windows].map(([id, records]) => {
    const [sensor, start] = id.split(' ') as [string, string];
    const sorted = records.map((record) => record.value).sort((left, right) => left - right);
    return {
      key: sensor,
      windowStart: Number(start),
      windowEnd: Number(start) + 3_600_000,
      readings: records.length,
      total: records.reduce((total, record) => total + record.value, 0),
      p50: sorted[Math.ceil(sorted.length * 0.5) - 1],
    };
  });
  return { hourly, late };
}

const readingsOf = (count: number, seed: number): Reading[] => {
  let state = seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: count }, (_, index) => {
    return { sensor: `sensor-${next(40)}`, at: index * 20_000 - next(5_400_000), value: next(100) };
  });
};

describe.each(backends)('a slot with the %s backend', (_, backend) => {
  it('computes windows and late records as brute force does when records are out of order', async () => {
    const readings = readingsOf(3_000, 7);
    const results = await runToEnd({ job: windowsJob(readings), backend: backend() });
    const oracle = windowsOracle(readings);
    expect(oracle.late.length).toBeGreaterThan(20);
    expect(canonical(results.get('hourly'))).toEqual(canonical(oracle.hourly));
    expect(canonical(results.get('late'))).toEqual(canonical(oracle.late));
  });

  it('delivers every result once when it is killed at any checkpoint and goes on from it', async () => {
    const readings = readingsOf(1_500, 11);
    const oracle = windowsOracle(readings);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('checkpoint', 'abort', 'kill', 'kill-uncommitted'), { maxLength: 6 }),
        async (steps) => {
          const delivered = new Deliveries();
          const job = windowsJob(readings);
          let attempt = 1;
          const begin = (restore: SlotHarness['newest']) =>
            new SlotHarness({
              job,
              restore,
              attempt: attempt++,
              backend: backend(),
              onDelivery: delivered.take,
            }).start();
          let harness = await begin(null);
          for (const step of steps) {
            if (step === 'checkpoint') await harness.checkpoint();
            else if (step === 'abort') {
              const checkpoint = await harness.snapshot();
              if (checkpoint !== null) harness.abort(checkpoint);
            } else if (step === 'kill-uncommitted') {
              // Complete by its pointer, and killed before anybody was told.
              const checkpoint = await harness.snapshot();
              await harness.kill();
              harness = await begin(checkpoint ?? harness.newest);
            } else {
              await harness.kill();
              harness = await begin(harness.newest);
            }
          }
          await harness.finish();
          expect(canonical(delivered.channels.get('hourly'))).toEqual(canonical(oracle.hourly));
          expect(canonical(delivered.channels.get('late'))).toEqual(canonical(oracle.late));
        },
      ),
      { numRuns: 15 },
    );
  });

  it('keeps declared state and timers of a process function over a restart', async () => {
    const overdue = outputTag<string>('overdue');
    const readings = readingsOf(800, 3);
    const job = planJob(
      defineJob('process', (env) => {
        const alerts = env
          .from(collection(readings), { uid: 'readings' })
          .withTimestamps((reading) => reading.at, { outOfOrderness: hours(2) })
          .keyBy((reading) => reading.sensor)
          .process(emits<unknown>(), {
            state: { total: valueState<number>(), perValue: mapState<number, number>() },
            onRecord(reading, context) {
              context.state.total.update((context.state.total.value() ?? 0) + reading.value);
              context.state.perValue.set(reading.value, (context.state.perValue.get(reading.value) ?? 0) + 1);
              context.timers.registerEventTime(10_000_000);
            },
            onTimer(time, context) {
              const values = [...context.state.perValue.entries()];
              context.emit({ key: context.key, time, total: context.state.total.value(), values });
              context.output(overdue, context.key);
            },
          });
        alerts.collect('alerts');
        alerts.sideOutput(overdue).collect('overdue');
      }),
      {},
    );
    const whole = await runToEnd({ job, backend: backend() });
    const delivered = new Deliveries();
    const first = await new SlotHarness({ job, backend: backend(), onDelivery: delivered.take }).start();
    await first.checkpoint();
    await first.kill();
    const second = new SlotHarness({
      job,
      restore: first.newest,
      attempt: 2,
      backend: backend(),
      onDelivery: delivered.take,
    });
    await (await second.start()).finish();
    expect(whole.get('alerts')?.length).toBe(new Set(readings.map((reading) => reading.sensor)).size);
    expect(canonical(delivered.channels.get('alerts'))).toEqual(canonical(whole.get('alerts')));
    expect(canonical(delivered.channels.get('overdue'))).toEqual(canonical(whole.get('overdue')));
  });
});

describe('a slot', () => {
  it('reads a broadcast side input to its end before the first main record, also after a restart', async () => {
    const main = Array.from({ length: 2_000 }, (_, index) => ({ id: index % 50 }));
    const names = Array.from({ length: 50 }, (_, id) => ({ id, name: `name-${id}` }));
    const job = planJob(
      defineJob('side', (env) => {
        const side = env.from(collection(names), { uid: 'names' });
        env
          .from(collection(main), { uid: 'main' })
          .broadcastInput(side, (rows) => new Map(rows.map((row) => [row.id, row.name])))
          .map((record, byId) => byId.get(record.id) ?? 'missing')
          .collect('named');
      }),
      {},
    );
    const delivered = new Deliveries();
    const first = await new SlotHarness({ job, onDelivery: delivered.take }).start();
    await first.checkpoint();
    await first.kill();
    const second = await new SlotHarness({
      job,
      restore: first.newest,
      attempt: 2,
      onDelivery: delivered.take,
    }).start();
    await second.finish();
    const named = delivered.channels.get('named') ?? [];
    expect(named.length).toBe(2_000);
    expect(named.filter((name) => name === 'missing')).toEqual([]);
  });

  it('fails naming the operator when a user function throws, and keeps the rest when told to skip', async () => {
    const job = (onError: 'fail' | 'skip') =>
      planJob(
        defineJob('throws', (env) => {
          env
            .from(collection([1, 2, 3]), { uid: 'numbers' })
            .map((value) => {
              if (value === 2) throw new Error('two');
              return value;
            })
            .uid('picky')
            .onError(onError)
            .collect('kept');
        }),
        {},
      );
    await expect(runToEnd({ job: job('fail') })).rejects.toMatchObject({
      code: 'USER_FUNCTION_FAILED',
      ids: { operator: 'picky' },
    });
    expect((await runToEnd({ job: job('skip') })).get('kept')).toEqual([1, 3]);
  });

  it('unites streams and lets watermarks advance over an empty one', async () => {
    const left = readingsOf(300, 1);
    const job = planJob(
      defineJob('union', (env) => {
        const stream = (records: readonly Reading[], uid: string) =>
          env.from(collection(records), { uid }).withTimestamps((reading) => reading.at, { outOfOrderness: hours(2) });
        stream(left, 'left')
          .union(stream([], 'right'))
          .keyBy((reading) => reading.sensor)
          .window(tumbling(hours(1)))
          .aggregate({ readings: count() })
          .collect('hourly');
      }),
      {},
    );
    const hourly = (await runToEnd({ job })).get('hourly') as { readings: number }[];
    expect(hourly.reduce((total, hour) => total + hour.readings, 0)).toBe(300);
  });
});
