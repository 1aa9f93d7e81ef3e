import { describe, expect, test } from 'vitest';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createWindowAggregateOperator } from './window-aggregate.ts';

interface Reading {
  readonly key: string | number;
  readonly n: number;
}

const select = ((value: Reading) => value.n) as never;

function windows(
  sizeMs: number,
  allowedLatenessMs: number = 0,
  offsetMs: number = 0,
): HarnessOptions<'window-aggregate'> {
  return {
    create: createWindowAggregateOperator,
    config: { window: { kind: 'tumbling', sizeMs, offsetMs }, allowedLatenessMs, lateTag: 'late' },
    functions: {
      kind: 'window-aggregate',
      keyOf: ((value: Reading) => value.key) as never,
      aggregates: {
        count: { kind: 'count', options: {}, select: null },
        sum: { kind: 'sum', options: {}, select },
        min: { kind: 'min', options: {}, select },
        max: { kind: 'max', options: {}, select },
        mean: { kind: 'avg', options: {}, select },
      },
    },
  };
}

const at = (timestamp: number, key: string | number, n: number = 1, splitWatermark: number = Number.NaN) => ({
  value: { key, n },
  timestamp,
  splitWatermark,
});
const brief = (harness: OperatorHarness<'window-aggregate'>) =>
  harness.outputs.map(({ value }) => {
    const result = value as { key: string; windowStart: number; count: number };
    return `${result.key}@${result.windowStart}:${result.count}`;
  });

describe.each(['memory', 'cold'] as const)('window-aggregate on the %s backend', (backend) => {
  test('emits one result per key and window, at the last millisecond of the window', async () => {
    const harness = await OperatorHarness.open({ ...windows(10), backend });
    await harness.process(at(0, 'a', 3), at(9, 'a', 5), at(10, 'a', 7));
    await harness.watermark(8);
    expect(harness.outputs).toEqual([]);
    await harness.watermark(9);
    expect(harness.outputs).toEqual([
      {
        value: { key: 'a', windowStart: 0, windowEnd: 10, count: 2, sum: 8, min: 3, max: 5, mean: 4 },
        timestamp: 9,
        splitWatermark: Number.NaN,
      },
    ]);
    await harness.watermark(Number.POSITIVE_INFINITY);
    expect(brief(harness)).toEqual(['a@0:2', 'a@10:1']);
  });

  test('cuts windows at the offset, also before the epoch', async () => {
    const harness = await OperatorHarness.open({ ...windows(10, 0, 3), backend });
    await harness.process(at(-8, 'a'), at(-7, 'a'), at(2, 'a'), at(3, 'a'));
    await harness.watermark(Number.POSITIVE_INFINITY);
    expect(brief(harness)).toEqual(['a@-17:1', 'a@-7:2', 'a@3:1']);
  });

  test('fires windows in the order of end and key bytes when many are due at once', async () => {
    const harness = await OperatorHarness.open({ ...windows(10), backend });
    await harness.process(
      at(15, 'b'),
      at(5, 'b'),
      at(15, 2),
      at(5, 10),
      at(5, 2),
      at(5, '\ud83d\ude00'),
      at(5, '\uffee'),
      at(5, 'a'),
      at(5, -1),
    );
    await harness.watermark(100);
    expect(brief(harness)).toEqual([
      '-1@0:1',
      '2@0:1',
      '10@0:1',
      'a@0:1',
      'b@0:1',
      '\uffee@0:1',
      '\ud83d\ude00@0:1',
      '2@10:1',
      'b@10:1',
    ]);
  });

  test('stops and goes on without loss or repetition when output room runs out', async () => {
    const harness = await OperatorHarness.open({ ...windows(10), backend });
    for (let key = 0; key < 250; key++) await harness.process(at(key % 30, key));
    harness.room = 7;
    let calls = 1;
    while (!(await harness.watermark(50))) {
      harness.room = 7;
      calls++;
    }
    expect(calls).toBe(Math.ceil(250 / 7));
    expect(new Set(harness.outputs.map(({ value }) => (value as Reading).key)).size).toBe(250);
    expect(harness.outputs).toHaveLength(250);
    const ends = harness.outputs.map(({ timestamp }) => timestamp);
    expect(ends).toEqual([...ends].sort((left, right) => left - right));
  });

  test('sends a record to the late output exactly when its own split is past the window', async () => {
    const harness = await OperatorHarness.open({ ...windows(10), backend });
    await harness.process(at(5, 'a', 1, 8), at(5, 'a', 1, 9));
    await harness.watermark(9);
    expect(brief(harness)).toEqual(['a@0:1']);
    expect(harness.side('late').map(({ value, timestamp }) => ({ value, timestamp }))).toEqual([
      { value: { key: 'a', n: 1 }, timestamp: 5 },
    ]);
    expect(harness.metrics.lateRecords).toBe(1);
    expect(harness.counter('lateAfterIdle')).toBe(0);
  });

  test('counts an on-time record as late after idle when the merged watermark purged its window', async () => {
    const harness = await OperatorHarness.open({ ...windows(10), backend });
    await harness.watermark(9);
    await harness.process(at(5, 'a'), at(10, 'a'));
    await harness.watermark(19);
    expect(brief(harness)).toEqual(['a@10:1']);
    expect(harness.side('late')).toHaveLength(1);
    expect(harness.metrics.lateRecords).toBe(1);
    expect(harness.counter('lateAfterIdle')).toBe(1);
  });

  test('emits the updated result with every record within the allowed lateness', async () => {
    const harness = await OperatorHarness.open({ ...windows(10, 5), backend });
    await harness.process(at(5, 'a', 1));
    await harness.watermark(9);
    await harness.process(at(6, 'a', 2, 13), at(6, 'b', 2, 13), at(6, 'a', 2, 14));
    await harness.watermark(14);
    await harness.process(at(6, 'a', 2));
    await harness.watermark(100);
    expect(brief(harness)).toEqual(['a@0:1', 'a@0:2', 'b@0:1']);
    expect(harness.outputs.map(({ timestamp }) => timestamp)).toEqual([9, 9, 9]);
    expect(harness.side('late')).toHaveLength(2);
    expect(harness.counter('lateAfterIdle')).toBe(1);
  });

  test('fires the rest after a restore when the snapshot was taken in the middle of a firing', async () => {
    const options = { ...windows(10), backend };
    const harness = await OperatorHarness.open(options);
    for (let key = 0; key < 150; key++) await harness.process(at(key % 20, key));
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    harness.room = 40;
    expect(await harness.watermark(100)).toBe(false);
    image.apply(harness.checkpoint(2));
    const restored = await OperatorHarness.open({ ...options, restore: image.rows });
    await restored.watermark(100);
    expect(new Set([...brief(harness), ...brief(restored)]).size).toBe(150);
    expect(harness.outputs.length + restored.outputs.length).toBe(150);
    image.apply(restored.checkpoint(3));
    expect(image.rows).toEqual([]);
  });

  test('does not fire a result twice when a window that fired is restored within its lateness', async () => {
    const options = { ...windows(10, 50), backend };
    const harness = await OperatorHarness.open(options);
    await harness.process(at(5, 'a'), at(5, 'b'), at(15, 'a'));
    await harness.watermark(9);
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await OperatorHarness.open({ ...options, restore: image.rows });
    await restored.process(at(5, 'b'));
    await restored.watermark(200);
    expect(brief(harness)).toEqual(['a@0:1', 'b@0:1']);
    expect(brief(restored)).toEqual(['b@0:2', 'a@10:1']);
    image.apply(restored.checkpoint(2));
    expect(image.rows).toEqual([]);
  });

  test('tells to call withTimestamps when a record has no timestamp', async () => {
    const harness = await OperatorHarness.open({ ...windows(10), backend });
    const error = await engineErrorOf(harness.process({ value: { key: 'a', n: 1 } }));
    expect(error.code).toBe('USER_FUNCTION_FAILED');
    expect(error.message).toContain('withTimestamps');
  });
});
