/**
 * Chaos on a cluster: while a job with keyed counts, windows and exactly-once sinks runs, members are killed, put to sleep and cut
 * off at random, one fault a round; when the job is over, its results are compared with what they must be, and another one starts.
 */
import { join } from 'node:path';
import { setTimeout as elapse } from 'node:timers/promises';
import { type ChaosResults, expectedResults } from '../chaos/chaos-records.ts';
import {
  type ChaosInput,
  type ChaosPlace,
  chaosPlace,
  committedResults,
  leftovers,
  writeChaosInput,
} from '../chaos/chaos-run.ts';
import { seededRandom } from '../kill-rounds.ts';
import { type ClusterDriver, memberAt } from './cluster-driver.ts';
import { ClusterJob } from './cluster-job.ts';

export interface ChaosOptions {
  readonly cluster: ClusterDriver;
  /** For inputs and results; the caller removes it. */
  readonly directory: string;
  readonly rounds: number;
  readonly seed: number;
  readonly report: (line: string) => void;
}

export interface ChaosSummary {
  readonly rounds: number;
  readonly jobs: number;
  /** Records of all jobs together. */
  readonly records: number;
  readonly lost: number;
  readonly duplicated: number;
  /** Left hidden beside the results by members that slept; readers of the manifest never see them. */
  readonly uncommittedFiles: number;
  /** From the fault to the next complete checkpoint. */
  readonly recoveryMs: { readonly p50: number; readonly max: number };
}

type FaultKind =
  | 'kill'
  | 'pause'
  | 'kill-two'
  | 'kill-all-task-managers'
  | 'kill-during-recovery'
  | 'cut-off'
  | 'cut-one-way'
  | 'cut-from-etcd'
  | 'reset-records';

interface Fault {
  readonly kind: FaultKind;
  readonly members: readonly string[];
  readonly forMs: number;
}

const checkpointIntervalMs = 200;
const counts = [30_000, 30_000, 60_000, 60_000] as const;
const ratePerSecond = 6_000;
/** Longer than leases and heartbeats, so that who sleeps is given up. */
const pauseMsMin = 1_000;
const pauseMsMax = 7_000;
const recoveryLimitMs = 120_000;

export async function chaosRounds(options: ChaosOptions): Promise<ChaosSummary> {
  const { cluster, directory, rounds, seed, report } = options;
  const random = seededRandom(seed);
  const input: ChaosInput = { directory: join(directory, 'in'), counts, ratePerSecond };
  writeChaosInput(input);
  const expected = expectedResults(counts);
  const recoveries: number[] = [];
  let jobs = 0;
  let lost = 0;
  let duplicated = 0;
  let uncommittedFiles = 0;
  let round = 0;
  while (round < rounds) {
    const place = chaosPlace({ directory: join(directory, `job-${++jobs}`), input, checkpointIntervalMs });
    const job = await ClusterJob.submit({
      jobManagers: cluster.jobManagers,
      access: cluster.access,
      job: place.run.job,
      parallelism: 2,
      checkpointIntervalMs,
      parameters: place.run.parameters,
    });
    while (round < rounds) {
      await elapse(random() * 1_500);
      const before = await job.until('the job to run', ({ state }) => state === 'running', recoveryLimitMs);
      if (before.state !== 'running') break;
      const fault = await drawFault(cluster, job, random);
      round++;
      const started = performance.now();
      report(`round ${round}: ${fault.kind} ${fault.members.join(', ')} …`);
      await inject(cluster, fault, random);
      const checkpoint = before.lastCheckpoint?.id ?? 0;
      await job.until(
        'a checkpoint after the fault',
        (status) => (status.lastCheckpoint?.id ?? 0) > checkpoint,
        recoveryLimitMs,
      );
      const recoveryMs = Math.round(performance.now() - started);
      recoveries.push(recoveryMs);
      report(`round ${round}: next checkpoint after ${recoveryMs} ms`);
    }
    const { state, error } = await job.end();
    job.close();
    if (state !== 'finished') throw new Error(`job ${jobs} is ${state}: ${error?.message}`);
    const found = compare(await committedResults(place), expected);
    lost += found.lost;
    duplicated += found.duplicated;
    // Whoever sleeps through the end of its attempt may still write a file that nobody will ever commit.
    const left = leftovers(place).length;
    uncommittedFiles += left;
    report(`job ${jobs} is right: ${found.lost} lost, ${found.duplicated} duplicated, ${left} uncommitted files left`);
  }
  const records = jobs * counts.reduce((sum, count) => sum + count, 0);
  return { rounds: round, jobs, records, lost, duplicated, uncommittedFiles, recoveryMs: quantiles(recoveries) };
}

async function drawFault(cluster: ClusterDriver, job: ClusterJob, random: () => number): Promise<Fault> {
  const leader = memberAt(cluster, await job.leaderAddress());
  const taskManagers = cluster.members.filter((name) => name.startsWith('task-manager'));
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const forMs = pauseMsMin + random() * (pauseMsMax - pauseMsMin);
  const ends: readonly FaultKind[] = ['kill', 'kill', 'kill', 'pause', 'pause'];
  const several: readonly FaultKind[] = ['kill-two', 'kill-all-task-managers', 'kill-during-recovery'];
  const cuts: readonly FaultKind[] = ['cut-off', 'cut-one-way', 'cut-one-way', 'cut-from-etcd'];
  const resets: readonly FaultKind[] = ['reset-records'];
  const { network } = cluster;
  const kind = pick<FaultKind>([
    ...ends,
    ...several,
    ...(network === null ? [] : cuts),
    ...(network?.resetAfter === undefined ? [] : resets),
  ]);
  switch (kind) {
    case 'kill':
    case 'pause':
      // The leader and a task manager matter most; the others are tried as well.
      return { kind, members: [pick([leader, leader, ...taskManagers, ...cluster.members])], forMs };
    case 'kill-two':
      return { kind, members: [leader, pick(taskManagers)], forMs };
    case 'kill-all-task-managers':
      return { kind, members: taskManagers, forMs };
    case 'kill-during-recovery':
      return { kind, members: [pick(taskManagers), leader], forMs };
    case 'cut-off':
      return { kind, members: [pick([leader, ...taskManagers])], forMs };
    case 'cut-one-way':
      return { kind, members: random() < 0.5 ? [leader, pick(taskManagers)] : [pick(taskManagers), leader], forMs };
    case 'cut-from-etcd':
      return { kind, members: [leader], forMs };
    case 'reset-records': {
      const from = pick(taskManagers);
      return { kind, members: [from, pick(taskManagers.filter((other) => other !== from))], forMs };
    }
  }
}

async function inject(cluster: ClusterDriver, { kind, members, forMs }: Fault, random: () => number): Promise<void> {
  if (kind === 'pause') {
    for (const member of members) cluster.pause(member);
    await elapse(forMs);
    for (const member of members) cluster.resume(member);
    return;
  }
  const cuts = cutsOf(kind, members);
  if (cluster.network !== null && cuts !== null) {
    for (const [from, to] of cuts) cluster.network.cut(from, to);
    if (kind === 'reset-records')
      cluster.network.resetAfter?.(members[0] as string, members[1] as string, 1_000 + random() * 100_000);
    await elapse(forMs);
    return cluster.network.heal();
  }
  for (const member of members) {
    await cluster.kill(member);
    if (kind === 'kill-during-recovery') await elapse(random() * 1_500);
  }
  // Sometimes at once, sometimes others have to do without for a while.
  await elapse(random() < 0.5 ? 0 : random() * 4_000);
  await Promise.all(members.map((member) => cluster.restart(member)));
}

/** Ordered pairs between which nothing passes; null for faults that are none of the network. */
function cutsOf(kind: FaultKind, [one, other]: readonly string[]): readonly (readonly [string, string])[] | null {
  if (one === undefined) return null;
  switch (kind) {
    case 'cut-off':
      return [
        [one, '*'],
        ['*', one],
      ];
    case 'cut-one-way':
      return other === undefined ? null : [[one, other]];
    case 'cut-from-etcd':
      return [
        [one, 'etcd'],
        ['etcd', one],
      ];
    case 'reset-records':
      return [];
    default:
      return null;
  }
}

function compare(results: ChaosResults, wanted: ChaosResults): { lost: number; duplicated: number } {
  let lost = 0;
  let duplicated = 0;
  for (const name of ['named', 'minutes', 'windows', 'late'] as const) {
    const left = new Map<string, number>();
    for (const line of wanted[name]) left.set(line, (left.get(line) ?? 0) + 1);
    for (const line of results[name]) left.set(line, (left.get(line) ?? 0) - 1);
    for (const times of left.values()) {
      if (times > 0) lost += times;
      else duplicated -= times;
    }
  }
  return { lost, duplicated };
}

function quantiles(values: readonly number[]): { p50: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  return { p50: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 };
}

export type { ChaosPlace };
