/**
 * A job manager process: listens, takes part in the leadership, and while it leads holds a {@link LeaderTerm}. What comes in
 * while it does not lead is answered with who does.
 */
import { EngineError, toWireError } from '../../core/errors.ts';
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import type { Authorize } from '../../proto/rpc/grpc/authorization.ts';
import { serveClients } from '../../proto/rpc/grpc/client-service.ts';
import { serveJobManager } from '../../proto/rpc/grpc/control-plane.ts';
import { GrpcServer } from '../../proto/rpc/grpc/grpc-server.ts';
import type { ClientGateway, JobManagerGateway } from '../../proto/services.ts';
import type { LogBuffer } from '../../operations/log/log-buffer.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { Clock } from '../clock.ts';
import type { ObservedTerm } from '../http/job-manager-http.ts';
import type { Leadership } from '../leadership.ts';
import type { JobLogger } from '../job-manager.ts';
import type { JobMasterSettings, JobNotice } from '../model/job-master-protocol.ts';
import type { JobStore } from '../store/job-store.ts';
import { ClientService } from './client-service.ts';
import { LeaderTerm } from './leader-term.ts';

/** What a leader works on; made anew for each term. */
export interface TermStorage {
  readonly store: JobStore;
  readonly clusterId: string;
}

export interface JobManagerProcessOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Where others reach this process, `host:port`; null: where it listens. */
  readonly advertisedAddress: string | null;
  /** @param address where this process is reached */
  readonly leadership: (address: string) => Leadership;
  /** Reads what a leader of this epoch must know first. @throws EngineError when it must not lead */
  readonly openStorage: (leaderEpoch: number) => Promise<TermStorage>;
  /** Graphs, artifacts, checkpoints. */
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: JobLogger;
  readonly settings: Partial<JobMasterSettings>;
  readonly heartbeatTimeoutMs: number;
  /** Jobs that are over and are kept; default 100. */
  readonly historyMax?: number;
  readonly engineVersion: string;
  readonly tls: TlsMaterialSource | null;
  readonly insecure: boolean;
  readonly authorize: Authorize;
  /** The process cannot go on: what it would lead is damaged, or another cluster's. */
  readonly onFatal: (error: EngineError) => void;
  readonly onEvent?: (notice: JobNotice, jobId: string) => void;
  /** Lines of this process and of task managers, for clients. */
  readonly logs: LogBuffer;
}

interface Term {
  readonly epoch: number;
  readonly term: LeaderTerm;
  readonly clients: ClientService;
}

const stopGraceMs = 2_000;
const beginRetryMs = 1_000;

export class JobManagerProcess {
  readonly address: string;
  readonly #options: JobManagerProcessOptions;
  readonly #server: GrpcServer;
  readonly #leadership: Leadership;
  #term: Term | null = null;
  /** Epoch of the term that is being begun or held; 0 while this process does not lead. */
  #epoch = 0;
  #clearRetry: () => void = () => undefined;

  private constructor(options: JobManagerProcessOptions, server: GrpcServer) {
    this.#options = options;
    this.#server = server;
    this.address = options.advertisedAddress ?? server.address;
    this.#leadership = options.leadership(this.address);
  }

  /** @throws EngineError PORT_IN_USE, CONFIG_INVALID, STATE_DIRECTORY_IN_USE, CLUSTER_UNAVAILABLE */
  static async start(options: JobManagerProcessOptions): Promise<JobManagerProcess> {
    const { host, port, tls, insecure, authorize } = options;
    // Services are there before the process: calls that come first hear that nobody leads here.
    let process: JobManagerProcess | null = null;
    const gate = (): JobManagerProcess => {
      if (process === null) throw notLeading(null, null);
      return process;
    };
    const services = [
      serveJobManager(jobManagerGate(() => gate().#current().term.jobManager.gateway)),
      serveClients(clientGate(() => gate().#current().clients)),
    ];
    const server = await GrpcServer.start({ host, port, services, authorize, tls, insecure });
    try {
      process = new JobManagerProcess(options, server);
      await process.#leadership.start({
        onLeader: (epoch) => (process as JobManagerProcess).#lead(epoch),
        onLost: (reason) => (process as JobManagerProcess).#lost(reason),
      });
      return process;
    } catch (error) {
      await server.stop(0);
      throw error;
    }
  }

  /** The term of this process; null while another one leads, or nobody. */
  get term(): LeaderTerm | null {
    return this.#term?.term ?? null;
  }

  /** What observers see of the cluster. @throws EngineError NOT_LEADER */
  observed(): ObservedTerm {
    const { term, clients } = this.#current();
    const jobs = () =>
      term.jobs.map(({ record, terminal, runner }) => {
        return { jobId: record.jobId, state: terminal ?? runner?.progress().state ?? 'created' };
      });
    return { jobManager: term.jobManager, clients, jobs };
  }

  /** This process leads, or knows who does. */
  get isReady(): boolean {
    const leader = this.#leadership.current();
    return leader !== null && (!leader.isSelf || this.#term !== null);
  }

  /** Where the leader is reached, as far as is known here. */
  get leaderAddress(): string | null {
    return this.#leadership.current()?.address ?? null;
  }

  /** Gives up the lead; running jobs go on and wait for the next leader. */
  async stop(): Promise<void> {
    await this.#leadership.resign();
    await this.#server.stop(stopGraceMs);
  }

  #lead(epoch: number): void {
    this.#epoch = epoch;
    this.#options.logger.info(`this job manager, ${this.address}, leads in epoch ${epoch}`);
    void this.#begin(epoch);
  }

  async #begin(epoch: number): Promise<void> {
    const { openStorage, logger, clock } = this.#options;
    try {
      const { store, clusterId } = await openStorage(epoch);
      const term = await LeaderTerm.begin({
        ...this.#options,
        leaderEpoch: epoch,
        store,
        onLogs: (report) => this.#options.logs.addReport(report),
      });
      if (this.#epoch !== epoch) return term.end();
      const { objects, engineVersion } = this.#options;
      const clients = new ClientService({
        term,
        store,
        objects,
        clock,
        clusterId,
        leaderAddress: this.address,
        engineVersion,
        logs: this.#options.logs,
      });
      this.#term = { epoch, term, clients };
    } catch (error) {
      if (this.#epoch !== epoch) return;
      const wire = toWireError(error);
      if (wire.retry === 'never' && wire.code !== 'STALE_EPOCH' && error instanceof EngineError)
        return this.#options.onFatal(error);
      logger.warn(`the jobs of the cluster cannot be read yet, it is tried again: ${wire.message}`);
      this.#clearRetry = clock.setTimer(beginRetryMs, () => void this.#begin(epoch));
    }
  }

  #lost(reason: string): void {
    this.#options.logger.warn(`this job manager no longer leads (epoch ${this.#epoch}): ${reason}`);
    this.#epoch = 0;
    this.#clearRetry();
    this.#term?.term.end();
    this.#term = null;
  }

  /** @throws EngineError NOT_LEADER */
  #current(): Term {
    const leader = this.#leadership.current();
    // The clock alone ends a lead: it is asked every time.
    if (this.#term !== null && leader?.isSelf === true && leader.epoch === this.#term.epoch) return this.#term;
    const other = leader !== null && !leader.isSelf ? leader : null;
    throw notLeading(other?.address ?? null, other?.epoch ?? null);
  }
}

function notLeading(leaderAddress: string | null, leaderEpoch: number | null): EngineError {
  const who = leaderAddress === null ? 'nobody is known to lead yet' : `${leaderAddress} does`;
  const ids: Record<string, string | number> = {};
  if (leaderAddress !== null) Object.assign(ids, { leaderAddress, leaderEpoch: leaderEpoch ?? 0 });
  return new EngineError('NOT_LEADER', `this job manager does not lead, ${who}; ask there, or again`, {
    domain: 'external',
    retry: 'backoff',
    ids,
  });
}

/** A gateway whose every call asks first whether this process leads. */
function jobManagerGate(current: () => JobManagerGateway): JobManagerGateway {
  return {
    registerTaskManager: async (request) => current().registerTaskManager(request),
    heartbeat: async (request) => current().heartbeat(request),
    reportSlotListening: async (report) => current().reportSlotListening(report),
    reportSubtaskState: async (report) => current().reportSubtaskState(report),
    reportSlotEnded: async (report) => current().reportSlotEnded(report),
    acknowledgeCheckpoint: async (report) => current().acknowledgeCheckpoint(report),
    declineCheckpoint: async (report) => current().declineCheckpoint(report),
    reportMerge: async (report) => current().reportMerge(report),
    reportAlignment: async (report) => current().reportAlignment(report),
    reportLogs: async (report) => current().reportLogs(report),
  };
}

function clientGate(current: () => ClientGateway): ClientGateway {
  return {
    putObject: async (header, chunks) => current().putObject(header, chunks),
    submitJob: async (request) => current().submitJob(request),
    listJobs: async (request) => current().listJobs(request),
    getJob: async (request) => current().getJob(request),
    cancelJob: async (request) => current().cancelJob(request),
    forgetJob: async (request) => current().forgetJob(request),
    stopJob: async (request) => current().stopJob(request),
    triggerSavepoint: async (request) => current().triggerSavepoint(request),
    disposeSavepoint: async (request) => current().disposeSavepoint(request),
    rescaleJob: async (request) => current().rescaleJob(request),
    readObject: async (request) => current().readObject(request),
    getCluster: async (request) => current().getCluster(request),
    tailLogs: (request, signal) => current().tailLogs(request, signal),
  };
}
