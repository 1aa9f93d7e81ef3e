/** Windows beyond aggregates, the whole way from the definition to the sink: what users write and what arrives. */
import { describe, expect, it } from 'vitest';
import {
  count,
  countEvictor,
  countTrigger,
  countWindow,
  defineJob,
  emits,
  globalWindow,
  type JobEnvironment,
  type KeyedStream,
  mapState,
  outputTag,
  planJob,
  purging,
  session,
  sliding,
  sum,
  tumbling,
  valueState,
} from '../../client/index.ts';
import { collection } from '../../connectors/collection/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { SlotHarness, type SlotHarnessOptions } from '../../testing/slot-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';
import { slowSink } from '../../testing/slow-sink.ts';

interface Reading {
  readonly key: string;
  readonly at: number;
  readonly n: number;
}

const readings: readonly Reading[] = [
  { key: 'a', at: 1, n: 1 },
  { key: 'b', at: 2, n: 10 },
  { key: 'a', at: 4, n: 2 },
  { key: 'a', at: 11, n: 4 },
  { key: 'b', at: 25, n: 20 },
];

const plan = (define: (env: JobEnvironment) => void) => planJob(defineJob('windows', define), {});
const keyed = (env: JobEnvironment, records = readings): KeyedStream<Reading, string> =>
  env
    .from(collection(records))
    .withTimestamps((reading) => reading.at, { outOfOrderness: 100 })
    .keyBy((reading) => reading.key);

async function run(
  define: (env: JobEnvironment) => void,
  options: Partial<SlotHarnessOptions> = {},
): Promise<(channel: string) => unknown[]> {
  const delivered = new Deliveries();
  await (await new SlotHarness({ job: plan(define), onDelivery: delivered.take, ...options }).start()).finish();
  return (channel) => delivered.channels.get(channel) ?? [];
}

describe('a window', () => {
  it('gives its records in order of arrival to process when it ends', async () => {
    const collected = await run((env) =>
      keyed(env)
        .window(tumbling(10))
        .process(emits<string>(), {
          onWindow(records, { key, window, emit }) {
            emit(`${key} ${window.start}..${window.end}: ${records.map((record) => record.n).join()}`);
          },
        })
        .collect('out'),
    );
    expect(collected('out')).toEqual(['a 0..10: 1,2', 'b 0..10: 10', 'a 10..20: 4', 'b 20..30: 20']);
  });

  it('emits one reduced record, or what is made of it', async () => {
    const collected = await run((env) => {
      const windows = keyed(env).window(sliding(20, 10));
      const add = (left: Reading, right: Reading): Reading => ({ ...left, n: left.n + right.n });
      windows.reduce(add).collect('reduced');
      windows.reduce(add, ({ n }, { key, window }) => `${key}@${window.start}:${n}`).collect('made');
    });
    expect(collected('reduced').map((value) => (value as Reading).n)).toEqual([3, 10, 7, 10, 4, 20, 20]);
    expect(collected('made')).toEqual(['a@-10:3', 'b@-10:10', 'a@0:7', 'b@0:10', 'a@10:4', 'b@10:20', 'b@20:20']);
  });

  it('computes aggregates incrementally for a function that keeps state of key and window', async () => {
    const tag = outputTag<string>('cleared');
    const collected = await run((env) => {
      const out = keyed(env)
        .window(tumbling(10))
        .trigger(countTrigger(1))
        .aggregate({ n: sum((reading) => reading.n), count: count() }, emits<string>(), {
          state: { total: valueState<number>() },
          windowState: { firings: valueState<number>(), seen: mapState<string, number>() },
          onWindow({ key, windowStart, n, count }, { state, windowState, emit }) {
            const total = (state.total.value() ?? 0) + 1;
            const firings = (windowState.firings.value() ?? 0) + 1;
            state.total.update(total);
            windowState.firings.update(firings);
            windowState.seen.set(`${firings}`, n);
            emit(`${key}@${windowStart}: ${n}/${count}, firing ${firings} of ${total}`);
          },
          onClear({ key, window, windowState, output }) {
            output(tag, `${key}@${window.start}: ${[...windowState.seen.entries()].join(' ')}`);
          },
        });
      out.collect('out');
      out.sideOutput(tag).collect('cleared');
    });
    expect(collected('out')).toEqual([
      'a@0: 1/1, firing 1 of 1',
      'b@0: 10/1, firing 1 of 1',
      'a@0: 3/2, firing 2 of 2',
      'a@10: 4/1, firing 1 of 3',
      'b@20: 20/1, firing 1 of 2',
    ]);
    expect(collected('cleared')).toEqual(['a@0: 1,1 2,3', 'b@0: 1,10', 'a@10: 1,4', 'b@20: 1,20']);
  });

  it('of sessions merges what touches, records of the earliest first', async () => {
    const collected = await run((env) =>
      keyed(env, [...readings, { key: 'b', at: 12, n: 7 }, { key: 'b', at: 18, n: 8 }])
        .window(session(8))
        .process(emits<string>(), {
          onWindow: (records, { key, window, emit }) =>
            emit(`${key} ${window.start}..${window.end}: ${records.map((record) => record.n).join()}`),
        })
        .collect('out'),
    );
    expect(collected('out')).toEqual(['b 2..10: 10', 'a 1..19: 1,2,4', 'b 12..33: 7,20,8']);
  });

  it('of counts and without a key', async () => {
    const collected = await run((env) => {
      const values = (records: readonly Reading[]): string => records.map((record) => record.n).join();
      keyed(env)
        .window(countWindow(2))
        .process(emits<string>(), { onWindow: (records, { emit }) => emit(values(records)) })
        .collect('pairs');
      env
        .from(collection(readings))
        .windowAll(countWindow(3, 1))
        .process(emits<string>(), { onWindow: (records, { emit }) => emit(values(records)) })
        .collect('last-three');
      env
        .from(collection(readings))
        .windowAll(globalWindow())
        .trigger(purging(countTrigger(2)))
        .evictor(countEvictor(1))
        .aggregate({ n: sum((reading) => reading.n) })
        .collect('every-second');
    });
    expect(collected('pairs')).toEqual(['1,2', '10,20']);
    expect(collected('last-three')).toEqual(['1', '1,10', '1,10,2', '10,2,4', '2,4,20']);
    expect(collected('every-second').map((value) => (value as { n: number }).n)).toEqual([10, 4]);
  });
});

describe('two streams in a window', () => {
  const others: readonly Reading[] = [
    { key: 'a', at: 3, n: 100 },
    { key: 'a', at: 5, n: 200 },
    { key: 'c', at: 6, n: 300 },
  ];
  const joined = async (type: 'inner' | 'left' | 'right' | 'full'): Promise<unknown[]> => {
    const collected = await run((env) =>
      keyed(env)
        .windowJoin(keyed(env, others), tumbling(10), { type }, (a, b) => `${a?.n ?? '-'} ${b?.n ?? '-'}`)
        .collect('out'),
    );
    return collected('out').sort();
  };

  it('are joined as in SQL', async () => {
    const inner = ['1 100', '1 200', '2 100', '2 200'];
    expect(await joined('inner')).toEqual(inner);
    expect(await joined('left')).toEqual([...inner, '10 -', '20 -', '4 -'].sort());
    expect(await joined('right')).toEqual([...inner, '- 300'].sort());
    expect(await joined('full')).toEqual([...inner, '10 -', '20 -', '4 -', '- 300'].sort());
  });

  it('are grouped by coGroup', async () => {
    const collected = await run((env) =>
      keyed(env)
        .coGroup(keyed(env, others), tumbling(10), (as, bs, { key, window }) => [
          `${key}@${window.start} ${as.map((a) => a.n).join()} | ${bs.map((b) => b.n).join()}`,
        ])
        .collect('out'),
    );
    expect(collected('out')).toEqual(['a@0 1,2 | 100,200', 'b@0 10 | ', 'c@0  | 300', 'a@10 4 | ', 'b@20 20 | ']);
  });

  it('hand on the pairs of a large window as there is room', async () => {
    const many = Array.from({ length: 1500 }, (_, n) => ({ key: 'a', at: n % 10, n }));
    const slow = slowSink<number>(40_000);
    let joinedPairs = 0;
    let aheadMax = 0;
    const job = plan((env) => {
      keyed(env, many)
        .windowJoin(keyed(env, many), tumbling(10), {}, (a, b) => {
          joinedPairs++;
          aheadMax = Math.max(aheadMax, joinedPairs - slow.written());
          return a.n * 10_000 + b.n;
        })
        .rebalance()
        .to(slow.sink);
    });
    await (await new SlotHarness({ job }).start()).finish();
    expect(slow.written()).toBe(1500 * 1500);
    expect(aheadMax).toBeLessThan(200_000);
  });

  it.each(['memory', 'cold'])(
    'give every pair once when the job is killed and restored again and again, %s',
    async (name) => {
      const many = Array.from({ length: 1500 }, (_, n) => ({ key: `key ${n % 7}`, at: n, n }));
      const job = plan((env) => {
        const stream = (uid: string): KeyedStream<Reading, string> =>
          env
            .from(collection(many), { uid })
            .withTimestamps((reading) => reading.at, { outOfOrderness: 5 })
            .uid(`${uid}-times`)
            .keyBy((reading) => reading.key);
        const pairs = stream('left')
          .windowJoin(stream('right'), tumbling(300), {}, (a, b) => `${a.n} ${b.n}`)
          .uid('join');
        pairs.collect('pairs');
        pairs.to(slowSink<string>(2_000).sink).uid('slow');
        const sessions = stream('third')
          .window(session<Reading>((reading) => (reading.n % 5 < 2 ? 1 : 8)))
          .process(emits<string>(), {
            onWindow: (records, { key, emit }) => emit(`${key}: ${records.map((record) => record.n).join()}`),
          })
          .uid('sessions');
        sessions.collect('sessions');
        sessions.to(slowSink<string>(5).sink).uid('slow-sessions');
      });
      const backend = (): Partial<SlotHarnessOptions> => (name === 'cold' ? { backend: createColdTestBackend() } : {});
      const delivered = new Deliveries();
      let restore: SlotHarness['newest'] = null;
      let resumedWithin = 0;
      for (let attempt = 1; ; attempt++) {
        const options = { job, restore, attempt, onDelivery: delivered.take, ...backend() };
        const harness: SlotHarness = await new SlotHarness(options).start();
        if (attempt === 10) {
          await harness.finish();
          break;
        }
        await harness.checkpoint();
        await harness.checkpoint();
        await harness.kill();
        restore = harness.newest;
        const rows = delivered.channels.get('pairs')?.length ?? 0;
        if (rows > 0) resumedWithin++;
      }
      expect(resumedWithin).toBeGreaterThan(2);
      const expected = many.flatMap((a) =>
        many
          .slice(Math.floor(a.at / 300) * 300, Math.floor(a.at / 300) * 300 + 300)
          .flatMap((b) => (b.key === a.key ? [`${a.n} ${b.n}`] : [])),
      );
      expect([...(delivered.channels.get('pairs') as string[])].sort()).toEqual(expected.sort());
      const undisturbed = new Deliveries();
      await (await new SlotHarness({ job, onDelivery: undisturbed.take, ...backend() }).start()).finish();
      expect(delivered.channels.get('sessions')).toEqual(undisturbed.channels.get('sessions'));
      expect(undisturbed.channels.get('sessions')?.length).toBeGreaterThan(100);
    },
  );
});
