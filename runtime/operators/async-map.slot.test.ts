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
  seconds,
  tumbling,
} from '../../client/index.ts';
import { generator } from '../../connectors/generator/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { engineErrorOf } from '../../testing/operator-harness.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { SlotsHarness } from '../../testing/slots-harness.ts';

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

  it('times out although it is full and nothing is answered, and the job ends', { timeout: 60_000 }, async () => {
    const delivered = new Deliveries();
    let nowMs = 0;
    const job = plan((env) => {
      env
        .from(readings(40))
        .asyncMap((reading) => (reading.index % 2 === 0 ? never : Promise.resolve(reading)), {
          order,
          capacity: 3,
          timeout: seconds(1),
          onTimeout: (reading) => ({ ...reading, index: -reading.index }),
        })
        .collect('out');
    });
    const harness = await new SlotHarness({ job, nowMs: () => nowMs, onDelivery: delivered.take }).start();
    let ended = false;
    const finished = harness.finish().then(() => {
      ended = true;
    });
    while (!ended) {
      nowMs += 100;
      harness.runtime.clockMoved();
      await turn();
    }
    await finished;
    const got = (delivered.channels.get('out') as Reading[]).map((reading) => reading.index);
    const expected = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? -index : index) + 0);
    const sorted = (values: number[]) => values.map((value) => value + 0).toSorted((a, b) => a - b);
    expect(sorted(got)).toEqual(sorted(expected));
    // Twenty records that are never answered, three at a time, a second each.
    expect(nowMs).toBeGreaterThanOrEqual(6_500);
  });

  it('goes on after a kill with what was in flight, and loses and repeats no result', { timeout: 60_000 }, async () => {
    const delivered = new Deliveries();
    const calls: number[] = [];
    let answers = false;
    const held: (() => void)[] = [];
    const job = () =>
      plan((env) => {
        env
          .from(readings(1_000))
          .asyncMap(async (reading) => {
            calls.push(reading.index);
            if (!answers && reading.index >= 100) await new Promise<void>((resolve) => held.push(resolve));
            else await turn();
            return reading;
          }, options)
          .collect('out');
      });
    const first = await new SlotHarness({ job: job(), onDelivery: delivered.take }).start();
    // All places are taken by records from 100 on: the barrier comes behind the batch in hand.
    while (held.length < 64) await turn();
    const checkpoint = first.checkpoint();
    for (const release of held.splice(0)) release();
    answers = true;
    await checkpoint;
    await first.kill();
    const made = new Set(calls);
    const second = await new SlotHarness({
      job: job(),
      restore: first.newest,
      attempt: 2,
      onDelivery: delivered.take,
    }).start();
    await second.finish();
    const got = (delivered.channels.get('out') as Reading[]).map((reading) => reading.index);
    const expected = Array.from({ length: 1_000 }, (_, index) => index);
    expect(order === 'ordered' ? got : got.toSorted((a, b) => a - b)).toEqual(expected);
    expect(made.size).toBeGreaterThanOrEqual(164);
  });

  it('deals out records in flight when the job goes on at another parallelism', { timeout: 60_000 }, async () => {
    const delivered = new Deliveries();
    let answers = false;
    let restore: SlotsHarness['newest'] = null;
    let calls = 0;
    const job = (parallelism: number) =>
      plan((env) => {
        env
          .from(generator({ count: 60, splits: 6, seed: 1, make: (index) => ({ index, at: index }) }))
          .asyncMap(async (reading) => {
            calls++;
            if (!answers) await never;
            return reading;
          }, options)
          .uid('lookup')
          .collect('out');
      }, parallelism);
    for (const [place, parallelism] of [2, 3, 1].entries()) {
      answers = place === 2;
      calls = 0;
      const harness: SlotsHarness = await new SlotsHarness({
        job: job(parallelism),
        restore,
        attempt: place + 1,
        onDelivery: delivered.take,
      }).start();
      if (answers) {
        await harness.finish();
        break;
      }
      // All are in flight, none is ever answered: the checkpoint waits for none of them.
      while (calls < 60) await turn();
      await harness.checkpoint();
      await harness.kill();
      restore = harness.newest;
    }
    const got = (delivered.channels.get('out') as Reading[]).map((reading) => reading.index);
    expect(got.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index));
    expect(calls).toBe(60);
  });

  it('ends its calls when the slot is dropped', async () => {
    const signals: AbortSignal[] = [];
    const job = plan((env) => {
      env
        .from(readings(10))
        .asyncMap((_, { signal }) => {
          signals.push(signal);
          return never;
        }, options)
        .collect('out');
    });
    const harness = await new SlotHarness({ job }).start();
    while (signals.length < 10) await turn();
    await harness.kill();
    expect(signals.map((signal) => signal.aborted)).toEqual(signals.map(() => true));
  });

  it('fails the job when a promise is rejected', async () => {
    const job = plan((env) => {
      env
        .from(readings(10))
        .asyncMap(async (reading) => {
          await turn();
          if (reading.index === 7) throw new Error('seven');
          return reading;
        }, options)
        .uid('lookup')
        .collect('out');
    });
    const harness = await new SlotHarness({ job }).start();
    const error = await engineErrorOf(harness.finish());
    expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', ids: { operator: 'lookup' } });
    await harness.kill();
  });
});

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const never = new Promise<never>(() => undefined);
