/**
 * What clients ask of the leader: objects, submissions, status, wishes. A thin shell; which submission is accepted is decided
 * in `catalogue.ts`, what becomes of a job by its job master.
 */
import { randomBytes } from 'node:crypto';
import { EngineError, isEngineError } from '../../core/errors.ts';
import { graphHash } from '../../core/graph/graph-hash.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { slotsNeeded } from '../../core/graph/slot-sharing.ts';
import type {
  CancelJobRequest,
  ClusterStatus,
  DisposeSavepointRequest,
  ForgetJobRequest,
  GetJobRequest,
  JobStatus,
  JobTotals,
  ListJobsResponse,
  LogLine,
  ObjectHeader,
  ReadObjectRequest,
  ReadObjectResponse,
  RescaleJobRequest,
  RescaleJobResponse,
  StopJobRequest,
  StopJobResponse,
  SubmitJobRequest,
  SubmitJobResponse,
  TailLogsRequest,
  TriggerSavepointRequest,
  TriggerSavepointResponse,
} from '../../proto/client-messages.ts';
import type { Acknowledgement, ObjectRef } from '../../proto/messages.ts';
import type { ClientGateway } from '../../proto/services.ts';
import type { LogBuffer } from '../../operations/log/log-buffer.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../clock.ts';
import type { JobStore } from '../store/job-store.ts';
import { savepointPath } from '../store/savepoint-document.ts';
import { checkJobName, decideSubmission, findJob } from './catalogue.ts';
import type { ClusterJob, LeaderTerm } from './leader-term.ts';
import { Savepoints } from './savepoints.ts';

export interface ClientServiceOptions {
  readonly term: LeaderTerm;
  readonly store: JobStore;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly clusterId: string;
  readonly leaderAddress: string;
  readonly engineVersion: string;
  readonly logs: LogBuffer;
}

/** Largest graph or artifact that is stored. */
export const objectBytesMax = 64 * 1024 * 1024;
/** One part of an object that is read. */
const readBytesMax = 1024 * 1024;
const acknowledged: Acknowledgement = {};
const noTotals: JobTotals = {
  recordsIn: 0,
  recordsOut: 0,
  lateRecords: 0,
  watermarkMs: Number.NEGATIVE_INFINITY,
  counters: {},
};

export class ClientService implements ClientGateway {
  readonly #options: ClientServiceOptions;
  readonly #savepoints: Savepoints;
  /** Objects that are being stored, by name. */
  readonly #storing = new Map<string, Promise<ObjectRef>>();

  constructor(options: ClientServiceOptions) {
    this.#options = options;
    this.#savepoints = new Savepoints(options);
  }

  async putObject(header: ObjectHeader, chunks: AsyncIterable<Uint8Array>): Promise<ObjectRef> {
    const { kind, sha256, bytes } = header;
    if (bytes > objectBytesMax) {
      const message = `the ${kind} of ${bytes} bytes is refused: at most ${objectBytesMax} are taken → bundle less into the job, or read large data from files`;
      throw new EngineError('RECORD_TOO_LARGE', message, { ids: { sha256, bytes } });
    }
    const name = `submissions/${sha256}.${kind === 'graph' ? 'json' : 'mjs'}`;
    const stored = this.#storing.get(name) ?? (await this.#present(name, header));
    if (stored !== null) return stored;
    const storing = this.#store(name, header, chunks);
    this.#storing.set(name, storing);
    try {
      return await storing;
    } finally {
      this.#storing.delete(name);
    }
  }

  async #present(name: string, { sha256, bytes }: ObjectHeader): Promise<ObjectRef | null> {
    for await (const found of this.#options.objects.list(name)) {
      if (found.name === name && found.bytes === bytes) return { name, sha256, bytes };
    }
    return null;
  }

  async #store(name: string, header: ObjectHeader, chunks: AsyncIterable<Uint8Array>): Promise<ObjectRef> {
    const { objects } = this.#options;
    const object = await objects.put(name, chunks);
    if (object.sha256 === header.sha256) return object;
    await objects.delete(name);
    const message = `what arrived of the ${header.kind} has sha256 ${object.sha256}, not ${header.sha256} as was said; send it again`;
    throw new EngineError('PROTOCOL', message, {
      domain: 'external',
      retry: 'backoff',
      ids: { sha256: header.sha256 },
    });
  }

  submitJob(request: SubmitJobRequest): Promise<SubmitJobResponse> {
    return this.#options.term.exclusively(() => this.#submit(request));
  }

  async #submit(request: SubmitJobRequest): Promise<SubmitJobResponse> {
    const { term, store, clock } = this.#options;
    checkJobName(request.name);
    this.#checkVersion(request);
    const decision = decideSubmission(term.jobs, request);
    if (decision.kind === 'known') return { jobId: decision.jobId };
    const graph = await this.#checkGraph(request);
    const { restoreSavepoint, graphHash: hash } = request;
    const start = restoreSavepoint === null ? null : await this.#savepoints.start(restoreSavepoint, graph, hash);
    const record = {
      jobId: `${request.name}-${randomBytes(4).toString('hex')}`,
      name: request.name,
      graphRef: request.graph,
      artifactRef: request.artifact,
      graphHash: request.graphHash,
      restorableGraphHashes: [...request.restorableGraphHashes, ...(start?.graphHashes ?? [])],
      workingDirectory: request.workingDirectory,
      engineVersion: request.engineVersion,
      submittedAtMs: clock.nowMs(),
      idempotencyKey: request.idempotencyKey,
      restoreFrom: start?.restoreFrom ?? null,
    };
    if ((await store.createJob(record)) === 'conflict') {
      const message = `the id ${record.jobId} is taken; submit the job again`;
      throw new EngineError('JOB_EXISTS', message, {
        domain: 'internal',
        retry: 'backoff',
        ids: { jobId: record.jobId },
      });
    }
    term.add(record);
    return { jobId: record.jobId };
  }

  /** Artifacts name the engine they were built with; another one may plan, encode or restore differently. */
  #checkVersion({ name, engineVersion }: SubmitJobRequest): void {
    if (engineVersion === this.#options.engineVersion) return;
    const message = `job "${name}" was built by millrace ${engineVersion}, this cluster runs ${this.#options.engineVersion} → install that version beside the job, or upgrade the cluster`;
    throw new EngineError('JOB_INVALID', message, { ids: { jobName: name, engineVersion } });
  }

  /** What was uploaded must be what was said, before it is recorded that it is to be run. */
  async #checkGraph({ name, graph: ref, graphHash: told, artifact }: SubmitJobRequest): Promise<JobGraph> {
    const { objects } = this.#options;
    const graph = await readGraph(objects, ref);
    const found = graphHash(graph);
    if (graph.name !== name || found !== told) {
      const message = `the graph that was uploaded is of job "${graph.name}" with hash ${found.slice(0, 12)}, but job "${name}" with ${told.slice(0, 12)} was submitted; plan and submit it again`;
      throw new EngineError('JOB_INVALID', message, { ids: { jobName: name } });
    }
    if ((await this.#present(artifact.name, { kind: 'artifact', ...artifact })) === null) {
      const message = `the artifact ${artifact.name} of job "${name}" is not there; submit the job again`;
      throw new EngineError('JOB_INVALID', message, { ids: { jobName: name, object: artifact.name } });
    }
    return graph;
  }

  async listJobs(): Promise<ListJobsResponse> {
    const jobs = [...this.#options.term.jobs].reverse();
    return { jobs: jobs.map((job) => this.#status(job)) };
  }

  async getJob({ job }: GetJobRequest): Promise<JobStatus> {
    return this.#status(this.#find(job));
  }

  async cancelJob({ job }: CancelJobRequest): Promise<Acknowledgement> {
    const found = this.#find(job);
    this.#running(found).cancel();
    return acknowledged;
  }

  async forgetJob({ job }: ForgetJobRequest): Promise<Acknowledgement> {
    await this.#options.term.forget(this.#find(job));
    return acknowledged;
  }

  async stopJob({ job, savepoint, drain }: StopJobRequest): Promise<StopJobResponse> {
    if (drain && savepoint) {
      const message =
        'a job that is drained has ended its input, so nobody could go on from its savepoint → stop it with --savepoint, or with --drain';
      throw new EngineError('USAGE', message);
    }
    const found = this.#find(job);
    const answered = savepoint && found.terminal === 'stopped' ? await this.#stoppedWith(found) : null;
    if (answered !== null) return answered;
    const runner = this.#running(found);
    const taken = savepoint ? await runner.stopWithSavepoint() : null;
    if (drain) runner.drain();
    else if (!savepoint) runner.stop();
    const { state, error, progress } = await runner.outcome;
    if (state === 'failed' && error !== null) throw error;
    return taken ?? { checkpointId: progress.lastCheckpoint?.id ?? null, savepointPath: null };
  }

  /** Asked again, since the answer was lost; null when the job did not end with a savepoint. */
  async #stoppedWith({ record: { jobId } }: ClusterJob): Promise<StopJobResponse | null> {
    const pointer = await this.#options.store.readPointer(jobId);
    const last = pointer?.pinned?.at(-1)?.checkpointId;
    if (pointer === null || last !== pointer.checkpointId) return null;
    const { checkpointId, attempt } = pointer;
    return { checkpointId, savepointPath: savepointPath({ jobId, attempt, checkpointId }) };
  }

  /** Asked again, since the answer was lost, it takes another one. */
  triggerSavepoint({ job }: TriggerSavepointRequest): Promise<TriggerSavepointResponse> {
    return this.#running(this.#find(job)).savepoint();
  }

  async disposeSavepoint({ savepointPath: path }: DisposeSavepointRequest): Promise<Acknowledgement> {
    // No job may begin to rest on it while it is decided.
    const dispose = await this.#options.term.exclusively(() => this.#savepoints.beginDisposal(path));
    await dispose();
    return acknowledged;
  }

  /** The graph is recorded before the job is told, so a leader that comes after goes on with it. */
  async rescaleJob({ job, graph: graphRef }: RescaleJobRequest): Promise<RescaleJobResponse> {
    const { objects } = this.#options;
    const found = this.#find(job);
    const runner = this.#running(found);
    const { record } = found;
    const { term } = this.#options;
    const graph = await readGraph(objects, graphRef);
    const { parallelism, maxParallelism } = graph.options;
    if (graph.name !== record.name || graphHash(graph) !== record.graphHash) {
      const message = `the graph that was uploaded is not the one of job ${record.jobId} with another parallelism; plan it from the artifact of the job`;
      throw new EngineError('GRAPH_CHANGED', message, { ids: { jobId: record.jobId } });
    }
    const widest = Math.max(...graph.vertices.map((vertex) => vertex.parallelism));
    if (parallelism > maxParallelism || widest > maxParallelism) {
      const message = `job ${record.jobId} cannot run with parallelism ${Math.max(parallelism, widest)}: its maxParallelism is ${maxParallelism}, which cannot change while there is state`;
      throw new EngineError('USAGE', message, { ids: { jobId: record.jobId, maxParallelism } });
    }
    // Asked again, or what is so already.
    if (isSameParallelism(runner.graph, graph)) return { checkpointId: runner.progress().lastCheckpoint?.id ?? 0 };
    await term.exclusively(async () => {
      // Its object may have been of a job that was forgotten meanwhile.
      await (await objects.openRead(graphRef)).close();
      await term.replaceGraph(record, graphRef);
    });
    return { checkpointId: await runner.rescale(graph, graphRef) };
  }

  async readObject({ job, kind, offset }: ReadObjectRequest): Promise<ReadObjectResponse> {
    const { store, objects } = this.#options;
    const { record } = this.#find(job);
    const ref = kind === 'artifact' ? record.artifactRef : ((await store.readGraph(record.jobId)) ?? record.graphRef);
    const opened = await objects.openRead(ref);
    try {
      const length = Math.max(0, Math.min(readBytesMax, ref.bytes - offset));
      return { object: ref, data: length === 0 ? new Uint8Array() : await opened.read(offset, length) };
    } finally {
      await opened.close();
    }
  }

  async getCluster(): Promise<ClusterStatus> {
    const { term, clusterId, leaderAddress, engineVersion, clock } = this.#options;
    const nowMs = clock.nowMs();
    const taskManagers = term.jobManager.slotPool.taskManagers.map((one) => {
      const registration = term.registration(one.taskManagerId);
      return {
        id: one.taskManagerId,
        host: registration?.host ?? '',
        slots: one.slotCount,
        freeSlots: one.freeSlots,
        lastHeardMs: Math.max(0, nowMs - one.lastHeardMs),
        engineVersion: registration?.engineVersion ?? '',
      };
    });
    return { clusterId, leaderEpoch: term.epoch, leaderAddress, engineVersion, taskManagers };
  }

  /** Lines of the leader and of the task managers that have registered with it. Whoever follows is cut off when it leads no more. */
  async *tailLogs(request: TailLogsRequest, signal: AbortSignal): AsyncIterable<LogLine> {
    const job = request.job === null ? null : this.#find(request.job).record.jobId;
    const { over } = this.#options.term;
    yield* this.#options.logs.tail({ ...request, job, signal: AbortSignal.any([signal, over]) });
    if (!over.aborted || signal.aborted) return;
    const message = 'this job manager no longer leads; another one has the log from now on, ask again';
    throw new EngineError('NOT_LEADER', message, { domain: 'external', retry: 'backoff' });
  }

  #find(job: string): ClusterJob {
    return findJob(this.#options.term.jobs, job);
  }

  #running(job: ClusterJob): NonNullable<ClusterJob['runner']> {
    const { jobId } = job.record;
    if (job.terminal !== null) {
      throw new EngineError('USAGE', `job ${jobId} is ${job.terminal} already`, { ids: { jobId } });
    }
    if (job.runner !== null) return job.runner;
    const why = job.error === null ? 'it is being read' : job.error.message;
    const message = `job ${jobId} is not run yet: ${why}; try again`;
    throw new EngineError('CLUSTER_UNAVAILABLE', message, { domain: 'external', retry: 'backoff', ids: { jobId } });
  }

  #status(job: ClusterJob): JobStatus {
    const { record, runner } = job;
    const progress = runner?.progress() ?? null;
    const graph = runner?.graph ?? null;
    const { supply } = this.#options.term.jobManager.slotPool;
    const state = job.terminal ?? progress?.state ?? 'created';
    const needed = graph === null ? 0 : slotsNeeded(graph);
    const waits = state === 'created' || (state === 'restarting' && runner?.waitsForSlots === true);
    return {
      jobId: record.jobId,
      name: record.name,
      state,
      attempt: progress?.attempt ?? 0,
      restarts: progress?.restarts ?? 0,
      submittedAtMs: record.submittedAtMs,
      endedAtMs: job.endedAtMs,
      error: job.error ?? runner?.lastFailure ?? null,
      parallelism: graph?.options.parallelism ?? 0,
      maxParallelism: graph?.options.maxParallelism ?? 0,
      slotsNeeded: needed,
      slotsMissing: waits ? Math.max(0, needed - supply.freeSlots) : 0,
      progress: progress === null ? noTotals : totalsOf(progress),
      lastCheckpoint: progress?.lastCheckpoint ?? null,
      vertices: runner?.vertices() ?? [],
    };
  }
}

function isSameParallelism(one: JobGraph, other: JobGraph): boolean {
  const of = ({ vertices }: JobGraph): string =>
    JSON.stringify(vertices.map(({ id, parallelism }) => [id, parallelism]));
  return of(one) === of(other);
}

function totalsOf({ recordsIn, recordsOut, lateRecords, watermarkMs, counters }: JobTotals): JobTotals {
  return { recordsIn, recordsOut, lateRecords, watermarkMs, counters };
}

/** @throws EngineError JOB_INVALID when it is not a graph */
async function readGraph(objects: ObjectStore, ref: ObjectRef): Promise<JobGraph> {
  try {
    return JSON.parse(new TextDecoder().decode(await objects.get(ref))) as JobGraph;
  } catch (cause) {
    if (isEngineError(cause)) throw cause;
    const message = `the object ${ref.name} is not a job graph; plan and submit the job again`;
    throw new EngineError('JOB_INVALID', message, { cause, ids: { object: ref.name } });
  }
}
