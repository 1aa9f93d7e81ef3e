import { describe, expect, it } from 'vitest';
import { recordedContext } from '../testing/connector-context.ts';
import { expectExactResume } from '../testing/resume.ts';
import { collection } from './index.ts';

describe('collection', () => {
  it('gives the values in order and continues exactly when opened at the position of any value', async () => {
    const values = Array.from({ length: 10 }, (_, index) => ({ index }));
    expect(await expectExactResume(collection(values))).toEqual(values);
    expect(await expectExactResume(collection([]))).toEqual([]);
  });

  it('gives event times when timestampOf is set', async () => {
    const source = collection([5, 7], { timestampOf: (value) => value * 1000 });
    const cursor = await source.createReader(recordedContext()).openSplit('collection', undefined);
    expect(cursor.poll(10)).toEqual({ values: [5, 7], timestamps: Float64Array.of(5000, 7000) });
  });

  it('plans nothing again when the planner is restored', async () => {
    const first = collection([1]).createPlanner(recordedContext());
    await first.open(undefined);
    expect(await first.next()).toEqual({ splits: ['collection'], done: true });
    const second = collection([1]).createPlanner(recordedContext());
    await second.open(first.snapshot());
    expect(await second.next()).toEqual({ splits: [], done: true });
  });
});
