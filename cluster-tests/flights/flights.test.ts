/**
 * Acceptance of the engine on three million real flights: what the example job commits is what SQL computes over the same
 * file, whatever the parallelism and however often the process is killed. Processes run from dist/.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { killUntilEnough, printedSeed } from '../kill-rounds.ts';
import { MillraceRun } from '../millrace-run.ts';
import { computeFlightsOracle, type FlightsOracle } from './flights-oracle.ts';
import { committedResults, flightsFile, type FlightsPlace, flightsPlace, leftovers } from './flights-run.ts';
import { writeFirstFlights } from './first-flights.ts';

const flightCount = 3_000_000;
const smallFlightCount = 100_000;
/** Time for a loaded machine; an idle one needs a tenth. */
const timeoutMs = 600_000;

let directory: string;
let places = 0;

function place(
  options: { input?: string; flags?: readonly string[]; checkpointIntervalMs?: number } = {},
): FlightsPlace {
  places++;
  return flightsPlace({ directory: join(directory, `job-${places}`), checkpointIntervalMs: 250, ...options });
}

/** One line that differs says more than half a million that may. */
async function expectResults(where: FlightsPlace, oracle: FlightsOracle): Promise<void> {
  const results = await committedResults(where);
  for (const name of ['hourly', 'late', 'worst'] as const) {
    const different = results[name].findIndex((line, index) => line !== oracle[name][index]);
    expect({ name, line: results[name][different] }).toEqual({
      name,
      line: different < 0 ? undefined : oracle[name][different],
    });
    expect(`${name}: ${results[name].length} lines`).toBe(`${name}: ${oracle[name].length} lines`);
  }
  expect(leftovers(where)).toEqual([]);
}

interface Kills {
  readonly kills: number;
  readonly seed: number;
  readonly records: number;
  flagsOf?(process: number): readonly string[];
}

/** Jobs one after the other until the kills are used up; the results of each must be right. */
async function expectKillsHarmless(options: Kills, oracle: FlightsOracle, where: () => FlightsPlace): Promise<void> {
  await killUntilEnough({ ...options, checkpointIntervalMs: 250 }, where, async (target, { summary, remains }) => {
    await expectResults(target, oracle);
    if (summary.alreadyFinished === true) return;
    // Counts go on from the checkpoint: reading any record twice, or none, would give another sum.
    expect(summary.recordsIn).toBe(options.records);
    const before = remains[remains.length - 1];
    expect(summary.restored).toEqual(
      before === undefined ? null : { checkpointId: before.checkpointId, sourceRecords: before.sourceRecords },
    );
  });
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-flights-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe('the flights job on all flights', () => {
  let oracle: FlightsOracle;

  beforeAll(async () => {
    oracle = await computeFlightsOracle(flightsFile);
  }, timeoutMs);

  test.each([1, 1, 2])(
    'the flights job commits what SQL computes when the keyed part has parallelism %i',
    async (parallelism) => {
      const where = place({ flags: ['--parallelism', String(parallelism)] });
      const summary = await new MillraceRun(where.run).finished();
      expect(summary).toMatchObject({
        state: 'finished',
        recordsIn: flightCount,
        lateRecords: oracle.late.length,
        restored: null,
        restarts: 0,
      });
      await expectResults(where, oracle);
    },
    timeoutMs,
  );

  test(
    'the flights job commits the same lines when it is killed at ten moments and resumed',
    async () => {
      const seed = printedSeed('flights, ten kills');
      await expectKillsHarmless({ kills: 10, seed, records: flightCount }, oracle, place);
    },
    timeoutMs,
  );

  test(
    'the flights job commits the same lines when it is killed and resumed at another parallelism',
    async () => {
      const seed = printedSeed('flights, other parallelism');
      const flagsOf = (process: number): readonly string[] => ['--parallelism', process % 2 === 0 ? '1' : '2'];
      await expectKillsHarmless({ kills: 4, seed, records: flightCount, flagsOf }, oracle, place);
    },
    timeoutMs,
  );
});

describe('the flights job on the cold backend', () => {
  let input: string;
  let oracle: FlightsOracle;

  beforeAll(async () => {
    input = join(directory, 'first-flights.parquet');
    await writeFirstFlights(flightsFile, input, smallFlightCount);
    oracle = await computeFlightsOracle(input);
  }, timeoutMs);

  test.each([1, 2])(
    'the cold backend gives the same lines when the keyed part has parallelism %i',
    async (parallelism) => {
      const where = place({ input, flags: ['--backend', 'cold', '--parallelism', String(parallelism)] });
      const summary = await new MillraceRun(where.run).finished();
      expect(summary).toMatchObject({
        state: 'finished',
        recordsIn: smallFlightCount,
        lateRecords: oracle.late.length,
      });
      await expectResults(where, oracle);
    },
    timeoutMs,
  );

  test(
    'the cold backend gives the same lines when the job is killed and resumed, also at another parallelism',
    async () => {
      const seed = printedSeed('flights, cold backend');
      const flagsOf = (process: number): readonly string[] => ['--parallelism', process % 3 === 2 ? '2' : '1'];
      const where = (): FlightsPlace => place({ input, flags: ['--backend', 'cold'] });
      await expectKillsHarmless({ kills: 5, seed, records: smallFlightCount, flagsOf }, oracle, where);
    },
    timeoutMs,
  );
});
