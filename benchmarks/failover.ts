/**
 * What a user sees of the end of a process: how long no result comes. A cluster of real processes with etcd, at its defaults,
 * runs a job whose sink writes the time of each record; members are killed or put to sleep, and the times are looked at.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { memberAt } from '../cluster-tests/cluster/cluster-driver.ts';
import { ClusterJob } from '../cluster-tests/cluster/cluster-job.ts';
import { ProcessCluster } from '../cluster-tests/cluster/process-driver.ts';
import { type BenchmarkRow, benchmarkRow, cpuSecondsOf } from './row.ts';

const parallelism = 2;
const heartbeatTimeoutMs = 5_000;
const leaseTtlMs = 5_000;
/** Before and after a fault. */
const settleMs = 2_000;
/** Longest time results may stay away. */
const awayMaxMs = 30_000;

interface World {
  readonly cluster: ProcessCluster;
  readonly job: ClusterJob;
  readonly results: string;
}

/** A line of the sink. */
interface Line {
  readonly atMs: number;
  readonly attempt: number;
  readonly subtask: number;
}

function linesOf(results: string): Line[] {
  return readdirSync(results).flatMap((name) => {
    const [attempt = 0, subtask = 0] = name.replace('.log', '').split('-').map(Number);
    const times = readFileSync(join(results, name), 'utf8').trimEnd().split('\n').map(Number);
    return times.map((atMs) => ({ atMs, attempt, subtask }));
  });
}

/** Longest time within which a subtask wrote nothing, between two moments. */
function longestGapMs(lines: readonly Line[], fromMs: number, toMs: number): number {
  let longest = 0;
  for (let subtask = 0; subtask < parallelism; subtask++) {
    const times = lines
      .filter((line) => line.subtask === subtask && line.atMs >= fromMs && line.atMs <= toMs)
      .map(({ atMs }) => atMs)
      .sort((a, b) => a - b);
    for (const [index, atMs] of [...times, toMs].entries())
      longest = Math.max(longest, atMs - (times[index - 1] ?? fromMs));
  }
  return longest;
}

/** First line of a later attempt than those before, in ms after a moment. */
async function firstOfNextAttempt({ results }: World, before: number, fromMs: number): Promise<number> {
  for (const endMs = fromMs + awayMaxMs; Date.now() < endMs; await elapse(20)) {
    const times = linesOf(results)
      .filter(({ attempt }) => attempt > before)
      .map(({ atMs }) => atMs);
    if (times.length > 0) return Math.min(...times) - fromMs;
  }
  throw new Error(`no result of another attempt than ${before} within ${awayMaxMs} ms`);
}

async function begin(): Promise<World & { readonly directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-failover-'));
  const results = join(directory, 'results');
  mkdirSync(results);
  const cluster = await ProcessCluster.start({
    directory: join(directory, 'cluster'),
    jobManagers: 2,
    taskManagers: 3,
    slots: 1,
    heartbeatTimeoutMs,
    leaseTtlMs,
  });
  const job = await ClusterJob.submit({
    jobManagers: cluster.jobManagers,
    job: 'benchmarks/jobs/failover.ts',
    parallelism,
    checkpointIntervalMs: 1_000,
    parameters: { directory: results },
  });
  await job.until('a checkpoint', ({ lastCheckpoint }) => (lastCheckpoint?.id ?? 0) >= 2);
  return { cluster, job, results, directory };
}

/** One fault; returns for how long what was asked for stayed away, in ms. */
type Round = (world: World) => Promise<number>;

/** A task manager that runs something of the job. */
async function busyTaskManager({ cluster, job }: World, round: number): Promise<string> {
  await job.until('the job to run', ({ state }) => state === 'running');
  const names = cluster.members.filter((name) => name.startsWith('task-manager'));
  return names[round % names.length] as string;
}

async function attemptOf({ job }: World): Promise<number> {
  return (await job.status()).attempt;
}

let rounds = 0;

async function awayAfter(world: World, fault: (name: string) => Promise<void> | void): Promise<number> {
  for (;;) {
    const name = await busyTaskManager(world, rounds++);
    const before = await attemptOf(world);
    const fromMs = Date.now();
    await fault(name);
    // One of the three runs nothing: then nothing happens, and it is the turn of the next one.
    const idle = async (): Promise<number> => {
      await elapse(heartbeatTimeoutMs + settleMs);
      return (await attemptOf(world)) === before ? -1 : await firstOfNextAttempt(world, before, fromMs);
    };
    const awayMs = await Promise.race([firstOfNextAttempt(world, before, fromMs), idle()]);
    world.cluster.resume(name);
    await world.cluster.restart(name);
    await elapse(settleMs);
    if (awayMs >= 0) return awayMs;
  }
}

const killTaskManager: Round = (world) => awayAfter(world, (name) => world.cluster.kill(name));
const pauseTaskManager: Round = (world) => awayAfter(world, (name) => world.cluster.pause(name));

/** Longest gap at the sink around the death of the leader, less the longest one just before it. */
const killLeader: Round = async ({ cluster, job, results }) => {
  const name = memberAt(cluster, await job.leaderAddress());
  await elapse(settleMs);
  const fromMs = Date.now();
  await cluster.kill(name);
  await elapse(leaseTtlMs + settleMs);
  const toMs = Date.now();
  await cluster.restart(name);
  const lines = linesOf(results);
  const before = longestGapMs(lines, fromMs - settleMs, fromMs);
  await job.until('a checkpoint', ({ lastCheckpoint }) => (lastCheckpoint?.completedAtMs ?? 0) > toMs);
  return Math.max(0, longestGapMs(lines, fromMs, toMs - 100) - before);
};

async function row(name: string, round: Round, seconds: number): Promise<BenchmarkRow> {
  const world = await begin();
  const begun = performance.now();
  const cpuBefore = cpuSecondsOf();
  const times: number[] = [];
  try {
    do times.push(await round(world));
    while ((performance.now() - begun) / 1000 < seconds);
  } finally {
    await world.cluster.stop();
    rmSync(world.directory, { recursive: true, force: true });
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return {
    ...benchmarkRow({
      benchmark: 'failover',
      case: name,
      parallelism,
      events: times.length,
      seconds: (performance.now() - begun) / 1000,
      cpuSeconds: cpuSecondsOf() - cpuBefore,
      checkpoints: 0,
      checked: true,
    }),
    latencyMs: { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: times[times.length - 1] ?? 0 },
  };
}

/** Names of cases and how each is measured; `events` are faults, latencies how long results stayed away. */
export const failoverCases: Readonly<Record<string, (seconds: number) => Promise<BenchmarkRow>>> = {
  'task manager killed': (seconds) => row('task manager killed', killTaskManager, seconds),
  'task manager asleep': (seconds) => row('task manager asleep', pauseTaskManager, seconds),
  'leader killed, longest gap': (seconds) => row('leader killed, longest gap', killLeader, seconds),
};
