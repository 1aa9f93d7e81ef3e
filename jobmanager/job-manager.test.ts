import { expect, test } from 'vitest';
import { EngineError, toWireError } from '../core/errors.ts';
import type { JobGraph, RestartStrategyOptions } from '../core/graph/job-graph.ts';
import type {
  AdoptAttemptRequest,
  AttemptRef,
  CheckpointAcknowledgement,
  DeploySlotsRequest,
  RunningAttempt,
  SubtaskRef,
} from '../proto/messages.ts';
import { inProcessJobManager, inProcessTaskManager } from '../proto/rpc/in-process.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../proto/services.ts';
import { LocalDirectoryStore } from '../storage/local-directory.ts';
import { MemoryFileSystem } from '../storage/memory-file-system.test-support.ts';
import type { Clock } from './clock.ts';
import { JobManager, type JobOutcome } from './job-manager.ts';
import { LocalJobStore } from './store/local-job-store.ts';

/** Time that passes only when a test says so. */
class ManualClock implements Clock {
  #nowMs = 1_000_000;
  #timers: { atMs: number; callback: () => void }[] = [];
  nowMs(): number {
    return this.#nowMs;
  }
  setTimer(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
  /** Lets the earliest timer fire; false when there is none within `withinMs`. */
  fireNext(withinMs: number): boolean {
    const next = this.#timers.reduce<{ atMs: number; callback: () => void } | null>(
      (a, b) => (a === null || b.atMs < a.atMs ? b : a),
      null,
    );
    if (next === null || next.atMs > this.#nowMs + withinMs) return false;
    this.#timers = this.#timers.filter((other) => other !== next);
    this.#nowMs = Math.max(this.#nowMs, next.atMs);
    next.callback();
    return true;
  }
}

/** A task manager that does at once what it is told, without running anything. */
class ObedientTaskManager implements TaskManagerGateway {
  readonly id: string;
  readonly calls: string[] = [];
  jobManager: JobManagerGateway | null = null;
  deployed: DeploySlotsRequest | null = null;
  /** Called when a checkpoint is to be acknowledged. */
  onTrigger: (acknowledge: () => Promise<unknown>) => void = (acknowledge) => void acknowledge();
  ended = false;
  constructor(id: string) {
    this.id = id;
  }
  get attempt(): AttemptRef {
    if (this.deployed === null) throw new Error('nothing is deployed');
    return this.deployed.attempt;
  }
  /** What it says that it runs. */
  get running(): RunningAttempt[] {
    if (this.deployed === null) return [];
    const { attempt, graph, slices, currentAttempts } = this.deployed;
    const subtasks = this.subtasks.map((subtask) => {
      return { subtask, state: 'running' as const, inputEnded: false, error: null };
    });
    const nothing = { pendingCheckpointIds: [], endedSlots: [] };
    return [{ attempt, graphSha256: graph.sha256, slices, subtasks, ...nothing, currentAttempts }];
  }
  get subtasks(): SubtaskRef[] {
    return (this.deployed?.slices ?? []).flatMap((slice) => [...slice.subtasks]);
  }
  async deploySlots(request: DeploySlotsRequest): Promise<object> {
    this.calls.push(`deploy ${request.attempt.attempt} from ${request.restoreManifest?.name ?? 'nothing'}`);
    this.deployed = request;
    for (const { slotIndex } of request.slices) {
      const address = { slotIndex, host: 'localhost', port: 7000 + slotIndex };
      void this.jobManager?.reportSlotListening({ attempt: request.attempt, taskManagerId: this.id, address });
    }
    return {};
  }
  async adoptAttempt(request: AdoptAttemptRequest): Promise<object> {
    this.calls.push(`adopt ${request.attempt.attempt} with checkpoint ${request.completedCheckpointId}`);
    if (this.deployed !== null) this.deployed = { ...this.deployed, attempt: request.attempt };
    return {};
  }
  async connectSlots(): Promise<object> {
    this.calls.push('connect');
    this.report('running', false);
    return {};
  }
  report(state: 'running' | 'finished' | 'failed', inputEnded: boolean, error: EngineError | null = null): void {
    for (const subtask of this.subtasks) {
      const wire = error === null ? null : toWireError(error);
      const report = { attempt: this.attempt, taskManagerId: this.id, subtask, state, inputEnded, error: wire };
      void this.jobManager?.reportSubtaskState(report).catch(() => undefined);
    }
  }
  endSlots(): void {
    for (const { slotIndex } of this.deployed?.slices ?? []) {
      void this.jobManager?.reportSlotEnded({ attempt: this.attempt, taskManagerId: this.id, slotIndex, error: null });
    }
  }
  async cancelAttempt(): Promise<object> {
    this.calls.push('cancel');
    this.endSlots();
    return {};
  }
  async triggerCheckpoint(request: { checkpointId: number }): Promise<object> {
    this.calls.push(`trigger ${request.checkpointId}`);
    const subtasks = this.subtasks.map((subtask) => {
      return { subtask, afterEnd: this.ended, rows: 0, bytes: 0, alignmentMs: 0, sourceRecords: 10 };
    });
    const acknowledgement: CheckpointAcknowledgement = {
      attempt: this.attempt,
      taskManagerId: this.id,
      ...request,
      subtasks,
      file: null,
    };
    this.onTrigger(async () => this.jobManager?.acknowledgeCheckpoint(acknowledgement));
    return {};
  }
  async notifyCheckpointComplete(request: { checkpointId: number }): Promise<object> {
    this.calls.push(`complete ${request.checkpointId}`);
    if (this.ended) {
      this.report('finished', true);
      this.endSlots();
    }
    return {};
  }
  async notifyCheckpointAborted(request: { checkpointId: number }): Promise<object> {
    this.calls.push(`aborted ${request.checkpointId}`);
    return {};
  }
  async mergeFiles(): Promise<object> {
    throw new EngineError('NOT_SUPPORTED', 'this task manager merges nothing');
  }
}

const fixedDelay: RestartStrategyOptions = { kind: 'fixed-delay', delayMs: 100, attemptsMax: 2 };

function graphWith(parallelism: number): JobGraph {
  const operator = {
    id: 'v',
    kind: 'source-reader',
    name: 'v',
    idExplicit: true,
    config: {},
    stateful: true,
    upstreamIndex: -1,
    upstreamTag: null,
  } as const;
  return {
    formatVersion: 1,
    name: 'job',
    parameters: {},
    options: {
      parallelism,
      maxParallelism: 128,
      checkpointIntervalMs: 1_000,
      checkpointTimeoutMs: 5_000,
      checkpointsRetained: 2,
      checkpointFailuresMax: 0,
      bufferTimeoutMs: 5,
      restart: fixedDelay,
    },
    vertices: [{ id: 'v', name: 'v', operators: [operator], parallelism }],
    edges: [],
  };
}

interface World {
  readonly clock: ManualClock;
  readonly files: MemoryFileSystem;
  readonly manager: JobManager;
  readonly taskManager: ObedientTaskManager;
  /** Lets time pass until the job has ended. */
  readonly outcome: () => Promise<JobOutcome>;
  /** Lets promises and timers run until a condition holds. */
  until(what: string, condition: () => boolean): Promise<void>;
}

async function world(
  options: {
    files?: MemoryFileSystem;
    resume?: boolean;
    slotCount?: number;
    graphHash?: string;
    adopt?: ObedientTaskManager;
  } = {},
): Promise<World> {
  const files = options.files ?? new MemoryFileSystem();
  await files.makeDirectory('/state');
  const clock = new ManualClock();
  const store = new LocalJobStore({ directory: '/state', objects: new LocalDirectoryStore('/state', files), files });
  const logger = { info: () => undefined, warn: () => undefined };
  const manager = new JobManager({ store, clock, random: () => 0.5, logger, heartbeatTimeoutMs: null });
  const taskManager = options.adopt ?? new ObedientTaskManager('tm');
  taskManager.calls.length = 0;
  taskManager.jobManager = inProcessJobManager(manager.gateway);
  manager.addTaskManager('tm', inProcessTaskManager(taskManager));
  const { jobManager } = taskManager;
  const register = (): Promise<unknown> =>
    jobManager.registerTaskManager({
      taskManagerId: 'tm',
      slotCount: options.slotCount ?? 2,
      host: 'h',
      engineVersion: '0',
      dataHost: 'h',
      rpcAddress: '',
      running: taskManager.running,
    });
  // With what it runs, a task manager is listened to when the job is known.
  if (options.adopt === undefined) await register();
  const ref = { name: 'x', sha256: 'y', bytes: 1 };
  const outcome = manager.submit({
    jobId: 'job',
    graph: graphWith(2),
    graphHash: options.graphHash ?? 'hash',
    graphRef: ref,
    artifactRef: ref,
    resume: options.resume ?? false,
    adopt: options.adopt !== undefined,
  });
  // Looked at later; until then a rejection is not unhandled.
  outcome.catch(() => undefined);
  const until = async (what: string, condition: () => boolean): Promise<void> => {
    for (let round = 0; round < 2_000; round++) {
      if (condition()) return;
      if (round % 20 === 19) clock.fireNext(200_000);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    throw new Error(`never came: ${what}; calls: ${taskManager.calls.join(', ')}`);
  };
  if (options.adopt !== undefined) {
    await until('the job to be known', () => manager.job('job') !== null);
    await register();
  }
  const settled = async (): Promise<JobOutcome> => {
    let done = false;
    outcome.then(
      () => (done = true),
      () => (done = true),
    );
    await until('the end of the job', () => done);
    return outcome;
  };
  return { clock, files, manager, taskManager, outcome: settled, until };
}

test('a job manager runs a bounded job to its end with one final checkpoint', async () => {
  const { taskManager, outcome, until, manager } = await world();
  await until('running', () => manager.job('job')?.progress().state === 'running');
  taskManager.ended = true;
  taskManager.report('running', true);
  const ended = await outcome();
  expect(ended).toMatchObject({ state: 'finished', error: null });
  expect(ended.progress.lastCheckpoint?.id).toBe(1);
  expect(ended.progress.recordsIn).toBe(20);
  expect(taskManager.calls).toEqual(['deploy 1 from nothing', 'connect', 'trigger 1', 'complete 1']);
});

test('a job manager restarts a failed attempt from the newest checkpoint and gives up at the limit of the strategy', async () => {
  const { taskManager, outcome, until } = await world();
  await until('checkpoint 1', () => taskManager.calls.includes('complete 1'));
  for (let failure = 1; failure <= 3; failure++) {
    taskManager.report(
      'failed',
      false,
      new EngineError('USER_FUNCTION_FAILED', 'division by zero', { retry: 'backoff' }),
    );
    if (failure < 3)
      await until(
        `attempt ${failure + 1}`,
        () => taskManager.calls.filter((call) => call === 'connect').length > failure,
      );
  }
  const ended = await outcome();
  expect(ended.state).toBe('failed');
  expect(ended.error?.message).toBe('division by zero');
  expect(ended.progress.restarts).toBe(2);
  expect(taskManager.calls.filter((call) => call.startsWith('deploy'))).toEqual([
    'deploy 1 from nothing',
    expect.stringMatching(/^deploy 2 from job\/manifests\/1-\d+\.manifest$/),
    expect.stringMatching(/^deploy 3 from job\/manifests\/\d-\d+\.manifest$/),
  ]);
});

test('a job manager does not restart when the error says that it cannot help', async () => {
  const { taskManager, outcome, until, manager } = await world();
  await until('running', () => manager.job('job')?.progress().state === 'running');
  taskManager.report('failed', false, new EngineError('JOB_NOT_DETERMINISTIC', 'another graph', { retry: 'backoff' }));
  expect(await outcome()).toMatchObject({
    state: 'failed',
    error: { code: 'JOB_NOT_DETERMINISTIC' },
    progress: { restarts: 0 },
  });
});

test('a job manager stops with a last checkpoint, and a resumed job goes on from it', async () => {
  const first = await world();
  await first.until('running', () => first.manager.job('job')?.progress().state === 'running');
  first.manager.job('job')?.stop();
  const stopped = await first.outcome();
  expect(stopped).toMatchObject({ state: 'stopped', error: null });
  expect(first.taskManager.calls.slice(-3)).toEqual(['trigger 1', 'complete 1', 'cancel']);
  const second = await world({ files: first.files, resume: true });
  await second.until('running', () => second.manager.job('job')?.progress().state === 'running');
  expect(second.taskManager.calls[0]).toBe('deploy 2 from job/manifests/1-1.manifest');
  second.manager.job('job')?.cancel();
  expect((await second.outcome()).state).toBe('canceled');
});

test('a job manager fails with numbers when there are too few slots', async () => {
  const { outcome, clock, until, manager } = await world({ slotCount: 1 });
  await until('submitted', () => manager.job('job') !== null);
  while (clock.fireNext(1_000_000));
  const ended = await outcome();
  expect(ended.state).toBe('failed');
  expect(ended.error?.message).toContain('needs 2 slots, but 1 task managers offer 1');
});

test('a job manager refuses a checkpoint of another graph and an unreadable newest checkpoint', async () => {
  const first = await world();
  await first.until('checkpoint', () => first.taskManager.calls.includes('complete 1'));
  first.manager.job('job')?.stop();
  await first.outcome();
  const changed = await world({ files: first.files, resume: true, graphHash: 'other' });
  expect(await changed.outcome()).toMatchObject({ state: 'failed', error: { code: 'GRAPH_CHANGED' } });
  const newest = first.files.paths
    .filter((path) => path.endsWith('.manifest'))
    .sort()
    .pop() as string;
  (first.files.contents(newest) as Uint8Array)[3] ^= 1;
  const damaged = await world({ files: first.files, resume: true });
  await expect(damaged.outcome()).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
});

test('a job manager refuses state of an earlier run when it was not asked to resume', async () => {
  const first = await world();
  await first.until('checkpoint', () => first.taskManager.calls.includes('complete 1'));
  first.manager.job('job')?.cancel();
  await first.outcome();
  const second = await world({ files: first.files });
  await expect(second.outcome()).rejects.toThrowError(/resume it, or clear its state/);
});

test('a job manager deletes what a crashed run left behind, after its own first checkpoint and nothing that is named', async () => {
  const first = await world();
  await first.until('checkpoint 1', () => first.taskManager.calls.includes('complete 1'));
  first.manager.job('job')?.stop();
  await first.outcome();
  const objects = new LocalDirectoryStore('/state', first.files);
  await objects.put('job/state/1-9-orphan.rows', new Uint8Array(3));
  await objects.put('job/manifests/1-9.manifest', new Uint8Array(3));
  const second = await world({ files: first.files, resume: true });
  await second.until('running', () => second.manager.job('job')?.progress().state === 'running');
  const before = first.files.paths;
  expect(before).toContain('/state/job/state/1-9-orphan.rows');
  const newest = before.filter((path) => path.endsWith('.manifest') && !path.endsWith('1-9.manifest'));
  await second.until('clean-up', () => !first.files.paths.includes('/state/job/manifests/1-9.manifest'));
  expect(first.files.paths).not.toContain('/state/job/state/1-9-orphan.rows');
  expect(first.files.paths).toContain(newest[newest.length - 1]);
  second.manager.job('job')?.cancel();
  await second.outcome();
});

test('a job manager tells a slot how far the sources of other slots are', async () => {
  const { taskManager, outcome, until } = await world();
  await until('running', () => taskManager.calls.includes('connect'));
  const say = async (slotIndex: number, watermarkMs: number, more: Partial<AttemptRef> = {}) => {
    const attempt = { ...taskManager.attempt, ...more };
    const report = { attempt, taskManagerId: 'tm', slotIndex, groups: [{ group: 'g', watermarkMs }] };
    return (await taskManager.jobManager?.reportAlignment(report))?.groups;
  };
  expect(await say(0, 5)).toEqual([{ group: 'g', watermarkMs: Number.POSITIVE_INFINITY }]);
  expect(await say(1, 100)).toEqual([{ group: 'g', watermarkMs: 5 }]);
  // Another job or an older leader has nobody here.
  expect(await say(1, 100, { jobId: 'other' })).toEqual([]);
  expect(await say(1, 100, { leaderEpoch: 0 })).toEqual([]);
  taskManager.ended = true;
  taskManager.report('running', true);
  expect((await outcome()).state).toBe('finished');
});

test('two jobs share the slots of a job manager, the second waits for those of the first', async () => {
  const { manager, taskManager, until, outcome } = await world();
  await until('the first to run', () => manager.job('job')?.progress().state === 'running');
  const ref = { name: 'x', sha256: 'y', bytes: 1 };
  const graph = { ...graphWith(1), name: 'second' };
  const runner = await manager.start({
    jobId: 'second',
    graph,
    graphHash: 'h',
    graphRef: ref,
    artifactRef: ref,
    resume: false,
  });
  expect(runner.progress().state).toBe('created');
  expect(manager.slotPool.supply.freeSlots).toBe(0);
  await expect(
    manager.start({ jobId: 'second', graph, graphHash: 'h', graphRef: ref, artifactRef: ref, resume: false }),
  ).rejects.toMatchObject({ code: 'USAGE' });
  manager.job('job')?.cancel();
  expect((await outcome()).state).toBe('canceled');
  await until('the second to run', () => runner.progress().state === 'running');
  expect(taskManager.attempt.jobId).toBe('second');
  runner.cancel();
  await until('the end of the second', () => runner.ended);
  expect(manager.slotPool.supply.freeSlots).toBe(2);
});

test('a job manager that steps down does and records nothing more', async () => {
  const { manager, taskManager, until, files, outcome } = await world();
  await until('running', () => manager.job('job')?.progress().state === 'running');
  const before = taskManager.calls.length;
  manager.stepDown();
  taskManager.ended = true;
  taskManager.report('failed', false);
  await expect(outcome()).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  expect(taskManager.calls).toHaveLength(before);
  expect(files.paths.some((path) => path.endsWith('/terminal'))).toBe(false);
});

test('a job manager that starts again goes on with an attempt that its task managers still run', async () => {
  const first = await world();
  await first.until('checkpoint 1', () => first.taskManager.calls.includes('complete 1'));
  first.manager.stepDown();
  await expect(first.outcome()).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  const adopted = await world({ files: first.files, resume: true, adopt: first.taskManager });
  await adopted.until('running', () => adopted.manager.job('job')?.progress().state === 'running');
  expect(adopted.manager.job('job')?.progress()).toMatchObject({ attempt: 1, restarts: 0 });
  expect(adopted.taskManager.calls[0]).toBe('adopt 1 with checkpoint 1');
  expect(adopted.taskManager.calls.some((call) => call.startsWith('deploy'))).toBe(false);
  await adopted.until('checkpoint 2', () => adopted.taskManager.calls.includes('complete 2'));
  adopted.manager.job('job')?.cancel();
  expect((await adopted.outcome()).state).toBe('canceled');
});
