/**
 * The shell of one job: turns messages, timers and answers of storage into events of its job master, and does what the
 * actions say. It holds no decisions. Events that come up while actions are being done wait their turn, so the job master is
 * never entered twice and actions stay in order.
 */
import { EngineError, fromWireError, isEngineError, toWireError, type WireError } from '../core/errors.ts';
import type { JobGraph } from '../core/graph/job-graph.ts';
import type { VertexStatus } from '../proto/client-messages.ts';
import type { AlignedGroup, AlignmentReport, Manifest, ObjectRef, SubtaskMetrics } from '../proto/messages.ts';
import { jobDirectoryName } from '../core/job-directory.ts';
import { CheckpointRequests } from './checkpoint-requests.ts';
import type { Clock } from './clock.ts';
import { bytesOf, type JobProgress, MetricsBoard, sourceRecordsOf } from './job-progress.ts';
import { JobMaster } from './model/job-master.ts';
import type {
  JobMasterAction,
  CheckpointPointer,
  JobMasterEvent,
  JobMasterSettings,
  JobNotice,
  RestoredPointer,
  TaskManagerCall,
  TimerName,
} from './model/job-master-protocol.ts';
import type { TerminalJobState } from './model/job-state.ts';
import type { SlotOffer } from './model/slot-assignment.ts';
import { WatermarkAlignment } from './model/watermark-alignment.ts';
import type { JobStore, RestoreSource } from './store/job-store.ts';
import { savepointPath } from './store/savepoint-document.ts';
import { type ObservedSubtask, SubtaskBoard } from './subtask-board.ts';

/** A job as it is handed to a job manager. */
export interface SubmittedJob {
  /** Unique for this submission within the job store; what messages and stored objects carry. */
  readonly jobId: string;
  readonly graph: JobGraph;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job whose state means the same to this one; none when absent. */
  readonly restorableGraphHashes?: readonly string[];
  readonly graphRef: ObjectRef;
  readonly artifactRef: ObjectRef;
  /** What relative paths of connectors are resolved against; absent: the task manager's own. */
  readonly workingDirectory?: string;
  /** Of the client that planned it; noted in savepoints. */
  readonly engineVersion?: string;
  /** The savepoint it starts from as long as it has no checkpoint of its own; null or absent: none. */
  readonly restoreFrom?: RestoreSource | null;
  /** Go on from the newest checkpoint. False: there must be none. */
  readonly resume: boolean;
  /** An attempt that an earlier leader deployed may be running and is taken over where it can be. Default: no. */
  readonly adopt?: boolean;
}

export interface JobOutcome {
  readonly state: TerminalJobState;
  /** Set exactly when the state is `failed`. */
  readonly error: EngineError | null;
  readonly progress: JobProgress;
}

/** A savepoint that was taken. */
export interface TakenSavepoint {
  readonly checkpointId: number;
  readonly savepointPath: string;
}

/** What all jobs of a job manager share. */
export interface JobEnvironment {
  readonly store: JobStore;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: { info(message: string): void; warn(message: string): void };
  readonly settings: JobMasterSettings;
  readonly leaderEpoch: number;
  onNotice(jobId: string, notice: JobNotice): void;
  requestSlots(jobId: string, count: number, kept: readonly SlotOffer[]): void;
  adoptSlots(jobId: string, attempt: number): void;
  releaseSlots(jobId: string): void;
  giveUpTaskManager(taskManagerId: string, reason: string): void;
  /** @throws EngineError when the task manager refused or could not be reached */
  call(taskManagerId: string, call: TaskManagerCall): Promise<void>;
}

/** Name under which the epoch counter of a store is kept. */
export const clusterCountersName = 'millrace-cluster';

export class JobRunner {
  readonly jobId: string;
  readonly job: SubmittedJob;
  /** How the job ended. Rejects when it was abandoned: another job manager has taken it over, or an invariant broke. */
  readonly outcome: Promise<JobOutcome>;
  readonly #environment: JobEnvironment;
  readonly #master: JobMaster;
  #board: MetricsBoard;
  #graph: JobGraph;
  readonly #rescales: {
    readonly resolve: (checkpointId: number) => void;
    readonly reject: (error: EngineError) => void;
  }[] = [];
  readonly #subtasks = new SubtaskBoard();
  readonly #alignment = new WatermarkAlignment();
  readonly #restored: RestoredPointer | null;
  readonly #requests: CheckpointRequests;
  readonly #savepoints: CheckpointRequests;
  /** Those with whose savepoint the job stops. */
  readonly #stops: CheckpointRequests;
  /** The manifest that was written last. */
  #written: Manifest | null = null;
  #graphRef: ObjectRef;
  #nextGraphRef: ObjectRef | null = null;
  readonly #timers = new Map<TimerName, () => void>();
  readonly #queue: JobMasterEvent[] = [];
  #leftovers: readonly string[];
  #lastFailure: WireError | null = null;
  #stepping = false;
  #ended = false;
  #resolve: (outcome: JobOutcome) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  /** Use {@link JobRunner.load}. */
  private constructor(
    job: SubmittedJob,
    environment: JobEnvironment,
    restored: RestoredPointer | null,
    leftovers: readonly string[],
    newestAttempt: number,
  ) {
    this.jobId = job.jobId;
    this.job = job;
    this.#environment = environment;
    this.#restored = restored;
    this.#leftovers = leftovers;
    this.#graph = job.graph;
    this.#board = new MetricsBoard(job.graph);
    this.#graphRef = job.graphRef;
    this.#requests = new CheckpointRequests(job.graph.name);
    this.#savepoints = new CheckpointRequests(job.graph.name, 'savepoint');
    this.#stops = new CheckpointRequests(job.graph.name, 'stop');
    const { jobId, graph, graphHash, restorableGraphHashes = [], graphRef, artifactRef, workingDirectory = '' } = job;
    this.#master = new JobMaster({
      jobId,
      graph,
      graphHash,
      restorableGraphHashes,
      graphRef,
      artifactRef,
      workingDirectory,
      objectPrefix: `${jobDirectoryName(jobId)}/`,
      leaderEpoch: environment.leaderEpoch,
      newestAttempt,
      restored,
      settings: environment.settings,
    });
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever wants to know asks for it; nobody has to.
    this.outcome.catch(() => undefined);
  }

  /**
   * Reads what is known of the job and makes it ready to be started.
   * @throws EngineError CHECKPOINT_UNREADABLE, STORAGE_FAILED; USAGE when there is state and it is not to be resumed
   */
  static async load(job: SubmittedJob, environment: JobEnvironment): Promise<JobRunner> {
    const { store, leaderEpoch } = environment;
    const { jobId } = job;
    const { name } = job.graph;
    const own = await readRestored(store, job, (message) => environment.logger.warn(message));
    const restored = own ?? (await readForeign(store, job));
    if (own !== null && !job.resume) {
      const { checkpointId } = own.pointer;
      const message = `job "${name}" has state from an earlier run (checkpoint ${checkpointId}); resume it, or clear its state first`;
      throw new EngineError('USAGE', message, { ids: { jobName: name, checkpointId } });
    }
    if (own !== null && own.pointer.leaderEpoch >= leaderEpoch) throw lostEpoch(name, own, leaderEpoch);
    const leftovers = await leftoversOf(job, environment, restored);
    const terminal = await store.readTerminal(jobId);
    if (terminal !== null && terminal.state !== 'finished') await store.clearTerminal(jobId);
    const newestAttempt = job.adopt === true ? await store.readCounter(jobId, 'attempt') : 0;
    const runner = new JobRunner(job, environment, restored, leftovers, newestAttempt);
    if (terminal?.state === 'finished') runner.#end('finished', null);
    return runner;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get leaderEpoch(): number {
    return this.#environment.leaderEpoch;
  }

  start(): void {
    this.tell({ kind: 'started' });
  }

  /**
   * Takes a checkpoint besides the periodic ones, as soon as the job runs.
   * @returns its id: triggered after this call, and complete
   * @throws EngineError CHECKPOINT_FAILED when it was given up, or the job ended before; USAGE when the job has ended
   */
  async checkpoint(): Promise<number> {
    if (this.#ended) throw new EngineError('USAGE', 'no job runs here → ask for a checkpoint while one does');
    const completed = this.#requests.add();
    this.tell({ kind: 'checkpoint-requested' });
    return await completed;
  }

  /**
   * Takes a checkpoint that is kept until it is disposed of. Waits until the job runs, at most its checkpoint timeout.
   * @throws EngineError CHECKPOINT_FAILED when it was given up, or the job did not run or ended; USAGE when the job has ended
   */
  async savepoint(): Promise<TakenSavepoint> {
    if (this.#ended) throw new EngineError('USAGE', 'no job runs here → ask for a savepoint while one does');
    if (this.#master.isDraining) throw this.#noSavepoint('it is being drained, so nobody could go on from there');
    return await new Promise((resolve, reject) => {
      const taken = (checkpointId: number): void => resolve(this.#taken(checkpointId));
      const waiting = this.#savepoints.wait(taken, reject);
      const { checkpointTimeoutMs } = this.#graph.options;
      const clear = this.#environment.clock.setTimer(checkpointTimeoutMs, () => {
        const why = this.#lastFailure === null ? '' : `, since ${this.#lastFailure.message}`;
        const what = `no checkpoint could be begun within ${checkpointTimeoutMs} ms, the job is ${this.#master.state}${why}`;
        this.#savepoints.expire(waiting, what);
      });
      void this.outcome.catch(() => undefined).finally(clear);
      this.tell({ kind: 'savepoint-requested' });
    });
  }

  /**
   * Ends the job with a savepoint. `outcome` tells when it has ended.
   * @throws EngineError CHECKPOINT_FAILED when none could be taken: then the job runs on
   */
  async stopWithSavepoint(): Promise<TakenSavepoint> {
    const { state, isDraining } = this.#master;
    if (state !== 'running' || isDraining) {
      const what = isDraining ? 'it is being drained' : `it is ${state}`;
      throw this.#noSavepoint(`${what} → try again when it runs, or stop it without one`);
    }
    return await new Promise((resolve, reject) => {
      this.#stops.wait((checkpointId) => resolve(this.#taken(checkpointId)), reject);
      this.tell({ kind: 'stop-requested', savepoint: true });
    });
  }

  /** Of the checkpoint that has just been completed. */
  #taken(checkpointId: number): TakenSavepoint {
    const attempt = this.#master.newestCheckpoint?.pointer.attempt ?? 0;
    return { checkpointId, savepointPath: savepointPath({ jobId: this.jobId, attempt, checkpointId }) };
  }

  #noSavepoint(why: string): EngineError {
    const { name } = this.#graph;
    const message = `no savepoint of job "${name}" can be taken: ${why}`;
    return new EngineError('CHECKPOINT_FAILED', message, { domain: 'external', ids: { jobName: name } });
  }

  /**
   * Gives a savepoint of the job up. Resolves when no pointer pins it any more.
   * @throws EngineError CHECKPOINT_FAILED when the next checkpoint was given up; a later one unpins it
   */
  async disposeSavepoint(checkpointId: number): Promise<void> {
    this.tell({ kind: 'savepoint-disposed', checkpointId });
    await this.checkpoint();
  }

  /** True while a checkpoint of the job needs an object of that name. */
  needs(name: string): boolean {
    return this.#master.needs(name);
  }

  /** Ends the input of the job, and the job with it: it finishes. */
  drain(): void {
    this.tell({ kind: 'stop-requested', drain: true });
  }

  /** Takes one last checkpoint, then ends the job. It may be resumed. */
  stop(): void {
    this.tell({ kind: 'stop-requested' });
  }

  /** Ends the job at once. */
  cancel(): void {
    this.tell({ kind: 'cancel-requested' });
  }

  /** As it runs now, or will next. */
  get graph(): JobGraph {
    return this.#graph;
  }

  /**
   * Lets the job go on with another parallelism, from a checkpoint that is taken for it.
   * @param graph the job planned for it, and where it is stored
   * @returns the checkpoint it goes on from; 0: from the beginning
   * @throws EngineError CANCELED when the job ended before
   */
  rescale(graph: JobGraph, graphRef: ObjectRef): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#rescales.push({ resolve, reject });
      this.#nextGraphRef = graphRef;
      this.tell({ kind: 'rescale-requested', graph, graphRef });
      if (this.#ended) this.#rejectRescales();
    });
  }

  #rescaled(graph: JobGraph, checkpointId: number): void {
    this.#graph = graph;
    this.#graphRef = this.#nextGraphRef ?? this.#graphRef;
    this.#board = new MetricsBoard(graph);
    for (const { resolve } of this.#rescales.splice(0)) resolve(checkpointId);
  }

  #rejectRescales(): void {
    const message = `job "${this.#graph.name}" ended before its parallelism was changed`;
    const error = new EngineError('CANCELED', message, { domain: 'external', ids: { jobId: this.jobId } });
    for (const { reject } of this.#rescales.splice(0)) reject(error);
  }

  heard(attempt: number, metrics: readonly SubtaskMetrics[]): void {
    this.#board.heard(attempt, metrics);
  }

  /** How far the sources of all other slots are. An attempt of another leader has nobody to wait for here. */
  aligned({ attempt, slotIndex, groups }: AlignmentReport): readonly AlignedGroup[] {
    if (attempt.leaderEpoch !== this.leaderEpoch) return [];
    return this.#alignment.reported({ attempt: attempt.attempt, slotIndex, groups });
  }

  /** An event that nobody waits for: of the shell itself. */
  tell(event: JobMasterEvent): void {
    try {
      this.receive(event);
    } catch {
      // The job was ended with this error by #step.
    }
  }

  /** A message. @throws EngineError STALE_EPOCH or PROTOCOL when it is refused; nothing has changed then */
  receive(event: JobMasterEvent): void {
    if (this.#ended) return;
    if (this.#stepping) {
      this.#queue.push(event);
      return;
    }
    if (event.kind === 'slot-ended') this.#alignment.slotEnded(event.report.attempt.attempt, event.report.slotIndex);
    this.#step(event);
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.tell(next);
  }

  /** This job manager is no longer the one to run the job: nothing more is done, nothing is recorded. */
  abandon(error: unknown): void {
    if (this.#ended) return;
    this.#close();
    this.#reject(error);
  }

  /** The manifest of the newest complete checkpoint; null before the first. */
  get newestManifest(): ObjectRef | null {
    return this.#master.newestCheckpoint?.pointer.retained.at(-1)?.manifest ?? null;
  }

  /** What that manifest says; null before the first. */
  get newestCheckpoint(): Manifest | null {
    return this.#master.newestCheckpoint?.manifest ?? null;
  }

  /** Where the subtasks of the newest attempt are, in no order. */
  get subtasks(): readonly ObservedSubtask[] {
    return this.#subtasks.subtasks;
  }

  /** What the subtasks of this attempt said of themselves last. */
  get subtaskMetrics(): readonly SubtaskMetrics[] {
    return this.#board.subtasks;
  }

  get waitsForSlots(): boolean {
    return this.#master.waitsForSlots;
  }

  /** Why an attempt failed last; null while none has. */
  get lastFailure(): WireError | null {
    return this.#lastFailure;
  }

  /** The job's vertices with what their subtasks do. */
  vertices(): VertexStatus[] {
    return this.#board.vertices(this.#master.subtaskStates);
  }

  progress(): JobProgress {
    const newest = this.#master.newestCheckpoint;
    const manifest = newest?.manifest ?? null;
    const restored = this.#restored?.manifests.at(-1) ?? null;
    return {
      state: this.#master.state,
      attempt: this.#master.attempt,
      ...this.#board.totals(manifest),
      lastCheckpoint:
        manifest === null
          ? null
          : { id: manifest.checkpointId, completedAtMs: manifest.completedAtMs, bytes: bytesOf(manifest) },
      restored:
        restored === null ? null : { checkpointId: restored.checkpointId, sourceRecords: sourceRecordsOf(restored) },
      restarts: this.#master.restartCount,
    };
  }

  #step(event: JobMasterEvent): void {
    const { clock, random } = this.#environment;
    this.#stepping = true;
    try {
      const actions = this.#master.step(event, { nowMs: clock.nowMs(), random: random() });
      this.#subtasks.saw(event);
      for (const action of actions) this.#act(action);
    } catch (error) {
      // A refused message changes nothing. Anything else is a broken invariant: going on could lose data.
      const refused = isEngineError(error) && (error.code === 'STALE_EPOCH' || error.code === 'PROTOCOL');
      if (!refused) this.abandon(error);
      throw error;
    } finally {
      this.#stepping = false;
    }
  }

  #act(action: JobMasterAction): void {
    const { store } = this.#environment;
    switch (action.kind) {
      case 'request-slots':
        return this.#environment.requestSlots(this.jobId, action.count, action.kept);
      case 'adopt-slots':
        return this.#environment.adoptSlots(this.jobId, action.attempt);
      case 'release-slots':
        return this.#environment.releaseSlots(this.jobId);
      case 'give-up-task-manager':
        return this.#environment.giveUpTaskManager(action.taskManagerId, action.reason);
      case 'call':
        return this.#call(action.taskManagerId, action.call);
      case 'set-timer':
        return this.#setTimer(action);
      case 'clear-timer':
        this.#timers.get(action.timer)?.();
        this.#timers.delete(action.timer);
        return;
      case 'advance-counter': {
        const { counter } = action;
        return this.#answer(
          store.advanceCounter(this.jobId, counter),
          (value) => ({ kind: 'counter-advanced', counter, value }),
          (error) => ({ kind: 'counter-failed', counter, error }),
        );
      }
      case 'write-manifest': {
        const { checkpointId } = action.manifest;
        this.#written = action.manifest;
        return this.#answer(
          store.writeManifest(this.jobId, action.manifest),
          (manifest) => ({ kind: 'manifest-written', checkpointId, manifest }),
          (error) => ({ kind: 'manifest-failed', checkpointId, error }),
        );
      }
      case 'set-pointer': {
        const { checkpointId } = action.pointer;
        return this.#answer(
          this.#writeSavepoint(action.pointer).then(() =>
            store.compareAndSetPointer(this.jobId, action.expected, action.pointer),
          ),
          (result) => ({ kind: 'pointer-set', checkpointId, result }),
          (error) => ({ kind: 'pointer-set', checkpointId, result: 'unknown', error }),
        );
      }
      case 'read-pointer': {
        const { checkpointId } = action;
        return this.#answer(
          store.readPointer(this.jobId),
          (pointer) => ({ kind: 'pointer-read', checkpointId, pointer }),
          (error) => ({ kind: 'pointer-read-failed', checkpointId, error }),
        );
      }
      case 'delete-objects':
        return this.#deleteObjects(action.names);
      case 'record-terminal':
        return this.#answer(
          store.recordTerminal(
            this.jobId,
            { state: action.state, error: action.error, endedAtMs: this.#environment.clock.nowMs() },
            this.leaderEpoch,
          ),
          (result) => ({ kind: 'terminal-recorded', result }),
          (error) => ({ kind: 'terminal-failed', error }),
        );
      case 'step-down':
        return this.abandon(fromWireError(action.error));
      case 'job-ended':
        return this.#end(action.state, action.error);
      case 'notice':
        return this.#notice(action.notice);
      default:
        action satisfies never;
    }
  }

  #answer<T>(work: Promise<T>, done: (value: T) => JobMasterEvent, failed: (error: WireError) => JobMasterEvent): void {
    work.then(
      (value) => this.tell(done(value)),
      (error: unknown) => this.tell(failed(toWireError(error))),
    );
  }

  /** The document is there before the pointer pins its checkpoint; one without is a leftover. */
  async #writeSavepoint({ checkpointId, attempt, pinned = [] }: CheckpointPointer): Promise<void> {
    const pin = pinned.find((one) => one.checkpointId === checkpointId);
    const manifest = this.#written;
    if (pin === undefined || manifest === null) return;
    const { jobName, graphHash, completedAtMs, maxParallelism } = manifest;
    const origin = { jobId: this.jobId, jobName, graphHash, graph: this.#graphRef };
    const { engineVersion = '' } = this.job;
    const taken = { checkpointId, attempt, createdAtMs: completedAtMs, maxParallelism, manifest: pin.manifest };
    await this.#environment.store.writeSavepoint({ ...origin, engineVersion, ...taken });
  }

  #call(taskManagerId: string, call: TaskManagerCall): void {
    this.#subtasks.called(taskManagerId, call);
    if (call.method === 'triggerCheckpoint') {
      for (const requests of [this.#requests, this.#savepoints, this.#stops])
        requests.triggered(call.request.checkpointId);
    }
    const ended = (error: WireError | null): void => this.tell({ kind: 'call-ended', taskManagerId, call, error });
    this.#environment.call(taskManagerId, call).then(
      () => ended(null),
      (error: unknown) => ended(toWireError(error)),
    );
  }

  #setTimer(action: JobMasterAction & { kind: 'set-timer' }): void {
    const { timer, generation, delayMs } = action;
    this.#timers.get(timer)?.();
    const clear = this.#environment.clock.setTimer(delayMs, () =>
      this.tell({ kind: 'timer-fired', timer, generation }),
    );
    this.#timers.set(timer, clear);
  }

  #deleteObjects(names: readonly string[]): void {
    const { store, logger } = this.#environment;
    store.deleteObjects(names).catch((error: unknown) => {
      // Garbage that stays costs space, nothing else.
      logger.warn(
        `${names.length} objects that are no longer needed could not be deleted: ${toWireError(error).message}`,
      );
    });
  }

  #notice(notice: JobNotice): void {
    const { logger } = this.#environment;
    if (notice.kind === 'adopted' || (notice.kind === 'state-changed' && notice.to === 'deploying')) {
      this.#board.attemptsStarted(this.#master.currentAttempts);
      this.#alignment.attemptsStarted(this.#master.currentAttempts);
    }
    if (notice.kind === 'rescaled') this.#rescaled(notice.graph, notice.checkpointId);
    if (notice.kind === 'attempt-failed') this.#lastFailure = notice.error;
    const text = noticeText(this.job.graph.name, notice);
    // The failure that ends the job is its outcome, told once by whoever submitted it.
    if (notice.kind === 'warning' || (notice.kind === 'attempt-failed' && notice.restarts)) logger.warn(text);
    else logger.info(text);
    if (notice.kind === 'checkpoint-completed' && this.#leftovers.length > 0) {
      this.#deleteObjects(this.#leftovers);
      this.#leftovers = [];
    }
    this.#environment.onNotice(this.jobId, notice);
    if (this.#requests.noticed(notice)) this.tell({ kind: 'checkpoint-requested' });
    if (this.#savepoints.noticed(notice)) this.tell({ kind: 'savepoint-requested' });
    this.#stops.noticed(notice);
    if (notice.kind === 'state-changed' && (notice.to === 'deploying' || notice.to === 'running'))
      this.#stops.rejectAll('its attempt ended before the checkpoint was complete; the job runs on');
  }

  #end(state: TerminalJobState, error: WireError | null): void {
    this.#close();
    const progress = { ...this.progress(), state };
    this.#resolve({ state, error: error === null ? null : fromWireError(error), progress });
  }

  #close(): void {
    this.#ended = true;
    this.#queue.length = 0;
    for (const requests of [this.#requests, this.#savepoints, this.#stops]) requests.jobEnded();
    this.#rejectRescales();
    for (const clear of this.#timers.values()) clear();
    this.#timers.clear();
  }
}

/**
 * What runs that ended by a crash left behind: objects that are there before this run writes any, and that no retained manifest
 * names. Recovery only reads; they go once this run has moved the pointer (FLINK-7783).
 */
async function leftoversOf(
  job: SubmittedJob,
  { store, logger }: JobEnvironment,
  restored: RestoredPointer | null,
): Promise<readonly string[]> {
  const manifests = [...(restored?.manifests ?? []), ...(restored?.pinnedManifests ?? [])];
  // Without a manifest it is not known what it names.
  if (manifests.includes(null)) return [];
  const needed = new Set(restored?.pointer.retained.map((checkpoint) => checkpoint.manifest.name));
  for (const manifest of manifests) for (const { file } of manifest?.files ?? []) needed.add(file.object.name);
  restored?.pointer.pinned?.forEach(({ checkpointId, manifest }, index) => {
    const attempt = restored.pinnedManifests?.[index]?.attempt ?? 0;
    needed.add(manifest.name).add(savepointPath({ jobId: job.jobId, attempt, checkpointId }));
  });
  try {
    return (await store.listObjects(job.jobId)).filter((name) => !needed.has(name));
  } catch (error) {
    logger.warn(`files of earlier runs of job "${job.graph.name}" are not cleaned up: ${toWireError(error).message}`);
    return [];
  }
}

/**
 * The pointer and what it retains. The newest manifest must be readable (rule 4); an older one that is not costs only the
 * deletion of its files.
 */
async function readRestored(
  store: JobStore,
  { jobId, graph }: SubmittedJob,
  warn: (message: string) => void,
): Promise<RestoredPointer | null> {
  const pointer = await store.readPointer(jobId);
  if (pointer === null) return null;
  const newest = pointer.retained.length - 1;
  const manifests: (Manifest | null)[] = [];
  for (const [index, checkpoint] of pointer.retained.entries()) {
    try {
      manifests.push(await store.readManifest(checkpoint.manifest));
    } catch (error) {
      if (index === newest) throw error;
      warn(
        `checkpoint ${checkpoint.checkpointId} of job "${graph.name}", which is not the newest, cannot be read: ${toWireError(error).message}`,
      );
      manifests.push(null);
    }
  }
  const pinnedManifests: (Manifest | null)[] = [];
  for (const { checkpointId, manifest } of pointer.pinned ?? []) {
    try {
      pinnedManifests.push(await store.readManifest(manifest));
    } catch (error) {
      // Storage that cannot be reached is tried again; only damage is gone on with.
      if (!isEngineError(error) || error.code !== 'CHECKPOINT_UNREADABLE') throw error;
      warn(
        `the savepoint of checkpoint ${checkpointId} of job "${graph.name}" cannot be read, and because nobody knows which files it names, none of the job is deleted any more: ${error.message}`,
      );
      pinnedManifests.push(null);
    }
  }
  return { pointer, manifests, pinnedManifests };
}

/**
 * The savepoint that a job without a checkpoint of its own starts from. What the job numbers (attempts, checkpoints) goes on
 * above what the savepoint has, and above all earlier jobs of its name: state, and what sinks have prepared where this one
 * writes too, carry those numbers.
 */
async function readForeign(
  store: JobStore,
  { jobId, graph, restoreFrom }: SubmittedJob,
): Promise<RestoredPointer | null> {
  if (restoreFrom === null || restoreFrom === undefined) return null;
  const { checkpointId, manifest: object } = restoreFrom;
  const manifest = await store.readManifest(object);
  const above = { attempt: manifest.attempt, checkpoint: checkpointId };
  for (const record of await store.readJobs()) {
    if (record.name !== graph.name) continue;
    above.attempt = Math.max(above.attempt, await store.readCounter(record.jobId, 'attempt'));
    above.checkpoint = Math.max(above.checkpoint, await store.readCounter(record.jobId, 'checkpoint'));
  }
  await store.raiseCounters(jobId, above);
  const retained = [{ checkpointId, manifest: object }];
  const pointer = { checkpointId, attempt: manifest.attempt, leaderEpoch: 0, retained };
  return { pointer, manifests: [manifest], isForeign: true };
}

/** Epochs never repeat, so a newest checkpoint of this epoch or a later one means that the epoch counter was lost. */
function lostEpoch(jobName: string, { pointer }: RestoredPointer, leaderEpoch: number): EngineError {
  const message = `the newest checkpoint of job "${jobName}" was completed in epoch ${pointer.leaderEpoch}, but the counter of epochs (${clusterCountersName}/counters) now gave ${leaderEpoch}: it is missing or older than the checkpoint → restore that file from a backup; if there is none, drop state and results with --fresh`;
  return new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', ids: { jobName, leaderEpoch } });
}

function attemptsText(attempts: readonly number[]): string {
  return `attempt${attempts.length === 1 ? '' : 's'} ${attempts.join(', ')}`;
}

function noticeText(jobName: string, notice: JobNotice): string {
  switch (notice.kind) {
    case 'adopted':
      return `${attemptsText(notice.attempts)} of job "${jobName}" found running, and going on`;
    case 'rescaled':
      return `job "${jobName}" goes on with parallelism ${notice.graph.options.parallelism} from checkpoint ${notice.checkpointId}`;
    case 'state-changed':
      return `job "${jobName}" is ${notice.to} (was ${notice.from}, attempt ${notice.attempt})`;
    case 'attempt-failed':
      return `${attemptsText(notice.attempts)} of job "${jobName}" failed, ${notice.next}: ${notice.error.message}`;
    case 'checkpoint-completed':
      return `checkpoint ${notice.checkpointId} of job "${jobName}" is complete: ${notice.bytes} bytes in ${notice.durationMs} ms`;
    case 'checkpoint-aborted':
      return `checkpoint ${notice.checkpointId} of job "${jobName}" was given up: ${notice.reason}`;
    case 'warning':
      return notice.message;
  }
}
