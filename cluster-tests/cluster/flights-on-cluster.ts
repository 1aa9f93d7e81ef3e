/** The flights job on a cluster under test: run, disturbed in its middle, and compared with what SQL computes. */
import { expect } from 'vitest';
import type { FlightsOracle } from '../flights/flights-oracle.ts';
import { committedResults, flightsPlace, leftovers } from '../flights/flights-run.ts';
import { ClusterJob } from './cluster-job.ts';

export interface FlightsOnClusterOptions {
  readonly jobManagers: readonly string[];
  /** For its results; the caller removes it. */
  readonly directory: string;
  readonly oracle: FlightsOracle;
  /** Done once two checkpoints are complete. */
  readonly disturb: (job: ClusterJob) => Promise<void>;
}

/** Resolves with the job, which has finished; whoever calls closes it. */
export async function runFlightsOnCluster(options: FlightsOnClusterOptions): Promise<ClusterJob> {
  const { jobManagers, directory, oracle, disturb } = options;
  const place = flightsPlace({ directory, checkpointIntervalMs: 250 });
  const job = await ClusterJob.submit({
    jobManagers,
    job: place.run.job,
    parallelism: 2,
    checkpointIntervalMs: 250,
    parameters: place.run.parameters,
  });
  const before = await job.until('a checkpoint', (status) => (status.lastCheckpoint?.id ?? 0) >= 2);
  expect(before.state, 'the job was over before anything could be done to it').toBe('running');
  await disturb(job);
  const { state, error, progress } = await job.end();
  // An error is also why an earlier attempt failed.
  expect({ state, error: state === 'finished' ? null : error }).toEqual({ state: 'finished', error: null });
  expect(progress.recordsIn).toBe(3_000_000);
  const results = await committedResults(place);
  for (const name of ['hourly', 'late', 'worst'] as const) {
    const different = results[name].findIndex((line, index) => line !== oracle[name][index]);
    expect({ name, line: results[name][different] }).toEqual({
      name,
      line: different < 0 ? undefined : oracle[name][different],
    });
    expect(`${name}: ${results[name].length} lines`).toBe(`${name}: ${oracle[name].length} lines`);
  }
  expect(leftovers(place)).toEqual([]);
  return job;
}
