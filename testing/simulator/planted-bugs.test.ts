import { expect, test } from 'vitest';
import { loadSimulator } from '../../tools/load-simulator.mjs';
import { plantedBugs } from './planted-bugs.ts';

/** Schedules within which every planted bug is found. */
const seedsMax = 2_000;

test.each(plantedBugs)('the simulator finds $id when it is planted: $what', async (bug) => {
  const { runSchedule } = await loadSimulator(bug);
  let found: string | null = null;
  for (let seed = 1; seed <= seedsMax && found === null; seed++) found = runSchedule(seed).violation;
  expect(found).not.toBeNull();
});

test('a planted bug that does not fit the source any more is an error', async () => {
  const bug = { id: 'none', what: '', file: 'runtime/time/watermark-valve.ts', find: 'no such text', replace: '' };
  await expect(loadSimulator(bug)).rejects.toThrowError(/does not fit/);
});
