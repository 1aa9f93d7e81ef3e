/** Watermark alignment in a real run: in one slot, and in slots that tell each other through the job manager. Needs the build. */
import { afterEach, expect, test } from 'vitest';
import { expectFinished, ScratchProject } from '../bad-input/scratch-project.test-support.ts';

let project: ScratchProject | null = null;
afterEach(() => {
  project?.dispose();
  project = null;
});

const minute = 60_000;

/** Two sources over the same event time, one slow; `ahead` says how far a record of the fast one was ahead of the slow one. */
const jobOf = (fastCount: number, slowRate: number, alignment: string): string => `
  const alignment = ${alignment};
  let slowAt = NaN;
  const read = (name: string, count: number, step: number, more: object) =>
    env
      .from(generator<{ at: number }>({ count, splits: 2, make: (index) => ({ at: index * step }), ...more }), { uid: name })
      .withTimestamps((record) => record.at, { outOfOrderness: 0, alignment })
      .uid(name + '-times');
  const slow = read('slow', 50, ${(fastCount / 50) * minute}, { ratePerSecond: ${slowRate} })
    .map(({ at }) => { slowAt = at; return { name: 'slow', at, ahead: 0 }; }).uid('slow-map');
  const fast = read('fast', ${fastCount}, ${minute}, {})
    .map(({ at }) => ({ name: 'fast', at, ahead: at - slowAt })).uid('fast-map');
  slow.union(fast).to(files.jsonl('out')).uid('results');
`;

interface Result {
  readonly name: string;
  readonly at: number;
  readonly ahead: number | null;
}

async function resultsOf(slots: number, alignment: string): Promise<readonly Result[]> {
  project = new ScratchProject();
  project.writeJob(jobOf(10_000, 200, alignment));
  expectFinished(await project.run('--parallelism', String(slots)));
  return (await project.results()).map((line) => JSON.parse(line) as Result);
}

const counts = (results: readonly Result[]): number[] =>
  ['slow', 'fast'].map((name) => results.filter((result) => result.name === name).length);

test('a run in one slot reads no further ahead of the slow source than the drift', { timeout: 60_000 }, async () => {
  const drift = 500 * minute;
  const results = await resultsOf(1, `{ group: 'all', maxDrift: ${drift} }`);
  expect(counts(results)).toEqual([50, 10_000]);
  // Before the slow source has a record nobody knows where it is; it has two splits, of which the slower one counts.
  const step = 2 * (10_000 / 50) * minute;
  const known = results.filter((result) => result.name === 'fast' && result.ahead !== null);
  expect(known.length).toBeGreaterThan(5_000);
  expect(Math.max(...known.map((result) => result.ahead as number))).toBeLessThanOrEqual(drift + step);
});

test('a run in two slots comes to its end when all wait for each other', { timeout: 60_000 }, async () => {
  const results = await resultsOf(2, `{ group: 'all', maxDrift: ${2_000 * minute}, updateInterval: 10 }`);
  expect(counts(results)).toEqual([50, 10_000]);
});
