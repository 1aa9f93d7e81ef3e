/**
 * The flights job on a cluster of processes that loses each kind of member in the middle: what it commits is what SQL computes.
 * Real processes from dist/, real etcd.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterClient } from 'millrace/cluster';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { computeFlightsOracle, type FlightsOracle } from '../flights/flights-oracle.ts';
import { flightsFile } from '../flights/flights-run.ts';
import { describeWithEtcd } from '../support/etcd.ts';
import { type ClusterDriver, memberAt } from './cluster-driver.ts';
import type { ClusterJob } from './cluster-job.ts';
import { runFlightsOnCluster } from './flights-on-cluster.ts';
import { ProcessCluster } from './process-driver.ts';

/** Time for a loaded machine; an idle one needs a tenth. */
const timeoutMs = 300_000;

describeWithEtcd('the flights job on a cluster of processes', () => {
  let directory: string;
  let cluster: ClusterDriver;
  let oracle: FlightsOracle;
  let places = 0;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-cluster-'));
    const started = ProcessCluster.start({
      directory: join(directory, 'cluster'),
      jobManagers: 2,
      taskManagers: 2,
      slots: 2,
    });
    oracle = await computeFlightsOracle(flightsFile);
    cluster = await started;
  }, timeoutMs);

  afterAll(async () => {
    await cluster.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Runs the job, does something to the cluster once a checkpoint is complete, and compares the results. */
  async function run(disturb: (job: ClusterJob) => Promise<void>): Promise<ClusterJob> {
    const place = join(directory, `job-${++places}`);
    return await runFlightsOnCluster({ jobManagers: cluster.jobManagers, directory: place, oracle, disturb });
  }

  /** Who leads while one job manager is asleep. */
  async function leaderWithout(asleep: string): Promise<string> {
    const awake = cluster.jobManagers.filter((address) => memberAt(cluster, address) !== asleep);
    const client = await ClusterClient.connect({ jobManagers: awake, patienceMs: 60_000 });
    try {
      return memberAt(cluster, (await client.cluster()).leaderAddress);
    } finally {
      client.close();
    }
  }

  test(
    'a task manager that is killed costs one restart and no record',
    async () => {
      const job = await run(async () => {
        await cluster.kill('task-manager-1');
        await cluster.restart('task-manager-1');
      });
      expect((await job.status()).restarts).toBe(1);
      job.close();
    },
    timeoutMs,
  );

  test(
    'a leader that is killed is replaced, and the attempt goes on without a restart',
    async () => {
      let leader = '';
      const job = await run(async (running) => {
        leader = memberAt(cluster, await running.leaderAddress());
        await cluster.kill(leader);
      });
      const { attempt, restarts } = await job.status();
      expect({ attempt, restarts }).toEqual({ attempt: 1, restarts: 0 });
      await cluster.restart(leader);
      job.close();
    },
    timeoutMs,
  );

  test(
    'a leader that sleeps longer than its lease is replaced, and does no harm when it wakes up',
    async () => {
      let leader = '';
      const job = await run(async (running) => {
        leader = memberAt(cluster, await running.leaderAddress());
        cluster.pause(leader);
        expect(await leaderWithout(leader)).not.toBe(leader);
        cluster.resume(leader);
      });
      job.close();
    },
    timeoutMs,
  );

  test(
    'a job is rescaled up and down in the middle',
    async () => {
      const job = await run(async (running) => {
        expect(await running.rescale(4)).toBeGreaterThan(0);
        const up = await running.until('parallelism 4', ({ state }) => state === 'running');
        expect({ parallelism: up.parallelism, attempt: up.attempt }).toEqual({ parallelism: 4, attempt: 2 });
        expect(await running.rescale(1)).toBeGreaterThan(0);
        expect((await running.status()).parallelism).toBe(1);
      });
      expect((await job.status()).restarts).toBe(0);
      job.close();
    },
    timeoutMs,
  );

  test(
    'etcd may be away while the job runs',
    async () => {
      const job = await run(async () => {
        await cluster.kill('etcd');
        await cluster.restart('etcd');
      });
      job.close();
    },
    timeoutMs,
  );
});
