import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../../core/plain-data.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../../testing/operator-harness.ts';
import { createWindowAggregateOperator } from '../window-aggregate.ts';

interface Reading {
  readonly key: string | number;
  readonly n: number;
}

type Harness = OperatorHarness<'window-aggregate'>;

const select = ((value: Reading) => value.n) as never;
/** A user's accumulator whose `merge` takes parts of the right side over by reference. */
const byNumber = {
  kind: 'object',
  options: {},
  create: () => new Map<number, { times: number }>(),
  add: (counts: Map<number, { times: number }>, { n }: Reading) => {
    if (n === 13) throw new Error('thirteen');
    const count = counts.get(n);
    if (count === undefined) counts.set(n, { times: 1 });
    else count.times++;
    return counts;
  },
  merge: (left: Map<number, { times: number }>, right: Map<number, { times: number }>) => {
    for (const [n, count] of right) {
      const known = left.get(n);
      if (known === undefined) left.set(n, count);
      else known.times += count.times;
    }
    return left;
  },
  result: (counts: Map<number, { times: number }>) =>
    [...counts].sort(([left], [right]) => left - right).map(([n, { times }]) => `${n}x${times}`),
  sizeOf: null,
  codec: null,
};

function windows(window: JsonObject, config: JsonObject = {}): HarnessOptions<'window-aggregate'> {
  return {
    create: createWindowAggregateOperator,
    config: { window, allowedLatenessMs: 0, lateTag: 'late', ...config },
    functions: {
      kind: 'window-aggregate',
      keyOf: ((value: Reading) => value.key) as never,
      ...(window['gapMs'] === null ? { gapOf: select } : {}),
      aggregates: {
        count: { kind: 'count', options: {}, select: null },
        mean: { kind: 'avg', options: {}, select },
        numbers: byNumber as never,
      },
    },
  };
}

const aligned = (sizeMs: number, slideMs: number, time = 'event', offsetMs = 0): JsonObject => ({
  kind: 'sliding',
  time,
  sizeMs,
  slideMs,
  offsetMs,
});
const tumbling = (sizeMs: number, time: string): JsonObject => ({ kind: 'tumbling', time, sizeMs, offsetMs: 0 });
const session = (gapMs: number | null, time = 'event'): JsonObject => ({ kind: 'session', time, gapMs });
const count = (size: number, slide: number): JsonObject => ({ kind: 'count', size, slide });

const at = (timestamp: number, key: string | number, n = 1, splitWatermark = Number.NaN) => ({
  value: { key, n },
  timestamp,
  splitWatermark,
});
const record = (key: string | number, n = 1) => ({ value: { key, n } });
const brief = (harness: Harness) =>
  harness.outputs.map(({ value }) => {
    const result = value as { key: string; windowStart: number; windowEnd: number; count: number };
    return `${result.key}@${result.windowStart}-${result.windowEnd}:${result.count}`;
  });

describe.each(['memory', 'cold'] as const)('windows on the %s backend', (backend) => {
  const open = (options: HarnessOptions<'window-aggregate'>, more: object = {}): Promise<Harness> =>
    OperatorHarness.open({ ...options, backend, ...more });

  test('a sliding window merges its panes and leaves them as they are when accumulators share objects', async () => {
    const harness = await open(windows(aligned(30, 10)));
    await harness.process(at(5, 'a', 1), at(15, 'a', 1), at(25, 'a', 2), at(35, 'a', 1));
    await harness.watermark(1000);
    expect(harness.values).toEqual([
      { key: 'a', windowStart: -20, windowEnd: 10, count: 1, mean: 1, numbers: ['1x1'] },
      { key: 'a', windowStart: -10, windowEnd: 20, count: 2, mean: 1, numbers: ['1x2'] },
      { key: 'a', windowStart: 0, windowEnd: 30, count: 3, mean: 4 / 3, numbers: ['1x2', '2x1'] },
      { key: 'a', windowStart: 10, windowEnd: 40, count: 3, mean: 4 / 3, numbers: ['1x2', '2x1'] },
      { key: 'a', windowStart: 20, windowEnd: 50, count: 2, mean: 1.5, numbers: ['1x1', '2x1'] },
      { key: 'a', windowStart: 30, windowEnd: 60, count: 1, mean: 1, numbers: ['1x1'] },
    ]);
    expect(harness.outputs.map(({ timestamp }) => timestamp)).toEqual([9, 19, 29, 39, 49, 59]);
  });

  test('a sliding window is cut at the offset, also before the epoch', async () => {
    const harness = await open(windows(aligned(10, 5, 'event', 3)));
    await harness.process(at(-8, 'a'), at(-7, 'a'));
    await harness.watermark(1000);
    expect(brief(harness)).toEqual(['a@-17--7:1', 'a@-12--2:2', 'a@-7-3:1']);
  });

  test('a window that has not fired leaves a record out when the split of the record is past it', async () => {
    const harness = await open(windows(aligned(20, 10)));
    await harness.process(at(5, 'a'), at(5, 'a', 1, 9), at(5, 'a', 1, 19));
    await harness.watermark(1000);
    expect(brief(harness)).toEqual(['a@-10-10:1', 'a@0-20:2']);
    expect(harness.metrics.lateRecords).toBe(1);
    expect(harness.side('late')).toHaveLength(1);
    expect(harness.counter('lateAfterIdle')).toBe(0);
  });

  test('every window of a late record that fired fires again when lateness allows it', async () => {
    const harness = await open(windows(aligned(20, 10), { allowedLatenessMs: 10 }));
    await harness.process(at(5, 'a'));
    await harness.watermark(19);
    await harness.process(at(5, 'a', 1, 18), at(5, 'a', 1, 19), at(15, 'b', 1, 19));
    await harness.watermark(1000);
    expect(brief(harness)).toEqual(['a@-10-10:1', 'a@0-20:1', 'a@0-20:2', 'a@0-20:3', 'b@0-20:1', 'b@10-30:1']);
  });

  test('a sliding window goes on where it was when the snapshot was in the middle of a firing and subtasks changed', async () => {
    const options = windows(aligned(30, 10));
    const image = new CheckpointImage();
    const outputs: string[] = [];
    const halves = await Promise.all([0, 1].map((subtaskIndex) => open(options, { parallelism: 2, subtaskIndex })));
    for (const [half, harness] of halves.entries()) {
      for (let key = 0; key < 150; key++) if (harness.owns(key)) await harness.process(at(5, key), at(15, key));
      harness.room = 20 + half * 90;
      expect(await harness.watermark(1000)).toBe(false);
      image.apply(harness.checkpoint(1));
      outputs.push(...brief(harness));
    }
    const restored = await open(options, { restore: image.rows });
    image.apply(restored.checkpoint(2));
    const again = await open(options, { restore: image.rows });
    for (again.room = 33; !(await again.watermark(1000)); again.room = 33);
    outputs.push(...brief(again));
    expect(outputs).toHaveLength(600);
    expect(new Set(outputs).size).toBe(600);
  });

  test('a late record fires its window at once after a restore when the window had fired before', async () => {
    const options = windows(aligned(20, 10), { allowedLatenessMs: 100 });
    const harness = await open(options);
    await harness.process(at(5, 'a'));
    await harness.watermark(19);
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await open(options, { restore: image.rows });
    await restored.process(at(15, 'a'));
    expect(brief(restored)).toEqual(['a@0-20:2']);
    await restored.watermark(29);
    expect(brief(restored)).toEqual(['a@0-20:2', 'a@10-30:1']);
  });

  test.each([
    ['tumbling', tumbling(10, 'event'), 'x@253402300799990-253402300800000:1'],
    ['session', session(10), 'x@253402300799999-253402300800009:1'],
  ])('a %s window holds nothing else back when a timestamp is in the year 9999', async (_kind, window, last) => {
    const harness = await open(windows(window));
    await harness.process(at(253_402_300_799_999, 'x'), at(5, 'a'), at(25, 'a'));
    await harness.watermark(100);
    expect(harness.outputs).toHaveLength(2);
    await harness.watermark(Number.POSITIVE_INFINITY);
    expect(brief(harness)[2]).toBe(last);
  });

  test.each([tumbling(10, 'event'), aligned(20, 10), session(10)])(
    'a window refuses a record when its time is beyond a Date',
    async (window) => {
      const harness = await open(windows(window, { onError: 'skip' }));
      await harness.process(at(Number.MAX_VALUE, 'a'), at(Number.NEGATIVE_INFINITY, 'a'), at(5, 'a'));
      await harness.watermark(Number.POSITIVE_INFINITY);
      expect(harness.counter('skipped')).toBe(2);
      expect(harness.outputs.length).toBeGreaterThan(0);
    },
  );

  test('sessions merge when a record touches both ends', async () => {
    const harness = await open(windows(session(10)));
    await harness.process(at(0, 'a', 1), at(20, 'a', 2), at(21, 'b', 3), at(10, 'a', 1), at(31.5, 'b', 4));
    await harness.watermark(1000);
    expect(harness.values).toEqual([
      { key: 'a', windowStart: 0, windowEnd: 30, count: 3, mean: 4 / 3, numbers: ['1x2', '2x1'] },
      { key: 'b', windowStart: 21, windowEnd: 31, count: 1, mean: 3, numbers: ['3x1'] },
      { key: 'b', windowStart: 31.5, windowEnd: 41.5, count: 1, mean: 4, numbers: ['4x1'] },
    ]);
  });

  test('a record is late by its own window when an open session would take it', async () => {
    const harness = await open(windows(session(10)));
    await harness.process(at(12, 'a'), at(5, 'a', 1, 14), at(5, 'a', 1, 13));
    await harness.watermark(1000);
    expect(brief(harness)).toEqual(['a@5-22:2']);
    expect(harness.side('late')).toHaveLength(1);
  });

  test('a session that fired fires again, longer, when a late record extends it', async () => {
    const harness = await open(windows(session(10), { allowedLatenessMs: 20 }));
    await harness.process(at(0, 'a'));
    await harness.watermark(9);
    await harness.process(at(0, 'a'), at(5, 'a'));
    await harness.watermark(14);
    await harness.watermark(34);
    await harness.process(at(4, 'a'));
    expect(brief(harness)).toEqual(['a@0-10:1', 'a@0-10:2', 'a@0-15:3']);
    expect(harness.counter('lateAfterIdle')).toBe(1);
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    expect(image.rows).toEqual([]);
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])(
    'a session names its operator when the gap is %d',
    async (gap) => {
      const harness = await open(windows(session(null)));
      const error = await engineErrorOf(harness.process(at(0, 'a', gap)));
      expect(error.message).toContain("'operator-under-test'");
      expect(error.message).toContain(`returned ${gap}`);
    },
  );

  test('a record changes no session when its aggregate throws', async () => {
    const harness = await open(windows(session(10), { onError: 'skip' }));
    await harness.process(at(0, 'a', 1), at(20, 'a', 2), at(10, 'a', 13), at(50, 'b', 13));
    await harness.watermark(1000);
    expect(brief(harness)).toEqual(['a@0-10:1', 'a@20-30:1']);
    expect(harness.counter('skipped')).toBe(2);
  });

  test.each([
    ['tumbling', tumbling(10, 'processing'), ['a@100-110:2', 'b@100-110:1', 'a@110-120:1']],
    [
      'sliding',
      aligned(20, 10, 'processing'),
      ['a@90-110:2', 'b@90-110:1', 'a@100-120:3', 'b@100-120:1', 'a@110-130:1'],
    ],
    ['session', session(6, 'processing'), ['b@104-110:1', 'a@100-111:2', 'a@119-125:1']],
  ])('a %s window of processing time fires when the clock has passed it', async (_kind, window, expected) => {
    const harness = await open(windows(window), { nowMs: 100 });
    await harness.process(record('a'));
    await harness.processingTime(104);
    await harness.process(record('b'));
    await harness.processingTime(105);
    await harness.process(record('a'));
    await harness.watermark(500);
    await harness.processingTime(108);
    expect(harness.outputs).toEqual([]);
    for (const now of [109, 110, 119]) await harness.processingTime(now);
    await harness.process(record('a'));
    for (const now of [120, 124, 130]) await harness.processingTime(now);
    expect(brief(harness)).toEqual(expected);
    expect(harness.outputs.every(({ timestamp }) => Number.isNaN(timestamp))).toBe(true);
    expect(harness.metrics.lateRecords).toBe(0);
  });

  test.each([
    ['tumbling', tumbling(10, 'processing')],
    ['sliding', aligned(20, 20, 'processing')],
    ['session', session(10, 'processing')],
  ])('an open %s window of processing time fires when input ends', async (_kind, window) => {
    const harness = await open(windows(window), { nowMs: 100 });
    await harness.process(record('a'), record('b'));
    harness.room = 1;
    expect(await harness.watermark(Number.POSITIVE_INFINITY)).toBe(false);
    harness.room = 5;
    expect(await harness.watermark(Number.POSITIVE_INFINITY)).toBe(true);
    expect(harness.values).toHaveLength(2);
  });

  test.each([
    ['tumbling', tumbling(10, 'processing')],
    ['sliding', aligned(20, 20, 'processing')],
    ['session', session(10, 'processing')],
  ])('a %s window of processing time fires soon when its time passed before the restore', async (_kind, window) => {
    const options = windows(window);
    const harness = await open(options, { nowMs: 100 });
    await harness.process(record('a'));
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await open(options, { nowMs: 5000, restore: image.rows });
    expect(restored.wakeAtMs).toBeLessThanOrEqual(5000);
    await restored.processingTime(5000);
    expect(restored.values).toHaveLength(1);
  });

  test('records stay in order when the clock goes back', async () => {
    const harness = await open(windows(tumbling(10, 'processing')), { nowMs: 100 });
    await harness.process(record('a'));
    await harness.processingTime(110);
    harness.nowMs = 90;
    await harness.process(record('a'));
    await harness.processingTime(120);
    expect(brief(harness)).toEqual(['a@100-110:1', 'a@110-120:1']);
  });

  test('a count window emits with every slide over the last records when there are enough or fewer', async () => {
    const harness = await open(windows(count(5, 2)));
    for (let n = 1; n <= 9; n++) await harness.process(at(n, 'a', n), at(n, 'b', n));
    const ofA = harness.outputs.filter(({ value }) => (value as Reading).key === 'a');
    expect(ofA.map(({ value, timestamp }) => ({ ...(value as object), timestamp }))).toMatchObject([
      { windowStart: 0, windowEnd: 2, count: 2, mean: 1.5, timestamp: 2 },
      { windowStart: 0, windowEnd: 4, count: 4, mean: 2.5, timestamp: 4 },
      { windowStart: 1, windowEnd: 6, count: 5, mean: 4, timestamp: 6, numbers: ['2x1', '3x1', '4x1', '5x1', '6x1'] },
      { windowStart: 3, windowEnd: 8, count: 5, mean: 6, timestamp: 8, numbers: ['4x1', '5x1', '6x1', '7x1', '8x1'] },
    ]);
  });

  test('a count window goes on counting when it is restored into several subtasks', async () => {
    const options = windows(count(4, 4), { onError: 'skip' });
    const harness = await open(options);
    for (let key = 0; key < 120; key++) {
      await harness.process(at(0, key), at(0, key), at(0, key, 13), at(0, key), at(0, key), at(0, key));
    }
    expect(harness.values).toHaveLength(120);
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const outputs: string[] = [];
    for (const subtaskIndex of [0, 1, 2]) {
      const restored = await open(options, { restore: image.rows, parallelism: 3, subtaskIndex });
      for (let key = 0; key < 120; key++) {
        if (restored.owns(key)) await restored.process(at(0, key), at(0, key), at(0, key), at(0, key));
      }
      outputs.push(...brief(restored));
    }
    expect(outputs.sort()).toEqual(Array.from({ length: 120 }, (_, key) => `${key}@4-8:4`).sort());
  });

  test('sliding windows fire on when a user result throws and records are skipped', async () => {
    const options = windows(aligned(20, 10), { onError: 'skip' });
    const harness = await open({
      ...options,
      functions: {
        ...options.functions,
        aggregates: {
          count: { kind: 'count', options: {}, select: null },
          bad: {
            ...byNumber,
            merge: () => {
              throw new Error('no merge');
            },
          } as never,
        },
      },
    });
    await harness.process(at(5, 'a'), at(15, 'a'), at(15, 'b'));
    await harness.watermark(1000);
    expect(brief(harness)).toEqual(['a@-10-10:1', 'b@0-20:1', 'a@10-30:1', 'b@10-30:1']);
    expect(harness.counter('skipped')).toBe(1);
  });
});

test.each([
  [{ kind: 'global' }, 'NOT_SUPPORTED', 'trigger'],
  [{ kind: 'sliding', sizeMs: 10, slideMs: 0 }, 'JOB_INVALID', 'slide 0'],
  [{ kind: 'session', gapMs: -5 }, 'JOB_INVALID', 'gap -5'],
  [{ kind: 'count', size: Number.NaN, slide: 1 }, 'JOB_INVALID', 'size NaN'],
])('a window operator refuses %j', async (window, code, text) => {
  const error = await engineErrorOf(OperatorHarness.open(windows(window as JsonObject)));
  expect(error.code).toBe(code);
  expect(error.message).toContain(text);
});
