/** What functions must not do with their context and with promises: named, whatever the function catches. */
import { describe, expect, test } from 'vitest';
import type { EngineError } from '../../core/errors.ts';
import { mapState, operatorListState, tumbling } from '../../client/index.ts';
import { valueState } from '../../core/state/declarations.ts';
import { OperatorHarness } from '../../testing/operator-harness.ts';
import { FilterOperator } from './filter.ts';
import { MapOperator } from './map.ts';
import { createProcessOperator } from './process.ts';
import { CallGate } from './call-gate.ts';
import type { AnyOperatorContext } from './operator.ts';
import { createPlainBroadcastOperator, createPlainProcessOperator } from './plain-process.ts';
import { createReduceOperator } from './reduce.ts';
import { at, windowOptions } from './windows/general/window-harness.test-support.ts';

type Call = {
  emit(value: unknown): void;
  timers: { registerEventTime(time: number): void };
  state: { seen: { update(value: unknown): void } };
};

function keyed(backend: 'memory' | 'cold', onRecord: (value: number, call: Call) => unknown, onTimer?: () => unknown) {
  return OperatorHarness.open({
    create: createProcessOperator,
    backend,
    functions: {
      kind: 'process',
      keyOf: ((value: number) => value % 3) as never,
      process: { state: { seen: valueState<number>() }, onRecord, onTimer } as never,
    },
  });
}

const messageOf = (harness: { failure: { error: unknown } | null }): string =>
  (harness.failure?.error as EngineError | undefined)?.message ?? 'no failure';

describe.each(['memory', 'cold'] as const)('a process function on %s', (backend) => {
  test.each([
    ['emit', (call: Call) => call.emit(1)],
    ['timers', (call: Call) => call.timers.registerEventTime(5)],
    ['state', (call: Call) => call.state.seen.update(7)],
  ])('fails the attempt when its %s is used after the call, also where that is caught', async (used, use) => {
    const kept: Call[] = [];
    const harness = await keyed(backend, (_value, call) => void kept.push(call));
    await harness.process({ value: 1 });
    expect(harness.failure).toBeNull();
    expect(() => use(kept[0] as Call)).toThrow(/after the call it was given for/);
    expect(messageOf(harness)).toMatch(
      new RegExp(`operator 'operator-under-test' used .*${used}.* of its context after the call.*→ .*asyncMap`),
    );
    expect(harness.outputs).toEqual([]);
  });

  test('may use the context again in the next call', async () => {
    const kept: Call[] = [];
    const harness = await keyed(backend, (value, call) => {
      kept.push(call);
      for (const one of kept) one.emit(value);
    });
    await harness.process({ value: 1 }, { value: 2 });
    expect(harness.failure).toBeNull();
    expect(harness.outputs.map(({ value }) => value)).toEqual([1, 2, 2]);
  });

  test('fails the attempt when it is asynchronous, and its later half emits nothing', async () => {
    const harness = await keyed(backend, async (value, call) => {
      await Promise.resolve();
      call.emit(value);
    });
    await expect(harness.process({ value: 1 })).rejects.toThrow(/returned a promise/);
    await new Promise((resolve) => setImmediate(resolve));
    expect(messageOf(harness)).toMatch(/onRecord of operator 'operator-under-test' returned a promise.*→ .*asyncMap/);
    expect(harness.outputs).toEqual([]);
  });

  test('fails the attempt when its timer function is asynchronous', async () => {
    const harness = await keyed(
      backend,
      (_value, call) => call.timers.registerEventTime(5),
      async () => {},
    );
    await harness.process({ value: 1 });
    await expect(harness.watermark(10)).rejects.toThrow(/returned a promise/);
    expect(messageOf(harness)).toMatch(/onTimer of operator 'operator-under-test' returned a promise/);
  });
});

test('a plain process function fails the attempt when it emits after its call', async () => {
  const kept: Call[] = [];
  const harness = await OperatorHarness.open({
    create: createPlainProcessOperator,
    functions: {
      kind: 'plain-process',
      process: { onRecord: (_: unknown, call: Call) => void kept.push(call) } as never,
    },
  });
  await harness.process({ value: 1 });
  expect(() => kept[0]?.emit(1)).toThrow(/used emit of its context after the call/);
  expect(messageOf(harness)).toMatch(/used emit of its context after the call/);
});

test('a map fails the attempt when its function returns a promise', async () => {
  const harness = await OperatorHarness.open({
    create: (context) => new MapOperator(context),
    functions: { kind: 'map', map: (async () => 1) as never },
  });
  await expect(harness.process({ value: 1 })).rejects.toThrow(/returned a promise/);
  expect(messageOf(harness)).toMatch(/returned a promise.*→ .*asyncMap/);
  expect(harness.outputs).toEqual([]);
});

test('a filter fails the attempt when its predicate is asynchronous, and takes what is truthy', async () => {
  const filtering = (filter: unknown) =>
    OperatorHarness.open({
      create: (context) => new FilterOperator(context),
      functions: { kind: 'filter', filter: filter as never },
    });
  const wrong = await filtering(async () => false);
  await expect(wrong.process({ value: 1 })).rejects.toThrow(/returned a promise/);
  expect(messageOf(wrong)).toMatch(/returned a promise/);
  expect(wrong.outputs).toEqual([]);
  const truthy = await filtering((value: number) => value & 1);
  await truthy.process({ value: 1 }, { value: 2 });
  expect(truthy.outputs.map(({ value }) => value)).toEqual([1]);
});

test('a reduce fails the attempt when its function is asynchronous', async () => {
  const harness = await OperatorHarness.open({
    create: createReduceOperator,
    functions: { kind: 'reduce', keyOf: (() => 1) as never, reduce: (async (left: unknown) => left) as never },
  });
  await expect(harness.process({ value: 1 }, { value: 2 })).rejects.toThrow(/returned a promise/);
  expect(harness.outputs.map(({ value }) => value)).toEqual([1]);
});

test('an operator list fails the attempt when it is used after the call, and is unchanged', async () => {
  const kept: { add(value: unknown): void; get(): readonly unknown[] }[] = [];
  const harness = await OperatorHarness.open({
    create: createPlainProcessOperator,
    functions: {
      kind: 'plain-process',
      process: {
        state: { held: operatorListState<number>() },
        onRecord: (value: unknown, call: { state: { held: (typeof kept)[number] } }) => {
          call.state.held.add(value);
          kept.push(call.state.held);
        },
      } as never,
    },
  });
  await harness.process({ value: 1 });
  expect(() => kept[0]?.get()).toThrow(/used state 'held' of its context after the call/);
  expect(messageOf(harness)).toMatch(/used state 'held' of its context after the call/);
});

test('a broadcast map fails the attempt when it is used after the call, by those who read and those who write', async () => {
  const kept: { get(key: string): unknown; set?(key: string, value: unknown): void }[] = [];
  const keep = (_: unknown, call: { broadcastState: { rules: (typeof kept)[number] } }): void => {
    kept.push(call.broadcastState.rules);
  };
  const open = () =>
    OperatorHarness.open({
      create: createPlainBroadcastOperator,
      functions: {
        kind: 'plain-broadcast-process',
        process: { broadcastState: { rules: mapState<string, number>() }, onRecord: keep, onBroadcast: keep },
      } as never,
    });
  const reading = await open();
  await reading.process({ value: 1 });
  expect(() => kept[0]?.get('a')).toThrow(/used broadcast state 'rules' of its context after the call/);
  expect(messageOf(reading)).toMatch(/broadcast state 'rules'/);
  const writing = await open();
  await writing.processSecond({ value: 1 });
  expect(() => kept[1]?.set?.('a', 1)).toThrow(/used broadcast state 'rules' of its context after the call/);
  expect(messageOf(writing)).toMatch(/broadcast state 'rules'/);
});

test.each([
  ['timers', (call: Call) => call.timers.registerEventTime(5)],
  ['trigger state', (call: Call) => call.state.seen.update(1)],
])('a trigger fails the attempt when its %s are used after the call', async (used, use) => {
  const kept: Call[] = [];
  const trigger = {
    options: {},
    state: { seen: valueState<number>() },
    onElement: (_: unknown, call: Call) => {
      call.state.seen.update(0);
      kept.push({ ...call, timers: call.timers, state: call.state });
      return 'continue';
    },
  };
  const harness = await OperatorHarness.open(windowOptions({ window: tumbling(10), trigger: trigger as never }));
  await harness.process(at(1, 1));
  expect(harness.failure).toBeNull();
  expect(() => use(kept[0] as Call)).toThrow(new RegExp(`used ${used} of its context after the call`));
  expect(messageOf(harness)).toMatch(new RegExp(`used ${used} of its context after the call`));
});

test('a function that emits in an endless loop is ended when the attempt fails, and not before it has emitted on for a while', () => {
  const failures: unknown[] = [];
  const context = { node: { id: 'flood' }, subtaskIndex: 0, fail: (error: unknown) => failures.push(error) };
  const gate = new CallGate(context as unknown as AnyOperatorContext);
  gate.enter();
  gate.emits('emit');
  gate.attemptFailed();
  let emitted = 0;
  expect(() => {
    for (;;) {
      gate.emits('emit');
      emitted++;
    }
  }).toThrow(/attempt of operator 'flood' has failed/);
  expect(emitted).toBe(1_000);
  expect(failures).toEqual([]);
});
