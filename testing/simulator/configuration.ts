/**
 * What a seed runs: its job, its cluster, and which faults at what rate. Drawn first and printed whole (swarm testing: many
 * seeds have only a few kinds of fault, because a uniform mixture hides bugs).
 */
import { type Random, randomStream } from './random.ts';

/** A fault at a virtual time. Data, so that a schedule can be printed, kept and cut down. */
export type Fault =
  | { readonly kind: 'crash-task-manager'; readonly atMs: number; readonly target: number; readonly downMs: number }
  | { readonly kind: 'pause-task-manager'; readonly atMs: number; readonly target: number; readonly forMs: number }
  | { readonly kind: 'cut-task-manager'; readonly atMs: number; readonly target: number; readonly forMs: number }
  | { readonly kind: 'crash-job-manager'; readonly atMs: number; readonly downMs: number }
  | { readonly kind: 'replace-job-manager'; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'crash-everything'; readonly atMs: number; readonly downMs: number }
  | { readonly kind: 'fail-subtask'; readonly atMs: number; readonly target: number }
  | { readonly kind: 'store-down'; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'store-full'; readonly atMs: number; readonly forMs: number }
  | { readonly kind: 'rescale'; readonly atMs: number; readonly parallelism: number }
  | { readonly kind: 'stop-and-resume'; readonly atMs: number; readonly parallelism: number }
  | { readonly kind: 'flip-byte'; readonly atMs: number }
  /** No fault, but as unexpected: somebody asks for a checkpoint now. */
  | { readonly kind: 'request-checkpoint'; readonly atMs: number }
  | { readonly kind: 'request-savepoint'; readonly atMs: number }
  /** The oldest savepoint of the job is given up. */
  | { readonly kind: 'dispose-savepoint'; readonly atMs: number }
  /** The job is canceled, and another one starts from its newest savepoint. */
  | { readonly kind: 'start-from-savepoint'; readonly atMs: number };

/** Faults that can happen to any operation while faults are on, each with a probability. */
export interface FaultRates {
  readonly requestLost: number;
  readonly replyLost: number;
  readonly storeFails: number;
  readonly storeReplyLost: number;
  readonly commitFails: number;
  readonly commitReplyLost: number;
  /** A subtask fails, or the job manager dies, while the pointer is being set. */
  readonly troubleAtPointer: number;
}

export interface SimulationConfiguration {
  readonly seed: number;
  readonly parallelism: number;
  readonly taskManagerCount: number;
  readonly slotsPerTaskManager: number;
  /** Pipelines of the job, which are regions: one or two. */
  readonly pipelines: number;
  readonly splitCount: number;
  readonly recordsPerSplit: number;
  readonly keyCount: number;
  readonly maxParallelism: number;
  readonly checkpointIntervalMs: number;
  readonly checkpointTimeoutMs: number;
  readonly checkpointsRetained: number;
  readonly checkpointFailuresMax: number;
  readonly creditBytes: number;
  /** Longest delay of a message between processes, of a store operation, and between two records of a reader. */
  readonly networkMsMax: number;
  readonly storeMsMax: number;
  readonly recordMsMax: number;
  /** Readers say now and then that they are idle; windows are then not part of the job. */
  readonly idleReaders: boolean;
  readonly rates: FaultRates;
  readonly faults: readonly Fault[];
  /** Faults stop here; afterwards the job must finish. */
  readonly healAtMs: number;
}

const faultKinds = [
  'crash-task-manager',
  'pause-task-manager',
  'cut-task-manager',
  'crash-job-manager',
  'replace-job-manager',
  'crash-everything',
  'fail-subtask',
  'store-down',
  'store-full',
  'stop-and-resume',
  'rescale',
] as const;

export function drawConfiguration(seed: number): SimulationConfiguration {
  const random = randomStream(seed, 'configuration');
  const healAtMs = random.between(1_500, 6_000);
  const parallelism = random.between(1, 3);
  const taskManagerCount = random.between(1, 3);
  // A stream of its own: schedules of one pipeline stay what they were.
  const pipelines = randomStream(seed, 'pipelines').chance(0.4) ? 2 : 1;
  const sleeper = drawSleeper(seed, taskManagerCount);
  const networkMsMax = random.pick([2, 20, 120]);
  const storeMsMax = random.pick([5, 40, 200]);
  // Long enough for a checkpoint without faults; whether it times out is left to them.
  const checkpointTimeoutMs = random.pick([300, 1_500]) + 25 * networkMsMax + 4 * storeMsMax;
  const rate = (odds: number, highest: number): number => (random.chance(odds) ? random.next() * highest : 0);
  return {
    seed,
    parallelism,
    taskManagerCount,
    slotsPerTaskManager: Math.ceil((3 * pipelines) / taskManagerCount) + (random.chance(0.3) ? 1 : 0),
    pipelines,
    splitCount: random.between(1, 5),
    recordsPerSplit: random.between(5, 40),
    keyCount: random.between(1, 8),
    maxParallelism: random.pick([3, 8, 128]),
    checkpointIntervalMs: random.pick([100, 200, 500]),
    checkpointTimeoutMs,
    checkpointsRetained: random.between(1, 3),
    checkpointFailuresMax: random.pick([0, 2, 100]),
    creditBytes: random.pick([8, 32, 1_000]),
    networkMsMax,
    storeMsMax,
    recordMsMax: random.pick([10, 40, 80]),
    idleReaders: random.chance(0.25),
    rates: {
      requestLost: rate(0.3, 0.1),
      replyLost: rate(0.3, 0.1),
      storeFails: rate(0.3, 0.2),
      storeReplyLost: rate(0.3, 0.2),
      commitFails: rate(0.3, 0.4),
      commitReplyLost: rate(0.3, 0.4),
      troubleAtPointer: rate(0.25, 0.3),
    },
    faults: [
      ...drawFaults(random, { healAtMs, taskManagerCount }),
      ...drawRequests(seed, healAtMs),
      ...drawSavepoints(seed, healAtMs),
      ...sleeper,
    ],
    healAtMs: sleeper.length === 0 ? healAtMs : sleeperHealAtMs,
  };
}

const sleeperHealAtMs = 10_000;

/**
 * A task manager sleeps until it is given up and its subtasks run elsewhere; then the job manager dies, and the sleeper tells
 * the next one of attempts that others have taken the place of.
 */
function drawSleeper(seed: number, taskManagerCount: number): Fault[] {
  const random = randomStream(seed, 'sleeper');
  if (!random.chance(0.06)) return [];
  const atMs = random.between(300, 1_500);
  const target = random.between(0, taskManagerCount - 1);
  return [
    { kind: 'pause-task-manager', atMs, target, forMs: random.between(6_000, 8_500) },
    { kind: 'crash-job-manager', atMs: atMs + random.between(5_200, 7_500), downMs: random.between(50, 1_000) },
  ];
}

function drawFaults(random: Random, limits: { healAtMs: number; taskManagerCount: number }): Fault[] {
  const kinds = random.chance(0.5) ? [random.pick(faultKinds)] : faultKinds.filter(() => random.chance(0.4));
  const faults: Fault[] = [];
  const count = kinds.length === 0 ? 0 : random.between(0, 6);
  for (let index = 0; index < count; index++) {
    const atMs = random.between(50, limits.healAtMs);
    const target = random.between(0, limits.taskManagerCount - 1);
    const shortMs = random.between(50, 2_000);
    const longMs = random.between(50, 9_000);
    faults.push(makeFault(random.pick(kinds), { atMs, target, shortMs, longMs, parallelism: random.between(1, 3) }));
  }
  if (random.chance(0.03)) faults.push({ kind: 'flip-byte', atMs: random.between(500, limits.healAtMs) });
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** Of a stream of their own, so that they change nothing else of a seed; some come one right after the other. */
function drawRequests(seed: number, healAtMs: number): Fault[] {
  const random = randomStream(seed, 'checkpoint requests');
  if (random.chance(0.5)) return [];
  const requests: Fault[] = [];
  const count = random.between(1, 6);
  for (let atMs = random.between(0, healAtMs); requests.length < count; ) {
    requests.push({ kind: 'request-checkpoint', atMs });
    atMs = random.chance(0.3) ? atMs + random.between(0, 30) : random.between(0, healAtMs + 500);
  }
  return requests;
}

/** As requests of checkpoints, of a stream of their own. */
function drawSavepoints(seed: number, healAtMs: number): Fault[] {
  const random = randomStream(seed, 'savepoints');
  if (random.chance(0.6)) return [];
  const faults: Fault[] = Array.from({ length: random.between(1, 3) }, () => {
    return { kind: 'request-savepoint', atMs: random.between(0, healAtMs) };
  });
  if (random.chance(0.3)) faults.push({ kind: 'dispose-savepoint', atMs: random.between(500, healAtMs) });
  if (random.chance(0.7)) faults.push({ kind: 'start-from-savepoint', atMs: random.between(500, healAtMs + 1_000) });
  return faults;
}

function makeFault(
  kind: (typeof faultKinds)[number],
  drawn: { atMs: number; target: number; shortMs: number; longMs: number; parallelism: number },
): Fault {
  const { atMs, target, shortMs, longMs, parallelism } = drawn;
  switch (kind) {
    case 'crash-task-manager':
      return { kind, atMs, target, downMs: shortMs };
    case 'pause-task-manager':
    case 'cut-task-manager':
      return { kind, atMs, target, forMs: longMs };
    case 'crash-job-manager':
    case 'crash-everything':
      return { kind, atMs, downMs: shortMs };
    case 'replace-job-manager':
    case 'store-down':
    case 'store-full':
      return { kind, atMs, forMs: shortMs };
    case 'fail-subtask':
      return { kind, atMs, target };
    case 'rescale':
    case 'stop-and-resume':
      return { kind, atMs, parallelism };
  }
}
