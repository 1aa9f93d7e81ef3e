/**
 * `miniCluster`: the engine as it runs for users, in the test's process: a job manager, task managers, a thread for every slot,
 * TCP between slots, checkpoints on disk. Slower than `runJob` by the start of threads, and without control of time; for what
 * only real threads show. The job comes from its file, because threads load it for themselves.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EmbeddedEngine } from '../../../cli/embedded/embedded-engine.ts';
import { prepareJob, type PreparedJob } from '../../../cli/job/prepare-job.ts';
import { prepareOutputs, sinksOf } from '../../../cli/run/prepare-outputs.ts';
import type { Duration } from '../../../client/durations.ts';
import { EngineError } from '../../../core/errors.ts';
import type { JobGraph } from '../../../core/graph/job-graph.ts';
import { slotsNeeded } from '../../../core/graph/slot-sharing.ts';
import { enginePackage } from '../../../taskmanager/artifact/engine-package.ts';
import type { JobParameters } from '../job-parts.ts';
import { ClusterExecution } from './cluster-execution.ts';
import { Deliveries } from './deliveries.ts';

/** Options of {@link miniCluster}. */
export interface MiniClusterOptions {
  /** Task managers, each with a store thread of its own; default 1. */
  readonly taskManagers?: number;
  /** Slots of each task manager; a job needs as many as its largest parallelism. Default 2. */
  readonly slots?: number;
  /** Where keyed state is kept; `cold` keeps as little as possible in the slots. Default `memory`. */
  readonly backend?: 'memory' | 'cold';
  /** Told what the engine logs. Default: nothing is printed. */
  readonly onLog?: (level: 'info' | 'warn', message: string) => void;
}

/** Options of {@link MiniCluster.run}. */
export interface ClusterRunOptions {
  readonly parameters?: JobParameters;
  /** Subtasks of operators that do not set their own; default that of the job. */
  readonly parallelism?: number;
  /** Pause between periodic checkpoints; default that of the job. */
  readonly checkpointInterval?: Duration;
  /** Restarts, without a delay, before the job fails; default 10. A job with `restart: none` is not restarted. */
  readonly restartsMax?: number;
  /** Goes on from the newest checkpoint of the last run of this job in this cluster, where there is one. */
  readonly resume?: boolean;
  /** What relative paths of sources and sinks are resolved against; default the working directory of the process. */
  readonly workingDirectory?: string;
}

/** A cluster in this process; made by {@link miniCluster}. */
export interface MiniCluster {
  /**
   * Starts the job that a file exports by default, one at a time. Resolves when it runs, or has ended already.
   * @param jobFile `new URL('./job.ts', import.meta.url)`, or a path
   * @throws EngineError JOB_INVALID, PARAMETER_INVALID, OUTPUT_OCCUPIED; USAGE when the slots do not suffice or a job runs
   */
  run(jobFile: URL | string, options?: ClusterRunOptions): Promise<ClusterExecution>;
  /** Ends what still runs, as a crash would, and removes all state. */
  close(): Promise<void>;
}

/**
 * A cluster in this process, until it is closed.
 * @throws EngineError USAGE for counts below 1
 */
export async function miniCluster(options: MiniClusterOptions = {}): Promise<MiniCluster> {
  const { taskManagers = 1, slots = 2 } = options;
  requireCount('taskManagers', taskManagers);
  requireCount('slots', slots);
  return new Cluster(await mkdtemp(join(tmpdir(), 'millrace-cluster-')), options);
}

function requireCount(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new EngineError('USAGE', `miniCluster: ${name} is ${String(value)}; give 1 or more`);
}

const restartsMaxDefault = 10;

class Cluster implements MiniCluster {
  readonly #directory: string;
  readonly #options: MiniClusterOptions;
  /**
   * State of the last run of each job, by its name. A resumed run commits once more what its checkpoint held, so what was
   * delivered belongs to the state.
   */
  readonly #states = new Map<string, { readonly directory: string; readonly deliveries: Deliveries }>();
  #runs = 0;
  #starting = false;
  #execution: ClusterExecution | null = null;
  #closed = false;

  constructor(directory: string, options: MiniClusterOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  async run(jobFile: URL | string, options: ClusterRunOptions = {}): Promise<ClusterExecution> {
    this.#requireFree();
    this.#starting = true;
    try {
      // Threads of the last run may still be ending.
      await this.#execution?.close();
      const job = await prepared(jobFile, options);
      this.#requireSlots(job.graph);
      const execution = await this.#start(job, options);
      await execution.started;
      return execution;
    } finally {
      this.#starting = false;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#execution?.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #start(job: PreparedJob, options: ClusterRunOptions): Promise<ClusterExecution> {
    const { taskManagers = 1, slots = 2, backend = 'memory', onLog } = this.#options;
    const { restartsMax = restartsMaxDefault, workingDirectory = process.cwd() } = options;
    const { name } = job.graph;
    const before = options.resume === true ? this.#states.get(name) : undefined;
    if (before === undefined) await prepareOutputs(sinksOf(job.functions), workingDirectory, false);
    const state = before ?? { directory: join(this.#directory, `run-${++this.#runs}`), deliveries: new Deliveries() };
    this.#states.set(name, state);
    const { directory, deliveries } = state;
    let execution: ClusterExecution | null = null;
    const engine = await EmbeddedEngine.start({
      directory,
      workingDirectory,
      taskManagers,
      slots,
      engineVersion: enginePackage().version,
      backend,
      logger: { info: (message) => onLog?.('info', message), warn: (message) => onLog?.('warn', message) },
      onNotice: () => execution?.changed(),
      onDelivery: (channel, id, values) => deliveries.add(channel, id, values),
    });
    const graph = { ...job.graph, options: { ...job.graph.options, restart: quickRestart(job.graph, restartsMax) } };
    const { graphHash, artifact } = job;
    execution = new ClusterExecution(engine, { graph, graphHash, artifact, resume: before !== undefined }, deliveries);
    this.#execution = execution;
    // Closed while the threads were starting.
    if (this.#closed) await execution.close();
    return execution;
  }

  #requireFree(): void {
    if (this.#closed) throw new EngineError('USAGE', 'this mini cluster is closed → make a new one with miniCluster');
    if (this.#starting || this.#execution?.ended === false)
      throw new EngineError(
        'USAGE',
        'a mini cluster runs one job at a time → await finished or stop() of the one before',
      );
  }

  #requireSlots(graph: JobGraph): void {
    const { taskManagers = 1, slots = 2 } = this.#options;
    const needed = slotsNeeded(graph);
    if (needed <= taskManagers * slots) return;
    throw new EngineError(
      'USAGE',
      `job '${graph.name}' needs ${needed} slots and the mini cluster has ${taskManagers * slots} → miniCluster({ slots: ${Math.ceil(needed / taskManagers)} }), or a lower parallelism`,
      { ids: { jobName: graph.name, slotsNeeded: needed } },
    );
  }
}

function prepared(jobFile: URL | string, options: ClusterRunOptions): Promise<PreparedJob> {
  const { parameters = {}, parallelism, checkpointInterval } = options;
  return prepareJob({
    jobFile: typeof jobFile === 'string' && !jobFile.startsWith('file:') ? jobFile : fileURLToPath(jobFile),
    arguments: Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, String(value)])),
    environment: {},
    externals: [],
    parallelism,
    options: checkpointInterval === undefined ? {} : { checkpointIntervalMs: checkpointInterval },
  });
}

/** Tests do not wait for delays between restarts. Restart strategies are no part of the graph hash. */
function quickRestart(graph: JobGraph, attemptsMax: number): JobGraph['options']['restart'] {
  const { restart } = graph.options;
  return restart.kind === 'none' ? restart : { kind: 'fixed-delay', delayMs: 0, attemptsMax };
}
