import { describe, expect, test } from 'vitest';
import { countTrigger, globalWindow, purging, session, sliding, tumbling } from '../../../../client/index.ts';
import type { CoGroupBody } from '../../../../client/streams/general-windows.ts';
import type { WindowInfo } from '../../../../core/window-functions.ts';
import type { WindowDefinition } from '../../../../core/windows.ts';
import { CheckpointImage, engineErrorOf, OperatorHarness } from '../../../../testing/operator-harness.ts';
import { at, coGroupOptions, outputsOf, type Reading, rowsLeft } from './window-harness.test-support.ts';

const numbers = (records: readonly Reading[]): string => records.map((record) => record.n).join();
const coGroup = ((as: readonly Reading[], bs: readonly Reading[], { key, window }: WindowInfo<string>) => [
  `${key}@${window.start} ${numbers(as)} | ${numbers(bs)}`,
]) as unknown as CoGroupBody['coGroup'];
const join = ((a: Reading | null, b: Reading | null) =>
  `${a?.n ?? '-'} ${b?.n ?? '-'}`) as unknown as CoGroupBody['join'];

describe.each(['memory', 'cold'] as const)('window-co-group on the %s backend', (backend) => {
  const open = (window: WindowDefinition<Reading>, body: Partial<CoGroupBody>, restore?: CheckpointImage) =>
    OperatorHarness.open({
      ...coGroupOptions(window, body),
      backend,
      ...(restore === undefined ? {} : { restore: restore.rows }),
    });

  test('groups the records of both streams in each window of a key, after a restore too', async () => {
    const before = await open(sliding(20, 10), { coGroup });
    await before.process(at(5, 1), at(15, 2));
    await before.processSecond(at(16, 10), at(3, 11, 'b'));
    const image = new CheckpointImage();
    image.apply(before.checkpoint(1));
    const harness = await open(sliding(20, 10), { coGroup }, image);
    await harness.processSecond(at(4, 12));
    await harness.watermark(9);
    expect(harness.outputs).toEqual([
      { value: 'a@-10 1 | 12', timestamp: 9, splitWatermark: Number.NaN },
      { value: 'b@-10  | 11', timestamp: 9, splitWatermark: Number.NaN },
    ]);
    outputsOf(harness);
    await harness.watermark(100);
    expect(outputsOf(harness)).toEqual(['a@0 1,2 | 10,12', 'b@0  | 11', 'a@10 2 | 10']);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('keeps the keys of a subtask when it is restored into more', async () => {
    const before = await open(tumbling(10), { join, type: 'inner' });
    const keys = Array.from({ length: 20 }, (_, index) => `key ${index}`);
    for (const [index, key] of keys.entries()) {
      await before.process(at(1, index, key));
      await before.processSecond(at(2, index, key));
    }
    const restore = before.checkpoint(1);
    const results: unknown[] = [];
    for (const subtaskIndex of [0, 1, 2]) {
      const options = coGroupOptions(tumbling(10), { join, type: 'inner' });
      const harness = await OperatorHarness.open({ ...options, backend, restore, parallelism: 3, subtaskIndex });
      await harness.watermark(9);
      const own = outputsOf(harness);
      expect(own.length).toBeGreaterThan(0);
      results.push(...own);
    }
    expect(results.sort()).toEqual(keys.map((_, index) => `${index} ${index}`).sort());
  });

  test('merges sessions of both streams', async () => {
    const harness = await open(session<Reading>(10), { coGroup });
    await harness.process(at(0, 1), at(18, 2));
    await harness.processSecond(at(9, 10), at(40, 11));
    await harness.watermark(100);
    expect(outputsOf(harness)).toEqual(['a@0 1,2 | 10', 'a@40  | 11']);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('fires again for late records of either stream within the lateness, and gives the later ones to their outputs', async () => {
    const harness = await open(tumbling(10), { join, type: 'left', allowedLateness: 5 });
    await harness.process(at(1, 1));
    await harness.watermark(9);
    await harness.processSecond(at(2, 10));
    expect(outputsOf(harness)).toEqual(['1 -', '1 10']);
    await harness.process(at(3, 2, 'a', 14));
    await harness.processSecond(at(3, 11, 'a', 14), at(4, 12, 'a', 13));
    expect(outputsOf(harness)).toEqual(['1 10', '1 12']);
    await harness.watermark(14);
    await harness.processSecond(at(3, 13));
    expect(harness.side('late').map(({ value }) => (value as Reading).n)).toEqual([2]);
    expect(harness.side('late-second').map(({ value }) => (value as Reading).n)).toEqual([11, 13]);
    expect(harness.counter('lateAfterIdle')).toBe(1);
    expect(rowsLeft(harness)).toEqual([]);
  });

  test('asks its trigger for the records of both streams', async () => {
    const harness = await open(globalWindow(), { coGroup, trigger: purging(countTrigger(3)) as never });
    await harness.process(at(1, 1), at(2, 2));
    await harness.processSecond(at(3, 10), at(4, 11));
    await harness.process(at(5, 3), at(6, 4));
    expect(outputsOf(harness)).toEqual(['a@-Infinity 1,2 | 10', 'a@-Infinity 3,4 | 11']);
  });

  test('makes the pairs of a window one by one as there is room', async () => {
    const harness = await open(tumbling(10), { join, type: 'inner' });
    await harness.process(at(1, 1), at(2, 2), at(3, 3), at(3, 4, 'b'));
    await harness.processSecond(at(1, 10), at(2, 20), at(3, 40, 'b'));
    const seen: unknown[][] = [];
    for (harness.room = 2; !(await harness.watermark(9)); harness.room = 2) seen.push(outputsOf(harness));
    seen.push(outputsOf(harness));
    expect(seen.every((turn) => turn.length <= 2)).toBe(true);
    expect(seen.flat()).toEqual(['1 10', '1 20', '2 10', '2 20', '3 10', '3 20', '4 40']);
  });

  test.each([
    ['fail', 'fail'],
    ['skip', 'skip'],
  ] as const)('whose function throws in the middle of its results: %s', async (_name, onError) => {
    const throwing = function* (as: readonly Reading[]): Generator<number> {
      for (const { n } of as) {
        if (n === 2) throw new Error('two');
        yield n;
      }
    } as unknown as CoGroupBody['coGroup'];
    const options = coGroupOptions(tumbling(10), { coGroup: throwing });
    const harness = await OperatorHarness.open({ ...options, config: { ...options.config, onError }, backend });
    await harness.process(at(1, 1), at(2, 2), at(3, 3), at(4, 5, 'b'));
    if (onError === 'fail') {
      expect((await engineErrorOf(harness.watermark(9))).message).toMatch(/'operator-under-test' threw.*two/);
      return;
    }
    await harness.watermark(9);
    expect(outputsOf(harness)).toEqual([1, 5]);
    expect(harness.counter('skipped')).toBe(1);
  });
});
