/**
 * A cluster as typed functions: what `millrace submit`, `list` and the others do. It knows addresses of job managers, finds
 * the one that leads, and follows when another one takes over.
 *
 * Every request may be sent twice, when a job manager went away before it answered: all of them are idempotent (a submission
 * by its key), but for a savepoint, of which there are then two.
 */
import { createHash, randomUUID } from 'node:crypto';
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { fixedTlsMaterial, type TlsMaterial, type TlsMaterialSource } from '../../core/tls-material.ts';
import type { ClusterStatus, JobStatus, LogLine, ObjectKind } from '../../proto/client-messages.ts';
import type { ObjectRef } from '../../proto/messages.ts';
import { clusterGateway } from '../../proto/rpc/grpc/client-service.ts';
import type { Peer } from '../../proto/rpc/grpc/control-plane.ts';
import type { ClientGateway } from '../../proto/services.ts';
import { LeaderSearch, type SearchStep } from './leader-search.ts';

/** Where a cluster is and what its users show. */
export interface ClusterClientOptions {
  /** Addresses of its job managers, `host:port`; one that works is enough. */
  readonly jobManagers: readonly string[];
  /** A token of a role that may do what is asked. Needs TLS, or a cluster on this machine. */
  readonly token?: string | null;
  /** Without it, only a cluster on this machine is spoken to. */
  readonly tls?: TlsMaterial | TlsMaterialSource | null;
  /** Speaks in clear with other machines: everybody on the way reads the token, and may change what is submitted. */
  readonly insecure?: boolean;
  /** How long a request waits while no job manager leads, in milliseconds; default 15 s. */
  readonly patienceMs?: number;
}

/** A planned and bundled job, and how it is to run. */
export interface Submission {
  /** As planned; its name is the name of the job. */
  readonly graph: JobGraph;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job whose state means the same to this one; none when absent. */
  readonly restorableGraphHashes?: readonly string[];
  /** The bundle that slots load. */
  readonly artifact: Uint8Array;
  /** Version of the engine that planned it. */
  readonly engineVersion: string;
  /** Absolute; relative paths of connectors are resolved against it. */
  readonly workingDirectory: string;
  /** Path of a savepoint to go on from; absent: a fresh start. */
  readonly restoreSavepoint?: string | null;
  /** The same key submits the same job once, however often it is sent; default: a new one for each call. */
  readonly idempotencyKey?: string;
}

/** Which log lines to read. */
export interface LogOptions {
  /** Id or name of a job; absent: all. */
  readonly job?: string | null;
  /** Absent: of all processes. */
  readonly taskManagerId?: string | null;
  /** How many of those logged before; default 100. */
  readonly lines?: number;
  /** And those logged from now on, until `signal`. */
  readonly follow?: boolean;
  /** Ends the reading. */
  readonly signal?: AbortSignal;
}

const patienceDefaultMs = 15_000;
const logLinesDefault = 100;

type Connection = ClientGateway & Peer;

/** A connection to a cluster. Jobs are named by their id, or by their name for the newest one of that name. */
export class ClusterClient {
  readonly #options: ClusterClientOptions;
  readonly #connections = new Map<string, Connection>();
  #leader: string | null = null;
  #closed = false;

  private constructor(options: ClusterClientOptions) {
    this.#options = options;
  }

  /**
   * Finds the cluster and the job manager that leads it.
   * @throws EngineError CLUSTER_UNAVAILABLE naming each address and why; CONFIG_INVALID for addresses that are none;
   *   UNAUTHENTICATED, FORBIDDEN
   */
  static async connect(options: ClusterClientOptions): Promise<ClusterClient> {
    if (options.jobManagers.length === 0) {
      throw new EngineError('CONFIG_INVALID', 'no job managers are named; give host:port of at least one');
    }
    const client = new ClusterClient(options);
    try {
      await client.cluster();
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  /**
   * Stores graph and artifact, and hands the job to the cluster, which runs it from then on.
   * @throws EngineError JOB_EXISTS while a job of that name runs; SAVEPOINT_NOT_FOUND, SAVEPOINT_UNREADABLE, SAVEPOINT_REFUSED
   *   for a savepoint that this job cannot start from: then nothing was started
   */
  async submit(job: Submission): Promise<{ readonly jobId: string }> {
    const { name } = job.graph;
    const graph = await this.#put('graph', Buffer.from(JSON.stringify(job.graph)));
    const artifact = await this.#put('artifact', job.artifact);
    const { graphHash, restorableGraphHashes = [], engineVersion, workingDirectory } = job;
    const restoreSavepoint = job.restoreSavepoint ?? null;
    const idempotencyKey = job.idempotencyKey ?? randomUUID();
    const objects = { graph, artifact, graphHash, restorableGraphHashes };
    const request = { name, ...objects, engineVersion, workingDirectory, restoreSavepoint, idempotencyKey };
    return await this.#ask((gateway) => gateway.submitJob(request));
  }

  /** Jobs that run and those that have ended, newest first. */
  async list(): Promise<readonly JobStatus[]> {
    const { jobs } = await this.#ask((gateway) => gateway.listJobs({}));
    return jobs;
  }

  /** @throws EngineError JOB_NOT_FOUND */
  status(job: string): Promise<JobStatus> {
    return this.#ask((gateway) => gateway.getJob({ job }));
  }

  /** Ends a job without a last checkpoint. Answers when the wish is recorded; `status` tells when it has ended. */
  async cancel(job: string): Promise<void> {
    await this.#ask((gateway) => gateway.cancelJob({ job }));
  }

  /**
   * Removes a job that is over, with its checkpoints.
   * @throws EngineError USAGE while it is not over, or while savepoints of it are kept
   */
  async forget(job: string): Promise<void> {
    await this.#ask((gateway) => gateway.forgetJob({ job }));
  }

  /**
   * Ends a job after one last checkpoint, with all output committed.
   * @param options `savepoint`: keep what it ends with, for a later restore; when that fails, the job runs on. `drain`: end
   *   event time first, so that open windows and timers fire; the job is finished then, and nobody can go on from there
   */
  stop(
    job: string,
    options: { readonly savepoint?: boolean; readonly drain?: boolean } = {},
  ): Promise<{ readonly checkpointId: number | null; readonly savepointPath: string | null }> {
    const { savepoint = false, drain = false } = options;
    return this.#ask((gateway) => gateway.stopJob({ job, savepoint, drain }));
  }

  /**
   * Keeps the state of a job that runs on, until the savepoint is disposed of. Answers when it is complete.
   * @returns the path that `restoreSavepoint` of a submission takes
   * @throws EngineError CHECKPOINT_FAILED when it could not be taken; the job runs on
   */
  savepoint(job: string): Promise<{ readonly checkpointId: number; readonly savepointPath: string }> {
    return this.#ask((gateway) => gateway.triggerSavepoint({ job }));
  }

  /**
   * Gives a savepoint up: what nothing else needs of it is deleted.
   * @throws EngineError SAVEPOINT_NOT_FOUND; SAVEPOINT_IN_USE naming the job that rests on it
   */
  async disposeSavepoint(savepointPath: string): Promise<void> {
    await this.#ask((gateway) => gateway.disposeSavepoint({ savepointPath }));
  }

  /**
   * Stops a job with a checkpoint and lets it go on from there with another parallelism.
   * @param graph the job, planned anew for that parallelism from its artifact; `download` has both
   */
  async rescale(job: string, graph: JobGraph): Promise<{ readonly checkpointId: number }> {
    const stored = await this.#put('graph', Buffer.from(JSON.stringify(graph)));
    return await this.#ask((gateway) => gateway.rescaleJob({ job, graph: stored }));
  }

  /**
   * What a job was submitted with.
   * @throws EngineError JOB_NOT_FOUND; PROTOCOL when what arrived is not what was said
   */
  async download(job: string): Promise<{ readonly graph: JobGraph; readonly artifact: Uint8Array }> {
    const graph = new TextDecoder().decode(await this.#read(job, 'graph'));
    return { graph: JSON.parse(graph) as JobGraph, artifact: await this.#read(job, 'artifact') };
  }

  async #read(job: string, kind: ObjectKind): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let offset = 0;
    for (;;) {
      const { object, data } = await this.#ask((gateway) => gateway.readObject({ job, kind, offset }));
      parts.push(data);
      offset += data.byteLength;
      if (offset < object.bytes && data.byteLength > 0) continue;
      const whole = Buffer.concat(parts);
      if (createHash('sha256').update(whole).digest('hex') === object.sha256) return whole;
      const message = `the ${kind} of job ${job} that arrived is not the one that is stored; try again`;
      throw new EngineError('PROTOCOL', message, { domain: 'external', retry: 'backoff', ids: { job } });
    }
  }

  /** Who leads, and which task managers there are. */
  cluster(): Promise<ClusterStatus> {
    return this.#ask((gateway) => gateway.getCluster({}));
  }

  /**
   * Log lines of the cluster: of the job manager that leads and of its task managers.
   * @throws EngineError NOT_LEADER, TRANSPORT_FAILED at who follows, when another job manager takes over; JOB_NOT_FOUND
   */
  async *logs(options: LogOptions = {}): AsyncIterable<LogLine> {
    const { job = null, taskManagerId = null, lines = logLinesDefault, follow = false } = options;
    const signal = options.signal ?? new AbortController().signal;
    // The first line decides who answers; from then on it is this one.
    const iterator = await this.#ask(async (gateway) => {
      const opened = gateway.tailLogs({ job, taskManagerId, lines, follow }, signal)[Symbol.asyncIterator]();
      return { first: await opened.next(), opened };
    });
    const { opened } = iterator;
    try {
      for (let next = iterator.first; next.done !== true; next = await opened.next()) yield next.value;
    } finally {
      await opened.return?.();
    }
  }

  /** Ends all connections; requests that are under way fail. Jobs run on. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #put(kind: ObjectKind, bytes: Uint8Array): Promise<ObjectRef> {
    const header = { kind, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.byteLength };
    async function* chunks(): AsyncIterable<Uint8Array> {
      yield bytes;
    }
    return this.#ask((gateway) => gateway.putObject(header, chunks()));
  }

  /** Asks job managers until one that leads has answered. */
  async #ask<T>(request: (gateway: ClientGateway) => Promise<T>): Promise<T> {
    const { jobManagers, patienceMs = patienceDefaultMs } = this.#options;
    const search = new LeaderSearch(jobManagers, this.#leader, patienceMs);
    const startedMs = performance.now();
    let step: SearchStep = search.begin();
    for (;;) {
      if (this.#closed) throw new EngineError('USAGE', 'this cluster client was closed; connect again');
      if (step.kind === 'give-up') throw unavailable(step.reasons);
      if (step.kind === 'pause') {
        const { delayMs } = step;
        await new Promise((resolve) => setTimeout(resolve, delayMs));
        step = search.pauseOver();
        continue;
      }
      const { address } = step;
      try {
        const answer = await request(this.#connection(address));
        this.#leader = address;
        return answer;
      } catch (error) {
        step = search.outcome(outcomeOf(error, address), performance.now() - startedMs);
      }
    }
  }

  #connection(address: string): Connection {
    const known = this.#connections.get(address);
    if (known !== undefined) return known;
    const { tls = null, token = null, insecure = false } = this.#options;
    const source = tls !== null && 'ca' in tls ? fixedTlsMaterial(tls) : tls;
    const connection = clusterGateway(address, { tls: source, token, insecure });
    this.#connections.set(address, connection);
    // The next request makes another one.
    connection.onLost(() => {
      if (this.#connections.get(address) === connection) this.#connections.delete(address);
      connection.close();
    });
    return connection;
  }
}

/** What an error says about the job manager asked; one that is the answer is thrown. */
function outcomeOf(error: unknown, address: string) {
  if (!isEngineError(error)) throw error;
  if (error.code === 'TRANSPORT_FAILED') return { kind: 'failed', address, reason: error.message } as const;
  if (error.code !== 'NOT_LEADER') throw error;
  const leader = error.ids['leaderAddress'];
  const known = leader === undefined || leader === '' ? null : String(leader);
  return { kind: 'not-leader', address, leader: known } as const;
}

function unavailable(reasons: ReadonlyMap<string, string>): EngineError {
  const list = [...reasons].map(([address, reason]) => `\n  ${address}: ${reason}`).join('');
  const message = `the cluster could not be asked; check that it runs and that these are its job managers:${list}`;
  const ids = { jobManagers: [...reasons.keys()].join(',') };
  return new EngineError('CLUSTER_UNAVAILABLE', message, { domain: 'external', retry: 'backoff', ids });
}
