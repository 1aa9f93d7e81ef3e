/** Timers of `process` at the edges of time: far away, equal, between milliseconds, restored, refused. */
import { describe, expect, test } from 'vitest';
import type { Key, KeyedProcessFunction, OnError, TimerRegistry } from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createProcessOperator } from './process.ts';

interface Command {
  readonly key: Key;
  readonly run: (timers: TimerRegistry) => void;
}

function processing(
  onTimer: KeyedProcessFunction<Command, Key, unknown, StateDeclarations>['onTimer'],
  onError: OnError = 'fail',
): HarnessOptions<'process'> {
  const process: KeyedProcessFunction<Command, Key, unknown, StateDeclarations> = {
    onRecord: (command, { timers }) => command.run(timers),
    ...(onTimer === undefined ? {} : { onTimer }),
  };
  return {
    create: createProcessOperator,
    functions: { kind: 'process', keyOf: ((value: Command) => value.key) as never, process: process as never },
    config: { onError: onError as 'fail' },
  };
}

const reporting = processing((timestampMs, context) =>
  context.emit(`${context.timeDomain} ${String(context.key)} ${timestampMs}`),
);
const at = (key: Key, run: Command['run']) => ({ value: { key, run } });
const event =
  (...times: readonly number[]): Command['run'] =>
  (timers) => {
    for (const time of times) timers.registerEventTime(time);
  };
const processingTime =
  (...times: readonly number[]): Command['run'] =>
  (timers) => {
    for (const time of times) timers.registerProcessingTime(time);
  };
const { POSITIVE_INFINITY: infinity } = Number;

describe.each(['memory', 'cold'] as const)('timers on the %s backend', (backend) => {
  test('at the first moment fire with the next watermark, at the last one with the final watermark', async () => {
    const harness = await OperatorHarness.open({ ...reporting, backend });
    await harness.process(at('a', event(8.64e15, -8.64e15)));
    await harness.watermark(-5);
    expect(harness.values).toEqual(['event a -8640000000000000']);
    await harness.watermark(infinity);
    expect(harness.values.slice(1)).toEqual(['event a 8640000000000000']);
  });

  test('between milliseconds fire when the watermark has reached them, not before', async () => {
    const harness = await OperatorHarness.open({ ...reporting, backend });
    await harness.process(at('a', event(10.5, 10)));
    await harness.watermark(10);
    expect(harness.values).toEqual(['event a 10']);
    await harness.watermark(10.5);
    expect(harness.values).toEqual(['event a 10', 'event a 10.5']);
    expect(harness.outputs[1]?.timestamp).toBe(10.5);
  });

  test('of both domains at one time are two timers', async () => {
    const harness = await OperatorHarness.open({ ...reporting, backend });
    await harness.process(at('a', event(10)), at('a', processingTime(10)));
    await harness.process(at('a', (timers) => timers.deleteProcessingTime(10)));
    await harness.process(at('a', processingTime(10)));
    await harness.processingTime(10);
    expect(harness.values).toEqual(['processing a 10']);
    await harness.watermark(10);
    expect(harness.values).toEqual(['processing a 10', 'event a 10']);
  });

  test('at 0 and at -0 are one', async () => {
    const harness = await OperatorHarness.open({ ...reporting, backend });
    await harness.process(at('a', event(0, -0)));
    await harness.watermark(0);
    expect(harness.values).toEqual(['event a 0']);
    await harness.process(
      at('a', event(0)),
      at('a', (timers) => timers.deleteEventTime(-0)),
    );
    await harness.watermark(1);
    expect(harness.values).toEqual(['event a 0']);
  });

  test('that a callback deletes do not fire, also when they are due in the same advance', async () => {
    const deleting = processing((timestampMs, { timers, emit, key }) => {
      emit(`${String(key)} ${timestampMs}`);
      timers.deleteEventTime(20);
      if (timestampMs === 10) timers.deleteEventTime(10);
    });
    const harness = await OperatorHarness.open({ ...deleting, backend });
    await harness.process(at('a', event(10, 20, 30)), at('b', event(20)));
    await harness.watermark(100);
    expect(harness.values).toEqual(['a 10', 'b 20', 'a 30']);
  });

  test('of processing time that were due before a restore fire once and in order, with the new clock, and one by one', async () => {
    const first = await OperatorHarness.open({ ...reporting, backend });
    await first.process(at('b', processingTime(10, 5)), at('a', processingTime(10, 8.64e15, 1_000.5)));
    const image = new CheckpointImage();
    image.apply(first.checkpoint(1));
    const restored = await OperatorHarness.open({ ...reporting, backend, restore: image.rows, nowMs: 50 });
    restored.room = 1;
    expect(await restored.processingTime(60)).toBe(false);
    expect(restored.values).toEqual(['processing b 5']);
    restored.room = infinity;
    await restored.processingTime(60);
    expect(restored.values).toEqual(['processing b 5', 'processing a 10', 'processing b 10']);
    expect(restored.wakeAtMs).toBe(1_000.5);
    await restored.processingTime(1_001);
    expect(restored.values[3]).toBe('processing a 1000.5');
    expect(restored.wakeAtMs).toBe(8.64e15);
    expect(restored.outputs.map((output) => output.timestamp)).toEqual([NaN, NaN, NaN, NaN]);
  });

  test('at the farthest times survive a restore into another parallelism', async () => {
    const first = await OperatorHarness.open({ ...reporting, backend });
    await first.process(...['a', 'b', 'c', 'd'].map((key) => at(key, event(8.64e15, -8.64e15, 0.25))));
    const rows = first.checkpoint(1);
    const fired: unknown[] = [];
    for (const subtaskIndex of [0, 1, 2]) {
      const restored = await OperatorHarness.open({
        ...reporting,
        backend,
        restore: rows,
        parallelism: 3,
        subtaskIndex,
      });
      await restored.watermark(infinity);
      fired.push(...restored.values);
    }
    const expected = ['a', 'b', 'c', 'd'].flatMap((key) =>
      [-8.64e15, 0.25, 8.64e15].map((time) => `event ${key} ${time}`),
    );
    expect([...fired].sort()).toEqual(expected.sort());
  });

  test('at infinite times are those at the bounds: the next watermark fires the first, the end the last', async () => {
    const harness = await OperatorHarness.open({ ...reporting, backend });
    await harness.process(at('a', event(infinity, -infinity, 8.64e15, -8.64e15)));
    await harness.watermark(-5);
    expect(harness.values).toEqual(['event a -8640000000000000']);
    await harness.watermark(infinity);
    expect(harness.values.slice(1)).toEqual(['event a 8640000000000000']);
  });

  test('at an infinite time can be taken back', async () => {
    const harness = await OperatorHarness.open({ ...reporting, backend });
    const takeBack: Command['run'] = (timers) => {
      timers.deleteEventTime(infinity);
      timers.deleteEventTime(-infinity);
      timers.deleteEventTime(Number.NaN);
    };
    await harness.process(at('a', event(infinity, -infinity, 7)), at('a', takeBack));
    await harness.watermark(infinity);
    expect(harness.values).toEqual(['event a 7']);
  });

  test('at NaN or beyond the times of a Date are an error of the function that names the key, which goes by onError, and leave nothing behind', async () => {
    for (const run of [
      ...[Number.NaN, 8.64e15 + 2, -8.64e15 - 2, '10' as unknown as number].flatMap((time) => [
        event(time),
        processingTime(time),
      ]),
    ]) {
      const failing = await OperatorHarness.open({ ...reporting, backend });
      const error = await engineErrorOf(failing.process(at('a', run)));
      expect(error).toMatchObject({ code: 'USER_FUNCTION_FAILED', ids: { operator: 'operator-under-test' } });
      expect(error.message).toMatch(/a timer needs a time in ms .*got (NaN|10|-?8640000000000002) for key "a";/);
      const skipping = await OperatorHarness.open({ ...processing(undefined, 'skip'), backend });
      await skipping.process(at('a', run), at('a', event(5)));
      expect(skipping.counter('skipped')).toBe(1);
      expect(skipping.checkpoint(1)).toHaveLength(1);
    }
  });
});
