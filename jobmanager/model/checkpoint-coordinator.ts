/**
 * Checkpoints of one job: when one is triggered, when it is complete, and what happens around it. Pure.
 *
 *   idle ─▶ numbering ─▶ collecting ─▶ writing manifest ─▶ setting pointer ─▶ complete: notify, delete what is no longer
 *             (id durable    │ ▲ acks                          │ ▲               named, perhaps merge
 *              before use)   ▼ all or none             unknown ▼ │ not there: the same again
 *                         aborted                             reading back
 *
 * - A checkpoint covers the whole job: none is taken while a region of it is being started again, and what is under way then
 *   is aborted, also in the regions that run on.
 * - One checkpoint is in flight. While acknowledgements are collected it may be aborted by anything. Once they are all there
 *   its fate is no longer the attempt's: it is complete or not when the pointer says so, and whoever wants to restore waits
 *   for that (`isSettled`).
 * - The pointer is the only thing that makes a checkpoint complete. An ambiguous answer is read back, and the same write is
 *   repeated until the answer is definite: never both complete and aborted (rule 9).
 * - Notify after the pointer, never before (rule 3). Notifications are repeated until every task manager has answered,
 *   and a later one stands for all earlier ones.
 * - A savepoint is a checkpoint that its own pointer pins: it is complete and pinned in one write, or neither.
 */
import { assert, EngineError, toWireError, type WireError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { manifestFormatVersion } from '../../proto/manifest-format.ts';
import type {
  AttemptRef,
  CheckpointAcknowledgement,
  CheckpointDecline,
  Manifest,
  MergeReport,
  StateFile,
  SubtaskRef,
  SubtaskSnapshotInfo,
} from '../../proto/messages.ts';
import { FileRetention } from './file-retention.ts';
import type {
  CheckpointPointer,
  JobMasterAction,
  JobMasterEvent,
  JobMasterOptions,
  RestoredPointer,
  StepEnvironment,
  TaskManagerCall,
} from './job-master-protocol.ts';
import { MergeOwnership } from './merge-ownership.ts';
import { isRestartable } from './restart-policy.ts';
import { subtaskKey } from './slot-assignment.ts';
import type { Timers } from './timers.ts';

/** Why a checkpoint is taken: at its interval, because all input has ended, or because the job is to stop. */
export type CheckpointReason = 'periodic' | 'final' | 'stop';

/** The attempt of a region that takes part in checkpoints. */
export interface CoordinatedAttempt {
  readonly attempt: number;
  readonly taskManagerIds: readonly string[];
  /** Subtasks that were started. */
  readonly subtasks: readonly { readonly subtask: SubtaskRef; readonly taskManagerId: string }[];
}

interface Collecting {
  readonly step: 'collecting';
  readonly checkpointId: number;
  readonly reason: CheckpointReason;
  /** Somebody wants it as a savepoint. */
  readonly pin: boolean;
  readonly triggeredAtMs: number;
  /** Subtasks whose share is missing. A task manager acknowledges once an attempt, for all its subtasks that have not left. */
  readonly missingSubtasks: Set<string>;
  readonly acknowledgedBy: Set<string>;
  readonly snapshots: SubtaskSnapshotInfo[];
  readonly files: { readonly taskManagerId: string; readonly file: StateFile }[];
}

interface Completing {
  readonly step: 'writing' | 'pointing' | 'reading';
  readonly checkpointId: number;
  readonly reason: CheckpointReason;
  readonly pin: boolean;
  readonly manifest: Manifest;
  readonly ownFileNames: readonly string[];
  /** Null until the manifest is written. */
  readonly pointer: CheckpointPointer | null;
}

type Phase =
  | { readonly step: 'idle' }
  | { readonly step: 'numbering'; readonly reason: CheckpointReason }
  | Collecting
  | Completing;

/** A task manager with subtasks of an attempt. */
interface Participant {
  readonly attempt: number;
  readonly taskManagerId: string;
}

const participantKey = ({ attempt, taskManagerId }: Participant): string => `${attempt} ${taskManagerId}`;

/** What the job master has to know about what happened in a step. */
export interface CoordinatorOutcome {
  readonly actions: JobMasterAction[];
  readonly completed?: { readonly checkpointId: number; readonly reason: CheckpointReason };
  /** A checkpoint failed; `fatal` when that fails the attempt. */
  readonly failed?: { readonly reason: CheckpointReason; readonly error: WireError; readonly fatal: boolean };
  /** Another leader owns the pointer. */
  readonly fenced?: WireError;
}

const pointerRetryMs = 500;
const counterRetryMs = 500;
const notifyRetryMs = 1_000;
const finalRetryMs = 1_000;

export class CheckpointCoordinator {
  readonly #jobId: string;
  readonly #jobName: string;
  #graph: JobGraph;
  readonly #graphHash: string;
  readonly #leaderEpoch: number;
  readonly #minPauseMs: number;
  readonly #storeFailuresMax: number | null;
  readonly #timers: Timers;
  readonly #retention: FileRetention;
  readonly #merges = new MergeOwnership();
  #phase: Phase = { step: 'idle' };
  /** Names the newest checkpoint; of another job until the first own one is complete. */
  #pointer: CheckpointPointer | null;
  /** Checkpoint of the pointer that is stored for this job. */
  #storedId: number | null;
  #manifest: Manifest | null;
  /** Those that run, one for each region, newest last. */
  #attempts: readonly CoordinatedAttempt[] = [];
  /** False while a region is missing. */
  #allRun = false;
  /** Subtasks that have left; their share is carried on unchanged. */
  #finished = new Set<string>();
  readonly #finishedRefs = new Map<string, SubtaskRef>();
  /** Who has not confirmed the newest completion. */
  #unnotified = new Map<string, Participant>();
  #stopRequested = false;
  /** The checkpoint of the stop, and no earlier one, is pinned. */
  #stopPins = false;
  /** The next checkpoint that is triggered is to be pinned. */
  #savepointWanted = false;
  /** Sources are to end. Once a task manager may have heard it, it stays so, for whoever leads the job later too. */
  #draining: boolean;
  #finalRequested = false;
  #nextDueMs = 0;
  #failuresInARow = 0;
  /** Of the checkpoint in flight: how often its pointer was not set, and why it was not the last time. */
  #pointerFailures = 0;
  #pointerError: WireError | null = null;

  constructor(options: JobMasterOptions, timers: Timers) {
    this.#jobId = options.jobId;
    this.#jobName = options.graph.name;
    this.#graph = options.graph;
    this.#graphHash = options.graphHash;
    this.#leaderEpoch = options.leaderEpoch;
    this.#minPauseMs = options.settings.checkpointMinPauseMs;
    this.#storeFailuresMax = options.settings.storeFailuresMax;
    this.#timers = timers;
    this.#retention = new FileRetention(options.graph.options.checkpointsRetained, options.objectPrefix);
    this.#pointer = options.restored?.pointer ?? null;
    this.#storedId = options.restored?.isForeign === true ? null : (this.#pointer?.checkpointId ?? null);
    this.#draining = this.#pointer?.draining === true;
    this.#manifest = newestManifest(options.restored);
    if (this.#storedId !== null) this.#retain(options.restored);
  }

  #retain(restored: RestoredPointer | null): void {
    restored?.pointer.retained.forEach((checkpoint, index) => {
      const manifest = restored.manifests[index];
      if (manifest !== null && manifest !== undefined) this.#retention.restore(checkpoint, manifest);
    });
    restored?.pointer.pinned?.forEach((checkpoint, index) => {
      this.#retention.restorePinned(checkpoint, restored.pinnedManifests?.[index] ?? null);
    });
  }

  /** False while it is open whether the checkpoint in flight has become complete. */
  get isSettled(): boolean {
    return this.#phase.step === 'idle' || this.#phase.step === 'numbering' || this.#phase.step === 'collecting';
  }

  /** Newest complete checkpoint. */
  get newest(): { readonly pointer: CheckpointPointer; readonly manifest: Manifest } | null {
    return this.#pointer === null || this.#manifest === null
      ? null
      : { pointer: this.#pointer, manifest: this.#manifest };
  }

  /** True once sources are to end. */
  get isDraining(): boolean {
    return this.#draining;
  }

  /** True while a checkpoint of this job needs an object of that name, its own or of a savepoint it started from. */
  needs(name: string): boolean {
    if (this.#retention.isNamed(name)) return true;
    if (this.#pointer?.retained.some(({ manifest }) => manifest.name === name) === true) return true;
    return this.#manifest?.files.some(({ file }) => file.object.name === name) === true;
  }

  /** True when every task manager has confirmed the newest completion. */
  get allNotified(): boolean {
    return this.#unnotified.size === 0;
  }

  /**
   * All subtasks of all regions run: checkpoints may be taken.
   * @param attempts one for each region, also those that have run on
   * @param finished subtasks that have left, or were not started because they had
   */
  allRunning(
    attempts: readonly CoordinatedAttempt[],
    finished: readonly SubtaskRef[],
    env: StepEnvironment,
  ): CoordinatorOutcome {
    this.#attempts = [...attempts].sort((left, right) => left.attempt - right.attempt);
    this.#allRun = true;
    this.#finished = new Set(finished.map(subtaskKey));
    this.#finishedRefs.clear();
    for (const subtask of finished) this.#finishedRefs.set(subtaskKey(subtask), subtask);
    this.#failuresInARow = 0;
    this.#finalRequested = false;
    this.#nextDueMs = env.nowMs + (this.#draining ? 0 : this.#graph.options.checkpointIntervalMs);
    return { actions: this.#schedule(env) };
  }

  /** Attempts are over; others may run on. What can still be aborted is, and no checkpoint is taken until all run again. */
  attemptsEnded(ended: readonly number[]): CoordinatorOutcome {
    const actions: JobMasterAction[] = [
      ...this.#timers.clear('checkpoint-due'),
      ...this.#timers.clear('counter-retry'),
    ];
    if (this.#phase.step === 'collecting') actions.push(...this.#abort(this.#phase, 'an attempt ended'));
    if (this.#phase.step === 'numbering') this.#phase = { step: 'idle' };
    this.#stopRequested = false;
    // Who still wants a savepoint asks again when all attempts run.
    this.#savepointWanted = false;
    this.#attempts = this.#attempts.filter(({ attempt }) => !ended.includes(attempt));
    this.#allRun = false;
    for (const [key, { attempt }] of this.#unnotified) if (ended.includes(attempt)) this.#unnotified.delete(key);
    if (this.#unnotified.size === 0) actions.push(...this.#timers.clear('notify-retry'));
    const unusedBase = this.#merges.attemptEnded();
    if (unusedBase !== null) actions.push(...this.#deletable([unusedBase]));
    return { actions };
  }

  /** Every subtask has reached the end of its input: the final checkpoint is taken at once. */
  requestFinal(env: StepEnvironment): CoordinatorOutcome {
    if (this.#finalRequested) return { actions: [] };
    this.#finalRequested = true;
    this.#nextDueMs = env.nowMs;
    return { actions: this.#schedule(env) };
  }

  /** A checkpoint now, or right after the one in flight. Does nothing while no attempt runs. */
  requestNow(env: StepEnvironment): CoordinatorOutcome {
    this.#nextDueMs = Math.min(this.#nextDueMs, env.nowMs);
    return { actions: this.#schedule(env) };
  }

  /** As `requestNow`, for a checkpoint that is pinned. */
  requestSavepoint(env: StepEnvironment): CoordinatorOutcome {
    if (!this.#allRun) return { actions: [] };
    this.#savepointWanted = true;
    return this.requestNow(env);
  }

  /** A savepoint is given up: the next pointer does not pin it. */
  unpin(checkpointId: number, env: StepEnvironment): CoordinatorOutcome {
    this.#retention.unpin(checkpointId);
    return this.requestNow(env);
  }

  /** Sources end with the next checkpoint that is triggered, in these attempts and in every later one. */
  requestDrain(env: StepEnvironment): CoordinatorOutcome {
    this.#draining = true;
    return this.requestNow(env);
  }

  /** The next attempt has another parallelism. To be told between attempts. */
  rescaled(graph: JobGraph): void {
    assert(this.#attempts.length === 0, 'no attempt runs while the parallelism changes');
    this.#graph = graph;
  }

  /** One last checkpoint before the job stops, pinned or not. */
  requestStop(env: StepEnvironment, pin = false): CoordinatorOutcome {
    this.#stopRequested = true;
    this.#stopPins = pin;
    this.#nextDueMs = env.nowMs;
    return { actions: this.#schedule(env) };
  }

  /** The job does not stop after all. */
  stopGivenUp(env: StepEnvironment): CoordinatorOutcome {
    this.#stopRequested = false;
    this.#nextDueMs = env.nowMs + this.#graph.options.checkpointIntervalMs;
    return { actions: this.#schedule(env) };
  }

  due(env: StepEnvironment): CoordinatorOutcome {
    if (!this.#allRun || this.#phase.step !== 'idle') return { actions: [] };
    const reason = this.#stopRequested ? 'stop' : this.#finalRequested ? 'final' : 'periodic';
    this.#phase = { step: 'numbering', reason };
    this.#nextDueMs = env.nowMs + this.#graph.options.checkpointIntervalMs;
    return { actions: [{ kind: 'advance-counter', counter: 'checkpoint' }] };
  }

  numbered(checkpointId: number, env: StepEnvironment): CoordinatorOutcome {
    // An attempt ended meanwhile: the id is simply never used.
    if (this.#phase.step !== 'numbering' || !this.#allRun) return { actions: [] };
    assert(checkpointId > (this.#pointer?.checkpointId ?? 0), `checkpoint id ${checkpointId} is new`);
    const live = this.#attempts.flatMap(({ attempt, subtasks }) => {
      return subtasks
        .filter(({ subtask }) => !this.#finished.has(subtaskKey(subtask)))
        .map(({ subtask, taskManagerId }) => ({ subtask, participant: { attempt, taskManagerId } }));
    });
    this.#phase = {
      step: 'collecting',
      checkpointId,
      reason: this.#phase.reason,
      pin: this.#savepointWanted || (this.#phase.reason === 'stop' && this.#stopPins),
      triggeredAtMs: env.nowMs,
      missingSubtasks: new Set(live.map(({ subtask }) => subtaskKey(subtask))),
      acknowledgedBy: new Set(),
      snapshots: [],
      files: [],
    };
    this.#pointerFailures = 0;
    this.#pointerError = null;
    this.#savepointWanted = false;
    const stop = this.#phase.reason === 'stop';
    const drain = this.#draining;
    const told = { checkpointId, triggeredAtMs: env.nowMs, stop, drain };
    // A task manager whose subtasks have all left has nothing to say any more.
    const participants = new Map(live.map(({ participant }) => [participantKey(participant), participant]));
    const actions = this.#callEach(participants.values(), (attempt) => {
      return { method: 'triggerCheckpoint', request: { attempt, ...told } };
    });
    actions.push(this.#timers.set('checkpoint-timeout', this.#graph.options.checkpointTimeoutMs));
    return { actions };
  }

  numberingFailed(): CoordinatorOutcome {
    if (this.#phase.step !== 'numbering') return { actions: [] };
    return { actions: [this.#timers.set('counter-retry', counterRetryMs)] };
  }

  numberAgain(): CoordinatorOutcome {
    const again = this.#phase.step === 'numbering';
    return { actions: again ? [{ kind: 'advance-counter', counter: 'checkpoint' }] : [] };
  }

  acknowledged(report: CheckpointAcknowledgement, env: StepEnvironment): CoordinatorOutcome {
    const phase = this.#phase;
    if (
      phase.step !== 'collecting' ||
      phase.checkpointId !== report.checkpointId ||
      !this.#isCurrent(report.attempt.attempt)
    ) {
      // Nobody will name this file, unless the acknowledgement is a repeated one.
      return { actions: report.file === null ? [] : this.#deletable([report.file.object.name]) };
    }
    const participant = participantKey({ attempt: report.attempt.attempt, taskManagerId: report.taskManagerId });
    if (phase.acknowledgedBy.has(participant)) return { actions: [] };
    phase.acknowledgedBy.add(participant);
    for (const info of report.subtasks) {
      phase.missingSubtasks.delete(subtaskKey(info.subtask));
      phase.snapshots.push(info);
    }
    if (report.file !== null) phase.files.push({ taskManagerId: report.taskManagerId, file: report.file });
    return this.#completeIfAll(env);
  }

  /** A subtask has left after its last checkpoint; no share of it is expected any more. */
  subtaskFinished(subtask: SubtaskRef, env: StepEnvironment): CoordinatorOutcome {
    this.#finished.add(subtaskKey(subtask));
    this.#finishedRefs.set(subtaskKey(subtask), subtask);
    if (this.#phase.step !== 'collecting') return { actions: [] };
    this.#phase.missingSubtasks.delete(subtaskKey(subtask));
    return this.#completeIfAll(env);
  }

  declined(report: CheckpointDecline, env: StepEnvironment): CoordinatorOutcome {
    const phase = this.#phase;
    if (
      phase.step !== 'collecting' ||
      phase.checkpointId !== report.checkpointId ||
      !this.#isCurrent(report.attempt.attempt)
    ) {
      return { actions: [] };
    }
    return this.#failed(phase, report.error, env);
  }

  /** A trigger could not be delivered. */
  triggerFailed(checkpointId: number, error: WireError, env: StepEnvironment): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step !== 'collecting' || phase.checkpointId !== checkpointId) return { actions: [] };
    return this.#failed(phase, error, env);
  }

  timedOut(env: StepEnvironment): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step !== 'collecting') return { actions: [] };
    const missing = [...phase.missingSubtasks].slice(0, 5).join(', ');
    const timeoutMs = this.#graph.options.checkpointTimeoutMs;
    const error = new EngineError(
      'CHECKPOINT_FAILED',
      `checkpoint ${phase.checkpointId} of job "${this.#jobName}" was not acknowledged within ${timeoutMs} ms by ${phase.missingSubtasks.size} subtasks (${missing}); raise checkpointTimeoutMs or look for a slow sink or store`,
      { domain: 'external', retry: 'backoff', ids: { jobName: this.#jobName, checkpointId: phase.checkpointId } },
    );
    return this.#failed(phase, toWireError(error), env);
  }

  manifestWritten(
    checkpointId: number,
    manifest: CheckpointPointer['retained'][number]['manifest'],
  ): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step !== 'writing' || phase.checkpointId !== checkpointId)
      return { actions: this.#deletable([manifest.name]) };
    const pinned = this.#retention.pinnedWith(phase.pin ? { checkpointId, manifest } : null);
    const pointer: CheckpointPointer = {
      checkpointId,
      attempt: phase.manifest.attempt,
      leaderEpoch: this.#leaderEpoch,
      retained: this.#retention.retainedWith({ checkpointId, manifest }),
      ...(pinned.length > 0 ? { pinned } : {}),
      ...(this.#draining ? { draining: true } : {}),
    };
    this.#phase = { ...phase, step: 'pointing', pointer };
    return { actions: [this.#setPointer(pointer)] };
  }

  manifestFailed(checkpointId: number, error: WireError, env: StepEnvironment): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step !== 'writing' || phase.checkpointId !== checkpointId) return { actions: [] };
    return this.#failed(phase, error, env);
  }

  pointerSet(event: JobMasterEvent & { kind: 'pointer-set' }, env: StepEnvironment): CoordinatorOutcome {
    const { checkpointId, result } = event;
    const phase = this.#phase;
    if (phase.step !== 'pointing' || phase.checkpointId !== checkpointId || phase.pointer === null)
      return { actions: [] };
    if (result === 'done') return this.#complete(phase, phase.pointer, env);
    this.#pointerFailures++;
    this.#pointerError = event.error ?? this.#pointerError;
    // A conflict may be with our own write whose answer was lost: what is there decides.
    this.#phase = { ...phase, step: 'reading' };
    return { actions: [{ kind: 'read-pointer', checkpointId }] };
  }

  pointerRead(checkpointId: number, found: CheckpointPointer | null, env: StepEnvironment): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step !== 'reading' || phase.checkpointId !== checkpointId || phase.pointer === null)
      return { actions: [] };
    const foundId = found?.checkpointId ?? null;
    if (foundId === checkpointId && found?.attempt === phase.pointer.attempt)
      return this.#complete(phase, phase.pointer, env);
    if (foundId === this.#storedId) {
      if (
        this.#storeFailuresMax !== null &&
        this.#pointerFailures >= this.#storeFailuresMax &&
        this.#pointerError !== null
      )
        return this.#failed(phase, { ...this.#pointerError, retry: 'never' }, env);
      this.#phase = { ...phase, step: 'pointing' };
      return { actions: [this.#timers.set('pointer-retry', pointerRetryMs)] };
    }
    const error = new EngineError(
      'STALE_EPOCH',
      `the pointer of job "${this.#jobName}" names checkpoint ${foundId}, which this job manager (epoch ${this.#leaderEpoch}) did not write; another one has taken the job over, this one stops`,
      { domain: 'external', ids: { jobName: this.#jobName, checkpointId } },
    );
    return { actions: [], fenced: toWireError(error) };
  }

  pointerReadFailed(checkpointId: number): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step !== 'reading' || phase.checkpointId !== checkpointId) return { actions: [] };
    return { actions: [this.#timers.set('pointer-retry', pointerRetryMs)] };
  }

  /** Sets the pointer again, or reads it again, whichever is open. */
  retryPointer(): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step === 'pointing' && phase.pointer !== null) return { actions: [this.#setPointer(phase.pointer)] };
    if (phase.step === 'reading') return { actions: [{ kind: 'read-pointer', checkpointId: phase.checkpointId }] };
    return { actions: [] };
  }

  /** A task manager answered a notification of completion, or did not get it. */
  notified(participant: Participant, checkpointId: number, error: WireError | null): CoordinatorOutcome {
    const key = participantKey(participant);
    if (checkpointId !== this.#pointer?.checkpointId || !this.#unnotified.has(key)) return { actions: [] };
    if (error === null) {
      this.#unnotified.delete(key);
      return { actions: [] };
    }
    if (this.#timers.isRunning('notify-retry')) return { actions: [] };
    return { actions: [this.#timers.set('notify-retry', notifyRetryMs)] };
  }

  retryNotify(): CoordinatorOutcome {
    return { actions: this.#notifications() };
  }

  mergeReported(report: MergeReport): CoordinatorOutcome {
    const garbage = this.#merges.reported({ mergeId: report.mergeId, base: report.base });
    return { actions: garbage === null ? [] : this.#deletable([garbage]) };
  }

  #isCurrent(attempt: number): boolean {
    return this.#attempts.some((one) => one.attempt === attempt);
  }

  #attemptRef(attempt: number): AttemptRef {
    return { leaderEpoch: this.#leaderEpoch, jobId: this.#jobId, attempt };
  }

  get #participants(): Participant[] {
    return this.#attempts.flatMap(({ attempt, taskManagerIds }) =>
      taskManagerIds.map((taskManagerId) => ({ attempt, taskManagerId })),
    );
  }

  #callEach(participants: Iterable<Participant>, call: (attempt: AttemptRef) => TaskManagerCall): JobMasterAction[] {
    return Array.from(participants, ({ attempt, taskManagerId }) => {
      return { kind: 'call', taskManagerId, call: call(this.#attemptRef(attempt)) };
    });
  }

  #schedule(env: StepEnvironment): JobMasterAction[] {
    if (!this.#allRun || this.#phase.step !== 'idle') return [];
    return [this.#timers.set('checkpoint-due', this.#nextDueMs - env.nowMs)];
  }

  #completeIfAll(env: StepEnvironment): CoordinatorOutcome {
    const phase = this.#phase;
    if (phase.step !== 'collecting' || phase.missingSubtasks.size > 0) return { actions: [] };
    const files = [...phase.files].sort((a, b) => (a.taskManagerId < b.taskManagerId ? -1 : 1));
    const own = files.map(({ file }) => ({ file, base: false, checkpointId: phase.checkpointId }));
    const manifest = this.#composeManifest(phase, own, env);
    const ownFileNames = own.map((entry) => entry.file.object.name);
    this.#phase = {
      step: 'writing',
      checkpointId: phase.checkpointId,
      reason: phase.reason,
      pin: phase.pin,
      manifest,
      ownFileNames,
      pointer: null,
    };
    return { actions: [...this.#timers.clear('checkpoint-timeout'), { kind: 'write-manifest', manifest }] };
  }

  #composeManifest(phase: Collecting, own: Manifest['files'], env: StepEnvironment): Manifest {
    const finished = new Map(this.#finishedRefs);
    for (const info of phase.snapshots) if (info.afterEnd) finished.set(subtaskKey(info.subtask), info.subtask);
    const taken = new Set(phase.snapshots.map((info) => subtaskKey(info.subtask)));
    // Subtasks that have left go on with what they last contributed.
    const carried = (this.#manifest?.subtasks ?? []).filter((info) => {
      const key = subtaskKey(info.subtask);
      return this.#finishedRefs.has(key) && !taken.has(key);
    });
    return {
      formatVersion: manifestFormatVersion,
      jobName: this.#jobName,
      graphHash: this.#graphHash,
      attempt: this.#attempts[this.#attempts.length - 1]?.attempt ?? 0,
      checkpointId: phase.checkpointId,
      triggeredAtMs: phase.triggeredAtMs,
      completedAtMs: env.nowMs,
      maxParallelism: this.#graph.options.maxParallelism,
      files: [...this.#merges.filesForNext(this.#manifest?.files ?? []), ...own],
      finished: [...finished.values()],
      subtasks: [...carried, ...phase.snapshots],
      vertexParallelism: Object.fromEntries(this.#graph.vertices.map((vertex) => [vertex.id, vertex.parallelism])),
    };
  }

  #setPointer(pointer: CheckpointPointer): JobMasterAction {
    return { kind: 'set-pointer', expected: this.#storedId, pointer };
  }

  #complete(phase: Completing, pointer: CheckpointPointer, env: StepEnvironment): CoordinatorOutcome {
    const { manifest, checkpointId, reason } = phase;
    this.#phase = { step: 'idle' };
    this.#pointer = pointer;
    this.#storedId = checkpointId;
    this.#manifest = manifest;
    this.#failuresInARow = 0;
    const newest = pointer.retained[pointer.retained.length - 1];
    assert(newest?.checkpointId === checkpointId, 'the newest retained checkpoint is the pointed one');
    const pinned = (pointer.pinned ?? []).map((one) => one.checkpointId);
    const unreferenced = this.#retention.completed(newest, manifest, pinned);
    this.#unnotified = new Map(this.#participants.map((participant) => [participantKey(participant), participant]));
    const actions = [...this.#timers.clear('pointer-retry'), ...this.#notifications()];
    const merge = this.#merges.completed(manifest, env.nowMs);
    if (this.#allRun && merge.order !== null) actions.push(...this.#mergeCall(merge.order));
    else if (merge.order !== null) this.#merges.attemptEnded();
    if (merge.garbage !== null) unreferenced.push(merge.garbage);
    if (unreferenced.length > 0) actions.push({ kind: 'delete-objects', names: unreferenced });
    const bytes = manifest.files
      .filter((entry) => entry.checkpointId === checkpointId)
      .reduce((sum, entry) => sum + entry.file.object.bytes, 0);
    const durationMs = env.nowMs - manifest.triggeredAtMs;
    const savepoint = phase.pin;
    actions.push({
      kind: 'notice',
      notice: { kind: 'checkpoint-completed', checkpointId, bytes, durationMs, savepoint, stop: reason === 'stop' },
    });
    // Whoever has ended and was not covered yet ends with another final checkpoint.
    const covered = manifest.subtasks.every((info) => info.afterEnd);
    if (this.#finalRequested && !covered) this.#nextDueMs = env.nowMs;
    this.#nextDueMs = Math.max(this.#nextDueMs, env.nowMs + (this.#finalRequested && !covered ? 0 : this.#minPauseMs));
    if (!(reason === 'stop' && this.#stopRequested)) actions.push(...this.#schedule(env));
    return { actions, completed: { checkpointId, reason } };
  }

  #notifications(): JobMasterAction[] {
    const checkpointId = this.#pointer?.checkpointId;
    if (checkpointId === undefined) return [];
    return this.#callEach(this.#unnotified.values(), (attempt) => {
      return { method: 'notifyCheckpointComplete', request: { attempt, checkpointId } };
    });
  }

  #mergeCall(order: { readonly mergeId: number; readonly inputs: readonly StateFile['object'][] }): JobMasterAction[] {
    const participants = this.#participants;
    const participant = participants[order.mergeId % participants.length];
    if (participant === undefined) return [];
    return this.#callEach([participant], (attempt) => ({ method: 'mergeFiles', request: { attempt, ...order } }));
  }

  #failed(phase: Collecting | Completing, error: WireError, env: StepEnvironment): CoordinatorOutcome {
    const actions = this.#abort(phase, error.message);
    this.#failuresInARow++;
    const fatal = !isRestartable(error) || this.#failuresInARow > this.#graph.options.checkpointFailuresMax;
    const pauseMs = phase.reason === 'periodic' ? 0 : Math.min(finalRetryMs, this.#graph.options.checkpointIntervalMs);
    if (phase.reason !== 'periodic') this.#nextDueMs = env.nowMs + pauseMs;
    this.#nextDueMs = Math.max(this.#nextDueMs, env.nowMs + this.#minPauseMs);
    actions.push(...this.#schedule(env));
    return { actions, failed: { reason: phase.reason, error, fatal } };
  }

  /** Nothing of the checkpoint remains: task managers are told, its files go. */
  #abort(phase: Collecting | Completing, reason: string): JobMasterAction[] {
    this.#phase = { step: 'idle' };
    const { checkpointId } = phase;
    const names = phase.step === 'collecting' ? phase.files.map(({ file }) => file.object.name) : phase.ownFileNames;
    return [
      ...this.#timers.clear('checkpoint-timeout'),
      ...this.#callEach(this.#participants, (attempt) => {
        return { method: 'notifyCheckpointAborted', request: { attempt, checkpointId } };
      }),
      ...this.#deletable(names),
      {
        kind: 'notice',
        notice: {
          kind: 'checkpoint-aborted',
          checkpointId,
          reason,
          savepoint: phase.pin,
          stop: phase.reason === 'stop',
        },
      },
    ];
  }

  /** Deletes what neither a retained manifest nor the one being completed names. */
  #deletable(names: readonly string[]): JobMasterAction[] {
    const phase = this.#phase;
    const inFlight = new Set<string>();
    if (phase.step === 'collecting') for (const { file } of phase.files) inFlight.add(file.object.name);
    if (phase.step === 'writing' || phase.step === 'pointing' || phase.step === 'reading') {
      for (const entry of phase.manifest.files) inFlight.add(entry.file.object.name);
    }
    const unnamed = this.#retention.deletable(names).filter((name) => !inFlight.has(name));
    return unnamed.length === 0 ? [] : [{ kind: 'delete-objects', names: unnamed }];
  }
}

/** The manifest a restored pointer means. */
export function newestManifest(restored: RestoredPointer | null): Manifest | null {
  if (restored === null) return null;
  const manifest = restored.manifests[restored.manifests.length - 1];
  assert(manifest !== null && manifest !== undefined, 'the newest checkpoint of a pointer was read');
  return manifest;
}
