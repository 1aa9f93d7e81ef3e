/**
 * A job manager while it leads: the jobs it runs, the task managers that have registered with it, and the slots they share.
 * A thin shell around the pure slot pool; what becomes of one job is decided by its job master (`job-runner.ts`).
 *
 * One object is one term of leadership. Whoever loses the lead drops it, with {@link JobManager.stepDown}.
 */
import { EngineError, toWireError } from '../core/errors.ts';
import type { LogFields } from '../core/log-record.ts';
import type {
  Acknowledgement,
  AlignmentAnswer,
  AlignmentReport,
  AttemptRef,
  HeartbeatRequest,
  LogReport,
  RegisterTaskManagerRequest,
  RegisterTaskManagerResponse,
  RunningAttempt,
} from '../proto/messages.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../proto/services.ts';
import type { Clock } from './clock.ts';
import {
  clusterCountersName,
  type JobEnvironment,
  type JobOutcome,
  JobRunner,
  type SubmittedJob,
} from './job-runner.ts';
import {
  type JobMasterEvent,
  type JobMasterSettings,
  type JobNotice,
  jobMasterSettingsDefault,
  type TaskManagerCall,
} from './model/job-master-protocol.ts';
import { type FoundSlots, SlotPool, type SlotPoolOutcome } from './model/slot-pool.ts';
import type { JobStore } from './store/job-store.ts';

export type { JobOutcome, SubmittedJob } from './job-runner.ts';

/** A log whose lines may say what they are about. */
export interface JobLogger {
  info(message: string, about?: LogFields): void;
  warn(message: string, about?: LogFields): void;
}

export interface JobManagerOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: JobLogger;
  readonly settings?: Partial<JobMasterSettings>;
  /** Epoch of this term; absent where there is one job manager only: the next value of the store's counter. */
  readonly leaderEpoch?: number;
  /** Silence after which a task manager is lost, in ms; null: never, it lives in this process. Default 5,000. */
  readonly heartbeatTimeoutMs?: number | null;
  /** Reaches a task manager that registers; absent where {@link JobManager.addTaskManager} says it beforehand. */
  readonly connect?: (request: RegisterTaskManagerRequest) => TaskManagerGateway;
  /** A task manager is not used any more: its connection may be closed. */
  readonly onTaskManagerGone?: (taskManagerId: string) => void;
  /** Told of what task managers have logged. */
  readonly onLogs?: (report: LogReport) => void;
  /** Told of every change of state, checkpoint and failure. */
  readonly onEvent?: (notice: JobNotice, jobId: string) => void;
}

const acknowledged: Acknowledgement = {};
const heartbeatTimeoutMsDefault = 5_000;
/** How often silent task managers are looked for, in ms. */
const heartbeatCheckMs = 1_000;

export class JobManager {
  readonly gateway: JobManagerGateway;
  readonly #options: JobManagerOptions;
  readonly #settings: JobMasterSettings;
  readonly #pool: SlotPool;
  readonly #gateways = new Map<string, TaskManagerGateway>();
  readonly #runners = new Map<string, JobRunner>();
  /** Jobs that are being loaded. */
  readonly #loading = new Set<string>();
  /** What task managers run of jobs that are about to be started. */
  readonly #expected = new Map<string, { readonly taskManagerId: string; readonly running: RunningAttempt }[]>();
  #epoch: Promise<number> | null = null;
  #clearCheck: (() => void) | null = null;
  #steppedDown = false;

  constructor(options: JobManagerOptions) {
    this.#options = options;
    this.#settings = { ...jobMasterSettingsDefault, ...options.settings };
    const { heartbeatTimeoutMs = heartbeatTimeoutMsDefault } = options;
    this.#pool = new SlotPool(heartbeatTimeoutMs);
    this.gateway = this.#makeGateway();
    if (heartbeatTimeoutMs !== null) this.#checkHeartbeats();
  }

  /** Knows its epoch. @throws EngineError when the counter of epochs cannot be read or advanced: nobody could register */
  async ready(): Promise<void> {
    await this.#leaderEpoch();
  }

  get slotPool(): Pick<SlotPool, 'taskManagers' | 'supply'> {
    return this.#pool;
  }

  /** Jobs of this term, ended ones too. */
  get jobs(): readonly JobRunner[] {
    return [...this.#runners.values()];
  }

  /** Null when this job manager does not know such a job. */
  job(jobId: string): JobRunner | null {
    return this.#runners.get(jobId) ?? null;
  }

  /** Makes a task manager reachable under its id. It gets slots of a job once it has registered through the gateway. */
  addTaskManager(taskManagerId: string, gateway: TaskManagerGateway): void {
    this.#gateways.set(taskManagerId, gateway);
  }

  /** A task manager is gone: its connection broke, or its process ended. */
  removeTaskManager(taskManagerId: string, reason: string): void {
    this.#gateways.delete(taskManagerId);
    this.#follow(this.#pool.lost(taskManagerId, reason));
  }

  /** These jobs are going to be started: what task managers run of them is not ended, but told to them then. */
  expect(jobIds: readonly string[]): void {
    for (const jobId of jobIds) this.#expected.set(jobId, []);
  }

  /** An expected job is not going to be started: what runs of it is ended. */
  forget(jobId: string): void {
    const reports = this.#expected.get(jobId) ?? [];
    this.#expected.delete(jobId);
    for (const { taskManagerId, running } of reports) this.#reported(taskManagerId, running);
  }

  /** A job that has ended is not known here any more. */
  drop(jobId: string): void {
    if (this.#runners.get(jobId)?.ended === true) this.#runners.delete(jobId);
  }

  /**
   * Starts a job.
   * @returns once it is being run; `outcome` of the answer tells how it ends
   * @throws EngineError when it could not be started (CHECKPOINT_UNREADABLE, STORAGE_FAILED, USAGE)
   */
  async start(job: SubmittedJob): Promise<JobRunner> {
    const { jobId } = job;
    if (this.#loading.has(jobId) || this.#runners.get(jobId)?.ended === false) {
      throw new EngineError('USAGE', `job ${jobId} runs already → wait for its end, or stop it`, { ids: { jobId } });
    }
    this.#loading.add(jobId);
    try {
      const runner = await JobRunner.load(job, await this.#environment(jobId));
      if (this.#steppedDown) throw steppedDownError();
      this.#runners.set(jobId, runner);
      runner.start();
      this.forget(jobId);
      return runner;
    } finally {
      this.#loading.delete(jobId);
    }
  }

  /**
   * Runs a job to its end.
   * @returns how it ended; a job that had finished before is not run again
   * @throws EngineError when it could not be started, or STALE_EPOCH when another job manager has taken it over
   */
  async submit(job: SubmittedJob): Promise<JobOutcome> {
    const runner = await this.start(job);
    return runner.outcome;
  }

  /** Another job manager leads, or nobody knows: nothing more is done or recorded, whatever runs goes on. */
  stepDown(): void {
    this.#steppedDown = true;
    this.#clearCheck?.();
    for (const runner of this.#runners.values()) runner.abandon(steppedDownError());
  }

  async #environment(job: string): Promise<JobEnvironment> {
    const { store, clock, random, onEvent } = this.#options;
    const logger: JobLogger = {
      info: (message) => this.#options.logger.info(message, { job }),
      warn: (message) => this.#options.logger.warn(message, { job }),
    };
    return {
      store,
      clock,
      random,
      logger,
      settings: this.#settings,
      leaderEpoch: await this.#leaderEpoch(),
      onNotice: (jobId, notice) => onEvent?.(notice, jobId),
      requestSlots: (jobId, count, kept) => this.#follow(this.#pool.requested(jobId, count, kept)),
      adoptSlots: (jobId, attempt) => this.#pool.adopted(jobId, attempt),
      releaseSlots: (jobId) => this.#follow(this.#pool.released(jobId)),
      giveUpTaskManager: (taskManagerId, reason) => this.removeTaskManager(taskManagerId, reason),
      call: (taskManagerId, call) => this.#call(taskManagerId, call),
    };
  }

  #leaderEpoch(): Promise<number> {
    const { leaderEpoch, store } = this.#options;
    this.#epoch ??=
      leaderEpoch === undefined ? store.advanceCounter(clusterCountersName, 'epoch') : Promise.resolve(leaderEpoch);
    return this.#epoch;
  }

  /** Tells jobs what the slot pool has decided. */
  #follow(outcome: SlotPoolOutcome): void {
    for (const { taskManagerId, reason, jobIds } of outcome.lost) {
      this.#gateways.delete(taskManagerId);
      this.#options.onTaskManagerGone?.(taskManagerId);
      for (const jobId of jobIds) this.#runners.get(jobId)?.tell({ kind: 'task-manager-lost', taskManagerId, reason });
    }
    for (const { jobId, offers } of outcome.granted) {
      const runner = this.#runners.get(jobId);
      if (runner === undefined || runner.ended) this.#follow(this.#pool.released(jobId));
      else runner.tell({ kind: 'slots-granted', offers });
    }
    const { supply } = this.#pool;
    for (const jobId of outcome.waiting) this.#runners.get(jobId)?.tell({ kind: 'slots-short', supply });
  }

  #checkHeartbeats(): void {
    const { clock } = this.#options;
    this.#clearCheck = clock.setTimer(heartbeatCheckMs, () => {
      this.#follow(this.#pool.check(clock.nowMs()));
      if (!this.#steppedDown) this.#checkHeartbeats();
    });
  }

  #makeGateway(): JobManagerGateway {
    const forward = async (attempt: AttemptRef, event: JobMasterEvent): Promise<Acknowledgement> => {
      this.#runnerOf(attempt).receive(event);
      return acknowledged;
    };
    return {
      registerTaskManager: (request) => this.#register(request),
      heartbeat: (request) => this.#heartbeat(request),
      reportSlotListening: (report) => forward(report.attempt, { kind: 'slot-listening', report }),
      reportSubtaskState: (report) => forward(report.attempt, { kind: 'subtask-state', report }),
      reportSlotEnded: (report) => {
        const { taskManagerId, attempt } = report;
        this.#follow(this.#pool.slotEnded(taskManagerId, attempt.jobId, attempt.attempt));
        return forward(attempt, { kind: 'slot-ended', report });
      },
      acknowledgeCheckpoint: (report) => forward(report.attempt, { kind: 'checkpoint-acknowledged', report }),
      declineCheckpoint: (report) => forward(report.attempt, { kind: 'checkpoint-declined', report }),
      reportMerge: (report) => forward(report.attempt, { kind: 'merge-reported', report }),
      reportAlignment: (report) => this.#alignment(report),
      reportLogs: (report) => this.#logs(report),
    };
  }

  /** @throws EngineError STALE_EPOCH when no such job is run here: whatever runs of it elsewhere is over */
  #runnerOf({ jobId, leaderEpoch }: AttemptRef): JobRunner {
    const runner = this.#runners.get(jobId);
    if (runner !== undefined) return runner;
    const message = `message for job ${jobId}, epoch ${leaderEpoch}, refused: it is not run here`;
    throw new EngineError('STALE_EPOCH', message, { domain: 'external', retry: 'backoff', ids: { jobId } });
  }

  async #heartbeat({ taskManagerId, leaderEpoch, attempts }: HeartbeatRequest): Promise<Acknowledgement> {
    const epoch = await this.#leaderEpoch();
    if (leaderEpoch !== epoch) throw anotherEpoch(taskManagerId, leaderEpoch, epoch);
    this.#pool.heard(taskManagerId, this.#options.clock.nowMs());
    for (const { attempt, metrics } of attempts) this.#runners.get(attempt.jobId)?.heard(attempt.attempt, metrics);
    return acknowledged;
  }

  async #logs(report: LogReport): Promise<Acknowledgement> {
    const { taskManagerId, leaderEpoch } = report;
    const epoch = await this.#leaderEpoch();
    // Also of one that is not registered: nothing is kept under ids that nobody has.
    if (leaderEpoch !== epoch || !this.#gateways.has(taskManagerId))
      throw anotherEpoch(taskManagerId, leaderEpoch, epoch);
    this.#options.onLogs?.(report);
    return acknowledged;
  }

  async #alignment(report: AlignmentReport): Promise<AlignmentAnswer> {
    return { groups: this.#runners.get(report.attempt.jobId)?.aligned(report) ?? [] };
  }

  async #register(request: RegisterTaskManagerRequest): Promise<RegisterTaskManagerResponse> {
    const { taskManagerId, slotCount, running } = request;
    const { connect, clock } = this.#options;
    if (!this.#gateways.has(taskManagerId)) {
      if (connect === undefined) {
        const message = `task manager ${taskManagerId} cannot be reached by the job manager; it must be added before it registers`;
        throw new EngineError('PROTOCOL', message, { domain: 'internal', ids: { taskManagerId } });
      }
      this.#gateways.set(taskManagerId, connect(request));
    }
    const leaderEpoch = await this.#leaderEpoch();
    this.#follow(this.#pool.registered(taskManagerId, slotCount, clock.nowMs(), foundSlots(running)));
    for (const one of running) this.#reported(taskManagerId, one);
    return { leaderEpoch };
  }

  /** A task manager runs something that it was told by an earlier leader. */
  #reported(taskManagerId: string, running: RunningAttempt): void {
    const { jobId, attempt } = running.attempt;
    const runner = this.#runners.get(jobId);
    if (runner !== undefined && !runner.ended) return runner.tell({ kind: 'attempt-reported', taskManagerId, running });
    const expected = this.#expected.get(jobId);
    if (expected !== undefined) {
      expected.push({ taskManagerId, running });
      return;
    }
    if (running.endedSlots.length === running.slices.length) return;
    void this.#leaderEpoch()
      .then((leaderEpoch) => {
        const request = { attempt: { jobId, attempt, leaderEpoch }, cancelTimeoutMs: this.#settings.cancelTimeoutMs };
        return this.#call(taskManagerId, { method: 'cancelAttempt', request });
      })
      .catch((error: unknown) => {
        this.#options.logger.warn(
          `attempt ${attempt} of job ${jobId}, which is over, could not be ended on task manager ${taskManagerId}: ${toWireError(error).message}`,
        );
      });
  }

  async #call(taskManagerId: string, call: TaskManagerCall): Promise<void> {
    const gateway = this.#gateways.get(taskManagerId);
    if (gateway === undefined) throw unreachable(taskManagerId);
    await callTaskManager(gateway, call);
  }
}

/** Says the epoch, so that a task manager that follows an older one knows that it may register with what it runs. */
function anotherEpoch(taskManagerId: string, told: number, leaderEpoch: number): EngineError {
  const message = `task manager ${taskManagerId} follows epoch ${told}, this is epoch ${leaderEpoch}; it must register`;
  const ids = { taskManagerId, leaderEpoch };
  return new EngineError('STALE_EPOCH', message, { domain: 'external', retry: 'backoff', ids });
}

function foundSlots(running: readonly RunningAttempt[]): FoundSlots[] {
  return running.flatMap(({ attempt: { jobId, attempt }, slices, endedSlots }) => {
    const slots = slices.length - endedSlots.length;
    return slots > 0 ? [{ jobId, attempt, slots }] : [];
  });
}

function steppedDownError(): EngineError {
  const message = 'this job manager no longer leads; another one goes on with the job';
  return new EngineError('STALE_EPOCH', message, { domain: 'external', retry: 'backoff' });
}

function unreachable(taskManagerId: string): EngineError {
  const message = `task manager ${taskManagerId} is not connected any more`;
  return new EngineError('TRANSPORT_FAILED', message, { domain: 'external', retry: 'backoff', ids: { taskManagerId } });
}

function callTaskManager(gateway: TaskManagerGateway, call: TaskManagerCall): Promise<Acknowledgement> {
  switch (call.method) {
    case 'deploySlots':
      return gateway.deploySlots(call.request);
    case 'connectSlots':
      return gateway.connectSlots(call.request);
    case 'cancelAttempt':
      return gateway.cancelAttempt(call.request);
    case 'triggerCheckpoint':
      return gateway.triggerCheckpoint(call.request);
    case 'notifyCheckpointComplete':
      return gateway.notifyCheckpointComplete(call.request);
    case 'notifyCheckpointAborted':
      return gateway.notifyCheckpointAborted(call.request);
    case 'adoptAttempt':
      return gateway.adoptAttempt(call.request);
    case 'mergeFiles':
      return gateway.mergeFiles(call.request);
  }
}
