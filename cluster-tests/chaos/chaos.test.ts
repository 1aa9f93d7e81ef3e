/**
 * The chaos job killed, stopped, resumed and read while it runs. Records name themselves, so the comparison says which one
 * was lost or doubled. Processes run from dist/.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { killRounds, killUntilEnough, printedSeed, seededRandom } from '../kill-rounds.ts';
import { MillraceRun } from '../millrace-run.ts';
import { type ChaosResults, expectedResults } from './chaos-records.ts';
import {
  type ChaosInput,
  type ChaosPlace,
  chaosPlace,
  committedResults,
  leftovers,
  writeChaosInput,
} from './chaos-run.ts';

/** Time for a loaded machine; an idle one needs a tenth. */
const timeoutMs = 600_000;
const checkpointIntervalMs = 200;

let directory: string;
let input: ChaosInput;
let expected: ChaosResults;
let total: number;
let places = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-chaos-'));
  input = { directory: join(directory, 'in'), counts: [20_000, 15_000, 30_000, 16_000], ratePerSecond: 5_000 };
  writeChaosInput(input);
  expected = expectedResults(input.counts);
  total = input.counts.reduce((sum, count) => sum + count, 0);
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function place(flags: readonly string[] = []): ChaosPlace {
  places++;
  return chaosPlace({ directory: join(directory, `job-${places}`), input, checkpointIntervalMs, flags });
}

/** What is missing and what is too much, by sink: short where toEqual would print everything. */
function differences(results: ChaosResults, wanted: ChaosResults): Record<string, readonly string[]> {
  const found: Record<string, readonly string[]> = {};
  for (const name of ['named', 'minutes', 'windows', 'late'] as const) {
    const left = new Map<string, number>();
    for (const line of wanted[name]) left.set(line, (left.get(line) ?? 0) + 1);
    for (const line of results[name]) left.set(line, (left.get(line) ?? 0) - 1);
    const wrong = [...left]
      .filter(([, times]) => times !== 0)
      .map(([line, times]) => `${times > 0 ? 'lost' : 'too much'}: ${line}`);
    if (wrong.length > 0) found[name] = [`${wrong.length} lines`, ...wrong.slice(0, 5)];
  }
  return found;
}

async function expectComplete(where: ChaosPlace): Promise<void> {
  expect(differences(await committedResults(where), expected)).toEqual({});
  expect(leftovers(where)).toEqual([]);
}

test.each([
  ['memory', 1],
  ['memory', 2],
  ['cold', 2],
])(
  'the chaos job commits every record once on the %s backend when its parallelism is %i',
  async (backend, parallelism) => {
    const where = place(['--backend', backend, '--parallelism', String(parallelism)]);
    const summary = await new MillraceRun(where.run).finished();
    expect(summary).toMatchObject({ state: 'finished', recordsIn: total + 97, restarts: 0, counters: {} });
    await expectComplete(where);
  },
  timeoutMs,
);

test.each([
  ['memory', 4],
  ['cold', 3],
])(
  'the chaos job commits every record once on the %s backend when it is killed and resumed at changing parallelism',
  async (backend, kills) => {
    const seed = printedSeed(`chaos, ${backend}`);
    const flagsOf = (process: number): readonly string[] => ['--parallelism', process % 2 === 0 ? '2' : '1'];
    const newJob = (): ChaosPlace => place(['--backend', backend]);
    await killUntilEnough({ kills, seed, checkpointIntervalMs, flagsOf }, newJob, (job) => expectComplete(job));
  },
  timeoutMs,
);

test(
  'Ctrl-C stops the chaos job with a last checkpoint and its results, and the next run goes on from there',
  async () => {
    const where = place();
    const run = new MillraceRun(where.run);
    await run.untilCheckpoint();
    run.interrupt();
    const stopped = await run.finished(0);
    expect(stopped.state).toBe('stopped');
    const { named, late } = await committedResults(where);
    expect(differences({ ...expected, named, late }, expected).named ?? []).not.toContainEqual(
      expect.stringContaining('too much'),
    );
    expect(late.length).toBeGreaterThan(0);
    // Everything the last checkpoint completed was committed before the process ended.
    expect(leftovers(where).filter((name) => name.endsWith('.prepared'))).toEqual([]);
    const resumed = await new MillraceRun(where.run).finished();
    expect(resumed.restored?.checkpointId).toBe(stopped.lastCheckpoint?.id);
    expect(resumed.recordsIn).toBe(total + 97);
    await expectComplete(where);
  },
  timeoutMs,
);

test(
  'a reader of committed files sees no record twice and none that is wrong when it looks at any moment of a run with kills',
  async () => {
    const seed = printedSeed('chaos, concurrent reader');
    const random = seededRandom(seed);
    const where = place();
    const over = new AbortController();
    const reading = (async () => {
      let looks = 0;
      let seenBefore = 0;
      while (!over.signal.aborted) {
        const results = await committedResults(where);
        const wrong = Object.values(differences(results, expected))
          .flat()
          .filter((line) => line.startsWith('too much'));
        expect(wrong).toEqual([]);
        expect(results.named.length).toBeGreaterThanOrEqual(seenBefore);
        seenBefore = results.named.length;
        looks++;
        await elapse(random() * 50);
      }
      return looks;
    })();
    try {
      await Promise.race([killRounds({ ...where, kills: 2, seed, checkpointIntervalMs }), reading]);
    } finally {
      over.abort();
    }
    expect(await reading).toBeGreaterThan(5);
    await expectComplete(where);
  },
  timeoutMs,
);
