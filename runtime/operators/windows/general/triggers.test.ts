/** Flink's triggers and evictors, by what their documentation says. */
import { describe, expect, test } from 'vitest';
import {
  continuousEventTime,
  continuousProcessingTime,
  countEvictor,
  countTrigger,
  countWindow,
  deltaEvictor,
  deltaTrigger,
  eventTimeTrigger,
  globalWindow,
  mapState,
  neverTrigger,
  processingTimeTrigger,
  purging,
  session,
  timeEvictor,
  tumbling,
  type TriggerContext,
  valueState,
  type WindowTrigger,
} from '../../../../client/index.ts';
import { CheckpointImage, OperatorHarness } from '../../../../testing/operator-harness.ts';
import {
  at,
  outputsOf,
  type Reading,
  rowsLeft,
  type WindowOptions,
  windowOptions,
} from './window-harness.test-support.ts';

describe.each(['memory', 'cold'] as const)('on the %s backend', (backend) => {
  const open = (options: WindowOptions): Promise<OperatorHarness<'window'>> =>
    OperatorHarness.open({ ...windowOptions(options), backend });

  /** A harness that begins with what the other has checkpointed. */
  const restored = (harness: OperatorHarness<'window'>, options: WindowOptions): Promise<OperatorHarness<'window'>> => {
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    return OperatorHarness.open({ ...windowOptions(options), backend, restore: image.rows, nowMs: harness.nowMs });
  };

  test('an event-time trigger fires at the last millisecond, and at once for records within the lateness', async () => {
    const harness = await open({ window: tumbling(10), trigger: eventTimeTrigger(), allowedLatenessMs: 5 });
    await harness.process(at(1, 1), at(9, 2));
    await harness.watermark(8);
    expect(outputsOf(harness)).toEqual([]);
    await harness.watermark(9);
    expect(outputsOf(harness)).toEqual(['a@0: 1,2']);
    await harness.watermark(13);
    await harness.process(at(3, 3));
    expect(outputsOf(harness)).toEqual(['a@0: 1,2,3']);
    await harness.watermark(14);
    await harness.process(at(3, 4));
    expect(outputsOf(harness)).toEqual([]);
    expect(harness.side('late').map((late) => late.value)).toEqual([{ key: 'a', n: 4 }]);
  });

  test('results have the last millisecond of the window, also of an early firing', async () => {
    const harness = await open({ window: tumbling(10), trigger: countTrigger(1) });
    await harness.process(at(1, 1, 'a', 5));
    expect(harness.outputs).toEqual([{ value: 'a@0: 1', timestamp: 9, splitWatermark: Number.NaN }]);
  });

  test('a processing-time trigger fires when the last millisecond is over', async () => {
    const harness = await open({ window: tumbling(10, { time: 'processing' }), trigger: processingTimeTrigger() });
    await harness.processingTime(3);
    await harness.process({ value: { key: 'a', n: 1 } });
    await harness.processingTime(9);
    await harness.process({ value: { key: 'a', n: 2 } });
    expect(outputsOf(harness)).toEqual([]);
    await harness.processingTime(10);
    expect(harness.outputs).toEqual([{ value: 'a@0: 1,2', timestamp: Number.NaN, splitWatermark: Number.NaN }]);
    expect(harness.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('windows that wait for the clock fire at the end of all input', async () => {
    const harness = await open({ window: tumbling(10, { time: 'processing' }) });
    await harness.process({ value: { key: 'a', n: 1 } });
    await harness.watermark(1_000_000);
    expect(outputsOf(harness)).toEqual([]);
    await harness.watermark(Number.POSITIVE_INFINITY);
    expect(outputsOf(harness)).toEqual(['a@0: 1']);
  });

  test('a processing-time window whose end passed while nothing ran fires after a restore', async () => {
    const options = { window: tumbling(10, { time: 'processing' }) };
    const before = await open(options);
    await before.process({ value: { key: 'a', n: 1 } });
    const harness = await restored(before, options);
    await harness.processingTime(500);
    expect(outputsOf(harness)).toEqual(['a@0: 1']);
  });

  test('a count trigger fires at each count with all records, and not at the end of the window', async () => {
    const options = { window: tumbling(10), trigger: countTrigger(2) };
    let harness = await open(options);
    await harness.process(at(1, 1), at(2, 2), at(3, 3));
    expect(outputsOf(harness)).toEqual(['a@0: 1,2']);
    harness = await restored(harness, options);
    await harness.process(at(4, 4), at(5, 5));
    expect(outputsOf(harness)).toEqual(['a@0: 1,2,3,4']);
    await harness.watermark(9);
    expect(outputsOf(harness)).toEqual([]);
  });

  test('a purging trigger drops the records it fired for and keeps counting', async () => {
    const harness = await open({ window: globalWindow(), trigger: purging(countTrigger(2)) });
    await harness.process(at(1, 1), at(2, 2), at(3, 3), at(4, 4, 'b'), at(5, 5));
    expect(outputsOf(harness)).toEqual(['a@-Infinity: 1,2', 'a@-Infinity: 3,5']);
  });

  test('results of global windows have the time of the record that fired them', async () => {
    const harness = await open({ window: globalWindow(), trigger: countTrigger(2) });
    await harness.process(at(7, 1, 'a', 3), at(5, 2, 'a', 6));
    expect(harness.outputs).toEqual([{ value: 'a@-Infinity: 1,2', timestamp: 5, splitWatermark: 6 }]);
  });

  test('a purging event-time trigger emits late records without the earlier ones', async () => {
    const harness = await open({ window: tumbling(10), trigger: purging(eventTimeTrigger()), allowedLatenessMs: 10 });
    await harness.process(at(1, 1));
    await harness.watermark(9);
    await harness.process(at(2, 2));
    await harness.watermark(19);
    expect(outputsOf(harness)).toEqual(['a@0: 1', 'a@0: 2']);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('a delta trigger fires for a record that differs by more than the threshold from the last one it fired for', async () => {
    const options = {
      window: globalWindow(),
      trigger: deltaTrigger<Reading>(10, (earlier, later) => later.n - earlier.n),
    };
    let harness = await open(options);
    await harness.process(at(1, 1), at(2, 11), at(3, 12));
    expect(outputsOf(harness)).toEqual(['a@-Infinity: 1,11,12']);
    harness = await restored(harness, options);
    await harness.process(at(4, 22), at(5, 23));
    expect(outputsOf(harness)).toEqual(['a@-Infinity: 1,11,12,22,23']);
  });

  test('a continuous event-time trigger fires at multiples of its interval and at the end', async () => {
    const options = { window: tumbling(100), trigger: continuousEventTime(30) };
    let harness = await open(options);
    await harness.process(at(10, 1), at(35, 2));
    await harness.watermark(29);
    expect(outputsOf(harness)).toEqual([]);
    await harness.watermark(30);
    expect(outputsOf(harness)).toEqual(['a@0: 1,2']);
    harness = await restored(harness, options);
    await harness.process(at(70, 3));
    await harness.watermark(95);
    expect(outputsOf(harness)).toEqual(['a@0: 1,2,3', 'a@0: 1,2,3']);
    await harness.watermark(99);
    expect(outputsOf(harness)).toEqual(['a@0: 1,2,3']);
    await harness.watermark(1000);
    expect(outputsOf(harness)).toEqual([]);
  });

  test('a continuous processing-time trigger fires by the clock while the window is there', async () => {
    const harness = await open({ window: tumbling(100), trigger: continuousProcessingTime(30) });
    await harness.processingTime(1010);
    await harness.process(at(5, 1));
    await harness.processingTime(1020);
    expect(outputsOf(harness)).toEqual([]);
    await harness.processingTime(1021);
    expect(outputsOf(harness)).toEqual(['a@0: 1']);
    await harness.process(at(6, 2));
    await harness.processingTime(1051);
    expect(outputsOf(harness)).toEqual(['a@0: 1,2']);
    await harness.watermark(99);
    await harness.processingTime(5000);
    expect(outputsOf(harness)).toEqual([]);
    expect(harness.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('a continuous processing-time trigger fires at the end of a processing-time window', async () => {
    const harness = await open({
      window: tumbling(100, { time: 'processing' }),
      trigger: continuousProcessingTime(60),
    });
    await harness.process({ value: { key: 'a', n: 1 } });
    await harness.processingTime(100);
    expect(outputsOf(harness)).toEqual(['a@0: 1', 'a@0: 1']);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('a continuous processing-time trigger fires once when all input ends long before its window', async () => {
    const harness = await open({
      window: tumbling(1_000_000, { time: 'processing' }),
      trigger: continuousProcessingTime(10),
    });
    await harness.process({ value: { key: 'a', n: 1 } });
    await harness.processingTime(11);
    expect(outputsOf(harness)).toEqual(['a@0: 1']);
    await harness.process({ value: { key: 'a', n: 2 } });
    await harness.watermark(Number.POSITIVE_INFINITY);
    expect(outputsOf(harness)).toEqual(['a@0: 1,2']);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('a never trigger emits nothing and its windows go', async () => {
    const harness = await open({ window: tumbling(10), trigger: neverTrigger() });
    await harness.process(at(1, 1));
    await harness.watermark(9);
    expect(outputsOf(harness)).toEqual([]);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('triggers take over their state when sessions become one', async () => {
    const counting = { window: session<Reading>(10), trigger: countTrigger(3) };
    let harness = await open(counting);
    await harness.process(at(0, 1), at(20, 2));
    harness = await restored(harness, counting);
    await harness.process(at(10, 3));
    expect(outputsOf(harness)).toEqual(['a@0: 1,2,3']);
    await harness.watermark(100);
    expect(rowsLeft(harness)).toEqual([]);

    const continuous = await open({ window: session<Reading>(10), trigger: continuousEventTime(8) });
    await continuous.process(at(1, 1), at(21, 2), at(11, 3));
    await continuous.watermark(8);
    expect(outputsOf(continuous)).toEqual(['a@1: 1,2,3']);
    await continuous.watermark(29);
    expect(outputsOf(continuous)).toEqual(['a@1: 1,2,3', 'a@1: 1,2,3']);
    await continuous.watermark(30);
    expect(outputsOf(continuous)).toEqual(['a@1: 1,2,3']);
    await continuous.watermark(100);
    expect(outputsOf(continuous)).toEqual([]);
  });

  test('a trigger may count a timer from the watermark before the first one, and take it back', async () => {
    const fired: string[] = [];
    const trigger: WindowTrigger<Reading> = {
      onElement(value, { timers, watermark }) {
        timers.registerEventTime(watermark + 5);
        if (value.n === 0) timers.deleteEventTime(watermark + 5);
        return 'continue';
      },
      onEventTime(timeMs, { key }) {
        fired.push(`${String(key)} ${timeMs}`);
        return 'continue';
      },
    };
    const harness = await open({ window: tumbling(10), trigger });
    await harness.process(at(1, 1), at(1, 0, 'b'));
    await harness.watermark(-100);
    expect(fired).toEqual(['a -8640000000000000']);
  });

  test('a trigger of the user has state per key and window, timers, and is not asked for a window that is gone', async () => {
    const calls: string[] = [];
    const state = { seen: valueState<number>(), by: mapState<string, number>() };
    const trigger: WindowTrigger<Reading, typeof state> = {
      state,
      onElement(value, { state: { seen, by }, timers, window }) {
        seen.update((seen.value() ?? 0) + value.n);
        by.set(`n${value.n}`, value.n);
        timers.registerEventTime(window.start + 5);
        timers.registerEventTime(window.end + 100);
        timers.registerProcessingTime(50);
        if (value.n === 0) timers.deleteEventTime(window.start + 5);
        return 'continue';
      },
      onEventTime(timeMs, { key, window, state: { seen, by } }) {
        calls.push(`event ${timeMs} ${String(key)}@${window.start} ${seen.value()} ${[...by.entries()].length}`);
        return 'fire';
      },
      onProcessingTime(timeMs, { key, window }) {
        calls.push(`processing ${timeMs} ${String(key)}@${window.start}`);
        return 'fireAndPurge';
      },
      clear: ({ key, window }: TriggerContext<typeof state>) => void calls.push(`clear ${String(key)}@${window.start}`),
    };
    const options = { window: tumbling(10), trigger };
    let harness = await open(options);
    await harness.process(at(1, 1), at(2, 2), at(12, 5), at(1, 0, 'b'));
    harness = await restored(harness, options);
    await harness.watermark(5);
    await harness.processingTime(51);
    await harness.watermark(1000);
    await harness.processingTime(1000);
    expect(calls).toEqual([
      'event 5 a@0 3 2',
      'processing 50 a@0',
      'processing 50 a@10',
      'processing 50 b@0',
      'clear a@0',
      'clear b@0',
      'event 15 a@10 5 1',
      'clear a@10',
    ]);
    expect(outputsOf(harness)).toEqual(['a@0: 1,2', 'a@0: 1,2', 'a@10: 5', 'b@0: 0']);
    expect(rowsLeft(harness)).toEqual([]);
  });

  const evicting = async (evictor: WindowOptions['evictor']): Promise<unknown[]> => {
    const harness = await open({ window: globalWindow(), trigger: countTrigger(2), evictor });
    await harness.process(at(1, 1), at(8, 2), at(3, 3), at(9, 4), at(20, 5), at(11, 6));
    return outputsOf(harness).map((output) => (output as string).replace('a@-Infinity: ', ''));
  };

  test.each([
    ['before', {}, ['1,2', '2,3,4', '4,5,6']],
    ['after', { after: true }, ['1,2', '1,2,3,4', '2,3,4,5,6']],
  ] as const)('a count evictor keeps the newest records, %s the function', async (_when, options, expected) => {
    expect(await evicting(countEvictor(3, options))).toEqual(expected);
  });

  test.each([
    ['before', {}, ['2', '2,4', '5']],
    ['after', { after: true }, ['1,2', '2,3,4', '2,4,5,6']],
  ] as const)(
    'a time evictor keeps the records of the last span, %s the function',
    async (_when, options, expected) => {
      expect(await evicting(timeEvictor(5, options))).toEqual(expected);
    },
  );

  test.each([
    ['before', {}, ['1,2', '3,4', '5,6']],
    ['after', { after: true }, ['1,2', '1,2,3,4', '3,4,5,6']],
  ] as const)(
    'a delta evictor keeps what is near the newest record, %s the function',
    async (_when, options, expected) => {
      const evictor = deltaEvictor<Reading>(2, (record, newest) => newest.n - record.n, options);
      expect(await evicting(evictor)).toEqual(expected);
    },
  );

  test('count windows that slide give the last records, after a restore too', async () => {
    const options = { window: countWindow(3, 2) };
    let harness = await open(options);
    await harness.process(at(1, 1), at(2, 2), at(3, 3));
    harness = await restored(harness, options);
    await harness.process(at(4, 4), at(5, 5), at(6, 6));
    expect(outputsOf(harness)).toEqual(['a@-Infinity: 2,3,4', 'a@-Infinity: 4,5,6']);
  });
});
