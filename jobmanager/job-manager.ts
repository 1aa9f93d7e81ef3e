/**
 * The job manager's shell: turns messages, timers and answers of storage into events of the pure job master, and does what
 * its actions say. It holds no decisions; all I/O and all timers of the control plane are here.
 *
 * One job at a time. Task managers may come before or after the job.
 */
import { EngineError, fromWireError, isEngineError, toWireError, type WireError } from '../core/errors.ts';
import type { JobGraph } from '../core/graph/job-graph.ts';
import type {
  Acknowledgement,
  AlignedGroup,
  AlignmentReport,
  Manifest,
  ObjectRef,
  RegisterTaskManagerRequest,
  RegisterTaskManagerResponse,
} from '../proto/messages.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../proto/services.ts';
import type { Clock } from './clock.ts';
import { CheckpointRequests } from './checkpoint-requests.ts';
import { bytesOf, type JobProgress, MetricsBoard, sourceRecordsOf } from './job-progress.ts';
import { JobMaster } from './model/job-master.ts';
import {
  type JobMasterAction,
  type JobMasterEvent,
  type JobMasterSettings,
  type JobNotice,
  jobMasterSettingsDefault,
  type RestoredPointer,
  type TaskManagerCall,
  type TimerName,
} from './model/job-master-protocol.ts';
import type { TerminalJobState } from './model/job-state.ts';
import { WatermarkAlignment } from './model/watermark-alignment.ts';
import type { JobStore } from './store/job-store.ts';

export interface JobManagerOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: { info(message: string): void; warn(message: string): void };
  readonly settings?: Partial<JobMasterSettings>;
  /** Told of every change of state, checkpoint and failure. */
  readonly onEvent?: (notice: JobNotice) => void;
}

export interface SubmittedJob {
  readonly graph: JobGraph;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job whose state means the same to this one; none when absent. */
  readonly restorableGraphHashes?: readonly string[];
  readonly graphRef: ObjectRef;
  readonly artifactRef: ObjectRef;
  /** Go on from the newest checkpoint. False: there must be none. */
  readonly resume: boolean;
}

export interface JobOutcome {
  readonly state: TerminalJobState;
  /** Set exactly when the state is `failed`. */
  readonly error: EngineError | null;
  readonly progress: JobProgress;
}

interface RunningJob {
  readonly name: string;
  readonly leaderEpoch: number;
  readonly master: JobMaster;
  readonly board: MetricsBoard;
  readonly alignment: WatermarkAlignment;
  readonly restored: RestoredPointer | null;
  readonly requests: CheckpointRequests;
  /** Objects of earlier runs that nothing names; deleted when this run has a checkpoint of its own. */
  leftovers: readonly string[];
  readonly resolve: (outcome: JobOutcome) => void;
  readonly reject: (error: unknown) => void;
  readonly timers: Map<TimerName, () => void>;
  /** Set when the job has ended: what still comes in is dropped. */
  ended: boolean;
}

const acknowledged: Acknowledgement = {};
/** Name under which the epoch counter of this store is kept. */
const clusterName = 'millrace-cluster';

export class JobManager {
  readonly gateway: JobManagerGateway;
  readonly #options: JobManagerOptions;
  readonly #settings: JobMasterSettings;
  readonly #gateways = new Map<string, TaskManagerGateway>();
  readonly #registered = new Map<string, RegisterTaskManagerRequest>();
  #epoch: Promise<number> | null = null;
  #job: RunningJob | null = null;
  #submitting = false;
  #stopWanted: 'stop-requested' | 'cancel-requested' | null = null;

  constructor(options: JobManagerOptions) {
    this.#options = options;
    this.#settings = { ...jobMasterSettingsDefault, ...options.settings };
    this.gateway = this.#makeGateway();
  }

  /** Makes a task manager reachable under its id. It gets slots of a job once it has registered through the gateway. */
  addTaskManager(taskManagerId: string, gateway: TaskManagerGateway): void {
    this.#gateways.set(taskManagerId, gateway);
  }

  /** A task manager is gone: its connection broke, or its process ended. */
  removeTaskManager(taskManagerId: string, reason: string): void {
    this.#gateways.delete(taskManagerId);
    this.#registered.delete(taskManagerId);
    this.#tell({ kind: 'task-manager-lost', taskManagerId, reason });
  }

  /**
   * Runs a job to its end.
   * @returns how it ended; a job that had finished before is not run again
   * @throws EngineError when it could not be started (CHECKPOINT_UNREADABLE, STORAGE_FAILED, USAGE), or STALE_EPOCH when another job
   *   manager has taken it over
   */
  async submit(job: SubmittedJob): Promise<JobOutcome> {
    if (this.#submitting) {
      throw new EngineError(
        'NOT_SUPPORTED',
        `a job manager runs one job at a time; wait for the end of the running one before submitting "${job.graph.name}"`,
      );
    }
    this.#submitting = true;
    try {
      return await this.#run(job);
    } finally {
      this.#submitting = false;
      this.#stopWanted = null;
      this.#job = null;
    }
  }

  /**
   * Takes a checkpoint besides the periodic ones, as soon as the job runs.
   * @returns its id: triggered after this call, and complete
   * @throws EngineError CHECKPOINT_FAILED when it was given up, or the job ended before; USAGE when no job runs
   */
  async checkpoint(): Promise<number> {
    const job = this.#job;
    if (job === null || job.ended)
      throw new EngineError('USAGE', 'no job runs here → ask for a checkpoint while one does');
    const completed = job.requests.add();
    this.#tell({ kind: 'checkpoint-requested' });
    return await completed;
  }

  /** Takes one last checkpoint, then ends the job. It may be resumed. */
  stop(): void {
    this.#request('stop-requested');
  }

  /** Ends the job at once. */
  cancel(): void {
    this.#request('cancel-requested');
  }

  /** Null while no job runs. */
  progress(): JobProgress | null {
    return this.#job === null ? null : progressOf(this.#job);
  }

  async #run(job: SubmittedJob): Promise<JobOutcome> {
    const { store } = this.#options;
    const name = job.graph.name;
    const leaderEpoch = await this.#leaderEpoch();
    const restored = await readRestored(store, name, (message) => this.#options.logger.warn(message));
    if (restored !== null && !job.resume) {
      const { checkpointId } = restored.pointer;
      const message = `job "${name}" has state from an earlier run (checkpoint ${checkpointId}); resume it, or clear its state first`;
      throw new EngineError('USAGE', message, { ids: { jobName: name, checkpointId } });
    }
    if (restored !== null && restored.pointer.leaderEpoch >= leaderEpoch) throw lostEpoch(name, restored, leaderEpoch);
    const leftovers = await this.#leftovers(name, restored);
    const terminal = await store.readTerminal(name);
    if (terminal !== null && terminal.state !== 'finished') await store.clearTerminal(name);
    const { graph, graphHash, restorableGraphHashes = [], graphRef, artifactRef } = job;
    const master = new JobMaster({
      graph,
      graphHash,
      restorableGraphHashes,
      graphRef,
      artifactRef,
      leaderEpoch,
      restored,
      settings: this.#settings,
    });
    return new Promise((resolve, reject) => {
      const board = new MetricsBoard(graph);
      const running: RunningJob = {
        name,
        leaderEpoch,
        master,
        board,
        alignment: new WatermarkAlignment(),
        restored,
        requests: new CheckpointRequests(name),
        leftovers,
        resolve,
        reject,
        timers: new Map(),
        ended: false,
      };
      this.#job = running;
      if (terminal?.state === 'finished') return this.#end(running, 'finished', null);
      for (const { taskManagerId, slotCount } of this.#registered.values()) {
        this.#tell({ kind: 'task-manager-registered', taskManagerId, slotCount });
      }
      this.#tell({ kind: 'started' });
      if (this.#stopWanted !== null) this.#tell({ kind: this.#stopWanted });
    });
  }

  /**
   * What runs that ended by a crash left behind: objects that are there before this run writes any, and that no retained manifest
   * names. Recovery only reads; they go once this run has moved the pointer (FLINK-7783).
   */
  async #leftovers(jobName: string, restored: RestoredPointer | null): Promise<readonly string[]> {
    const manifests = restored?.manifests ?? [];
    // Without a manifest it is not known what it names.
    if (manifests.includes(null)) return [];
    const needed = new Set(restored?.pointer.retained.map((checkpoint) => checkpoint.manifest.name));
    for (const manifest of manifests) for (const { file } of manifest?.files ?? []) needed.add(file.object.name);
    try {
      return (await this.#options.store.listObjects(jobName)).filter((name) => !needed.has(name));
    } catch (error) {
      this.#options.logger.warn(
        `files of earlier runs of job "${jobName}" are not cleaned up: ${toWireError(error).message}`,
      );
      return [];
    }
  }

  #request(kind: 'stop-requested' | 'cancel-requested'): void {
    if (this.#job !== null) this.#tell({ kind });
    // The job is still being started.
    else if (this.#submitting) this.#stopWanted = kind;
  }

  #leaderEpoch(): Promise<number> {
    this.#epoch ??= this.#options.store.advanceCounter(clusterName, 'epoch');
    return this.#epoch;
  }

  #makeGateway(): JobManagerGateway {
    const forward = async (event: JobMasterEvent): Promise<Acknowledgement> => {
      this.#step(event);
      return acknowledged;
    };
    return {
      registerTaskManager: (request) => this.#register(request),
      heartbeat: (request) => {
        this.#job?.board.heard(request);
        return forward({ kind: 'heartbeat', request });
      },
      reportSlotListening: (report) => forward({ kind: 'slot-listening', report }),
      reportSubtaskState: (report) => forward({ kind: 'subtask-state', report }),
      reportSlotEnded: (report) => {
        this.#job?.alignment.slotEnded(report.attempt.attempt, report.slotIndex);
        return forward({ kind: 'slot-ended', report });
      },
      acknowledgeCheckpoint: (report) => forward({ kind: 'checkpoint-acknowledged', report }),
      declineCheckpoint: (report) => forward({ kind: 'checkpoint-declined', report }),
      reportMerge: (report) => forward({ kind: 'merge-reported', report }),
      reportAlignment: (report) => Promise.resolve({ groups: this.#aligned(report) }),
    };
  }

  /** How far the sources of all other slots are. An attempt of another job or leader has nobody to wait for here. */
  #aligned({ attempt, slotIndex, groups }: AlignmentReport): readonly AlignedGroup[] {
    const job = this.#job;
    const known = job !== null && job.name === attempt.jobName && job.leaderEpoch === attempt.leaderEpoch;
    return known ? job.alignment.reported({ attempt: attempt.attempt, slotIndex, groups }) : [];
  }

  async #register(request: RegisterTaskManagerRequest): Promise<RegisterTaskManagerResponse> {
    const { taskManagerId, slotCount } = request;
    if (!this.#gateways.has(taskManagerId)) {
      const message = `task manager ${taskManagerId} cannot be reached by the job manager; it must be added before it registers`;
      throw new EngineError('PROTOCOL', message, { domain: 'internal', ids: { taskManagerId } });
    }
    const leaderEpoch = await this.#leaderEpoch();
    this.#registered.set(taskManagerId, request);
    this.#step({ kind: 'task-manager-registered', taskManagerId, slotCount });
    return { leaderEpoch };
  }

  /** An event of the shell itself, which nobody waits for. */
  #tell(event: JobMasterEvent): void {
    try {
      this.#step(event);
    } catch {
      // The job was ended with this error by #step.
    }
  }

  #step(event: JobMasterEvent): void {
    const job = this.#job;
    if (job === null || job.ended) return;
    const env = { nowMs: this.#options.clock.nowMs(), random: this.#options.random() };
    let actions: JobMasterAction[];
    try {
      actions = job.master.step(event, env);
    } catch (error) {
      // A refused message changes nothing. Anything else is a broken invariant: going on could lose data.
      const refused = isEngineError(error) && (error.code === 'STALE_EPOCH' || error.code === 'PROTOCOL');
      if (!refused) this.#abandon(job, error);
      throw error;
    }
    for (const action of actions) this.#act(job, action);
  }

  #act(job: RunningJob, action: JobMasterAction): void {
    const { store } = this.#options;
    switch (action.kind) {
      case 'call':
        return this.#call(action.taskManagerId, action.call);
      case 'set-timer':
        return this.#setTimer(job, action);
      case 'clear-timer':
        job.timers.get(action.timer)?.();
        job.timers.delete(action.timer);
        return;
      case 'advance-counter': {
        const { counter } = action;
        return this.#answer(
          job,
          store.advanceCounter(job.name, counter),
          (value) => ({ kind: 'counter-advanced', counter, value }),
          (error) => ({ kind: 'counter-failed', counter, error }),
        );
      }
      case 'write-manifest': {
        const { checkpointId } = action.manifest;
        return this.#answer(
          job,
          store.writeManifest(action.manifest),
          (manifest) => ({ kind: 'manifest-written', checkpointId, manifest }),
          (error) => ({ kind: 'manifest-failed', checkpointId, error }),
        );
      }
      case 'set-pointer': {
        const { checkpointId } = action.pointer;
        return this.#answer(
          job,
          store.compareAndSetPointer(job.name, action.expected, action.pointer),
          (result) => ({ kind: 'pointer-set', checkpointId, result }),
          (error) => ({ kind: 'pointer-set', checkpointId, result: 'unknown', error }),
        );
      }
      case 'read-pointer': {
        const { checkpointId } = action;
        return this.#answer(
          job,
          store.readPointer(job.name),
          (pointer) => ({ kind: 'pointer-read', checkpointId, pointer }),
          (error) => ({ kind: 'pointer-read-failed', checkpointId, error }),
        );
      }
      case 'delete-objects':
        return this.#deleteObjects(action.names);
      case 'record-terminal':
        return this.#answer(
          job,
          store.recordTerminal(job.name, { state: action.state, error: action.error }, job.leaderEpoch),
          (result) => ({ kind: 'terminal-recorded', result }),
          (error) => ({ kind: 'terminal-failed', error }),
        );
      case 'step-down':
        return this.#abandon(job, fromWireError(action.error));
      case 'job-ended':
        return this.#end(job, action.state, action.error);
      case 'notice':
        return this.#notice(job, action.notice);
      default:
        action satisfies never;
    }
  }

  #answer<T>(
    job: RunningJob,
    work: Promise<T>,
    done: (value: T) => JobMasterEvent,
    failed: (error: WireError) => JobMasterEvent,
  ): void {
    const tell = (event: JobMasterEvent): void => {
      if (this.#job === job) this.#tell(event);
    };
    work.then(
      (value) => tell(done(value)),
      (error: unknown) => tell(failed(toWireError(error))),
    );
  }

  #call(taskManagerId: string, call: TaskManagerCall): void {
    if (call.method === 'triggerCheckpoint') this.#job?.requests.triggered(call.request.checkpointId);
    const ended = (error: WireError | null): void => this.#tell({ kind: 'call-ended', taskManagerId, call, error });
    const gateway = this.#gateways.get(taskManagerId);
    const work = gateway === undefined ? Promise.reject(unreachable(taskManagerId)) : callTaskManager(gateway, call);
    work.then(
      () => ended(null),
      (error: unknown) => ended(toWireError(error)),
    );
  }

  #setTimer(job: RunningJob, action: JobMasterAction & { kind: 'set-timer' }): void {
    const { timer, generation, delayMs } = action;
    job.timers.get(timer)?.();
    const clear = this.#options.clock.setTimer(delayMs, () => {
      if (this.#job === job) this.#tell({ kind: 'timer-fired', timer, generation });
    });
    job.timers.set(timer, clear);
  }

  #deleteObjects(names: readonly string[]): void {
    this.#options.store.deleteObjects(names).catch((error: unknown) => {
      // Garbage that stays costs space, nothing else.
      this.#options.logger.warn(
        `${names.length} objects that are no longer needed could not be deleted: ${toWireError(error).message}`,
      );
    });
  }

  #notice(job: RunningJob, notice: JobNotice): void {
    if (notice.kind === 'state-changed' && notice.to === 'deploying') {
      job.board.attemptStarted(notice.attempt);
    }
    const text = noticeText(job.name, notice);
    // The failure that ends the job is its outcome, told once by whoever submitted it.
    if (notice.kind === 'warning' || (notice.kind === 'attempt-failed' && notice.restarts))
      this.#options.logger.warn(text);
    else this.#options.logger.info(text);
    if (notice.kind === 'checkpoint-completed' && job.leftovers.length > 0) {
      this.#deleteObjects(job.leftovers);
      job.leftovers = [];
    }
    this.#options.onEvent?.(notice);
    if (job.requests.noticed(notice)) this.#requestCheckpoint(job);
  }

  /** Later: a notice is told in the middle of a step. */
  #requestCheckpoint(job: RunningJob): void {
    queueMicrotask(() => {
      if (this.#job === job) this.#tell({ kind: 'checkpoint-requested' });
    });
  }

  #end(job: RunningJob, state: TerminalJobState, error: WireError | null): void {
    this.#close(job);
    const progress = { ...progressOf(job), state };
    job.resolve({ state, error: error === null ? null : fromWireError(error), progress });
  }

  #abandon(job: RunningJob, error: unknown): void {
    this.#close(job);
    job.reject(error);
  }

  #close(job: RunningJob): void {
    job.ended = true;
    job.requests.jobEnded();
    for (const clear of job.timers.values()) clear();
    job.timers.clear();
  }
}

function progressOf(job: RunningJob): JobProgress {
  const { master, board, restored } = job;
  const newest = master.newestCheckpoint;
  const manifest = newest?.manifest ?? null;
  const restoredManifest = restored?.manifests[restored.manifests.length - 1] ?? null;
  return {
    state: master.state,
    attempt: master.attempt,
    ...board.totals(manifest),
    lastCheckpoint:
      manifest === null
        ? null
        : { id: manifest.checkpointId, completedAtMs: manifest.completedAtMs, bytes: bytesOf(manifest) },
    restored:
      restoredManifest === null
        ? null
        : { checkpointId: restoredManifest.checkpointId, sourceRecords: sourceRecordsOf(restoredManifest) },
    restarts: master.restartCount,
  };
}

/**
 * The pointer and what it retains. The newest manifest must be readable (rule 4); an older one that is not costs only the
 * deletion of its files.
 */
async function readRestored(
  store: JobStore,
  jobName: string,
  warn: (message: string) => void,
): Promise<RestoredPointer | null> {
  const pointer = await store.readPointer(jobName);
  if (pointer === null) return null;
  const newest = pointer.retained.length - 1;
  const manifests: (Manifest | null)[] = [];
  for (const [index, checkpoint] of pointer.retained.entries()) {
    try {
      manifests.push(await store.readManifest(checkpoint.manifest));
    } catch (error) {
      if (index === newest) throw error;
      warn(
        `checkpoint ${checkpoint.checkpointId} of job "${jobName}", which is not the newest, cannot be read: ${toWireError(error).message}`,
      );
      manifests.push(null);
    }
  }
  return { pointer, manifests };
}

/** Epochs never repeat, so a newest checkpoint of this epoch or a later one means that the epoch counter was lost. */
function lostEpoch(jobName: string, { pointer }: RestoredPointer, leaderEpoch: number): EngineError {
  const message = `the newest checkpoint of job "${jobName}" was completed in epoch ${pointer.leaderEpoch}, but the counter of epochs (${clusterName}/counters) now gave ${leaderEpoch}: it is missing or older than the checkpoint → restore that file from a backup; if there is none, drop state and results with --fresh`;
  return new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', ids: { jobName, leaderEpoch } });
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
    case 'mergeFiles':
      return gateway.mergeFiles(call.request);
  }
}

function noticeText(jobName: string, notice: JobNotice): string {
  switch (notice.kind) {
    case 'state-changed':
      return `job "${jobName}" is ${notice.to} (was ${notice.from}, attempt ${notice.attempt})`;
    case 'attempt-failed':
      return `attempt ${notice.attempt} of job "${jobName}" failed, ${notice.next}: ${notice.error.message}`;
    case 'checkpoint-completed':
      return `checkpoint ${notice.checkpointId} of job "${jobName}" is complete: ${notice.bytes} bytes in ${notice.durationMs} ms`;
    case 'checkpoint-aborted':
      return `checkpoint ${notice.checkpointId} of job "${jobName}" was given up: ${notice.reason}`;
    case 'warning':
      return notice.message;
  }
}
