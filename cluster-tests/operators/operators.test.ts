/**
 * Exactly once for every operator of the stream API: one job with all of them is killed and goes on, at the same and at another
 * parallelism, on both backends; what it wrote is compared with results computed without the engine. Needs the build.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KillableJob, killRounds, printedSeed } from '../kill-rounds.ts';
import { MillraceRun } from '../millrace-run.ts';
import { expectedResults } from './expected.ts';
import { differences, operatorsJob } from './operators-run.ts';

/** Time for a loaded machine; an idle one needs a tenth. */
const timeoutMs = 600_000;
const checkpointIntervalMs = 200;
const records = 1_200;
const seconds = 3;
const expected = expectedResults(records);

let directory: string;
let places = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-operators-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function newJob(flags: readonly string[]): KillableJob {
  places++;
  const options = { records, seconds, checkpointIntervalMs, branches: Object.keys(expected) };
  return operatorsJob({ ...options, directory: join(directory, String(places)), flags });
}

test.each(['1', '2'])(
  'every operator gives the results of brute force when nothing happens at parallelism %s',
  async (parallelism) => {
    const job = newJob(['--parallelism', parallelism]);
    const summary = await new MillraceRun(job.run).finished();
    expect(summary).toMatchObject({ state: 'finished', restarts: 0 });
    expect(await differences(job, expected)).toEqual({});
  },
  timeoutMs,
);

test.each([
  ['memory', ['2']],
  ['cold', ['2']],
  ['memory', ['1', '2']],
  ['cold', ['2', '1']],
])(
  'every operator gives each result once when it is killed on the %s backend at parallelism %j in turn',
  async (backend, parallelisms) => {
    const seed = printedSeed(`operators, ${backend}, ${parallelisms.join(' and ')}`);
    const job = newJob(['--backend', backend]);
    const flagsOf = (process: number): readonly string[] => [
      '--parallelism',
      parallelisms[process % parallelisms.length],
    ];
    await killRounds({ ...job, kills: 2, seed, checkpointIntervalMs, flagsOf });
    expect(await differences(job, expected, parallelisms.length > 1)).toEqual({});
  },
  timeoutMs,
);
