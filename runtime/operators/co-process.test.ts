import { describe, expect, test } from 'vitest';
import type { Key, KeyedCoProcessFunction } from '../../core/operators.ts';
import { listState, type StateDeclarations, valueState } from '../../core/state/declarations.ts';
import { CheckpointImage, type HarnessOptions, OperatorHarness } from '../../testing/operator-harness.ts';
import { createCoProcessOperator } from './co-process.ts';
import { CoFlatMapOperator } from './co-flat-map.ts';

interface Order {
  readonly order: Key;
  readonly at: number;
}
interface Payment {
  readonly pays: Key;
  readonly cents: number;
}

const connected = <D extends StateDeclarations>(
  process: KeyedCoProcessFunction<Order, Payment, Key, unknown, D>,
): HarnessOptions<'co-process'> => ({
  create: createCoProcessOperator,
  functions: {
    kind: 'co-process',
    keyOf: ((value: Order) => value.order) as never,
    keyOfSecond: ((value: Payment) => value.pays) as never,
    process: process as never,
  },
});

/** Waits until time 10 after the order for its payments. */
const matching = connected({
  state: { at: valueState<number>(), cents: listState<number>() },
  onFirst({ at }, { state, timers }) {
    state.at.update(at);
    timers.registerEventTime(at + 10);
  },
  onSecond({ cents }, { state, key, emit }) {
    state.cents.add(cents);
    if (state.at.value() !== undefined) emit({ key, paid: cents });
  },
  onTimer(at, { state, key, emit }) {
    emit({ key, at, all: [...state.cents] });
    state.at.clear();
    state.cents.clear();
  },
});
const order = (key: Key, at: number) => ({ value: { order: key, at }, timestamp: at });
const payment = (key: Key, cents: number, timestamp = 0) => ({ value: { pays: key, cents }, timestamp });

describe.each(['memory', 'cold'] as const)('co-process on the %s backend', (backend) => {
  test('has one state and one set of timers per key for both inputs', async () => {
    const harness = await OperatorHarness.open({ ...matching, backend });
    await harness.processSecond(payment('a', 1), payment('b', 2));
    await harness.process(order('a', 100), order('b', 100), order('c', 99));
    await harness.processSecond(payment('a', 3));
    await harness.watermark(109);
    expect(harness.values).toEqual([
      { key: 'a', paid: 3 },
      { key: 'c', at: 109, all: [] },
    ]);
    await harness.watermark(110);
    expect(harness.values.slice(2)).toEqual([
      { key: 'a', at: 110, all: [1, 3] },
      { key: 'b', at: 110, all: [2] },
    ]);
  });

  test('finds what both inputs left for all keys when it is restored into another parallelism', async () => {
    const harness = await OperatorHarness.open({ ...matching, backend });
    for (let key = 0; key < 250; key++) {
      await harness.process(order(key, key));
      await harness.processSecond(payment(key, key));
    }
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored: unknown[] = [];
    for (const subtaskIndex of [0, 1, 2]) {
      const place = { parallelism: 3, subtaskIndex, restore: image.rows };
      const part = await OperatorHarness.open({ ...matching, backend, ...place });
      for (let key = 0; key < 250; key++) if (part.owns(key)) await part.processSecond(payment(key, 1_000));
      const paid = part.outputs.length;
      part.room = 7;
      while (!(await part.watermark(1_000))) part.room = 7;
      restored.push(...part.values.slice(paid));
    }
    expect(restored).toHaveLength(250);
    for (const key of [0, 17, 249]) expect(restored).toContainEqual({ key, at: key + 10, all: [key, 1_000] });
  });

  test('emits with the time of the record of either input, and of the timer', async () => {
    const harness = await OperatorHarness.open({ ...matching, backend });
    await harness.process(order('a', 5));
    await harness.processSecond(payment('a', 1, 77));
    await harness.watermark(20);
    expect(harness.outputs.map((output) => output.timestamp)).toEqual([77, 15]);
  });
});

test('a throw of either function goes by onError, and the record with it', async () => {
  const throwing = connected({
    onFirst: () => {
      throw new Error('first');
    },
    onSecond: () => {
      throw new Error('second');
    },
  });
  const harness = await OperatorHarness.open({ ...throwing, config: { onError: { sideOutput: 'bad' } } });
  await harness.process(order('a', 1));
  await harness.processSecond(payment('a', 2));
  expect(harness.side('bad').map((output) => output.value)).toMatchObject([
    { record: { order: 'a' }, message: 'first' },
    { record: { pays: 'a' }, message: 'second' },
  ]);
  const failing = await OperatorHarness.open(throwing);
  await expect(failing.processSecond(payment('a', 2))).rejects.toThrow(/threw.*second/);
});

test('connected flatMap hands on the items of both inputs as there is room', async () => {
  const harness = await OperatorHarness.open({
    create: (context) => new CoFlatMapOperator(context),
    functions: {
      kind: 'co-flat-map',
      flatMap: ((n: number) => [n, n]) as never,
      *flatMapSecond(text: never) {
        for (let index = 0; index < 5; index++) yield `${text as string}${index}`;
      },
    },
  });
  await harness.process({ value: 1 });
  harness.room = 2;
  await harness.processSecond({ value: 'x', timestamp: 9 });
  expect(harness.operator.pending).toBe(true);
  harness.room = 100;
  harness.operator.resume?.();
  expect(harness.operator.pending).toBe(false);
  expect(harness.values).toEqual([1, 1, 'x0', 'x1', 'x2', 'x3', 'x4']);
  expect(harness.outputs.at(-1)?.timestamp).toBe(9);
});
