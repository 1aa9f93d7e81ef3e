/**
 * One term of leadership: the jobs of the cluster as the store has them, each run again or adopted, and the task managers that
 * register. Ends with {@link LeaderTerm.end}; the next term begins from the store alone.
 *
 * A job that cannot be read does not hold up the others: it is failed for good when its checkpoint is unreadable, and tried
 * again when its storage cannot be reached (FLINK-5193).
 */
import { isEngineError, toWireError, type WireError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import { type Peer, taskManagerClient } from '../../proto/rpc/grpc/control-plane.ts';
import type { LogReport, ObjectRef, RegisterTaskManagerRequest } from '../../proto/messages.ts';
import type { TaskManagerGateway } from '../../proto/services.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../clock.ts';
import { type JobLogger, JobManager } from '../job-manager.ts';
import type { JobRunner } from '../job-runner.ts';
import type { JobMasterSettings, JobNotice } from '../model/job-master-protocol.ts';
import type { TerminalJobState } from '../model/job-state.ts';
import { isRestartable } from '../model/restart-policy.ts';
import type { JobRecord, JobStore } from '../store/job-store.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { checkOver, hasSavepoints, historyMaxDefault, JobRemoval, jobsBeyond } from './job-retention.ts';

export interface LeaderTermOptions {
  readonly leaderEpoch: number;
  readonly store: JobStore;
  /** Graphs and artifacts. */
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: JobLogger;
  readonly settings: Partial<JobMasterSettings>;
  readonly heartbeatTimeoutMs: number;
  /** Jobs that are over and are kept; default 100. */
  readonly historyMax?: number;
  /** Of this process, towards task managers. */
  readonly tls: TlsMaterialSource | null;
  /** In clear to other machines as well. */
  readonly insecure: boolean;
  readonly onEvent?: (notice: JobNotice, jobId: string) => void;
  /** Told of what task managers have logged. */
  readonly onLogs?: (report: LogReport) => void;
}

/** A job of the cluster. */
export interface ClusterJob extends CatalogueEntry {
  readonly record: JobRecord;
  terminal: TerminalJobState | null;
  /** Of a job that failed, or that cannot be loaded. */
  error: WireError | null;
  endedAtMs: number | null;
  /** Null until it is loaded, and when it was over before this term. */
  runner: JobRunner | null;
}

const loadRetryMs = 2_000;

export class LeaderTerm {
  readonly epoch: number;
  readonly jobManager: JobManager;
  readonly #options: LeaderTermOptions;
  readonly #jobs: ClusterJob[] = [];
  readonly #peers = new Map<string, Peer>();
  readonly #registrations = new Map<string, RegisterTaskManagerRequest>();
  readonly #timers = new Set<() => void>();
  readonly #removal: JobRemoval;
  #turn: Promise<unknown> = Promise.resolve();
  #retention: Promise<void> = Promise.resolve();
  readonly #over = new AbortController();
  #ended = false;

  private constructor(options: LeaderTermOptions) {
    this.#options = options;
    this.epoch = options.leaderEpoch;
    this.#removal = new JobRemoval(options);
    const { store, clock, random, logger, settings, heartbeatTimeoutMs, leaderEpoch, onEvent, onLogs } = options;
    this.jobManager = new JobManager({
      store,
      clock,
      random,
      logger,
      settings,
      heartbeatTimeoutMs,
      leaderEpoch,
      connect: (request) => this.#connect(request),
      onTaskManagerGone: (taskManagerId) => this.#disconnect(taskManagerId),
      ...(onEvent === undefined ? {} : { onEvent }),
      ...(onLogs === undefined ? {} : { onLogs }),
    });
  }

  /** Reads what jobs there are, and begins to run those that are not over. @throws EngineError when the store cannot be read */
  static async begin(options: LeaderTermOptions): Promise<LeaderTerm> {
    const term = new LeaderTerm(options);
    for (const record of await options.store.readJobs()) {
      const terminal = await options.store.readTerminal(record.jobId);
      const job: ClusterJob = {
        record,
        terminal: terminal?.state ?? null,
        error: terminal?.error ?? null,
        endedAtMs: terminal?.endedAtMs ?? null,
        runner: null,
      };
      term.#jobs.push(job);
    }
    // Task managers may tell of their attempts before a job is read.
    term.jobManager.expect(term.#jobs.filter((job) => job.terminal === null).map((job) => job.record.jobId));
    for (const job of term.#jobs) if (job.terminal === null) void term.#load(job, true);
    term.#retain();
    return term;
  }

  /** In the order of their submission. */
  get jobs(): readonly ClusterJob[] {
    return this.#jobs;
  }

  /** Aborted when this term has ended. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** What task managers have said of themselves. */
  registration(taskManagerId: string): RegisterTaskManagerRequest | null {
    return this.#registrations.get(taskManagerId) ?? null;
  }

  /** Runs a job that was recorded. */
  add(record: JobRecord): ClusterJob {
    const job: ClusterJob = { record, terminal: null, error: null, endedAtMs: null, runner: null };
    this.#jobs.push(job);
    void this.#load(job, false);
    return job;
  }

  /**
   * Forgets a job that is over, with all that is stored of it.
   * @throws EngineError USAGE while it is not over, or while savepoints of it are kept; what the store says, then it may be done again
   */
  forget(job: ClusterJob): Promise<void> {
    return this.exclusively(async () => {
      // Asked twice: the first one has done it.
      if (!this.#jobs.includes(job)) return;
      checkOver(job);
      if ((await this.#remove(job)) === 'kept') throw hasSavepoints(job.record.jobId);
    });
  }

  /** The graph a job runs is another one from now on. Within {@link LeaderTerm.exclusively}. */
  async replaceGraph({ jobId }: JobRecord, graph: ObjectRef): Promise<void> {
    this.#removal.graphReplaced(jobId);
    await this.#options.store.writeGraph(jobId, graph);
  }

  /**
   * Runs one piece of work after the other: two submissions of one name must see each other, and who records an object must
   * not find that it is being removed.
   */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** Whatever runs goes on, under the next leader. */
  end(): void {
    this.#ended = true;
    this.#over.abort();
    for (const clear of this.#timers) clear();
    this.jobManager.stepDown();
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }

  async #load(job: ClusterJob, adopt: boolean): Promise<void> {
    const { record } = job;
    try {
      const { store, objects } = this.#options;
      const graphRef = (await store.readGraph(record.jobId)) ?? record.graphRef;
      const bytes = await objects.get(graphRef);
      const graph = JSON.parse(new TextDecoder().decode(bytes)) as JobGraph;
      const { jobId, graphHash, restorableGraphHashes, artifactRef, workingDirectory } = record;
      const { engineVersion, restoreFrom } = record;
      job.runner = await this.jobManager.start({
        jobId,
        graph,
        graphHash,
        restorableGraphHashes,
        graphRef,
        artifactRef,
        workingDirectory,
        engineVersion,
        restoreFrom,
        resume: true,
        adopt,
      });
      job.error = null;
    } catch (error) {
      return this.#notLoaded(job, adopt, error);
    }
    await this.#watch(job, job.runner);
  }

  async #watch(job: ClusterJob, runner: JobRunner): Promise<void> {
    try {
      const { state, error } = await runner.outcome;
      job.terminal = state;
      job.error = error === null ? null : toWireError(error);
      job.endedAtMs = this.#options.clock.nowMs();
      this.#retain();
    } catch (error) {
      if (this.#ended) return;
      // An invariant broke, or the job was taken over: this leader does nothing with it any more.
      job.error = toWireError(error);
      this.#options.logger.warn(
        `job ${job.record.jobId} is not run by this job manager any more: ${job.error.message}`,
        { job: job.record.jobId },
      );
    }
  }

  async #notLoaded(job: ClusterJob, adopt: boolean, cause: unknown): Promise<void> {
    if (this.#ended) return;
    const error = toWireError(cause);
    const { jobId } = job.record;
    job.error = error;
    const { logger, store, clock } = this.#options;
    if (isRestartable(error) || !isEngineError(cause)) {
      logger.warn(`job ${jobId} cannot be read yet, it is tried again: ${error.message}`, { job: jobId });
      return this.#later(() => void this.#load(job, adopt));
    }
    logger.warn(`job ${jobId} fails, because it cannot be read: ${error.message}`, { job: jobId });
    try {
      const endedAtMs = clock.nowMs();
      const result = await store.recordTerminal(jobId, { state: 'failed', error, endedAtMs }, this.epoch);
      if (result === 'conflict') return;
      job.terminal = 'failed';
      job.endedAtMs = endedAtMs;
      this.jobManager.forget(jobId);
      this.#retain();
    } catch (failure) {
      logger.warn(`the end of job ${jobId} could not be recorded, it is tried again: ${toWireError(failure).message}`, {
        job: jobId,
      });
      this.#later(() => void this.#notLoaded(job, adopt, cause));
    }
  }

  /** Forgets the oldest jobs that are over, when there are more than are kept. */
  #retain(): void {
    this.#retention = this.#retention.then(() => this.#forgetOldest());
  }

  async #forgetOldest(): Promise<void> {
    const { historyMax = historyMaxDefault, logger } = this.#options;
    for (const job of jobsBeyond(this.#jobs, historyMax)) {
      const { jobId } = job.record;
      if (this.#ended) return;
      try {
        const done = await this.exclusively(async () => (this.#jobs.includes(job) ? await this.#remove(job) : 'kept'));
        if (done === 'removed') logger.info(`job ${jobId}, which is over, is forgotten`, { job: jobId });
      } catch (error) {
        // Tried again when the next job ends.
        const why = toWireError(error).message;
        logger.warn(`job ${jobId}, which is over, cannot be forgotten yet: ${why}`, { job: jobId });
      }
    }
  }

  async #remove(job: ClusterJob): Promise<'removed' | 'kept'> {
    const others = this.#jobs.filter((other) => other !== job).map(({ record }) => record);
    const done = await this.#removal.remove(job.record, others);
    if (done === 'kept') return done;
    this.#jobs.splice(this.#jobs.indexOf(job), 1);
    this.jobManager.drop(job.record.jobId);
    return done;
  }

  #later(act: () => void): void {
    const clear = this.#options.clock.setTimer(loadRetryMs, () => {
      this.#timers.delete(clear);
      act();
    });
    this.#timers.add(clear);
  }

  #connect(request: RegisterTaskManagerRequest): TaskManagerGateway {
    const { taskManagerId, rpcAddress } = request;
    const { tls, insecure } = this.#options;
    const peer = taskManagerClient(rpcAddress, { tls, insecure });
    this.#peers.set(taskManagerId, peer);
    this.#registrations.set(taskManagerId, request);
    peer.onLost((error) => {
      if (this.#peers.get(taskManagerId) === peer) this.jobManager.removeTaskManager(taskManagerId, error.message);
    });
    return peer;
  }

  #disconnect(taskManagerId: string): void {
    this.#peers.get(taskManagerId)?.close();
    this.#peers.delete(taskManagerId);
    this.#registrations.delete(taskManagerId);
  }
}
