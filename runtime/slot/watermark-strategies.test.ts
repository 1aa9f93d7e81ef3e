/** Watermark strategies from the source to the late output: restarts, and the times a source gives itself. */
import { afterEach, expect, it } from 'vitest';
import { count, customWatermarks, defineJob, planJob, seconds, type Stream, tumbling } from '../../client/index.ts';
import type { Source } from '../../core/connector/index.ts';
import { timestampMax, type WatermarkGenerator } from '../../core/watermarks.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { engineErrorOf } from '../../testing/operator-harness.ts';
import { ScriptedSource } from '../../testing/scripted-source.ts';
import { SlotHarness, type SlotHarnessOptions } from '../../testing/slot-harness.ts';

let started: SlotHarness[] = [];
afterEach(async () => {
  for (const harness of started) await harness.kill();
  started = [];
});

function start(options: SlotHarnessOptions): Promise<SlotHarness> {
  const harness = new SlotHarness(options);
  started.push(harness);
  return harness.start();
}

/** Third-newest timestamp: what a strategy needs more than one number for. */
class ThirdNewest implements WatermarkGenerator<number> {
  newest: number[] = [];
  onEvent(_value: number, timestampMs: number): void {
    this.newest = [...this.newest, timestampMs].sort((left, right) => right - left).slice(0, 3);
  }
  watermark(): number {
    return this.newest[2] ?? Number.NEGATIVE_INFINITY;
  }
  snapshot(): number[] {
    return this.newest;
  }
  restore(state: unknown): void {
    this.newest = [...(state as number[])];
  }
}

const tens = (stream: Stream<number>): void => {
  const windows = stream
    .keyBy(() => 'all')
    .window(tumbling(10))
    .aggregate({ records: count() })
    .uid('tens');
  windows.collect('tens');
  windows.late().collect('late');
};

it('a custom strategy makes the same records late whether or not the job is restarted in the middle', async () => {
  const records = [1, 2, 35, 3, 31, 33, 4, 50, 51, 32, 52, 36, 60, 61, 62, 5];
  const late: unknown[] = [];
  for (let cut = 0; cut <= records.length; cut++) {
    const source = new ScriptedSource<number>({ splits: 1 });
    const job = planJob(
      defineJob('custom', (env) =>
        tens(
          env
            .from(source.source, { uid: 'source' })
            .withTimestamps((at) => at, { watermarks: customWatermarks(() => new ThirdNewest()) })
            .uid('times'),
        ),
      ),
      {},
    );
    const delivered = new Deliveries();
    source.push(0, ...records.slice(0, cut));
    const first = await start({ job, onDelivery: delivered.take });
    // Until all that is there has been read.
    for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
    await first.checkpoint();
    await first.kill();
    source.push(0, ...records.slice(cut));
    source.end(0);
    const second = await start({ job, restore: first.newest, attempt: 2, onDelivery: delivered.take });
    await second.finish();
    late.push(delivered.channels.get('late'));
  }
  expect(late[0]).toEqual([4, 36, 5]);
  expect(late).toEqual(records.map(() => late[0]).concat([late[0]]));
});

it('a generator whose snapshot throws fails the attempt and names the operator', async () => {
  const source = new ScriptedSource<number>({ splits: 1 });
  class Broken extends ThirdNewest {
    override snapshot(): number[] {
      throw new Error('no state today');
    }
  }
  const job = planJob(
    defineJob('broken', (env) => {
      tens(
        env
          .from(source.source, { uid: 'source' })
          .withTimestamps((at) => at, { watermarks: customWatermarks(() => new Broken()) }),
      );
    }),
    {},
  );
  const harness = await start({ job });
  source.push(0, 1);
  for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
  const error = await engineErrorOf(harness.checkpoint());
  expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', ids: { operator: 'source' } });
  expect(error.message).toMatch(/snapshot of a watermark generator failed: no state today/);
});

/** A bounded source of one split that gives its records timestamps. */
function timedSource(times: readonly number[]): Source<number, number> {
  const scripted = new ScriptedSource<number>({ splits: 1 });
  scripted.push(0, ...times.keys());
  scripted.end(0);
  const { source } = scripted;
  return {
    ...source,
    createReader: (context) => {
      const reader = source.createReader(context);
      return {
        close: () => reader.close(),
        openSplit: async (split, position) => {
          const cursor = await reader.openSplit(split, position);
          const poll = cursor.poll.bind(cursor);
          return Object.defineProperty(cursor, 'poll', {
            value: (recordsMax: number) => {
              const batch = poll(recordsMax);
              if (batch === null) return null;
              return { ...batch, timestamps: Float64Array.from(batch.values, (index) => times[index] as number) };
            },
          });
        },
      };
    },
  };
}

it('the times of a source place records in windows without withTimestamps, and nothing is late before the end', async () => {
  const delivered = new Deliveries();
  const job = planJob(
    defineJob('own-times', (env) => tens(env.from(timedSource([5, 100, 7]), { uid: 'source' }))),
    {},
  );
  await (await start({ job, onDelivery: delivered.take })).finish();
  expect(delivered.channels.get('late')).toBeUndefined();
  expect(delivered.channels.get('tens')).toMatchObject([
    { windowStart: 0, records: 2 },
    { windowStart: 100, records: 1 },
  ]);
});

it('withTimestamps is given the time of the source, record by record, and NaN where there is none', async () => {
  const given: [number, number][] = [];
  for (const source of [timedSource([5, Number.NaN, 100, 7]), new ScriptedSource<number>({ splits: 1 })]) {
    if (source instanceof ScriptedSource) {
      source.push(0, 8, 9);
      source.end(0);
    }
    const job = planJob(
      defineJob('given', (env) =>
        tens(
          env
            .from(source instanceof ScriptedSource ? source.source : source, { uid: 'source' })
            .flatMap((index) => [index, index])
            .withTimestamps((index, time) => given.push([index, time]), { outOfOrderness: seconds(1) }),
        ),
      ),
      {},
    );
    await (await start({ job })).finish();
  }
  const twice = (index: number, time: number): [number, number][] => [
    [index, time],
    [index, time],
  ];
  expect(given).toEqual([
    ...twice(0, 5),
    ...twice(1, Number.NaN),
    ...twice(2, 100),
    ...twice(3, 7),
    ...twice(8, Number.NaN),
    ...twice(9, Number.NaN),
  ]);
});

it('a time of a source that no window can hold fails the attempt and names source and split', async () => {
  const job = planJob(
    defineJob('far', (env) => tens(env.from(timedSource([5, timestampMax * 2]), { uid: 'source' }))),
    {},
  );
  const error = await engineErrorOf((await start({ job })).finish());
  expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', ids: { operator: 'source', split: '0' } });
  expect(error.message).toMatch(/more than 8640000000000000 ms from the epoch/);
});
