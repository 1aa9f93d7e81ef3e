import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlainData } from '../../core/connector/index.ts';
import { recordedContext } from '../testing/connector-context.ts';
import { drainSource } from '../testing/drain.ts';
import { expectExactResume } from '../testing/resume.ts';
import type { GeneratorPosition, GeneratorTime } from './generator-cursor.ts';
import { generator, timedGenerator } from './index.ts';
import type { GeneratorOptions } from './index.ts';
import { SeededRandom } from './random.ts';

interface Row {
  readonly index: number;
  readonly draw: number;
}

const row: GeneratorOptions<Row>['make'] = (index, random) => ({ index, draw: random.int(1_000_000) });

/** Time that moves when someone waits for it, and only then. */
class ManualTime implements GeneratorTime {
  now = 1_000_000;
  readonly waits: number[] = [];

  nowMs(): number {
    return this.now;
  }

  async wait(durationMs: number): Promise<void> {
    this.waits.push(durationMs);
    this.now += durationMs;
  }
}

async function openAt(options: GeneratorOptions<Row>, time: GeneratorTime, position?: PlainData) {
  return timedGenerator(options, time).createReader(recordedContext()).openSplit({ split: 0 }, position);
}

describe('generator', () => {
  it('makes the same records when run again, and others when the seed differs', async () => {
    const run = async (seed: number) => (await drainSource(generator({ count: 100, seed, make: row }))).values;
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
    expect(new Set((await run(1)).map(({ draw }) => draw)).size).toBeGreaterThan(95);
  });

  it('makes the same set of records when cut into other numbers of splits', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 1, max: 7 }), async (count, splits) => {
        const { values } = await drainSource(generator({ count, splits, seed: 3, make: row }));
        const { values: whole } = await drainSource(generator({ count, seed: 3, make: row }));
        expect([...values].sort((left, right) => left.index - right.index)).toEqual(whole);
      }),
    );
  });

  it('continues with the very next record when opened at the position of any record', async () => {
    expect(await expectExactResume(generator({ count: 25, splits: 2, seed: 9, make: row }))).toHaveLength(25);
  });

  it('keeps the positions of its last batch when a poll finds no record due', async () => {
    const time = new ManualTime();
    const cursor = await openAt({ count: 10, ratePerSecond: 1_000, make: row }, time);
    time.now += 3;
    expect(cursor.poll(2)?.values).toHaveLength(2);
    const after = cursor.position(2);
    expect(cursor.poll(10)?.values).toHaveLength(2);
    expect(cursor.poll(10)).toBeNull();
    expect(after).toMatchObject({ next: 2 });
    expect(cursor.position(2)).toMatchObject({ next: 4 });
  });

  it('gives event times when timestampOf is set', async () => {
    const cursor = await openAt({ count: 3, make: row, timestampOf: ({ index }) => index * 10 }, new ManualTime());
    expect(cursor.poll(2)?.timestamps).toEqual(Float64Array.of(0, 10));
    expect(cursor.poll(2)?.timestamps).toEqual(Float64Array.of(20));
    expect(cursor.ended).toBe(true);
  });

  it('emits a record when it is due and not before when a rate is set', async () => {
    const time = new ManualTime();
    const cursor = await openAt({ ratePerSecond: 100, make: row }, time);
    expect(cursor.poll(10)?.values).toHaveLength(1);
    expect(cursor.poll(10)).toBeNull();
    time.now += 9;
    expect(cursor.poll(10)).toBeNull();
    time.now += 1;
    expect(cursor.poll(10)?.values.map(({ index }) => index)).toEqual([1]);
    await cursor.ready();
    expect(time.waits).toEqual([10]);
    expect(cursor.poll(10)?.values.map(({ index }) => index)).toEqual([2]);
  });

  it('catches up when it was held up, also over a resume', async () => {
    const time = new ManualTime();
    const first = await openAt({ ratePerSecond: 1000, make: row }, time);
    expect(first.poll(10)?.values).toHaveLength(1);
    time.now += 100;
    const position = first.position(1) as GeneratorPosition;
    const resumed = await openAt({ ratePerSecond: 1000, make: row }, time, structuredClone(position));
    expect(resumed.poll(1000)?.values.map(({ index }) => index)).toEqual(
      Array.from({ length: 100 }, (_, index) => index + 1),
    );
  });

  it('is unbounded and never ends when there is no count', async () => {
    const source = generator({ make: row });
    expect(source.boundedness).toBe('unbounded');
    const cursor = await openAt({ make: row }, new ManualTime(), { next: 2 ** 40, startMs: 0 });
    expect(cursor.poll(2)?.values.map(({ index }) => index)).toEqual([2 ** 40, 2 ** 40 + 1]);
    expect(cursor.ended).toBe(false);
  });

  it.each([{ count: -1 }, { count: 1.5 }, { splits: 0 }, { ratePerSecond: 0 }, { seed: -1 }])(
    'refuses the options when they are %o',
    (options) => {
      expect(() => generator({ ...options, make: row })).toThrow(expect.objectContaining({ code: 'USAGE' }));
    },
  );
});

describe('SeededRandom', () => {
  it('spreads numbers evenly when many records draw', () => {
    const random = new SeededRandom(42);
    const buckets = new Array<number>(10).fill(0);
    for (let index = 0; index < 100_000; index++) {
      random.seek(index);
      random.next();
      const bucket = random.int(10);
      buckets[bucket] = (buckets[bucket] as number) + 1;
    }
    for (const count of buckets) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });
});
