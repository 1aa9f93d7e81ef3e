/** Two-input and broadcast functions from sources to a sink: real subtasks, event loop, checkpoints and restores. */
import { expect, test } from 'vitest';
import {
  defineJob,
  emits,
  type JobEnvironment,
  listState,
  mapState,
  operatorListState,
  planJob,
  valueState,
} from '../../client/index.ts';
import { generator } from '../../connectors/generator/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { engineErrorOf } from '../../testing/operator-harness.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';

interface Item {
  readonly key: number;
  readonly index: number;
}

const items = (count: number, keys: number) =>
  generator<Item>({ count, splits: 1, seed: 1, make: (index) => ({ key: index % keys, index }) });
const plan = (define: (env: JobEnvironment) => void) => planJob(defineJob('connected', define), { parallelism: 1 });

/** Runs with a crash after every checkpoint, each time going on from it, until the input ends. */
async function runWithCrashes(define: (env: JobEnvironment) => void, cold: boolean): Promise<Deliveries> {
  const delivered = new Deliveries();
  const job = plan(define);
  let restore = null;
  for (let attempt = 1; attempt <= 4; attempt++) {
    const backend = cold ? { backend: createColdTestBackend(5) } : {};
    const harness = await new SlotHarness({ job, restore, attempt, onDelivery: delivered.take, ...backend }).start();
    if (attempt === 4) {
      await harness.finish();
      break;
    }
    restore = (await harness.checkpoint()) ?? restore;
    await harness.kill();
  }
  return delivered;
}

test.each([false, true])('connected streams match every pair once over crashes (cold backend: %s)', async (cold) => {
  const delivered = await runWithCrashes((env) => {
    const timed = (uid: string) =>
      env
        .from(items(2_000, 500), { uid })
        .withTimestamps((item) => item.index, { outOfOrderness: 0 })
        .uid(`${uid}-times`);
    timed('left')
      .keyBy((item) => item.key)
      .connect(timed('right').keyBy((item) => item.key))
      .process(emits<[number, number, number]>(), {
        state: { left: listState<number>(), right: valueState<number>() },
        onFirst(item, { state, timers }) {
          state.left.add(item.index);
          timers.registerEventTime(10_000);
        },
        onSecond: (item, { state }) => state.right.update((state.right.value() ?? 0) + item.index),
        onTimer: (_at, { key, state, emit }) => emit([key, [...state.left].length, state.right.value() ?? 0]),
      })
      .uid('pairs')
      .collect('out');
  }, cold);
  const expected = Array.from({ length: 500 }, (_, key) => [key, 4, 4 * key + 3_000]);
  const got = delivered.channels.get('out') as number[][];
  expect(got.toSorted((left, right) => (left[0] as number) - (right[0] as number))).toEqual(expected);
});

test('broadcast rules reach all keys, and state without a key survives crashes', async () => {
  const delivered = await runWithCrashes((env) => {
    const rules = env.from(items(3, 3), { uid: 'rules' });
    env
      .from(items(3_000, 100), { uid: 'main' })
      .process(emits<Item>(), {
        state: { held: operatorListState<Item>() },
        onRecord(item, { state, emit }) {
          state.held.add(item);
          if (state.held.size < 3) return;
          for (const held of state.held.get()) emit(held);
          state.held.clear();
        },
      })
      .uid('by-three')
      .keyBy((item) => item.key)
      .connect(rules.broadcast())
      .process(emits<string>(), {
        broadcastState: { rules: mapState<number, number>() },
        state: { count: valueState<number>() },
        onRecord(_item, { key, state, broadcastState, emit }) {
          const count = (state.count.value() ?? 0) + 1;
          state.count.update(count);
          for (const [rule] of broadcastState.rules.entries()) if (count === 10 * (rule + 1)) emit(`${key} ${rule}`);
        },
        onBroadcast({ key: rule }, { broadcastState, forEachKey, emit }) {
          broadcastState.rules.set(rule, rule);
          forEachKey('count', (key, count) => {
            if ((count.value() ?? 0) >= 10 * (rule + 1)) emit(`${key} ${rule}`);
          });
        },
      })
      .uid('counts')
      .collect('out');
  }, false);
  const expected = Array.from({ length: 300 }, (_, index) => `${index % 100} ${Math.floor(index / 100)}`);
  expect((delivered.channels.get('out') as string[]).toSorted()).toEqual(expected.toSorted());
});

test('a key that is refused fails the attempt naming the operator and the place in the key', async () => {
  const job = plan((env) => {
    env
      .from(items(5, 5), { uid: 'in' })
      .keyBy((item) => [item.key, (() => 1) as never])
      .process({ state: { n: valueState<number>() }, onRecord: (_item, { state }) => state.n.update(1) })
      .uid('keyed')
      .print();
  });
  const harness = await new SlotHarness({ job }).start();
  const error = await engineErrorOf(harness.finish());
  expect(error.code).toBe('KEY_NOT_SUPPORTED');
  expect(error.message).toMatch(/operator 'keyed': key\[1\] is a function/);
});
