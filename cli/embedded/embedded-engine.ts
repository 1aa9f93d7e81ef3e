/**
 * One job manager and its task managers in this process, over a local directory: what `millrace run` and the mini cluster of
 * `millrace/testing` are made of. The same code as a cluster; messages between them are encoded and decoded.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConnectorLogger } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import { systemClock } from '../../jobmanager/clock.ts';
import { JobManager, type JobOutcome } from '../../jobmanager/job-manager.ts';
import type { JobRunner } from '../../jobmanager/job-runner.ts';
import type { JobProgress } from '../../jobmanager/job-progress.ts';
import type { JobNotice } from '../../jobmanager/model/job-master-protocol.ts';
import { LocalJobStore } from '../../jobmanager/store/local-job-store.ts';
import { inProcessJobManager, inProcessTaskManager } from '../../proto/rpc/in-process.ts';
import type { TaskManagerGateway } from '../../proto/services.ts';
import { recordsWrittenCounter } from '../../runtime/slot/slot-runtime.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { onlyJobManager } from '../../taskmanager/leader/leader-session.ts';
import { TaskManager } from '../../taskmanager/task-manager.ts';
import type { PortRange, RunOutcome, RunProgress } from './run-types.ts';

const heartbeatIntervalMs = 250;
/** Failures in a row to write the job's own records, half a second apart, before a run gives up: a full disk stays full. */
const storeFailuresMax = 4;
/** A subtask that does not return to its slot loop for this long is ended, in ms. */
const slotStuckTimeoutMs = 60_000;

export interface EmbeddedEngineOptions {
  /** Root of the object store; made when it is missing. Belongs to this engine alone. */
  readonly directory: string;
  /** What relative paths in connector options are resolved against. */
  readonly workingDirectory: string;
  readonly taskManagers: number;
  /** Of each task manager. */
  readonly slots: number;
  readonly engineVersion: string;
  readonly slotStuckTimeoutMs?: number | undefined;
  readonly dataPorts?: PortRange | null | undefined;
  readonly backend: 'memory' | 'cold';
  readonly logger: ConnectorLogger;
  onNotice?(notice: JobNotice): void;
  /** Values handed over by `collect()` sinks, at most once per id. */
  onDelivery(channel: string, id: string, values: readonly unknown[]): void;
}

/** A planned job with its artifact. */
export interface EmbeddedJob {
  readonly graph: JobGraph;
  readonly graphHash: string;
  readonly restorableGraphHashes?: readonly string[];
  readonly artifact: { readonly path: string } | { readonly code: Uint8Array };
  readonly resume: boolean;
}

export class EmbeddedEngine {
  readonly jobManager: JobManager;
  readonly #objects: LocalDirectoryStore;
  readonly #taskManagers: TaskManager[] = [];
  #runner: JobRunner | null = null;

  /** Use {@link EmbeddedEngine.start}. */
  private constructor(jobManager: JobManager, objects: LocalDirectoryStore) {
    this.jobManager = jobManager;
    this.#objects = objects;
  }

  /** Starts the threads; task managers offer slots after {@link EmbeddedEngine.register}. */
  static async start(options: EmbeddedEngineOptions): Promise<EmbeddedEngine> {
    const { directory, logger } = options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const objects = new LocalDirectoryStore(directory);
    let engine: EmbeddedEngine | null = null;
    const jobManager = new JobManager({
      store: new LocalJobStore({ directory, objects }),
      clock: systemClock,
      random: Math.random,
      logger: { info: (message) => logger.info(message), warn: (message) => logger.warn(message) },
      // Task managers live in this process: silence means a busy machine, not a lost one.
      settings: { storeFailuresMax },
      heartbeatTimeoutMs: null,
      connect: ({ taskManagerId }) => (engine as EmbeddedEngine).#gatewayOf(taskManagerId),
      onEvent: (notice) => options.onNotice?.(notice),
    });
    engine = new EmbeddedEngine(jobManager, objects);
    try {
      await engine.#startTaskManagers(options);
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  async #startTaskManagers(options: EmbeddedEngineOptions): Promise<void> {
    const { directory, logger } = options;
    const clusterId = randomBytes(32).toString('hex');
    const delivered = new Set<string>();
    for (let index = 0; index < options.taskManagers; index++) {
      const taskManager = await TaskManager.start({
        slotCount: options.slots,
        host: '127.0.0.1',
        jobManagers: onlyJobManager(inProcessJobManager(this.jobManager.gateway)),
        store: this.#objects,
        storage: { kind: 'directory', directory },
        artifactDirectory: join(directory, 'local', 'artifacts'),
        workingDirectory: options.workingDirectory,
        backend: options.backend,
        clusterId,
        engineVersion: options.engineVersion,
        heartbeatIntervalMs,
        slotStuckTimeoutMs: options.slotStuckTimeoutMs ?? slotStuckTimeoutMs,
        dataPorts: options.dataPorts ?? null,
        checkImmutability: true,
        onLog: (level, message) => logger[level](message),
        onDelivery: (channel, id, values) => {
          const key = `${channel}\u0000${id}`;
          if (delivered.has(key)) return;
          delivered.add(key);
          options.onDelivery(channel, id, values);
        },
      });
      this.#taskManagers.push(taskManager);
    }
  }

  /** A task manager that was given up comes back under another id. */
  #gatewayOf(taskManagerId: string): TaskManagerGateway {
    const found = this.#taskManagers.find((taskManager) => taskManager.id === taskManagerId);
    if (found !== undefined) return inProcessTaskManager(found);
    const message = `task manager ${taskManagerId} is not one of this engine`;
    throw new EngineError('PROTOCOL', message, { domain: 'internal', ids: { taskManagerId } });
  }

  /** Task managers offer their slots. */
  async register(): Promise<void> {
    await this.jobManager.ready();
    for (const taskManager of this.#taskManagers) await taskManager.register();
  }

  /**
   * Stores graph and artifact, and runs the job to its end.
   * @param stop aborted to end it with a last checkpoint
   * @throws EngineError when it could not be started
   */
  async run(job: EmbeddedJob, stop: AbortSignal): Promise<RunOutcome> {
    const { graph, graphHash, restorableGraphHashes = [], artifact, resume } = job;
    const submissions = `${jobDirectoryName(graph.name)}/submissions/`;
    // The directory is this run's alone: what earlier runs submitted is read by nobody any more.
    for await (const { name } of this.#objects.list(submissions)) await this.#objects.delete(name);
    const jobPath = `${submissions}${randomUUID()}`;
    const graphRef = await this.#objects.put(`${jobPath}/graph.json`, Buffer.from(JSON.stringify(graph)));
    const code = 'code' in artifact ? artifact.code : await readFile(artifact.path);
    const artifactRef = await this.#objects.put(`${jobPath}/artifact.mjs`, code);
    // The directory belongs to the jobs of this engine alone, so a name says which one.
    const jobId = graph.name;
    const runner = await this.jobManager.start({
      jobId,
      graph,
      graphHash,
      restorableGraphHashes,
      graphRef,
      artifactRef,
      resume,
    });
    this.#runner = runner;
    const requestStop = (): void => runner.stop();
    stop.addEventListener('abort', requestStop);
    try {
      // Before the job was started there was nothing to stop.
      if (stop.aborted) requestStop();
      return runOutcome(await runner.outcome);
    } finally {
      stop.removeEventListener('abort', requestStop);
    }
  }

  /** Null while no job runs. */
  get progress(): RunProgress | null {
    return this.#runner === null ? null : runProgress(this.#runner.progress());
  }

  /** Ends the job at once. */
  cancel(): void {
    this.#runner?.cancel();
  }

  /**
   * Takes a checkpoint besides the periodic ones.
   * @returns its id: triggered after this call, and complete
   * @throws EngineError CHECKPOINT_FAILED when it was given up, or the job ended before; USAGE when no job runs
   */
  async checkpoint(): Promise<number> {
    if (this.#runner === null) throw new EngineError('USAGE', 'no job runs here → ask for a checkpoint while one does');
    return await this.#runner.checkpoint();
  }

  /** Slots in which subtasks run. */
  get liveSlots(): readonly number[] {
    return this.#taskManagers.flatMap((taskManager) => taskManager.liveSlots).sort((a, b) => a - b);
  }

  /** Ends the thread of a slot as a crash would; false when there is no such slot. */
  killSlot(slotIndex: number): boolean {
    return this.#taskManagers.some((taskManager) => taskManager.killSlot(slotIndex));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#taskManagers.map((taskManager) => taskManager.stop()));
  }
}

function runOutcome({ state, error, progress }: JobOutcome): RunOutcome {
  if (state === 'finished' || state === 'stopped' || state === 'failed' || state === 'canceled')
    return { state, error, progress: runProgress(progress) };
  throw new EngineError('INTERNAL', `a job ended in state '${String(state)}'`, { domain: 'internal' });
}

function runProgress(progress: JobProgress): RunProgress {
  const { [recordsWrittenCounter]: recordsOut = 0, ...counters } = progress.counters;
  return { ...progress, recordsOut, counters };
}
