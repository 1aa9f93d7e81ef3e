/** Idleness behind an exchange: siblings wake one after the other, and results of the later one are on time all the same. */
import { afterEach, expect, it } from 'vitest';
import { count, defineJob, planJob, seconds, sum, tumbling } from '../../client/index.ts';
import { keyGroupOf } from '../../core/codec/key-hash.ts';
import type { Sink, SinkWriter } from '../../core/connector/index.ts';
import { keyGroupRange } from '../../core/key-groups.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { ScriptedSource } from '../../testing/scripted-source.ts';
import { SlotsHarness } from '../../testing/slots-harness.ts';

interface Reading {
  readonly key: string;
  readonly at: number;
}

/** A sink that has no room in subtask 1 while it is stopped, so that its chain stands still. */
class Brake {
  stopped = false;
  readonly sink: Sink<unknown> = {
    type: 'sink',
    kind: 'brake',
    options: {},
    createWriter: ({ subtaskIndex }) => this.#writer(subtaskIndex),
    createCommitter: null,
    destination: null,
    occupation: () => Promise.resolve(null),
  };

  #writer(subtaskIndex: number): SinkWriter<unknown> {
    const hasRoom = (): boolean => !this.stopped || subtaskIndex !== 1;
    return {
      open: () => Promise.resolve(),
      write: () => {},
      get hasRoom() {
        return hasRoom();
      },
      drained: () => Promise.resolve(),
      prepareCommit: () => Promise.resolve({ committables: [], state: [] }),
      close: () => Promise.resolve(),
    };
  }
}

/** A key whose records go to a subtask of two. */
function keyOf(subtaskIndex: number): string {
  const { first, last } = keyGroupRange(128, 2, subtaskIndex);
  for (let candidate = 0; ; candidate++) {
    const group = keyGroupOf(`key-${candidate}`, 128);
    if (group >= first && group <= last) return `key-${candidate}`;
  }
}

let running: SlotsHarness | null = null;
afterEach(async () => {
  await running?.kill();
  running = null;
});

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000 && !condition(); turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(condition()).toBe(true);
}

it('a second window takes the results of a subtask that wakes after its sibling', async () => {
  const source = new ScriptedSource<Reading>({ splits: 2, keepsPlanning: true });
  const brake = new Brake();
  const delivered = new Deliveries();
  const first: string[] = [];
  const second: number[] = [];
  let nowMs = 1_000_000;
  const job = planJob(
    defineJob('wakes', (env) => {
      const perKey = env
        .from(source.source, { uid: 'source' })
        .withTimestamps((reading) => reading.at, { outOfOrderness: 0, idleTimeout: seconds(10) })
        .keyBy((reading) => reading.key)
        .window(tumbling(100))
        .aggregate({ n: count() })
        .uid('first');
      const seen = perKey.map((result) => {
        first.push(`${result.key}@${result.windowStart}`);
        return result;
      });
      seen.to(brake.sink);
      const total = seen
        .keyBy(() => 'all')
        .window(tumbling(1_000))
        .aggregate({ n: sum((result) => result.n) })
        .uid('second');
      total.filter((result) => second.push(result.windowStart) === 0).print();
      total.collect('total');
      total.late().collect('late');
    }),
    { parallelism: 2 },
  );
  running = await new SlotsHarness({ job, nowMs: () => nowMs, onDelivery: delivered.take }).start();
  const [left, right] = [keyOf(0), keyOf(1)];
  const pass = async (): Promise<void> => {
    nowMs += 10_000;
    running?.clockMoved();
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  // Both splits are read and fall silent: everything counts as idle.
  source.push(0, { key: left, at: 10 }, { key: right, at: 10 }, { key: left, at: 200 });
  source.push(1, { key: left, at: 2_000 });
  await until(() => first.includes(`${left}@0`) && first.includes(`${right}@0`));
  await pass();
  await until(() => second.includes(0));
  await running.checkpoint();
  // One split wakes. The left subtask hears of it at once, the right one stands still.
  brake.stopped = true;
  source.push(0, { key: left, at: 5_000 }, { key: right, at: 5_000 });
  source.push(0, { key: left, at: 20_000 });
  await until(() => first.includes(`${left}@5000`));
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(second).not.toContain(5_000);
  brake.stopped = false;
  // Wakes the subtask that stood still.
  await running.checkpoint();
  await until(() => first.includes(`${right}@5000`) && second.includes(5_000));
  await running.checkpoint();
  expect(delivered.channels.get('late') ?? []).toEqual([]);
  expect(delivered.channels.get('total')).toContainEqual({ key: 'all', windowStart: 5_000, windowEnd: 6_000, n: 2 });
});
