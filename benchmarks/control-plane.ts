/**
 * What a job of 1,000 subtasks costs its job manager: real job manager, job store and messages (encoded and decoded), task
 * managers that only answer. Their side of the messages is counted too, so the figures are upper bounds.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { JobEdge, JobGraph, JobVertex } from '../core/graph/job-graph.ts';
import { systemClock } from '../jobmanager/clock.ts';
import { JobManager } from '../jobmanager/job-manager.ts';
import { LocalJobStore } from '../jobmanager/store/local-job-store.ts';
import type { DeploySlotsRequest, SubtaskRef, TriggerCheckpointRequest } from '../proto/messages.ts';
import { inProcessJobManager, inProcessTaskManager } from '../proto/rpc/in-process.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../proto/services.ts';
import { LocalDirectoryStore } from '../storage/local-directory.ts';
import { type BenchmarkRow, benchmarkRow, cpuSecondsOf } from './row.ts';

const subtaskCount = 1_000;
const verticesOfJob = 4;
const slotsOfTaskManager = 10;
/** Checkpoints before memory is looked at for the first time, and in all. */
const warmCheckpoints = 200;
const allCheckpoints = 1_000;
const heartbeatsOfTaskManager = 200;

/** Source, two operators and a sink, connected so that nothing is chained and all is one region. */
function graphOf(parallelism: number): JobGraph {
  const vertices: JobVertex[] = Array.from({ length: verticesOfJob }, (_, index) => {
    const id = `vertex-${index}`;
    const kind = index === 0 ? ('source-reader' as const) : ('map' as const);
    const operator = { id, kind, name: id, idExplicit: true, config: {}, stateful: true };
    return { id, name: id, operators: [{ ...operator, upstreamIndex: -1, upstreamTag: null }], parallelism };
  });
  const edges: JobEdge[] = vertices.slice(1).map(({ id }, index) => {
    const from = { sourceVertex: `vertex-${index}`, sourceOperatorIndex: 0, sourceTag: null };
    return { ...from, targetVertex: id, targetInput: 0, partitioner: 'hash' };
  });
  return {
    formatVersion: 1,
    name: 'thousand',
    parameters: {},
    options: {
      parallelism,
      maxParallelism: 1_024,
      checkpointIntervalMs: 1,
      checkpointTimeoutMs: 60_000,
      checkpointsRetained: 2,
      checkpointFailuresMax: 0,
      bufferTimeoutMs: 5,
      restart: { kind: 'none' },
    },
    vertices,
    edges,
  };
}

/** Does at once what it is told, and nothing else. */
class AnsweringTaskManager implements TaskManagerGateway {
  readonly id: string;
  readonly #jobManager: JobManagerGateway;
  #deployed: DeploySlotsRequest | null = null;

  constructor(id: string, jobManager: JobManagerGateway) {
    this.id = id;
    this.#jobManager = jobManager;
  }

  get #subtasks(): SubtaskRef[] {
    return (this.#deployed?.slices ?? []).flatMap((slice) => slice.subtasks);
  }

  async deploySlots(request: DeploySlotsRequest): Promise<object> {
    this.#deployed = request;
    const { attempt } = request;
    for (const { slotIndex } of request.slices) {
      const address = { slotIndex, host: '127.0.0.1', port: 10_000 + slotIndex };
      void this.#jobManager.reportSlotListening({ attempt, taskManagerId: this.id, address });
    }
    return {};
  }

  async connectSlots(): Promise<object> {
    this.#report('running');
    return {};
  }

  #report(state: 'running' | 'finished'): void {
    if (this.#deployed === null) return;
    const base = { attempt: this.#deployed.attempt, taskManagerId: this.id, inputEnded: false, error: null };
    for (const subtask of this.#subtasks) void this.#jobManager.reportSubtaskState({ ...base, subtask, state });
  }

  async triggerCheckpoint({ attempt, checkpointId }: TriggerCheckpointRequest): Promise<object> {
    const subtasks = this.#subtasks.map((subtask) => {
      return { subtask, afterEnd: false, rows: 10, bytes: 1_000, alignmentMs: 1, sourceRecords: 10 };
    });
    const object = { name: `state/${this.id}-${checkpointId}`, sha256: '00'.repeat(32), bytes: 10_000 };
    const file = { object, rows: 100, keyGroupFirst: 0, keyGroupLast: 1_023 };
    void this.#jobManager.acknowledgeCheckpoint({ attempt, taskManagerId: this.id, checkpointId, subtasks, file });
    return {};
  }

  async heartbeat(leaderEpoch: number): Promise<void> {
    const attempt = this.#deployed?.attempt;
    const metrics = this.#subtasks.map((subtask) => ({
      subtask,
      recordsIn: 1_000_000,
      recordsOut: 1_000_000,
      lateRecords: 0,
      watermarkMs: 1_000_000,
      busyMs: 500,
      idleMs: 400,
      backPressuredMs: 100,
      bytesIn: 1_000_000,
      bytesOut: 1_000_000,
      counters: {},
    }));
    const attempts = attempt === undefined ? [] : [{ attempt, metrics }];
    await this.#jobManager.heartbeat({ taskManagerId: this.id, leaderEpoch, attempts });
  }

  async mergeFiles({ attempt, mergeId, inputs }: Parameters<TaskManagerGateway['mergeFiles']>[0]): Promise<object> {
    const object = { name: `base/${mergeId}`, sha256: '00'.repeat(32), bytes: inputs.length };
    const base = { object, rows: 1, keyGroupFirst: 0, keyGroupLast: 1_023 };
    void this.#jobManager.reportMerge({ attempt, taskManagerId: this.id, mergeId, base, error: null });
    return {};
  }

  async cancelAttempt(): Promise<object> {
    const attempt = this.#deployed?.attempt;
    if (attempt === undefined) return {};
    for (const { slotIndex } of this.#deployed?.slices ?? [])
      void this.#jobManager.reportSlotEnded({ attempt, taskManagerId: this.id, slotIndex, error: null });
    return {};
  }

  adoptAttempt = async (): Promise<object> => ({});
  notifyCheckpointComplete = async (): Promise<object> => ({});
  notifyCheckpointAborted = async (): Promise<object> => ({});
}

interface World {
  readonly manager: JobManager;
  readonly taskManagers: readonly AnsweringTaskManager[];
  /** Resolves when so many checkpoints are complete. */
  checkpoints(count: number): Promise<void>;
  readonly running: Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

async function world(subtasks: number): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-control-plane-'));
  const parallelism = subtasks / verticesOfJob;
  let completed = 0;
  let waiting: { readonly count: number; readonly resolve: () => void } | null = null;
  let isRunning = (): void => undefined;
  const running = new Promise<void>((resolve) => (isRunning = resolve));
  const manager = new JobManager({
    store: new LocalJobStore({ directory, objects: new LocalDirectoryStore(directory) }),
    clock: systemClock,
    random: () => 0.5,
    logger: { info: () => undefined, warn: () => undefined },
    heartbeatTimeoutMs: null,
    onEvent: (notice) => {
      if (notice.kind === 'state-changed' && notice.to === 'running') isRunning();
      if (notice.kind !== 'checkpoint-completed') return;
      completed++;
      if (waiting !== null && completed >= waiting.count) waiting.resolve();
    },
  });
  await manager.ready();
  const taskManagers: AnsweringTaskManager[] = [];
  for (let index = 0; index < Math.ceil(parallelism / slotsOfTaskManager); index++) {
    const jobManager = inProcessJobManager(manager.gateway);
    const taskManager = new AnsweringTaskManager(`task-manager-${index}`, jobManager);
    taskManagers.push(taskManager);
    manager.addTaskManager(taskManager.id, inProcessTaskManager(taskManager));
    const address = { host: '127.0.0.1', engineVersion: '0', dataHost: '127.0.0.1', rpcAddress: '', running: [] };
    await jobManager.registerTaskManager({ taskManagerId: taskManager.id, slotCount: slotsOfTaskManager, ...address });
  }
  const ref = { name: 'none', sha256: 'none', bytes: 1 };
  return {
    manager,
    taskManagers,
    running,
    checkpoints: (count) => new Promise((resolve) => (waiting = { count, resolve })),
    start: async () => {
      const graph = graphOf(parallelism);
      await manager.start({ jobId: 'thousand', graph, graphHash: 'h', graphRef: ref, artifactRef: ref, resume: false });
      await running;
    },
    close: async () => {
      const job = manager.job('thousand');
      job?.cancel();
      await job?.outcome;
      manager.stepDown();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Bytes in use after a full collection. */
function liveHeapBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

async function measured(work: () => Promise<void>): Promise<{ readonly seconds: number; readonly cpuSeconds: number }> {
  const begun = performance.now();
  const cpuBefore = cpuSecondsOf();
  await work();
  return { seconds: (performance.now() - begun) / 1000, cpuSeconds: cpuSecondsOf() - cpuBefore };
}

/** From submission until every subtask runs. */
async function deployRow(): Promise<BenchmarkRow> {
  const one = await world(subtaskCount);
  const spent = await measured(() => one.start());
  const row = benchmarkRow({
    benchmark: 'control-plane',
    case: 'deploy',
    parallelism: 250,
    events: subtaskCount,
    ...spent,
    checkpoints: 0,
    checked: one.manager.job('thousand')?.progress().state === 'running',
  });
  await one.close();
  return row;
}

/** Heartbeats with the metrics of all subtasks, of a small and of a large cluster: the cost of one must be the same. */
async function heartbeatRow(subtasks: number): Promise<BenchmarkRow> {
  const one = await world(subtasks);
  await one.start();
  const epoch = one.manager.job('thousand')?.leaderEpoch ?? 0;
  const spent = await measured(async () => {
    for (let beat = 0; beat < heartbeatsOfTaskManager; beat++)
      await Promise.all(one.taskManagers.map((taskManager) => taskManager.heartbeat(epoch)));
  });
  await one.close();
  return benchmarkRow({
    benchmark: 'control-plane',
    case: `heartbeats, ${one.taskManagers.length} task managers`,
    parallelism: 250,
    events: heartbeatsOfTaskManager * one.taskManagers.length,
    ...spent,
    checkpoints: 0,
    checked: true,
  });
}

/** Checkpoints one after the other; `heapGrowthMiB` between the 200th and the last. */
async function checkpointsRow(): Promise<BenchmarkRow> {
  const one = await world(subtaskCount);
  await one.start();
  await one.checkpoints(warmCheckpoints);
  const before = liveHeapBytes();
  const spent = await measured(() => one.checkpoints(allCheckpoints));
  const after = liveHeapBytes();
  await one.close();
  return {
    ...benchmarkRow({
      benchmark: 'control-plane',
      case: 'checkpoints',
      parallelism: 250,
      events: allCheckpoints - warmCheckpoints,
      ...spent,
      checkpoints: allCheckpoints,
      checked: true,
    }),
    heapGrowthMiB: Math.round((after - before) / 104_857.6) / 10,
  };
}

/** Names of cases and how each is measured, in a process of its own. */
export const controlPlaneCases: Readonly<Record<string, () => Promise<BenchmarkRow>>> = {
  deploy: deployRow,
  'heartbeats, 5 task managers': () => heartbeatRow(200),
  'heartbeats, 25 task managers': () => heartbeatRow(subtaskCount),
  checkpoints: checkpointsRow,
};
