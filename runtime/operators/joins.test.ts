/** Joins beside their property: rows kept apart, room that runs out, time to live, and everything of the interval join. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IntervalJoinContext } from '../../core/operators.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createIntervalJoinOperator } from './interval-join.ts';
import { createJoinOperator } from './join.ts';

interface Row {
  readonly k: string;
  readonly n: number;
}

const keyOf = ((row: Row) => row.k) as never;
const row = (k: string, n: number): { value: Row } => ({ value: { k, n } });

function join(type: string, ttlMs: number | null = null): HarnessOptions<'join'> {
  return {
    create: createJoinOperator,
    config: { type, ttlMs },
    functions: {
      kind: 'join',
      keyOf,
      keyOfSecond: keyOf,
      join: ((a: Row | null, b: Row | null) => `${a?.n ?? '-'}/${b?.n ?? '-'}`) as never,
    },
  };
}

function interval(lowerMs: number, upperMs: number): HarnessOptions<'interval-join'> {
  return {
    create: createIntervalJoinOperator,
    config: { lowerMs, upperMs, lateTag: 'lateFirst', lateSecondTag: 'lateSecond' },
    functions: {
      kind: 'interval-join',
      keyOf,
      keyOfSecond: keyOf,
      join: ((a: Row, b: Row, context: IntervalJoinContext) => [
        a.n,
        b.n,
        context.firstTimestamp,
        context.secondTimestamp,
        context.timestamp,
      ]) as never,
    },
  };
}

const at = (k: string, timestamp: number, splitWatermark: number = Number.NaN) => ({
  value: { k, n: timestamp },
  timestamp,
  splitWatermark,
});

/** Goes on with what waits, `room` outputs at a time; how often that took. */
function drain(harness: OperatorHarness<'join'> | OperatorHarness<'interval-join'>, room: number): number {
  let turns = 0;
  while (harness.operator.pending === true) {
    harness.room = room;
    harness.operator.resume?.();
    turns++;
  }
  harness.room = Number.POSITIVE_INFINITY;
  return turns;
}

describe.each(['memory', 'cold'] as const)('join on the %s backend', (backend) => {
  test('takes the lone result back when the first partner comes and gives it again when the last one leaves', async () => {
    const harness = await OperatorHarness.open({ ...join('left'), backend });
    await harness.process(row('a', 1));
    await harness.processSecond(row('b', 7), row('a', 8), row('a', 9));
    await harness.processSecond({ ...row('a', 8), rowKind: 3 }, { ...row('a', 9), rowKind: 1 });
    expect(harness.outputs.map(({ value, rowKind = 0 }) => [value, rowKind])).toEqual([
      ['1/-', 0],
      ['1/-', 3],
      ['1/8', 0],
      ['1/9', 0],
      ['1/8', 3],
      ['1/9', 3],
      ['1/-', 0],
    ]);
  });

  test('gives every pair once when room runs out among the partners', async () => {
    const harness = await OperatorHarness.open({ ...join('inner'), backend });
    for (let n = 0; n < 150; n++) await harness.processSecond(row('a', n), row('a', 0));
    harness.room = 7;
    await harness.process(row('a', 1));
    expect(harness.operator.pending).toBe(true);
    expect(harness.outputs).toHaveLength(7);
    expect(drain(harness, 7)).toBeGreaterThan(40);
    expect(harness.outputs).toHaveLength(300);
    expect(new Set(harness.values).size).toBe(150);
  });

  test('drops and counts a row taken back that was never there', async () => {
    const harness = await OperatorHarness.open({ ...join('full'), backend });
    await harness.process({ ...row('a', 1), rowKind: 3 });
    expect(harness.outputs).toEqual([]);
    expect(harness.counter('retractionsWithoutRow')).toBe(1);
  });

  test('forgets a key of both sides when nothing came for its time to live, also after a restore', async () => {
    const options = { ...join('inner', 100), backend, nowMs: 1000 };
    const harness = await OperatorHarness.open(options);
    await harness.process(row('a', 1), row('b', 1));
    await harness.processingTime(1050);
    await harness.processSecond(row('b', 2));
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await OperatorHarness.open({ ...options, restore: image.rows, nowMs: 1060 });
    await restored.processingTime(1100);
    await restored.processSecond(row('a', 3), row('b', 3));
    expect(restored.values).toEqual(['1/3']);
    await restored.processingTime(1300);
    image.apply(restored.checkpoint(2));
    expect(image.rows).toEqual([]);
  });

  test('skips the pair whose function threw when told so', async () => {
    const base = join('inner');
    const harness = await OperatorHarness.open({
      ...base,
      backend,
      config: { ...base.config, onError: 'skip' },
      functions: {
        ...base.functions,
        join: ((a: Row, b: Row) => {
          if (b.n === 2) throw new Error('two');
          return [a.n, b.n];
        }) as never,
      },
    });
    await harness.processSecond(row('a', 1), row('a', 2), row('a', 3));
    await harness.process(row('a', 0));
    expect(harness.outputs).toHaveLength(2);
    expect(harness.counter('skipped')).toBe(1);
  });
});

describe.each(['memory', 'cold'] as const)('interval-join on the %s backend', (backend) => {
  test('pairs up to both bounds, at the later time, when records come in any order', async () => {
    const harness = await OperatorHarness.open({ ...interval(-2, 3), backend });
    await harness.process(at('a', 10));
    await harness.processSecond(at('a', 7), at('a', 8), at('a', 13), at('a', 14), at('b', 10));
    expect(harness.outputs.map(({ value, timestamp }) => [value, timestamp])).toEqual([
      [[10, 8, 10, 8, 10], 10],
      [[10, 13, 10, 13, 13], 13],
    ]);
    await harness.process(at('a', 11));
    expect(harness.values.slice(2)).toEqual([
      [11, 13, 11, 13, 13],
      [11, 14, 11, 14, 14],
    ]);
  });

  test('sends late records to the late outputs, by their own split, and counts those late after idleness', async () => {
    const harness = await OperatorHarness.open({ ...interval(0, 5), backend });
    await harness.process(at('a', 10, 10));
    await harness.processSecond(at('a', 12, 20));
    await harness.watermark(30);
    await harness.process(at('a', 30));
    await harness.processSecond(at('a', 31));
    expect(harness.outputs).toEqual([]);
    expect(harness.side('lateFirst').map(({ timestamp }) => timestamp)).toEqual([10, 30]);
    expect(harness.side('lateSecond').map(({ timestamp }) => timestamp)).toEqual([12]);
    expect(harness.metrics.lateRecords).toBe(3);
    expect(harness.counter('lateAfterIdle')).toBe(1);
  });

  test('keeps nothing once no partner on time can come', async () => {
    const harness = await OperatorHarness.open({ ...interval(-5, 5), backend });
    const image = new CheckpointImage();
    for (let time = 0; time < 60_000; time += 1000) await harness.process(at(`k${time % 7}`, time));
    image.apply(harness.checkpoint(1));
    expect(image.rows.length).toBeGreaterThan(6);
    await harness.watermark(45_000);
    image.apply(harness.checkpoint(2));
    const left = image.rows.length;
    await harness.watermark(70_010);
    image.apply(harness.checkpoint(3));
    expect(left).toBeGreaterThan(0);
    expect(image.rows).toEqual([]);
  });

  test('gives every pair once when room runs out among the partners', async () => {
    const harness = await OperatorHarness.open({ ...interval(-100_000, 100_000), backend });
    for (let n = 0; n < 100; n++) await harness.processSecond(at('a', n * 1000));
    harness.room = 9;
    await harness.process(at('a', 50_000));
    expect(harness.outputs).toHaveLength(9);
    expect(drain(harness, 9)).toBe(11);
    expect(harness.outputs).toHaveLength(100);
    expect(harness.outputs.map(({ timestamp }) => timestamp)).toEqual(
      Array.from({ length: 100 }, (_, n) => Math.max(50_000, n * 1000)),
    );
  });

  test('tells to call withTimestamps when a record has no timestamp', async () => {
    const harness = await OperatorHarness.open({ ...interval(0, 1), backend });
    const error = await engineErrorOf(harness.processSecond(row('a', 1)));
    expect(error.message).toContain('withTimestamps');
  });

  test('agrees with all pairs when records come in any order, over restores and watermarks', async () => {
    const event = fc.record({
      input: fc.constantFrom(0, 1),
      k: fc.constantFrom('a', 'b', 'c'),
      time: fc.integer({ min: -30_000, max: 60_000 }),
    });
    const bounds = fc.tuple(fc.integer({ min: -15_000, max: 15_000 }), fc.nat({ max: 20_000 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 60 }),
        bounds,
        fc.nat({ max: 60 }),
        async (events, [lower, width], cut) => {
          const options = { ...interval(lower, lower + width), backend };
          let harnesses = [await OperatorHarness.open(options)];
          const values: unknown[] = [];
          const image = new CheckpointImage();
          const joined: [typeof events, typeof events] = [[], []];
          const expected: string[] = [];
          let watermark = Number.NEGATIVE_INFINITY;
          for (const [index, { input, k, time }] of events.entries()) {
            if (index === cut) {
              image.apply((harnesses[0] as OperatorHarness<'interval-join'>).checkpoint(1));
              const restore = image.rows;
              harnesses = await Promise.all(
                [0, 1].map((subtaskIndex) =>
                  OperatorHarness.open({ ...options, restore, parallelism: 2, subtaskIndex }),
                ),
              );
              for (const harness of harnesses) await harness.watermark(watermark);
            }
            const harness = harnesses.find((one) => one.owns(k)) as OperatorHarness<'interval-join'>;
            if (input === 0) await harness.process(at(k, time));
            else await harness.processSecond(at(k, time));
            values.push(...harness.values);
            harness.outputs.length = 0;
            if (time > watermark) {
              joined[input as 0 | 1].push({ input, k, time });
              for (const other of joined[input === 0 ? 1 : 0]) {
                const [a, b] = input === 0 ? [time, other.time] : [other.time, time];
                if (other.k === k && b >= a + lower && b <= a + lower + width)
                  expected.push(JSON.stringify([a, b, a, b, Math.max(a, b)]));
              }
            }
            if (index % 5 === 4) {
              watermark = Math.max(watermark, time - 20_000);
              for (const one of harnesses) await one.watermark(watermark);
            }
          }
          expect(values.map((value) => JSON.stringify(value)).sort()).toEqual(expected.sort());
        },
      ),
      { numRuns: 60 },
    );
  });
});
