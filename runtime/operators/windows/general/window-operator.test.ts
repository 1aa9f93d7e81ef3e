import { describe, expect, test } from 'vitest';
import {
  countEvictor,
  countTrigger,
  globalWindow,
  session,
  tumbling,
  valueState,
  type WindowFunction,
} from '../../../../client/index.ts';
import {
  CheckpointImage,
  engineErrorOf,
  OperatorHarness,
  SnapshotReader,
} from '../../../../testing/operator-harness.ts';
import { createColdTestBackend } from '../../../state/cold-test-backend.ts';
import { chunkRecordsMax } from './record-list.ts';
import {
  at,
  outputsOf,
  type Reading,
  rowsLeft,
  type WindowOptions,
  windowOptions,
} from './window-harness.test-support.ts';

const sumRecords = {
  windowFunction: {
    onWindow: (records: readonly Reading[], { emit }: { emit(value: unknown): void }) =>
      emit([records.length, records.reduce((sum, { n }) => sum + n, 0)]),
  } as never,
};

describe.each(['memory', 'cold'] as const)('window on the %s backend', (backend) => {
  const open = (options: WindowOptions, restore?: CheckpointImage, config: { onError?: string } = {}) => {
    const planned = windowOptions(options);
    return OperatorHarness.open({
      ...planned,
      config: { ...planned.config, ...config },
      backend,
      ...(restore === undefined ? {} : { restore: restore.rows }),
    });
  };

  test('keeps long lists in chunks that checkpoints write once', async () => {
    const options = { window: globalWindow(), trigger: countTrigger(1000), body: sumRecords };
    const image = new CheckpointImage();
    let harness = await open(options);
    const numbers = Array.from({ length: 999 }, (_, n) => n);
    await harness.process(...numbers.slice(0, 500).map((n) => at(1, n)));
    image.apply(harness.checkpoint(1));
    await harness.process(...numbers.slice(500, 510).map((n) => at(1, n)));
    const second = harness.checkpoint(2);
    image.apply(second);
    expect(second.map((row) => row.stateName).sort()).toEqual(['contents', 'trigger.count']);
    expect(image.rows.filter((row) => row.stateName === 'contents.chunks')).toHaveLength(
      Math.floor(510 / chunkRecordsMax),
    );
    harness = await open(options, image);
    await harness.process(...numbers.slice(510).map((n) => at(1, n)));
    expect(outputsOf(harness)).toEqual([]);
    await harness.process(at(1, 999));
    expect(outputsOf(harness)).toEqual([[1000, 499_500]]);
  });

  test('removes the chunks of a window with it, also such as a checkpoint has', async () => {
    const image = new CheckpointImage();
    const harness = await open({ window: tumbling(10), body: sumRecords });
    await harness.process(...Array.from({ length: 300 }, () => at(1, 1)));
    image.apply(harness.checkpoint(1));
    await harness.process(...Array.from({ length: 300 }, () => at(1, 1)));
    await harness.watermark(9);
    expect(outputsOf(harness)).toEqual([[600, 600]]);
    image.apply(harness.checkpoint(2));
    expect(image.rows).toEqual([]);
  });

  test('evicts from the chunks of a long list', async () => {
    const harness = await open({
      window: globalWindow(),
      trigger: countTrigger(200),
      evictor: countEvictor(150),
      body: sumRecords,
    });
    for (const n of [1, 2]) await harness.process(...Array.from({ length: 200 }, () => at(1, n)));
    expect(outputsOf(harness)).toEqual([
      [150, 150],
      [150, 300],
    ]);
  });

  test('freezes its rows at the barrier, whatever happens to them afterwards', async () => {
    const image = new CheckpointImage();
    const options = { window: tumbling(10) };
    const harness = await open(options);
    await harness.process(at(1, 1), at(2, 2), at(3, 3, 'b'));
    const reader = new SnapshotReader(harness.freeze(1));
    await harness.process(at(4, 4), at(14, 5));
    await harness.watermark(9);
    image.apply(reader.finish());
    const restored = await open(options, image);
    await restored.watermark(50);
    expect(outputsOf(restored)).toEqual(['a@0: 1,2', 'b@0: 3']);
  });

  test('fails naming the operator when its function throws, or skips the firing', async () => {
    const throwing: WindowFunction<readonly Reading[], string, string> = {
      onWindow(records, { key, emit }) {
        if (key === 'a') throw new Error(`of ${records.length}`);
        emit(key);
      },
    };
    const options = { window: tumbling(10), body: { windowFunction: throwing as never } };
    const failing = await open(options);
    await failing.process(at(1, 1), at(2, 2, 'b'));
    expect((await engineErrorOf(failing.watermark(9))).message).toMatch(/'operator-under-test' threw.*of 1/);
    const skipping = await open(options, undefined, { onError: 'skip' });
    await skipping.process(at(1, 1), at(2, 2, 'b'));
    await skipping.watermark(9);
    expect(outputsOf(skipping)).toEqual(['b']);
    expect(skipping.counter('skipped')).toBe(1);
    expect(rowsLeft(skipping)).toEqual([]);
  });

  test('leaves nothing of windows whose records were all refused by reduce, gap or trigger', async () => {
    const bad = (what: string) => () => {
      throw new Error(what);
    };
    const reduce = await open({ window: session<Reading>(10), body: { reduce: bad('reduce') as never } }, undefined, {
      onError: 'skip',
    });
    await reduce.process(at(1, 1), at(2, 2), at(20, 3), at(11, 4));
    await reduce.watermark(100);
    expect(rowsLeft(reduce)).toEqual([]);
    const trigger = await open({ window: tumbling(10), trigger: { onElement: bad('trigger') } }, undefined, {
      onError: 'skip',
    });
    await trigger.process(at(1, 1), at(2, 2));
    await trigger.watermark(100);
    expect(trigger.counter('skipped')).toBe(2);
    expect(rowsLeft(trigger)).toEqual([]);
    const gap = await open({ window: session<Reading>((record) => record.n) }, undefined, { onError: 'skip' });
    await gap.process(at(1, 0), at(1, -1), at(1, Number.NaN), at(1, 5));
    await gap.watermark(100);
    expect(outputsOf(gap)).toEqual(['a@1: 5']);
    expect(gap.counter('skipped')).toBe(3);
  });

  test('refuses what a trigger must not return, a record without a timestamp, and a key that is none', async () => {
    const trigger = await open({ window: globalWindow(), trigger: { onElement: () => 'FIRE' } });
    expect((await engineErrorOf(trigger.process(at(1, 1)))).message).toMatch(/returned FIRE; return 'continue'/);
    const timeless = await open({ window: tumbling(10) });
    expect((await engineErrorOf(timeless.process(at(Number.NaN, 1)))).message).toMatch(/no timestamp/);
    const keyless = await open({ window: tumbling(10) });
    expect((await engineErrorOf(keyless.process(at(1, 1, null as never)))).code).toBe('KEY_NOT_SUPPORTED');
  });

  test('counts records whose window is gone because their split was idle', async () => {
    const harness = await open({ window: tumbling(10) });
    await harness.watermark(9);
    await harness.process(at(1, 1), at(2, 2, 'a', 9), at(12, 3));
    expect(harness.side('late').map(({ value }) => (value as Reading).n)).toEqual([1, 2]);
    expect(harness.metrics.lateRecords).toBe(2);
    expect(harness.counter('lateAfterIdle')).toBe(1);
  });

  test('judges a record of a session by its own window, before merging', async () => {
    const harness = await open({ window: session<Reading>(10) });
    await harness.process(at(15, 1));
    await harness.watermark(20);
    await harness.process(at(8, 2), at(9, 3, 'a', 18), at(12, 4), at(12, 5, 'a', 12));
    await harness.watermark(24);
    expect(outputsOf(harness)).toEqual(['a@12: 1,4,5']);
    expect(harness.side('late').map(({ value }) => (value as Reading).n)).toEqual([2, 3]);
    expect(harness.counter('lateAfterIdle')).toBe(1);
  });

  test('keeps state of a key beyond its windows and calls open and close', async () => {
    const calls: string[] = [];
    const state = { total: valueState<number>() };
    const counting: WindowFunction<readonly Reading[], string, string, typeof state> = {
      state,
      open: ({ operatorId }) => void calls.push(`open ${operatorId}`),
      close: () => void calls.push('close'),
      onWindow(records, { key, state: { total }, emit, timestamp, watermark }) {
        total.update((total.value() ?? 0) + records.length);
        emit(`${key} ${total.value()} at ${timestamp} of ${watermark}`);
      },
    };
    const options = { window: tumbling(10), body: { windowFunction: counting as never } };
    const image = new CheckpointImage();
    let harness = await open(options);
    await harness.process(at(1, 1), at(2, 2));
    await harness.watermark(9);
    image.apply(harness.checkpoint(1));
    expect(image.rows.map((row) => row.stateName)).toEqual(['key.total']);
    harness = await open(options, image);
    await harness.process(at(11, 3));
    await harness.watermark(25);
    expect(outputsOf(harness)).toEqual(['a 3 at 19 of 25']);
    await harness.operator.close();
    expect(calls).toEqual(['open operator-under-test', 'open operator-under-test', 'close']);
  });

  test('refuses rows of a state that is not declared any more', async () => {
    const state = { total: valueState<number>() };
    const withState = {
      state,
      onWindow: (_records: unknown, context: never) =>
        (context as { state: { total: { update(value: number): void } } }).state.total.update(1),
    };
    const before = await open({ window: tumbling(10), body: { windowFunction: withState as never } });
    await before.process(at(1, 1));
    await before.watermark(9);
    const image = new CheckpointImage();
    image.apply(before.checkpoint(1));
    const error = await engineErrorOf(open({ window: tumbling(10) }, image));
    expect([error.code, error.message]).toEqual(['GRAPH_CHANGED', expect.stringMatching(/'key.total'/)]);
  });

  test('fires with limited room, each window once', async () => {
    const harness = await open({ window: tumbling(10) });
    const keys = Array.from({ length: 300 }, (_, index) => index);
    await harness.process(...keys.map((key) => at(1, key, key)));
    let turns = 0;
    for (harness.room = 7; !(await harness.watermark(9)); harness.room = 7) turns++;
    expect(turns).toBeGreaterThan(300 / 7 - 1);
    expect(outputsOf(harness)).toEqual(keys.map((key) => `${key}@0: ${key}`));
  });
});

test('rows of windows that fire are fetched for many at a time, not read one by one', async () => {
  const cold = createColdTestBackend(1000);
  const options = { ...windowOptions({ window: tumbling(10), body: sumRecords }), backend: cold };
  const harness = await OperatorHarness.open(options);
  const keys = Array.from({ length: 400 }, (_, index) => index);
  for (let round = 0; round < 70; round++) await harness.process(...keys.map((key) => at(1, round, key)));
  await harness.watermark(9);
  expect(harness.values).toHaveLength(400);
  expect(cold.fetchedRows).toBeGreaterThan(0);
  expect(cold.blockingReads).toBe(0);
});
