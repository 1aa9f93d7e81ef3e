/**
 * The chaos job on the cluster of deploy/docker-compose.yml, which loses a task manager and its leader: nothing may
 * be lost or duplicated. Needs a container engine and the image; without them it is skipped with the reason.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectedResults } from '../chaos/chaos-records.ts';
import { chaosPlace, committedResults, writeChaosInput } from '../chaos/chaos-run.ts';
import { memberAt } from './cluster-driver.ts';
import { ClusterJob } from './cluster-job.ts';
import { ComposeCluster, whyNoContainers } from './compose-driver.ts';

const timeoutMs = 300_000;
const checkpointIntervalMs = 250;
const counts = [15_000, 15_000, 30_000, 30_000] as const;
const reason = whyNoContainers({ image: true });
const suite = reason === null ? describe : describe.skip;

suite(`a job on containers${reason === null ? '' : ` (skipped: ${reason})`}`, () => {
  let directory: string;
  let cluster: ComposeCluster | null = null;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-containers-'));
    cluster = await ComposeCluster.start({ directory, slots: 2, build: false });
  }, timeoutMs);

  afterAll(async () => {
    await cluster?.stop();
    rmSync(directory, { recursive: true, force: true });
  }, timeoutMs);

  test(
    'a job that loses a task manager and the leader commits every result once',
    async () => {
      if (cluster === null) throw new Error('there is no cluster');
      const input = { directory: join(directory, 'in'), counts, ratePerSecond: 4_000 };
      writeChaosInput(input);
      const place = chaosPlace({ directory: join(directory, 'job'), input, checkpointIntervalMs });
      const job = await ClusterJob.submit({
        jobManagers: cluster.jobManagers,
        access: cluster.access,
        job: place.run.job,
        parallelism: 2,
        checkpointIntervalMs,
        parameters: place.run.parameters,
      });
      await job.until('a checkpoint', (status) => (status.lastCheckpoint?.id ?? 0) >= 2);
      const leader = memberAt(cluster, await job.leaderAddress());
      for (const member of ['task-manager-1', leader]) {
        const seen = (await job.status()).lastCheckpoint?.id ?? 0;
        await cluster.kill(member);
        await job.until('a checkpoint without it', (status) => (status.lastCheckpoint?.id ?? 0) > seen);
        await cluster.restart(member);
      }
      const { state, error } = await job.end();
      expect({ state, error: state === 'finished' ? null : error }).toEqual({ state: 'finished', error: null });
      const [found, wanted] = [await committedResults(place), expectedResults(counts)];
      for (const name of ['named', 'minutes', 'windows', 'late'] as const)
        expect({ name, lines: found[name] }).toEqual({ name, lines: [...wanted[name]].sort() });
      job.close();
    },
    timeoutMs,
  );
});
