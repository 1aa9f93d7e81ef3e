import { describe, expect, test } from 'vitest';
import type { Key, KeyedProcessFunction } from '../../core/operators.ts';
import { mapState, type StateDeclarations, valueState } from '../../core/state/declarations.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createProcessOperator } from './process.ts';

interface Command {
  readonly key: Key;
  readonly run?: string;
  readonly at?: number;
}

function processing<D extends StateDeclarations>(
  fn: KeyedProcessFunction<Command, Key, unknown, D>,
): HarnessOptions<'process'> {
  return {
    create: createProcessOperator,
    functions: { kind: 'process', keyOf: ((value: Command) => value.key) as never, process: fn as never },
  };
}

/** Runs timer commands and reports every timer that fires. */
const timers = processing({
  onRecord(value, { timers: registry }) {
    const at = value.at ?? 0;
    if (value.run === 'event') registry.registerEventTime(at);
    if (value.run === 'delete') registry.deleteEventTime(at);
    if (value.run === 'processing') registry.registerProcessingTime(at);
  },
  onTimer(timestampMs, context) {
    context.emit(`${context.timeDomain} ${String(context.key)} ${timestampMs}`);
  },
});
const command = (key: Key, run: string, at: number) => ({ value: { key, run, at } });

const counts = processing({
  state: { count: valueState<{ n: number }>(), words: mapState<number, string>() },
  onRecord(value, { state, emit, key }) {
    const count = state.count.value() ?? { n: 0 };
    count.n++;
    state.count.update(count);
    state.words.set(value.at ?? 0, `word ${value.at}`);
    emit({ key, n: count.n, words: [...state.words.entries()].length });
  },
});

describe.each(['memory', 'cold'] as const)('process on the %s backend', (backend) => {
  test('keeps value and map state per key over a restore into another parallelism', async () => {
    const harness = await OperatorHarness.open({ ...counts, backend });
    for (let at = 0; at < 150; at++) await harness.process({ value: { key: 'wide', at } }, { value: { key: at, at } });
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const outputs: unknown[] = [];
    for (const subtaskIndex of [0, 1]) {
      const restored = await OperatorHarness.open({
        ...counts,
        backend,
        parallelism: 2,
        subtaskIndex,
        restore: image.rows,
      });
      for (const key of ['wide', 3, 99] as const) {
        if (restored.owns(key)) await restored.process({ value: { key, at: 7 } });
      }
      outputs.push(...restored.values);
    }
    expect(outputs).toHaveLength(3);
    expect(outputs).toContainEqual({ key: 'wide', n: 151, words: 150 });
    expect(outputs).toContainEqual({ key: 3, n: 2, words: 2 });
    expect(outputs).toContainEqual({ key: 99, n: 2, words: 2 });
  });

  test('fires event timers in the order of time and key bytes with the time of the timer', async () => {
    const harness = await OperatorHarness.open({ ...timers, backend });
    await harness.process(
      command('b', 'event', 20),
      command('a', 'event', 20),
      command('z', 'event', 10),
      command(5, 'event', 20),
    );
    await harness.watermark(19);
    expect(harness.outputs).toEqual([{ value: 'event z 10', timestamp: 10, splitWatermark: Number.NaN }]);
    await harness.watermark(20);
    expect(harness.values).toEqual(['event z 10', 'event 5 20', 'event a 20', 'event b 20']);
  });

  test('goes on where it stopped when room runs out between timers', async () => {
    const harness = await OperatorHarness.open({ ...timers, backend });
    for (let key = 0; key < 300; key++) await harness.process(command(key, 'event', key % 3));
    harness.room = 10;
    while (!(await harness.watermark(5))) harness.room = 10;
    expect(harness.outputs).toHaveLength(300);
    expect(new Set(harness.values).size).toBe(300);
  });

  test('scenario 73: overdue processing timers fire once and in order after a restore, event timers wait for the watermark', async () => {
    const harness = await OperatorHarness.open({ ...timers, backend, nowMs: 1000 });
    await harness.process(
      command('b', 'processing', 2000),
      command('a', 'processing', 2000),
      command('c', 'processing', 1500),
      command('e', 'event', 50),
    );
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const sixHoursLater = 6 * 3_600_000;
    const restored = await OperatorHarness.open({ ...timers, backend, nowMs: sixHoursLater, restore: image.rows });
    expect(restored.wakeAtMs).toBe(1500);
    await restored.processingTime(sixHoursLater);
    expect(restored.values).toEqual(['processing c 1500', 'processing a 2000', 'processing b 2000']);
    expect(restored.outputs[0]?.timestamp).toBeNaN();
    await restored.processingTime(sixHoursLater + 1);
    expect(restored.outputs).toHaveLength(3);
    await restored.watermark(50);
    expect(restored.values.at(-1)).toBe('event e 50');
    image.apply(restored.checkpoint(2));
    expect(image.rows).toEqual([]);
  });

  test('scenario 74: a timer registered twice fires once', async () => {
    const harness = await OperatorHarness.open({ ...timers, backend });
    await harness.process(command('a', 'event', 10), command('a', 'event', 10));
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await OperatorHarness.open({ ...timers, backend, restore: image.rows });
    await restored.process(command('a', 'event', 10));
    for (const subject of [harness, restored]) {
      await subject.watermark(10);
      await subject.watermark(11);
      expect(subject.values).toEqual(['event a 10']);
    }
  });

  test('scenario 74: a deleted timer does not fire, and deleting in its own callback changes nothing', async () => {
    const deleting = processing({
      onRecord: (value, context) => context.timers.registerEventTime(value.at ?? 0),
      onTimer(timestampMs, context) {
        context.timers.deleteEventTime(timestampMs);
        context.timers.deleteEventTime(timestampMs + 1);
        context.emit(timestampMs);
      },
    });
    const harness = await OperatorHarness.open({ ...deleting, backend });
    await harness.process(...[10, 11, 12].map((at) => ({ value: { key: 'a', at } })));
    await harness.watermark(20);
    expect(harness.values).toEqual([10, 12]);
  });

  test('scenario 74: a timer registered in the past fires at the next advance', async () => {
    const harness = await OperatorHarness.open({ ...timers, backend });
    await harness.watermark(100);
    await harness.process(command('a', 'event', 5));
    expect(harness.values).toEqual([]);
    await harness.watermark(101);
    expect(harness.values).toEqual(['event a 5']);
  });

  test('a callback that renews its timer at its own time fires once per advance', async () => {
    const renewing = processing({
      onRecord: (value, context) => context.timers.registerEventTime(value.at ?? 0),
      onTimer(timestampMs, context) {
        context.timers.registerEventTime(timestampMs);
        context.emit(timestampMs);
      },
    });
    const harness = await OperatorHarness.open({ ...renewing, backend });
    await harness.process({ value: { key: 'a', at: 10 } });
    await harness.watermark(20);
    expect(harness.values).toEqual([10]);
    await harness.watermark(21);
    expect(harness.values).toEqual([10, 10]);
  });

  test('a chain of timers fires to the watermark in one advance', async () => {
    const chain = processing({
      onRecord: (value, context) => context.timers.registerEventTime(value.at ?? 0),
      onTimer(timestampMs, context) {
        context.emit(timestampMs);
        context.timers.registerEventTime(timestampMs + 10);
      },
    });
    const harness = await OperatorHarness.open({ ...chain, backend });
    await harness.process({ value: { key: 'a', at: 10 } });
    await harness.watermark(45);
    expect(harness.values).toEqual([10, 20, 30, 40]);
  });

  test('a value changed in place before update does not change a frozen checkpoint', async () => {
    const harness = await OperatorHarness.open({ ...counts, backend });
    await harness.process({ value: { key: 'a', at: 1 } });
    const frozen = harness.freeze(1);
    await harness.process({ value: { key: 'a', at: 2 } });
    const image = new CheckpointImage();
    image.apply(harness.encode(frozen));
    const restored = await OperatorHarness.open({ ...counts, backend, restore: image.rows });
    await restored.process({ value: { key: 'a', at: 1 } });
    expect(restored.values).toEqual([{ key: 'a', n: 2, words: 1 }]);
  });
});

test('names state and key when a value cannot be stored', async () => {
  const broken = processing({
    state: { handler: valueState<unknown>() },
    onRecord: (_value, context) => context.state.handler.update({ call: () => 1 }),
  });
  const harness = await OperatorHarness.open({ ...broken, operatorId: 'keeper' });
  await harness.process({ value: { key: 'a' } });
  const error = await engineErrorOf(Promise.resolve().then(() => harness.checkpoint(1)));
  expect(error.code).toBe('VALUE_NOT_ENCODABLE');
  expect(error.message).toContain("state 'handler' of operator 'keeper', key \"a\"");
});

test('refuses to restore a state that is no longer declared', async () => {
  const harness = await OperatorHarness.open(counts);
  await harness.process({ value: { key: 'a' } });
  const rows = harness.checkpoint(1);
  const error = await engineErrorOf(OperatorHarness.open({ ...timers, restore: rows }));
  expect(error.code).toBe('GRAPH_CHANGED');
  expect(error.message).toContain("'count'");
});
