/**
 * The chaos job killed at every named place between two durable effects, then resumed: the results are those of a run that
 * was never killed. A name whose place is never reached fails.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FailpointName, failpointNames } from '../../core/failpoint.ts';
import { MillraceRun } from '../millrace-run.ts';
import { type ChaosResults, expectedResults } from './chaos-records.ts';
import { type ChaosInput, chaosPlace, committedResults, leftovers, writeChaosInput } from './chaos-run.ts';

/** Time for a loaded machine; an idle one needs a tenth. */
const timeoutMs = 300_000;

/**
 * Places reached only by a run that goes on from a checkpoint: the first run is killed at another place before. The sink has
 * a part to adopt or to remove only when the checkpoint lies inside the input. On a loaded machine one may take as long as the
 * whole job, so slower and slower jobs are tried, each in a place of its own.
 */
const afterResume: Partial<Record<FailpointName, FailpointName>> = {
  'file-sink.part-adopted': 'sink-committer.commit-due',
  'file-sink.leftover-removed': 'file-sink.prepared',
};
const slowerBy = [1, 2, 4, 8, 16];
/** Times the place before is passed: something was committed then. */
const firstKill = 2;
/** Times a place is passed before the kill, where the first is not the interesting one. */
const times: Partial<Record<FailpointName, number>> = {
  'job-store.counter-advanced': 4,
  'store.object-written': 4,
  'store.object-renamed': 4,
  'sink-committer.committed': 3,
  'file-sink.prepared': 6,
  'file-sink.part-sealed': 3,
};

type Place = ReturnType<typeof chaosPlace>;

let directory: string;
let input: ChaosInput;
let expected: ChaosResults;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-crash-points-'));
  input = { directory: join(directory, 'in'), counts: [3_000, 2_000, 3_000, 4_000], ratePerSecond: 4_000 };
  writeChaosInput(input);
  expected = expectedResults(input.counts);
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Kills a run before the place and another at it; the directories of a run in which it was reached. */
async function killedAfterResume(name: FailpointName, before: FailpointName, backend: string): Promise<Place> {
  const outcomes: string[] = [];
  for (const slower of slowerBy) {
    const place = placeOf(`${name}-${slower}`, backend, slower);
    const first = await runUntil(before, place, firstKill);
    const outcome = first === 'killed' ? await runUntil(name, place) : first;
    if (outcome === 'killed') return place;
    outcomes.push(outcome);
  }
  throw new Error(outcomes.join('\n'));
}

function placeOf(name: string, backend: string, slower = 1): Place {
  return chaosPlace({
    directory: join(directory, backend, name),
    input: { ...input, ratePerSecond: input.ratePerSecond / slower },
    checkpointIntervalMs: 100,
    flags: ['--backend', backend],
  });
}

/** Runs until the place is reached; says how the process ended. */
async function runUntil(name: FailpointName, place: Place, time = times[name] ?? 1): Promise<string> {
  const environment = { MILLRACE_FAILPOINT: `${name}:${time}` };
  const run = new MillraceRun({ ...place.run, environment });
  const code = await run.exited;
  return code === null ? 'killed' : `${name} was never reached, exit code ${code}:\n${run.output}`;
}

describe.concurrent.each(['memory', 'cold'])('crash points on the %s backend', (backend) => {
  test.each(failpointNames)(
    'the chaos job commits every record once when it is killed at %s and resumed',
    async (name) => {
      const before = afterResume[name];
      const place = before === undefined ? placeOf(name, backend) : await killedAfterResume(name, before, backend);
      if (before === undefined) expect(await runUntil(name, place)).toBe('killed');
      const summary = await new MillraceRun(place.run).finished();
      if (name !== 'job-store.terminal-recorded') expect(summary.state).toBe('finished');
      expect(await committedResults(place)).toEqual(expected);
      expect(leftovers(place)).toEqual([]);
    },
    timeoutMs,
  );
});
