import { expect, test } from 'vitest';
import { runSchedule, sometimesNames } from './run-schedule.ts';

const seeds = Array.from({ length: 400 }, (_, index) => index + 1);

test('400 schedules under faults violate nothing and hit every situation that matters', () => {
  const seen = new Map<string, number>();
  for (const seed of seeds) {
    const result = runSchedule(seed);
    expect(result.violation, `npm run simulate -- --seed ${seed} --trace`).toBeNull();
    for (const [name, count] of result.sometimes) seen.set(name, (seen.get(name) ?? 0) + count);
  }
  expect(sometimesNames.filter((name) => !seen.has(name))).toEqual([]);
});

test('a schedule is the same when it is run again', () => {
  for (const seed of [1, 17, 99])
    expect(runSchedule(seed).traceHash).toBe(runSchedule(seed, { traced: true }).traceHash);
});
