/**
 * A job with windows, keyed counts and exactly-once sinks on processes whose network fails: one way, both ways, in the middle of
 * a frame. Nothing may be lost or duplicated. Real processes from dist/, real etcd, proxies between them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { expectedResults } from '../chaos/chaos-records.ts';
import { type ChaosInput, chaosPlace, committedResults, writeChaosInput } from '../chaos/chaos-run.ts';
import { describeWithEtcd, waitUntil } from '../support/etcd.ts';
import { anybody, type FaultNetwork, hasFaultNetwork } from '../support/fault-network.ts';
import { memberAt } from './cluster-driver.ts';
import { ClusterJob } from './cluster-job.ts';
import { ProcessCluster } from './process-driver.ts';

const timeoutMs = 300_000;
const checkpointIntervalMs = 200;
const counts = [15_000, 15_000, 30_000, 30_000] as const;
/** What the job reads takes about eight seconds, more than a lease or a heartbeat timeout. */
const ratePerSecond = 4_000;

// Proxies tell who dialed by /proc: on Linux, so always in CI, every one of these runs.
const suite = hasFaultNetwork
  ? describeWithEtcd
  : (name: string, define: () => void) => describe.skip(`${name} (skipped: who dialed is found on Linux only)`, define);

suite('a job on a network that fails', () => {
  let directory: string;
  let cluster: ProcessCluster;
  let network: FaultNetwork;
  let input: ChaosInput;
  let jobs = 0;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-partitions-'));
    input = { directory: join(directory, 'in'), counts, ratePerSecond };
    writeChaosInput(input);
    cluster = await ProcessCluster.start({
      directory: join(directory, 'cluster'),
      jobManagers: 2,
      taskManagers: 2,
      slots: 2,
      faultyNetwork: true,
    });
    expect(cluster.network).not.toBeNull();
    network = cluster.network as FaultNetwork;
  }, timeoutMs);

  afterEach(() => network.heal());

  afterAll(async () => {
    await cluster.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Runs the job, spoils the network once a checkpoint is complete, and compares what is committed in the end. */
  async function run(disturb: (job: ClusterJob, leader: string) => Promise<void>): Promise<ClusterJob> {
    const place = chaosPlace({ directory: join(directory, `job-${++jobs}`), input, checkpointIntervalMs });
    const job = await ClusterJob.submit({
      jobManagers: cluster.jobManagers,
      job: place.run.job,
      parallelism: 4,
      checkpointIntervalMs,
      parameters: place.run.parameters,
    });
    const before = await job.until('a checkpoint', (status) => (status.lastCheckpoint?.id ?? 0) >= 2);
    expect(before.state, 'the job was over before anything could be done to it').toBe('running');
    await disturb(job, memberAt(cluster, await job.leaderAddress()));
    network.heal();
    const { state, error } = await job.end();
    expect({ state, error: state === 'finished' ? null : error }).toEqual({ state: 'finished', error: null });
    const found = await committedResults(place);
    const wanted = expectedResults(counts);
    for (const name of ['named', 'minutes', 'windows', 'late'] as const)
      expect({ name, lines: found[name] }).toEqual({ name, lines: [...wanted[name]].sort() });
    return job;
  }

  /** A checkpoint that was begun after this moment. */
  async function nextCheckpoint(job: ClusterJob): Promise<void> {
    const seen = (await job.status()).lastCheckpoint?.id ?? 0;
    await job.until('a checkpoint after the fault', (status) => (status.lastCheckpoint?.id ?? 0) > seen + 1);
  }

  const otherThan = (leader: string): string => (leader === 'job-manager-1' ? 'job-manager-2' : 'job-manager-1');

  test(
    'a leader that is cut off from etcd alone gives way, and what runs goes on without a restart',
    async () => {
      const job = await run(async (running, leader) => {
        network.cut(leader, 'etcd');
        network.cut('etcd', leader);
        await waitUntil('another leader', async () => {
          return memberAt(cluster, await running.leaderAddress()) === otherThan(leader);
        });
        await nextCheckpoint(running);
      });
      expect((await job.status()).restarts).toBe(0);
      job.close();
    },
    timeoutMs,
  );

  test(
    'a task manager that hears nothing from the leader, but is heard, costs no record',
    async () => {
      const job = await run(async (running, leader) => {
        network.cut(leader, 'task-manager-1');
        await running.until('a restart', ({ restarts }) => restarts >= 1);
        network.heal();
        await nextCheckpoint(running);
      });
      job.close();
    },
    timeoutMs,
  );

  test(
    'a task manager that is not heard by the leader costs no record',
    async () => {
      const job = await run(async (running, leader) => {
        network.cut('task-manager-1', leader);
        await running.until('a restart', ({ restarts }) => restarts >= 1);
        network.heal();
        await nextCheckpoint(running);
      });
      job.close();
    },
    timeoutMs,
  );

  test(
    'a task manager that is cut off from everything is replaced, and does no harm when it is back',
    async () => {
      const job = await run(async (running) => {
        network.cut('task-manager-1', anybody);
        network.cut(anybody, 'task-manager-1');
        await running.until('a restart', ({ restarts }) => restarts >= 1);
        network.heal();
        await nextCheckpoint(running);
      });
      job.close();
    },
    timeoutMs,
  );

  test(
    'a connection between slots that is reset in the middle of a frame costs one restart and no record',
    async () => {
      const job = await run(async (running) => {
        network.resetAfter('task-manager-1', 'task-manager-2', 40_001);
        await running.until('a restart', ({ restarts }) => restarts >= 1, 25_000);
        expect(network.isArmed('task-manager-1', 'task-manager-2')).toBe(false);
        await nextCheckpoint(running);
      });
      expect((await job.status()).restarts).toBe(1);
      job.close();
    },
    timeoutMs,
  );

  test(
    'a client finds the leader when job managers refuse connections for a while',
    async () => {
      const job = await run(async (running, leader) => {
        network.refuse(leader);
        network.refuse(otherThan(leader));
        const answer = running.status();
        network.heal();
        expect((await answer).jobId).toBe(running.jobId);
      });
      job.close();
    },
    timeoutMs,
  );
});
