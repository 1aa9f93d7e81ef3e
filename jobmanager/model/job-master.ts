/**
 * The job master: one job from submission to its terminal state. Pure: `step(event, environment)` changes its own state and
 * returns what is to be done, in order. It composes the smaller models; this file holds the life of attempts, because
 * what ends one and begins the next must be read in one place.
 *
 *   adopting ─▶ running, or ending what runs
 *   waiting for slots ─▶ numbering ─▶ deployed ─▶ running ─▶ ending ─▶ (restart delay) ─▶ waiting for slots
 *                                                              └─▶ recording the terminal state ─▶ ended
 *
 * What must stay true:
 * - An attempt is deployed only when its predecessor's slots have ended (or their deadline passed; then fencing by attempt
 *   protects) and when it is settled which checkpoint is the newest.
 * - Whatever an older attempt or an older epoch says changes nothing (FLINK-5197); its files are garbage.
 * - The terminal state is recorded before anybody is told (rule 8). A job master that was fenced records nothing.
 */
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { assert, assertNever, EngineError, toWireError, type WireError } from '../../core/errors.ts';
import type {
  AttemptRef,
  ObjectRef,
  RunningAttempt,
  SlotEndedReport,
  SlotListeningReport,
  SlotSlice,
  SubtaskRef,
  SubtaskStateReport,
} from '../../proto/messages.ts';
import { Adoption } from './adoption.ts';
import { AttemptExecution } from './attempt-execution.ts';
import { CheckpointCoordinator, type CoordinatorOutcome } from './checkpoint-coordinator.ts';
import type {
  CheckpointPointer,
  CounterName,
  JobMasterAction,
  JobMasterEvent,
  JobMasterOptions,
  JobNotice,
  StepEnvironment,
  TaskManagerCall,
  TimerName,
} from './job-master-protocol.ts';
import { isLegalJobMove, isTerminal, type JobState, moveJob, type TerminalJobState } from './job-state.ts';
import { isRestartable, RestartPolicy } from './restart-policy.ts';
import { finishedSubtasks, finishedVertices, restoreProblem } from './restored-job.ts';
import { missingSlotsError, placeSlices, type SlotOffer, slicesOf, subtaskKey } from './slot-assignment.ts';
import type { SlotSupply } from './slot-pool.ts';
import { Timers } from './timers.ts';

/** What follows when the attempt has ended. */
type Aim =
  | { readonly kind: 'restart'; readonly delayMs: number }
  | { readonly kind: 'end'; readonly state: TerminalJobState; readonly error: WireError | null };

type Phase =
  | { readonly step: 'new' }
  /** An earlier leader's attempt may be running. */
  | { readonly step: 'adopting'; readonly adoption: Adoption }
  | { readonly step: 'waiting-for-slots' }
  | { readonly step: 'numbering'; readonly offers: readonly SlotOffer[] }
  | { readonly step: 'deployed'; readonly execution: AttemptExecution; connected: boolean }
  | { readonly step: 'running'; readonly execution: AttemptExecution }
  /** A stopped job's last output is being committed. */
  | { readonly step: 'committing'; readonly execution: AttemptExecution }
  | { readonly step: 'ending'; readonly execution: AttemptExecution | null; aim: Aim }
  | { readonly step: 'restart-delay' }
  | { readonly step: 'recording'; readonly state: TerminalJobState; readonly error: WireError | null }
  | { readonly step: 'ended' };

const counterRetryMs = 500;
const terminalRetryMs = 500;
/** Added to the cancel timeout of slots before their task manager is given up. */
const cancelGraceMs = 5_000;

export class JobMaster {
  readonly #options: JobMasterOptions;
  readonly #jobName: string;
  readonly #timers = new Timers();
  readonly #coordinator: CheckpointCoordinator;
  readonly #restarts: RestartPolicy;
  #graph: JobGraph;
  #graphRef: ObjectRef;
  /** What the next attempt runs instead. */
  #rescaled: { readonly graph: JobGraph; readonly graphRef: ObjectRef } | null = null;
  #state: JobState = 'created';
  #phase: Phase = { step: 'new' };
  #attempt = 0;
  #restartCount = 0;
  /** What there was when the job last asked for slots in vain. */
  #supply: SlotSupply = { taskManagers: 0, slots: 0, freeSlots: 0 };
  /** Failures in a row to write a record of the job itself. */
  #storeFailures = 0;
  /** A stop that is nothing without its savepoint: when its checkpoint fails, the job goes on. */
  #stopNeedsSavepoint = false;
  #finished: SubtaskRef[] = [];
  #env: StepEnvironment = { nowMs: 0, random: 0 };
  #actions: JobMasterAction[] = [];

  constructor(options: JobMasterOptions) {
    this.#options = options;
    this.#jobName = options.graph.name;
    this.#graph = options.graph;
    this.#graphRef = options.graphRef;
    this.#coordinator = new CheckpointCoordinator(options, this.#timers);
    this.#restarts = new RestartPolicy(options.graph.options.restart);
  }

  get state(): JobState {
    return this.#state;
  }
  get attempt(): number {
    return this.#attempt;
  }
  get restartCount(): number {
    return this.#restartCount;
  }
  get waitsForSlots(): boolean {
    return this.#phase.step === 'waiting-for-slots';
  }
  /** Of the attempt that has slots now: how many subtasks of a vertex are in which state. */
  get subtaskStates(): ReadonlyMap<string, Readonly<Record<string, number>>> {
    return this.#execution()?.subtaskStates ?? new Map();
  }
  /** True once its sources are to end. */
  get isDraining(): boolean {
    return this.#coordinator.isDraining;
  }
  /** True while a checkpoint of the job needs an object of that name. */
  needs(name: string): boolean {
    return this.#coordinator.needs(name);
  }
  /** Newest complete checkpoint, or null. */
  get newestCheckpoint(): CheckpointCoordinator['newest'] {
    return this.#coordinator.newest;
  }

  /**
   * Takes one event and returns the actions that follow from it, to be done in order.
   * @throws EngineError STALE_EPOCH or PROTOCOL for a message that is refused; nothing has changed then
   */
  step(event: JobMasterEvent, env: StepEnvironment): JobMasterAction[] {
    this.#env = env;
    this.#actions = [];
    if (this.#phase.step !== 'ended') this.#handle(event);
    return this.#actions;
  }

  #handle(event: JobMasterEvent): void {
    switch (event.kind) {
      case 'started':
        return this.#start();
      case 'stop-requested':
        return event.drain === true ? this.#drain() : this.#stop(event.savepoint === true);
      case 'checkpoint-requested':
        return this.#take(this.#coordinator.requestNow(this.#env));
      case 'savepoint-requested':
        return this.#take(this.#coordinator.requestSavepoint(this.#env));
      case 'savepoint-disposed':
        return this.#take(this.#coordinator.unpin(event.checkpointId, this.#env));
      case 'rescale-requested':
        return this.#rescale(event.graph, event.graphRef);
      case 'cancel-requested':
        return this.#endJob('canceled', null);
      case 'timer-fired':
        if (this.#timers.fired(event.timer, event.generation)) this.#timerFired(event.timer);
        return;
      case 'slots-granted':
        return this.#slotsGranted(event.offers);
      case 'slots-short':
        this.#supply = event.supply;
        return;
      case 'attempt-reported':
        return this.#attemptReported(event.taskManagerId, event.running);
      case 'task-manager-lost':
        return this.#taskManagerLost(event.taskManagerId, event.reason);
      case 'slot-listening':
        return this.#slotListening(event.report);
      case 'subtask-state':
        return this.#subtaskState(event.report);
      case 'slot-ended':
        return this.#slotEnded(event.report);
      case 'checkpoint-acknowledged':
        return this.#fromTaskManager(event.report, () => this.#coordinator.acknowledged(event.report, this.#env));
      case 'checkpoint-declined':
        return this.#fromTaskManager(event.report, () => this.#coordinator.declined(event.report, this.#env));
      case 'merge-reported':
        return this.#fromTaskManager(event.report, () => this.#coordinator.mergeReported(event.report));
      case 'call-ended':
        return this.#callEnded(event.taskManagerId, event.call, event.error);
      case 'counter-advanced':
        return this.#counterAdvanced(event.counter, event.value);
      case 'counter-failed':
        return this.#counterFailed(event.counter, event.error);
      case 'manifest-written':
        return this.#take(this.#coordinator.manifestWritten(event.checkpointId, event.manifest));
      case 'manifest-failed':
        return this.#take(this.#coordinator.manifestFailed(event.checkpointId, event.error, this.#env));
      case 'pointer-set':
        return this.#take(this.#coordinator.pointerSet(event, this.#env));
      case 'pointer-read':
        return this.#take(this.#coordinator.pointerRead(event.checkpointId, event.pointer, this.#env));
      case 'pointer-read-failed':
        return this.#take(this.#coordinator.pointerReadFailed(event.checkpointId));
      case 'terminal-recorded':
        return event.result === 'done' ? this.#terminalRecorded() : this.#stepDown(this.#fencedError());
      case 'terminal-failed':
        return this.#terminalFailed(event.error);
      default:
        return assertNever(event, 'job master event');
    }
  }

  #timerFired(timer: TimerName): void {
    switch (timer) {
      case 'slot-wait':
        return this.#slotWaitOver();
      case 'adoption-deadline':
        return this.#adoptionTimedOut();
      case 'deploy-deadline':
        return this.#attemptFailed(this.#deadlineError('did not run', this.#options.settings.deployTimeoutMs));
      case 'cancel-deadline':
        return this.#cancelDeadlinePassed();
      case 'restart-delay':
        return this.#waitForSlots();
      case 'checkpoint-due':
        return this.#take(this.#coordinator.due(this.#env));
      case 'checkpoint-timeout':
        return this.#take(this.#coordinator.timedOut(this.#env));
      case 'pointer-retry':
        return this.#take(this.#coordinator.retryPointer());
      case 'counter-retry':
        if (this.#phase.step === 'numbering') this.#do({ kind: 'advance-counter', counter: 'attempt' });
        else this.#take(this.#coordinator.numberAgain());
        return;
      case 'notify-retry':
        return this.#take(this.#coordinator.retryNotify());
      case 'commit-wait':
        return this.#endJob('stopped', null);
      case 'terminal-retry':
        return this.#record();
      default:
        return assertNever(timer, 'timer');
    }
  }

  // ---- from submission to a running attempt ---------------------------------------------------------------------------

  #start(): void {
    if (this.#phase.step !== 'new') return;
    const manifest = this.#coordinator.newest?.manifest ?? null;
    const { graph, graphHash, restorableGraphHashes } = this.#options;
    const problem = manifest === null ? null : restoreProblem(graph, [graphHash, ...restorableGraphHashes], manifest);
    if (problem !== null) return this.#beginEnding(null, { kind: 'end', state: 'failed', error: toWireError(problem) });
    this.#attempt = Math.max(manifest?.attempt ?? 0, this.#options.newestAttempt);
    if (this.#options.newestAttempt === 0) return this.#waitForSlots();
    this.#phase = { step: 'adopting', adoption: new Adoption(this.#attempt, graph, this.#graphRef.sha256, manifest) };
    this.#setTimer('adoption-deadline', this.#options.settings.adoptionTimeoutMs);
  }

  // ---- adopting what an earlier leader has deployed ---------------------------------------------------------------------

  #attemptReported(taskManagerId: string, running: RunningAttempt): void {
    // A task manager that comes with an attempt nobody waits for has missed its end.
    if (this.#phase.step !== 'adopting') return this.#cancelForeign(taskManagerId, running.attempt.attempt);
    if (running.attempt.attempt < this.#phase.adoption.attempt)
      return this.#cancelForeign(taskManagerId, running.attempt.attempt);
    this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.reported(taskManagerId, running));
  }

  #cancelForeign(taskManagerId: string, attempt: number): void {
    const execution = this.#execution();
    if (execution?.attempt === attempt && execution.taskManagerIds.includes(taskManagerId)) return;
    const { cancelTimeoutMs } = this.#options.settings;
    const request = { attempt: { ...this.#attemptRef(), attempt }, cancelTimeoutMs };
    this.#call(taskManagerId, { method: 'cancelAttempt', request });
  }

  /** Something was heard of the attempt: it is all there, still incomplete, or beyond adopting. */
  #adoptionStep(adoption: Adoption, take: (adoption: Adoption) => string | null): void {
    const problem = take(adoption);
    if (problem !== null) return this.#notAdopted(adoption, problem);
    if (!adoption.becameComplete()) return;
    const completedCheckpointId = this.#coordinator.newest?.pointer.checkpointId ?? 0;
    const request = { attempt: this.#attemptRef(), completedCheckpointId };
    for (const taskManagerId of adoption.taskManagerIds) this.#call(taskManagerId, { method: 'adoptAttempt', request });
    if (adoption.taskManagerIds.length === 0) this.#adopted(adoption);
  }

  #adoptionAnswered(taskManagerId: string, error: WireError | null): void {
    if (this.#phase.step !== 'adopting') return;
    const { adoption } = this.#phase;
    if (error !== null)
      return this.#notAdopted(adoption, `task manager ${taskManagerId} did not take it over: ${error.message}`);
    if (adoption.acknowledged(taskManagerId)) this.#adopted(adoption);
  }

  #adopted(adoption: Adoption): void {
    const execution = adoption.execution();
    if (execution === null) return this.#notAdopted(adoption, 'nothing of it runs');
    this.#clearTimer('adoption-deadline');
    this.#finished = adoption.gone;
    this.#do({ kind: 'adopt-slots', attempt: this.#attempt });
    this.#notice({ kind: 'adopted', attempt: this.#attempt });
    // Barriers of a checkpoint that some task managers never heard of may still be on their way to them.
    for (const checkpointId of adoption.pendingCheckpointIds) {
      if (checkpointId === this.#coordinator.newest?.pointer.checkpointId) continue;
      const call = {
        method: 'notifyCheckpointAborted',
        request: { attempt: this.#attemptRef(), checkpointId },
      } as const;
      for (const taskManagerId of execution.taskManagerIds) this.#call(taskManagerId, call);
    }
    this.#allRunning(execution);
    for (const subtask of execution.finishedSubtasks) this.#take(this.#coordinator.subtaskFinished(subtask, this.#env));
    if (this.#phase.step === 'running') this.#checkEnd(execution);
  }

  #adoptionTimedOut(): void {
    if (this.#phase.step !== 'adopting') return;
    const { adoption } = this.#phase;
    const missing = adoption.missing.map(subtaskKey);
    const shown = missing.slice(0, 5).join(', ');
    const what =
      missing.length === 0
        ? 'not every task manager has answered'
        : `${missing.length} of its subtasks were not heard of (${shown})`;
    this.#notAdopted(adoption, `${what} within ${this.#options.settings.adoptionTimeoutMs} ms`);
  }

  /** What runs is ended, and a new attempt goes on from the newest checkpoint. */
  #notAdopted(adoption: Adoption, why: string): void {
    this.#clearTimer('adoption-deadline');
    this.#warn(`attempt ${this.#attempt} of job "${this.#jobName}" is not taken over, a new one follows: ${why}`);
    this.#beginEnding(adoption.execution(), { kind: 'restart', delayMs: 0 });
  }

  #waitForSlots(): void {
    this.#takeRescaled();
    this.#phase = { step: 'waiting-for-slots' };
    this.#setTimer('slot-wait', this.#options.settings.slotWaitMs);
    this.#do({ kind: 'request-slots', count: this.#neededSlices().length });
  }

  /** The slices of the next attempt: vertices that had finished in the newest checkpoint are not started again. */
  #neededSlices(): SlotSlice[] {
    return slicesOf(this.#graph, this.#finishedVertices());
  }

  #finishedVertices(): Set<string> {
    return finishedVertices(this.#graph, this.#coordinator.newest?.manifest ?? null);
  }

  #slotsGranted(offers: readonly SlotOffer[]): void {
    if (this.#phase.step !== 'waiting-for-slots') return;
    this.#clearTimer('slot-wait');
    this.#phase = { step: 'numbering', offers };
    this.#do({ kind: 'advance-counter', counter: 'attempt' });
  }

  #slotWaitOver(): void {
    if (this.#phase.step !== 'waiting-for-slots') return;
    const needed = this.#neededSlices().length;
    const error = toWireError(missingSlotsError(this.#jobName, needed, this.#supply));
    this.#beginEnding(null, { kind: 'end', state: 'failed', error });
  }

  #counterAdvanced(counter: CounterName, value: number): void {
    this.#storeFailures = 0;
    if (counter === 'checkpoint') return this.#take(this.#coordinator.numbered(value, this.#env));
    if (this.#phase.step !== 'numbering') return;
    const placed = placeSlices(this.#neededSlices(), this.#phase.offers);
    assert(placed !== null, 'all slots of an attempt are granted together');
    this.#attempt = value;
    this.#finished = finishedSubtasks(this.#graph, this.#finishedVertices());
    const execution = new AttemptExecution(value, placed);
    this.#phase = { step: 'deployed', execution, connected: false };
    this.#move('deploying');
    const newest = this.#coordinator.newest;
    const restoreManifest = newest?.pointer.retained[newest.pointer.retained.length - 1]?.manifest ?? null;
    const graph = this.#graphRef;
    const { artifactRef: artifact } = this.#options;
    for (const taskManagerId of execution.taskManagerIds) {
      const slices = execution.slices(taskManagerId);
      const request = {
        attempt: this.#attemptRef(),
        graph,
        artifact,
        restoreManifest,
        slices,
        finished: this.#finished,
        workingDirectory: this.#options.workingDirectory,
        graphHash: this.#options.graphHash,
      };
      this.#call(taskManagerId, { method: 'deploySlots', request });
    }
    this.#setTimer('deploy-deadline', this.#options.settings.deployTimeoutMs);
  }

  #counterFailed(counter: CounterName, error: WireError): void {
    if (error.code === 'STALE_EPOCH') return this.#stepDown(error);
    if (this.#isHopeless(error)) {
      if (this.#execution() !== null) return this.#attemptFailed({ ...error, retry: 'never' });
      return this.#beginEnding(null, { kind: 'end', state: 'failed', error });
    }
    if (this.#storeFailures === 1)
      this.#warn(
        `the ${counter} counter of job "${this.#jobName}" could not be advanced, it is tried again: ${error.message}`,
      );
    if (counter === 'checkpoint') this.#take(this.#coordinator.numberingFailed());
    else if (this.#phase.step === 'numbering') this.#setTimer('counter-retry', counterRetryMs);
  }

  /** The storage of the job's own records fails, and trying again is no longer expected to help. */
  #isHopeless(error: WireError): boolean {
    const { storeFailuresMax } = this.#options.settings;
    this.#storeFailures++;
    return !isRestartable(error) || (storeFailuresMax !== null && this.#storeFailures >= storeFailuresMax);
  }

  #slotListening(report: SlotListeningReport): void {
    if (!this.#isCurrent(report.attempt) || this.#phase.step !== 'deployed') return;
    const { execution } = this.#phase;
    if (!execution.listening(report.taskManagerId, report.address)) return;
    const slots = execution.addresses;
    if (slots === null || this.#phase.connected) return;
    this.#phase.connected = true;
    const request = { attempt: this.#attemptRef(), slots, slices: execution.slices() };
    for (const taskManagerId of execution.taskManagerIds)
      this.#call(taskManagerId, { method: 'connectSlots', request });
  }

  #subtaskState(report: SubtaskStateReport): void {
    if (this.#phase.step === 'adopting' && this.#isCurrent(report.attempt))
      return this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.subtaskState(report));
    const execution = this.#isCurrent(report.attempt) ? this.#execution() : null;
    if (execution === null || !execution.report(report)) return;
    if (report.state === 'failed') {
      const error =
        report.error ??
        toWireError(
          this.#slotError(
            `subtask ${report.subtask.subtaskIndex} of ${report.subtask.vertexId} failed without saying why`,
          ),
        );
      return this.#attemptFailed(error);
    }
    if (report.state === 'finished') this.#take(this.#coordinator.subtaskFinished(report.subtask, this.#env));
    if (this.#phase.step === 'deployed' && execution.allRunning) this.#allRunning(execution);
    if (this.#phase.step === 'running') this.#checkEnd(execution);
  }

  #allRunning(execution: AttemptExecution): void {
    this.#clearTimer('deploy-deadline');
    this.#phase = { step: 'running', execution };
    this.#move('running');
    this.#restarts.running(this.#env.nowMs);
    const { attempt, taskManagerIds, subtasks } = execution;
    this.#take(this.#coordinator.attemptRunning({ attempt, taskManagerIds, subtasks }, this.#finished, this.#env));
    if (this.#rescaled !== null) this.#take(this.#coordinator.requestNow(this.#env));
  }

  /** Input has ended everywhere: the final checkpoint; everybody has left: the job is finished. */
  #checkEnd(execution: AttemptExecution): void {
    if (execution.allFinished) return this.#beginEnding(execution, { kind: 'end', state: 'finished', error: null });
    if (execution.allInputEnded) this.#take(this.#coordinator.requestFinal(this.#env));
  }

  // ---- another parallelism -----------------------------------------------------------------------------------------------

  /** The graph is durable already: whatever attempt comes next runs it, from a checkpoint that is taken now where one can be. */
  #rescale(graph: JobGraph, graphRef: ObjectRef): void {
    this.#rescaled = { graph, graphRef };
    if (this.#phase.step === 'waiting-for-slots') return this.#waitForSlots();
    if (this.#phase.step === 'running') this.#take(this.#coordinator.requestNow(this.#env));
  }

  #takeRescaled(): void {
    if (this.#rescaled === null) return;
    const { graph, graphRef } = this.#rescaled;
    this.#rescaled = null;
    this.#graph = graph;
    this.#graphRef = graphRef;
    this.#coordinator.rescaled(graph);
    const checkpointId = this.#coordinator.newest?.pointer.checkpointId ?? 0;
    this.#notice({ kind: 'rescaled', graph, checkpointId });
  }

  // ---- ends of attempts ------------------------------------------------------------------------------------------------

  #slotEnded(report: SlotEndedReport): void {
    if (this.#phase.step === 'adopting' && this.#isCurrent(report.attempt))
      return this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.slotEnded(report));
    const execution = this.#isCurrent(report.attempt) ? this.#execution() : null;
    if (execution === null || !execution.slotEnded(report.taskManagerId, report.slotIndex)) return;
    if (this.#phase.step === 'ending') return this.#checkEnded();
    if (execution.isSlotFinished(report.slotIndex)) return;
    this.#attemptFailed(
      report.error ?? toWireError(this.#slotError(`slot ${report.slotIndex} ended before its subtasks had finished`)),
    );
  }

  #attemptFailed(error: WireError): void {
    const execution = this.#execution();
    if (execution === null || this.#phase.step === 'ending') return;
    if (this.#state === 'stopping' && (!this.#stopNeedsSavepoint || this.#phase.step === 'committing')) {
      // The job was to end anyway; it goes on from its newest checkpoint when it is resumed.
      this.#warn(
        `the last checkpoint of job "${this.#jobName}" was not taken, it stops with the one before: ${error.message}`,
      );
      return this.#beginEnding(execution, { kind: 'end', state: 'stopped', error: null });
    }
    const decision = isRestartable(error) ? this.#restarts.failed(this.#env.nowMs, this.#env.random) : null;
    const next =
      decision === null
        ? 'the job fails'
        : decision.restart
          ? `restart in ${decision.delayMs} ms`
          : `the job fails: ${decision.reason}`;
    this.#notice({ kind: 'attempt-failed', attempt: this.#attempt, error, next, restarts: decision?.restart === true });
    if (decision?.restart === false && this.#restartCount > 0)
      this.#warn(`job "${this.#jobName}" is given up: ${decision.reason}`);
    if (decision?.restart === true) return this.#beginEnding(execution, { kind: 'restart', delayMs: decision.delayMs });
    this.#beginEnding(execution, { kind: 'end', state: 'failed', error });
  }

  /** Sources end, and with them the job: it finishes as if there were no more input. */
  #drain(): void {
    if (this.#state === 'stopping' || this.#state === 'canceling') return;
    this.#take(this.#coordinator.requestDrain(this.#env));
  }

  #stop(withSavepoint: boolean): void {
    if (this.#state === 'running') {
      this.#stopNeedsSavepoint = withSavepoint;
      this.#move('stopping');
      if (withSavepoint) this.#take(this.#coordinator.requestSavepoint(this.#env));
      return this.#take(this.#coordinator.requestStop(this.#env));
    }
    if (withSavepoint) return;
    this.#stopNeedsSavepoint = false;
    if (this.#state !== 'stopping') this.#endJob('stopped', null);
  }

  /** Ends the job whatever it does now. A job that is ending already keeps its aim, except that no restart follows. */
  #endJob(state: TerminalJobState, error: WireError | null): void {
    if (this.#phase.step === 'recording') return;
    if (this.#phase.step === 'ending' && this.#phase.aim.kind === 'end') return;
    const aim = { kind: 'end', state, error } as const;
    const execution = this.#phase.step === 'adopting' ? this.#phase.adoption.execution() : this.#execution();
    if (this.#phase.step !== 'ending') return this.#beginEnding(execution, aim);
    this.#phase.aim = aim;
    this.#moveUnless('canceling');
  }

  #beginEnding(execution: AttemptExecution | null, aim: Aim): void {
    for (const timer of [
      'slot-wait',
      'adoption-deadline',
      'deploy-deadline',
      'restart-delay',
      'counter-retry',
      'commit-wait',
    ] as const)
      this.#clearTimer(timer);
    this.#phase = { step: 'ending', execution, aim };
    if (aim.kind === 'restart') this.#move('restarting');
    else if (execution !== null && aim.state !== 'finished') this.#moveUnless('canceling');
    this.#take(this.#coordinator.attemptEnded());
    if (execution !== null && !execution.allSlotsEnded) {
      execution.cancel();
      const { cancelTimeoutMs } = this.#options.settings;
      const call = { method: 'cancelAttempt', request: { attempt: this.#attemptRef(), cancelTimeoutMs } } as const;
      // Finished slots end by themselves; only their deadline is watched.
      if (!execution.allFinished) for (const id of execution.taskManagerIds) this.#call(id, call);
      this.#setTimer('cancel-deadline', cancelTimeoutMs + cancelGraceMs);
    }
    this.#checkEnded();
  }

  /** Slots that do not end belong to a task manager that no longer does as it is told. */
  #cancelDeadlinePassed(): void {
    if (this.#phase.step !== 'ending' || this.#phase.execution === null) return;
    const { execution } = this.#phase;
    for (const { slotIndex, taskManagerId } of execution.openSlots) {
      const reason = `slot ${slotIndex} did not end in time`;
      this.#warn(`task manager ${taskManagerId} is not used any more: ${reason}`);
      execution.taskManagerLost(taskManagerId);
      this.#do({ kind: 'give-up-task-manager', taskManagerId, reason });
    }
    this.#checkEnded();
  }

  /** The next thing, when every slot has ended and the newest checkpoint is known. */
  #checkEnded(): void {
    if (this.#phase.step !== 'ending') return;
    const { execution, aim } = this.#phase;
    if (execution !== null && !execution.allSlotsEnded) return;
    this.#clearTimer('cancel-deadline');
    if (!this.#coordinator.isSettled) return;
    if (aim.kind === 'end') {
      this.#phase = { step: 'recording', state: aim.state, error: aim.error };
      this.#do({ kind: 'release-slots' });
      return this.#record();
    }
    if (this.#rescaled === null) this.#restartCount++;
    this.#phase = { step: 'restart-delay' };
    this.#setTimer('restart-delay', aim.delayMs);
  }

  #record(): void {
    if (this.#phase.step === 'recording')
      this.#do({ kind: 'record-terminal', state: this.#phase.state, error: this.#phase.error });
  }

  /** An end that cannot be recorded is no end: the job may be resumed from its newest checkpoint, and ends again. */
  #terminalFailed(error: WireError): void {
    if (this.#phase.step !== 'recording') return;
    if (this.#isHopeless(error)) {
      if (!isLegalJobMove(this.#state, 'failed')) this.#moveUnless('canceling');
      this.#phase = { step: 'recording', state: 'failed', error: this.#phase.error ?? error };
      return this.#terminalRecorded();
    }
    if (this.#storeFailures === 1)
      this.#warn(`the end of job "${this.#jobName}" could not be recorded, it is tried again: ${error.message}`);
    this.#setTimer('terminal-retry', terminalRetryMs);
  }

  #terminalRecorded(): void {
    if (this.#phase.step !== 'recording') return;
    const { state, error } = this.#phase;
    this.#move(state);
    this.#phase = { step: 'ended' };
    this.#do({ kind: 'job-ended', state, error });
  }

  // ---- task managers ---------------------------------------------------------------------------------------------------

  #taskManagerLost(taskManagerId: string, reason: string): void {
    if (this.#phase.step === 'adopting')
      return this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.taskManagerLost(taskManagerId));
    // The number that is being made is never used.
    if (this.#phase.step === 'numbering' && this.#phase.offers.some((offer) => offer.taskManagerId === taskManagerId))
      return this.#waitForSlots();
    const execution = this.#execution();
    if (execution === null || !execution.taskManagerIds.includes(taskManagerId)) return;
    const undone = execution.taskManagerLost(taskManagerId);
    if (this.#phase.step === 'ending') return this.#checkEnded();
    if (undone) this.#attemptFailed(toWireError(this.#slotError(`task manager ${taskManagerId} is lost: ${reason}`)));
  }

  #callEnded(taskManagerId: string, call: TaskManagerCall, error: WireError | null): void {
    if (call.request.attempt.attempt !== this.#attempt) return;
    if (call.method === 'adoptAttempt') return this.#adoptionAnswered(taskManagerId, error);
    if (this.#execution() === null) return;
    if (call.method === 'notifyCheckpointComplete') {
      this.#take(this.#coordinator.notified(taskManagerId, call.request.checkpointId, error));
      if (this.#phase.step === 'committing' && this.#coordinator.allNotified) this.#endJob('stopped', null);
      return;
    }
    if (error === null || call.method === 'notifyCheckpointAborted') return;
    if (call.method === 'triggerCheckpoint')
      return this.#take(this.#coordinator.triggerFailed(call.request.checkpointId, error, this.#env));
    if (call.method === 'deploySlots') return this.#deploymentFailed(taskManagerId, error);
    // A lost cancel request is covered by its deadline, a lost merge by its timeout.
    if (call.method === 'connectSlots') this.#attemptFailed(error);
  }

  /** A refused deployment has started no slot, so no end of one is waited for; of a lost one nothing is known. */
  #deploymentFailed(taskManagerId: string, error: WireError): void {
    if (error.code !== 'TRANSPORT_FAILED') this.#execution()?.neverStarted(taskManagerId);
    if (this.#phase.step === 'ending') return this.#checkEnded();
    this.#attemptFailed(error);
  }

  // ---- checkpoints -----------------------------------------------------------------------------------------------------

  /** Refuses what another epoch says; the coordinator knows what to do with other attempts. */
  #fromTaskManager(message: { readonly attempt: AttemptRef }, take: () => CoordinatorOutcome): void {
    this.#isCurrent(message.attempt);
    this.#take(take());
  }

  #take(outcome: CoordinatorOutcome): void {
    this.#actions.push(...outcome.actions);
    if (outcome.fenced !== undefined) return this.#stepDown(outcome.fenced);
    if (outcome.completed?.reason === 'stop') this.#stopCheckpointCompleted();
    else if (outcome.completed !== undefined) this.#restartRescaled();
    const { failed } = outcome;
    if (failed !== undefined && !failed.fatal && failed.reason === 'stop' && this.#stopNeedsSavepoint) this.#unstop();
    else if (failed !== undefined && (failed.fatal || failed.reason === 'stop')) this.#attemptFailed(failed.error);
    if (this.#phase.step === 'ending') this.#checkEnded();
  }

  /** A job that is to end anyway is not started again for another parallelism. */
  #restartRescaled(): void {
    if (this.#rescaled === null || this.#phase.step !== 'running' || this.#state !== 'running') return;
    this.#beginEnding(this.#phase.execution, { kind: 'restart', delayMs: 0 });
  }

  /** The savepoint of a stop was given up, and its sources go on: so does the job. */
  #unstop(): void {
    if (this.#phase.step !== 'running' || this.#state !== 'stopping') return;
    this.#take(this.#coordinator.stopGivenUp(this.#env));
    this.#move('running');
  }

  #stopCheckpointCompleted(): void {
    // The attempt has failed meanwhile, but what was asked for is there.
    if (this.#phase.step === 'ending' && this.#phase.aim.kind === 'restart' && this.#stopNeedsSavepoint) {
      this.#phase.aim = { kind: 'end', state: 'stopped', error: null };
      return this.#moveUnless('canceling');
    }
    if (this.#phase.step !== 'running' || this.#state !== 'stopping') return;
    this.#phase = { step: 'committing', execution: this.#phase.execution };
    this.#setTimer('commit-wait', this.#options.settings.commitWaitMs);
  }

  #stepDown(error: WireError): void {
    this.#phase = { step: 'ended' };
    this.#do({ kind: 'step-down', error });
  }

  #fencedError(): WireError {
    const message = `the end of job "${this.#jobName}" was not recorded, because another job manager (not epoch ${this.#options.leaderEpoch}) has taken the job over; this one stops`;
    return toWireError(
      new EngineError('STALE_EPOCH', message, { domain: 'external', ids: { jobName: this.#jobName } }),
    );
  }

  // ---- small things ----------------------------------------------------------------------------------------------------

  /** The attempt that has slots now, or null. */
  #execution(): AttemptExecution | null {
    return 'execution' in this.#phase ? this.#phase.execution : null;
  }

  /** True for the attempt that is running. @throws EngineError STALE_EPOCH for a message to another leader */
  #isCurrent(attempt: AttemptRef): boolean {
    if (attempt.jobId !== this.#options.jobId || attempt.leaderEpoch !== this.#options.leaderEpoch) {
      const message = `message for job ${attempt.jobId}, epoch ${attempt.leaderEpoch}, refused: this is job ${this.#options.jobId}, epoch ${this.#options.leaderEpoch}; register again`;
      throw new EngineError('STALE_EPOCH', message, {
        domain: 'external',
        retry: 'backoff',
        ids: { jobId: attempt.jobId },
      });
    }
    return attempt.attempt === this.#attempt;
  }

  #attemptRef(): AttemptRef {
    const { leaderEpoch, jobId } = this.#options;
    return { leaderEpoch, jobId, attempt: this.#attempt };
  }

  #slotError(what: string): EngineError {
    const ids = { jobName: this.#jobName, attempt: this.#attempt };
    return new EngineError('SLOT_EXITED', `attempt ${this.#attempt} of job "${this.#jobName}" failed: ${what}`, {
      domain: 'external',
      retry: 'backoff',
      ids,
    });
  }

  #deadlineError(what: string, timeoutMs: number): WireError {
    return toWireError(this.#slotError(`it ${what} within ${timeoutMs} ms`));
  }

  #move(to: JobState): void {
    const from = this.#state;
    this.#state = moveJob(from, to);
    this.#notice({ kind: 'state-changed', from, to, attempt: this.#attempt });
  }

  #moveUnless(to: JobState): void {
    if (this.#state !== to && !isTerminal(this.#state)) this.#move(to);
  }

  #call(taskManagerId: string, call: TaskManagerCall): void {
    this.#do({ kind: 'call', taskManagerId, call });
  }

  #setTimer(timer: TimerName, delayMs: number): void {
    this.#do(this.#timers.set(timer, delayMs));
  }

  #clearTimer(timer: TimerName): void {
    this.#actions.push(...this.#timers.clear(timer));
  }

  #warn(message: string): void {
    this.#notice({ kind: 'warning', message });
  }

  #notice(notice: JobNotice): void {
    this.#do({ kind: 'notice', notice });
  }

  #do(action: JobMasterAction): void {
    this.#actions.push(action);
  }
}

export type { CheckpointPointer };
