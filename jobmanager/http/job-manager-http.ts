/**
 * The HTTP listener of a job manager. It is there for the whole life of the process; what it answers is what the present
 * term sees, and a process that does not lead answers who does.
 */
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import { HttpServer } from '../../operations/http/http-server.ts';
import type { AuthorizeRoute, Route } from '../../operations/http/http-types.ts';
import { MetricsRegistry } from '../../operations/metrics/metrics-registry.ts';
import type { ClientGateway } from '../../proto/services.ts';
import type { JobManager } from '../job-manager.ts';
import type { JobNotice } from '../model/job-master-protocol.ts';
import { leaderView } from './cluster-view.ts';
import { JobHistory } from './job-history.ts';
import { collectJobManager, type JobManagerFigures } from './job-manager-metrics.ts';
import { restRoutes } from './rest-routes.ts';

/** A term of leadership, as far as it is looked at. */
export interface ObservedTerm {
  readonly jobManager: Pick<JobManager, 'job' | 'slotPool'>;
  readonly clients: Pick<ClientGateway, 'listJobs' | 'getJob' | 'getCluster'>;
  /** In the order of their submission. */
  readonly jobs: () => JobManagerFigures['jobs'];
}

export interface JobManagerHttpOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: TlsMaterialSource | null;
  readonly insecure?: boolean;
  readonly allowedHosts?: readonly string[];
  readonly authorize: AuthorizeRoute;
  readonly logger: { warn(message: string): void };
  /** @throws EngineError NOT_LEADER, with `leaderAddress` among its ids where it is known, when this process does not lead */
  readonly term: () => ObservedTerm;
  /** Wall clock, ms since the epoch. */
  readonly nowMs: () => number;
  /** Whether this process leads, or knows who does. */
  readonly ready: () => boolean;
}

export class JobManagerHttp {
  /** `host:port` it listens on. */
  readonly address: string;
  readonly routes: readonly Route[];
  readonly #server: HttpServer;
  readonly #registry: MetricsRegistry;
  readonly #history: JobHistory;
  readonly #term: () => ObservedTerm;

  private constructor(server: HttpServer, registry: MetricsRegistry, history: JobHistory, term: () => ObservedTerm) {
    this.address = server.address;
    this.routes = server.routes;
    this.#server = server;
    this.#registry = registry;
    this.#history = history;
    this.#term = term;
  }

  /** @throws EngineError PORT_IN_USE, CONFIG_INVALID */
  static async start(options: JobManagerHttpOptions): Promise<JobManagerHttp> {
    const { term, ready, nowMs } = options;
    const history = new JobHistory(nowMs);
    const registry = new MetricsRegistry({
      process: 'job manager',
      insecure: options.insecure === true,
      collect: (sink) => collectJobManager(figuresOf(term), history, sink),
    });
    const view = () => leaderView({ ...term(), history });
    try {
      const server = await HttpServer.start({ ...options, routes: restRoutes({ view, ready, metrics: registry }) });
      return new JobManagerHttp(server, registry, history, term);
    } catch (error) {
      registry.stop();
      throw error;
    }
  }

  /** To be told of every notice of every job: the `onEvent` of a job manager. */
  noticed(notice: JobNotice, jobId: string): void {
    this.#history.noticed(notice, jobId, termOf(this.#term)?.jobManager.job(jobId)?.newestCheckpoint ?? null);
  }

  async stop(): Promise<void> {
    this.#registry.stop();
    await this.#server.stop();
  }
}

/** Null while this process does not lead. */
function termOf(term: () => ObservedTerm): ObservedTerm | null {
  try {
    return term();
  } catch {
    // Metrics of a standby are those of its process: that it does not lead is one of them.
    return null;
  }
}

function figuresOf(term: () => ObservedTerm): JobManagerFigures | null {
  const present = termOf(term);
  return present === null ? null : { jobManager: present.jobManager, jobs: present.jobs() };
}
