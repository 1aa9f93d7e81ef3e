/** A real leader with its HTTP listener on this machine, and a task manager that does at once what it is told. */
import { LogBuffer } from '../../operations/log/log-buffer.ts';
import { createHash } from 'node:crypto';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { EngineError, toWireError } from '../../core/errors.ts';
import { graphHash } from '../../core/graph/graph-hash.ts';
import type { HttpServerOptions } from '../../operations/http/http-server.ts';
import type { DeploySlotsRequest, LogReport, SubtaskRef } from '../../proto/messages.ts';
import { inProcessTaskManager } from '../../proto/rpc/in-process.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../../proto/services.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { systemClock } from '../clock.ts';
import { ClientService } from '../cluster/client-service.ts';
import { LeaderTerm } from '../cluster/leader-term.ts';
import type { JobNotice } from '../model/job-master-protocol.ts';
import { LocalJobStore } from '../store/local-job-store.ts';
import { JobManagerHttp, type ObservedTerm } from './job-manager-http.ts';

const logger = { info: () => undefined, warn: () => undefined };

export function graph(name: string): JobGraph {
  const operator = {
    id: 'v',
    kind: 'source-reader',
    name: 'numbers',
    idExplicit: true,
    config: {},
    stateful: true,
    upstreamIndex: -1,
    upstreamTag: null,
  } as const;
  return {
    formatVersion: 1,
    name,
    parameters: {},
    options: {
      parallelism: 2,
      maxParallelism: 128,
      checkpointIntervalMs: 5,
      checkpointTimeoutMs: 60_000,
      checkpointsRetained: 2,
      checkpointFailuresMax: 0,
      bufferTimeoutMs: 5,
      restart: { kind: 'fixed-delay', delayMs: 0, attemptsMax: 10 },
    },
    vertices: [{ id: 'v', name: 'numbers', operators: [operator], parallelism: 2 }],
    edges: [],
  };
}

/** Runs nothing: says what it is told to say. */
class ObedientTaskManager implements TaskManagerGateway {
  readonly #jobManager: JobManagerGateway;
  #deployed: DeploySlotsRequest | null = null;

  constructor(jobManager: JobManagerGateway) {
    this.#jobManager = jobManager;
  }

  async register(): Promise<void> {
    await this.#jobManager.registerTaskManager({
      taskManagerId: 'tm-1',
      slotCount: 4,
      host: 'localhost',
      engineVersion: '1',
      dataHost: 'localhost',
      rpcAddress: '',
      running: [],
    });
  }

  async heartbeat(): Promise<void> {
    const { attempt } = this.#request;
    const metrics = this.#subtasks.map((subtask) => ({
      subtask,
      recordsIn: 100,
      recordsOut: 90,
      bytesIn: 1_000,
      bytesOut: 900,
      lateRecords: 1,
      watermarkMs: Number.NEGATIVE_INFINITY,
      busyMs: 30,
      idleMs: 60,
      backPressuredMs: 10,
      counters: { odd: 50 },
    }));
    const attempts = [{ attempt, metrics }];
    await this.#jobManager.heartbeat({ taskManagerId: 'tm-1', leaderEpoch: 7, attempts });
  }

  async fail(): Promise<void> {
    const { attempt } = this.#request;
    const [subtask] = this.#subtasks;
    const error = toWireError(new EngineError('USER_FUNCTION_FAILED', 'odd', { retry: 'backoff' }));
    await this.#jobManager.reportSubtaskState({
      attempt,
      taskManagerId: 'tm-1',
      subtask: subtask as SubtaskRef,
      state: 'failed',
      inputEnded: false,
      error,
    });
  }

  async deploySlots(request: DeploySlotsRequest): Promise<object> {
    this.#deployed = request;
    for (const { slotIndex } of request.slices) {
      const address = { slotIndex, host: 'localhost', port: 7_000 + slotIndex };
      void this.#jobManager.reportSlotListening({ attempt: request.attempt, taskManagerId: 'tm-1', address });
    }
    return {};
  }

  async connectSlots(): Promise<object> {
    const { attempt } = this.#request;
    for (const subtask of this.#subtasks) {
      const report = {
        attempt,
        taskManagerId: 'tm-1',
        subtask,
        state: 'running',
        inputEnded: false,
        error: null,
      } as const;
      void this.#jobManager.reportSubtaskState(report);
    }
    return {};
  }

  async cancelAttempt(): Promise<object> {
    const { attempt, slices } = this.#request;
    for (const { slotIndex } of slices)
      void this.#jobManager.reportSlotEnded({ attempt, taskManagerId: 'tm-1', slotIndex, error: null });
    return {};
  }

  async triggerCheckpoint({ checkpointId }: { checkpointId: number }): Promise<object> {
    const subtasks = this.#subtasks.map((subtask) => {
      return { subtask, afterEnd: false, rows: 3, bytes: 48, alignmentMs: subtask.subtaskIndex, sourceRecords: 10 };
    });
    const { attempt } = this.#request;
    void this.#jobManager.acknowledgeCheckpoint({ attempt, taskManagerId: 'tm-1', checkpointId, subtasks, file: null });
    return {};
  }

  notifyCheckpointComplete = async (): Promise<object> => ({});
  notifyCheckpointAborted = async (): Promise<object> => ({});
  mergeFiles = async (): Promise<object> => ({});
  adoptAttempt = async (): Promise<object> => ({});

  get #request(): DeploySlotsRequest {
    if (this.#deployed === null) throw new Error('nothing is deployed');
    return this.#deployed;
  }

  get #subtasks(): SubtaskRef[] {
    return this.#request.slices.flatMap((slice) => [...slice.subtasks]);
  }
}

export interface HttpWorld {
  readonly term: LeaderTerm;
  readonly clients: ClientService;
  readonly logs: LogBuffer;
  readonly http: JobManagerHttp;
  readonly taskManager: ObedientTaskManager;
  /** Submits a job. @returns its id */
  submit(name: string): Promise<string>;
  /** Resolves with the next notice of a kind. */
  next(kind: JobNotice['kind']): Promise<JobNotice>;
  /** From now on this process is a standby. */
  loseLead(leader: string): void;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  stop(): Promise<void>;
}

export async function httpWorld(options: Partial<HttpServerOptions> = {}): Promise<HttpWorld> {
  const files = new MemoryFileSystem();
  await files.makeDirectory('/state');
  const objects = new LocalDirectoryStore('/state', files);
  const store = new LocalJobStore({ directory: '/state', objects, files });
  const waiting: { kind: string; resolve: (notice: JobNotice) => void }[] = [];
  let http: JobManagerHttp | null = null;
  const onEvent = (notice: JobNotice, jobId: string): void => {
    http?.noticed(notice, jobId);
    for (const waiter of waiting.filter(({ kind }) => kind === notice.kind)) {
      waiting.splice(waiting.indexOf(waiter), 1);
      waiter.resolve(notice);
    }
  };
  const common = { store, objects, clock: systemClock, engineVersion: '1' };
  const more = { random: Math.random, logger, settings: {}, heartbeatTimeoutMs: 60_000, tls: null, insecure: false };
  const logs = new LogBuffer();
  const onLogs = (report: LogReport): void => logs.addReport(report);
  const term = await LeaderTerm.begin({ ...common, ...more, leaderEpoch: 7, onEvent, onLogs });
  const clients = new ClientService({
    ...common,
    logs,
    term,
    clusterId: 'c',
    leaderAddress: 'localhost:1',
  });
  const { jobManager } = term;
  const observed: ObservedTerm = {
    jobManager,
    clients,
    jobs: () =>
      term.jobs.map(({ record, terminal, runner }) => {
        return { jobId: record.jobId, state: terminal ?? runner?.progress().state ?? 'created' };
      }),
  };
  let leader: string | null = null;
  http = await JobManagerHttp.start({
    host: '127.0.0.1',
    port: 0,
    tls: null,
    authorize: () => undefined,
    logger,
    nowMs: () => Date.now(),
    ready: () => leader !== '',
    term: () => {
      if (leader === null) return observed;
      const ids: Record<string, string> = leader === '' ? {} : { leaderAddress: leader };
      throw new EngineError('NOT_LEADER', 'ask there', { retry: 'backoff', ids });
    },
    ...options,
  });
  const taskManager = new ObedientTaskManager(jobManager.gateway);
  jobManager.addTaskManager('tm-1', inProcessTaskManager(taskManager));
  await taskManager.register();
  const put = (kind: 'graph' | 'artifact', text: string) => {
    const data = new TextEncoder().encode(text);
    const sha256 = createHash('sha256').update(data).digest('hex');
    return clients.putObject({ kind, sha256, bytes: data.length }, chunksOf(data));
  };
  const { address } = http;
  return {
    term,
    clients,
    logs,
    http,
    taskManager,
    submit: async (name) => {
      const planned = graph(name);
      const { jobId } = await clients.submitJob({
        name,
        graph: await put('graph', JSON.stringify(planned)),
        artifact: await put('artifact', 'export {};'),
        graphHash: graphHash(planned),
        restorableGraphHashes: [],
        engineVersion: '1',
        workingDirectory: '/',
        restoreSavepoint: null,
        idempotencyKey: name,
      });
      return jobId;
    },
    next: (kind) => new Promise((resolve) => waiting.push({ kind, resolve })),
    loseLead: (address) => {
      leader = address;
    },
    get: (path, headers = {}) => fetch(`http://${address}${path}`, { headers }),
    stop: async () => {
      term.end();
      await (http as JobManagerHttp).stop();
    },
  };
}

async function* chunksOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
