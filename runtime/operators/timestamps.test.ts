/** Watermark strategies and bad timestamps, record by record. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type OutputTag, outputTag, sideOutput, type TimestampOptions } from '../../client/index.ts';
import {
  bounded,
  customWatermarks,
  monotonous,
  noWatermarks,
  planTime,
  punctuated,
} from '../../client/streams/watermarks.ts';
import type { FailedRecord } from '../../client/streams/tags.ts';
import type { OnError } from '../../core/operators.ts';
import { timestampMax, type WatermarkGenerator } from '../../core/watermarks.ts';
import { engineErrorOf, OperatorHarness } from '../../testing/operator-harness.ts';
import { SourceTime } from '../time/split-time.ts';
import { TimestampsOperator } from './timestamps.ts';

interface Reading {
  readonly at: number;
  readonly mark?: number | null;
}

async function open(options: TimestampOptions<Reading>, extra: { onError?: OnError; nowMs?: number } = {}) {
  const time = new SourceTime();
  const { config, watermarks, alignment } = planTime(options);
  const harness = await OperatorHarness.open<'timestamps'>({
    create: (context) => new TimestampsOperator(context, time),
    functions: { kind: 'timestamps', timestampOf: (reading: Reading) => reading.at, watermarks, alignment },
    config: { ...config, onError: extra.onError === undefined ? 'fail' : (extra.onError as 'skip') },
    operatorId: 'times',
    nowMs: extra.nowMs ?? 0,
  });
  /** The watermark after each of these records. */
  const watermarksAfter = async (...readings: readonly Reading[]): Promise<number[]> => {
    const watermarks: number[] = [];
    for (const value of readings) {
      await harness.process({ value });
      watermarks.push(time.current.watermarkMs);
    }
    return watermarks;
  };
  return { harness, time, watermarksAfter };
}

const at = (...times: readonly number[]): Reading[] => times.map((time) => ({ at: time }));
const none = Number.NEGATIVE_INFINITY;

/** Highest mark so far, kept in an object. */
class Highest implements WatermarkGenerator<Reading> {
  #highest = none;
  onEvent({ mark }: Reading): void {
    if (typeof mark === 'number') this.#highest = mark;
  }
  watermark(): number {
    return this.#highest;
  }
  snapshot(): number {
    return this.#highest;
  }
  restore(state: unknown): void {
    this.#highest = state as number;
  }
}

describe('a watermark strategy', () => {
  it('bounded stays behind the newest timestamp and is what outOfOrderness is short for', async () => {
    for (const options of [{ outOfOrderness: 10 }, { watermarks: bounded(10) }])
      expect(await (await open(options)).watermarksAfter(...at(100, 50, 101))).toEqual([89, 89, 90]);
  });

  it('monotonous lets equal timestamps be on time', async () => {
    const { watermarksAfter, harness } = await open({ watermarks: monotonous() });
    expect(await watermarksAfter(...at(5, 5, 6, 5))).toEqual([4, 4, 5, 5]);
    expect(harness.outputs.map((output) => output.splitWatermark)).toEqual([NaN, NaN, NaN, 5]);
  });

  it('punctuated moves with the records that carry a watermark only, and never back', async () => {
    const { watermarksAfter } = await open({ watermarks: punctuated((reading) => reading.mark ?? null) });
    const readings = [{ at: 5 }, { at: 6, mark: 3 }, { at: 7, mark: 2 }, { at: 8, mark: none }, { at: 9, mark: 9 }];
    expect(await watermarksAfter(...readings)).toEqual([none, 3, 3, 3, 9]);
  });

  it('custom is asked after each record, and a record is judged by the watermark before it', async () => {
    const { watermarksAfter, harness } = await open({ watermarks: customWatermarks(() => new Highest()) });
    expect(await watermarksAfter({ at: 5, mark: 10 }, { at: 10, mark: 20 }, { at: 11 }, { at: 30, mark: 4 })).toEqual([
      10, 20, 20, 20,
    ]);
    expect(harness.outputs.map(({ timestamp, splitWatermark }) => [timestamp, splitWatermark])).toEqual([
      [5, NaN],
      [10, 10],
      [11, 20],
      [30, NaN],
    ]);
  });

  it('none gives timestamps and no watermark', async () => {
    const { watermarksAfter, harness } = await open({ watermarks: noWatermarks() });
    expect(await watermarksAfter(...at(5, 3))).toEqual([none, none]);
    expect(harness.outputs.map((output) => output.timestamp)).toEqual([5, 3]);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, timestampMax + 1, 'soon' as unknown as number])(
    'that gives %s is an error of the operator and leaves the watermark where it is',
    async (mark) => {
      for (const watermarks of [
        punctuated<Reading>((reading) => reading.mark ?? null),
        customWatermarks(() => ({ ...methodsOf(new Highest()), watermark: () => mark })),
      ]) {
        const skipping = await open({ watermarks }, { onError: 'skip' });
        await skipping.watermarksAfter({ at: 1, mark });
        expect(skipping.harness.values).toEqual([]);
        expect(skipping.harness.counter('skipped')).toBe(1);
        expect(skipping.time.current.watermarkMs).toBe(none);
        const failing = await open({ watermarks });
        const error = await engineErrorOf(failing.watermarksAfter({ at: 1, mark }));
        expect(error.code).toBe('USER_FUNCTION_FAILED');
        expect(error.message).toMatch(/watermark strategy of operator 'times' gave/);
      }
    },
  );

  it('may not go beyond the latest timestamp allowed', async () => {
    const { watermarksAfter, time } = await open(
      { watermarks: punctuated((reading) => reading.mark ?? null), maxTimestamp: 100 },
      { onError: 'skip' },
    );
    await watermarksAfter({ at: 5, mark: 100 }, { at: 6, mark: 101 });
    expect(time.current.watermarkMs).toBe(100);
  });

  it('that throws goes by onError', async () => {
    const watermarks = punctuated<Reading>(() => {
      throw new Error('broken');
    });
    const { watermarksAfter, harness } = await open({ watermarks }, { onError: { sideOutput: 'errors' } });
    await watermarksAfter({ at: 5 });
    expect(harness.values).toEqual([]);
    expect(harness.side('errors')).toMatchObject([{ value: { record: { at: 5 }, message: 'broken' }, timestamp: NaN }]);
  });

  it('without state is refused with the method that is missing', async () => {
    const watermarks = customWatermarks(() => ({ onEvent: () => {}, watermark: () => 0 }) as unknown as Highest);
    const { watermarksAfter } = await open({ watermarks });
    expect((await engineErrorOf(watermarksAfter({ at: 5 }))).message).toMatch(/no method 'snapshot'/);
  });

  it('never goes back and never passes what its function said, for any records', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ at: fc.integer({ min: -50, max: 50 }), mark: fc.option(fc.integer({ min: -50, max: 50 })) }),
        ),
        async (readings) => {
          const { watermarksAfter } = await open({ watermarks: customWatermarks(() => new Highest()) });
          let highest = none;
          const expected = readings.map(({ mark }) => (highest = Math.max(highest, mark ?? none)));
          expect(await watermarksAfter(...readings)).toEqual(expected);
        },
      ),
      { numRuns: 50 },
    );
  });
});

function methodsOf(generator: Highest): WatermarkGenerator<Reading> {
  return {
    onEvent: (value) => generator.onEvent(value),
    watermark: () => generator.watermark(),
    snapshot: () => generator.snapshot(),
    restore: (state) => generator.restore(state),
  };
}

describe('a bad timestamp', () => {
  const year9999 = 253_402_300_799_999;
  const bad = [
    Number.NaN,
    Number.POSITIVE_INFINITY,
    none,
    timestampMax + 1,
    -timestampMax - 1,
    '5' as unknown as number,
  ];

  test.each(bad)('(%s) is dropped and counted, and moves no watermark', async (time) => {
    const { watermarksAfter, harness } = await open({ outOfOrderness: 0, onBadTimestamp: 'skip' });
    expect(await watermarksAfter(...at(7, time, 8))).toEqual([6, 6, 7]);
    expect(harness.values).toEqual(at(7, 8));
    expect(harness.counter('badTimestamps')).toBe(1);
  });

  test.each(bad)('(%s) fails the attempt and names the operator', async (time) => {
    const { watermarksAfter } = await open({ outOfOrderness: 0 });
    expect((await engineErrorOf(watermarksAfter(...at(time)))).message).toMatch(
      /operator 'times' got .* as the timestamp/,
    );
  });

  it('goes to a side output without a time', async () => {
    const tag: OutputTag<FailedRecord<Reading>> = outputTag('bad');
    const { watermarksAfter, harness } = await open({ outOfOrderness: 0, onBadTimestamp: sideOutput(tag) });
    await watermarksAfter(...at(7, Number.NaN));
    const [failed] = harness.side('bad');
    expect(failed).toMatchObject({ value: { operator: 'times', record: { at: Number.NaN } }, timestamp: NaN });
    expect(harness.counter('badTimestamps')).toBe(1);
  });

  it('is one outside of the bounds given, which belong to what is allowed', async () => {
    const { watermarksAfter, harness } = await open({
      outOfOrderness: 0,
      onBadTimestamp: 'skip',
      minTimestamp: 0,
      maxTimestamp: 1_000,
    });
    expect(await watermarksAfter(...at(-1, 0, 1_000, 1_001, year9999))).toEqual([none, -1, 999, 999, 999]);
    expect(harness.values).toEqual(at(0, 1_000));
  });

  it('is one after the year 2999 unless maxTimestamp says otherwise', async () => {
    const year3000 = Date.UTC(3000, 0);
    const skipping = await open({ outOfOrderness: 0, onBadTimestamp: 'skip' });
    expect(await skipping.watermarksAfter(...at(-5, year9999, year3000, year3000 - 1))).toEqual([
      -6,
      -6,
      -6,
      year3000 - 2,
    ]);
    expect(skipping.harness.counter('badTimestamps')).toBe(2);
    const meant = await open({ outOfOrderness: 0, maxTimestamp: year9999 });
    expect(await meant.watermarksAfter(...at(year3000, year9999))).toEqual([year3000 - 1, year9999 - 1]);
  });

  test.each([
    [year9999, /by default up to the year 2999; correct it, set maxTimestamp where such times are meant/],
    [Date.UTC(2026, 2, 1) * 1e3, /in microseconds it would be 2026-03-01T00:00:00\.000Z: divide it by 1000\)/],
    [Date.UTC(2026, 2, 1) * 1e6, /in nanoseconds it would be 2026-03-01T00:00:00\.000Z: divide it by 1000000\)/],
  ])('(%d) is an error that says what may be meant', async (time, message) => {
    const { watermarksAfter } = await open({ outOfOrderness: 0 });
    expect((await engineErrorOf(watermarksAfter(...at(time)))).message).toMatch(message);
  });

  it('is one too far ahead of the clock, as it is when the record is read', async () => {
    const { watermarksAfter, harness } = await open(
      { outOfOrderness: 0, onBadTimestamp: 'skip', maxAheadOfClock: 50 },
      { nowMs: 1_000 },
    );
    await watermarksAfter(...at(1_050, 1_051));
    harness.nowMs = 1_001;
    await watermarksAfter(...at(1_051));
    expect(harness.values).toEqual(at(1_050, 1_051));
  });

  it('is never the farthest time that windows can hold', async () => {
    const { watermarksAfter } = await open({ outOfOrderness: 0, maxTimestamp: timestampMax });
    expect(await watermarksAfter(...at(-timestampMax, timestampMax))).toEqual([-timestampMax - 1, timestampMax - 1]);
  });
});
