/**
 * The job master: one job from submission to its terminal state. Pure: `step(event, environment)` changes its own state and
 * returns what is to be done, in order. It composes the smaller models; this file holds the life of attempts, because
 * what ends one and begins the next must be read in one place.
 *
 *   adopting ─▶ running, or ending what runs
 *   waiting for slots ─▶ numbering ─▶ deployed ─▶ running ─▶ ending ─▶ (restart delay) ─▶ waiting for slots
 *                                                              └─▶ recording the terminal state ─▶ ended
 *
 * Each region has an attempt of its own. The phases above are those of the regions that are down, all regions at first: they
 * come up together, and a region that fails meanwhile joins them. Attempts of other regions run on undisturbed; only
 * checkpoints wait until every region runs.
 *
 * What must stay true:
 * - An attempt is deployed only when its predecessor's slots have ended (or their deadline passed; then fencing by attempt
 *   protects) and when it is settled which checkpoint is the newest.
 * - The numbers of all attempts that are current are deployed with each attempt: the newest one says which those are.
 * - Whatever an older attempt or an older epoch says changes nothing (FLINK-5197); its files are garbage.
 * - The terminal state is recorded before anybody is told (rule 8). A job master that was fenced records nothing.
 */
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { regionsOf } from '../../core/graph/regions.ts';
import { assert, assertNever, EngineError, toWireError, type WireError } from '../../core/errors.ts';
import type {
  AttemptRef,
  ObjectRef,
  RunningAttempt,
  SlotEndedReport,
  SlotListeningReport,
  SubtaskRef,
  SubtaskStateReport,
} from '../../proto/messages.ts';
import { Adoption, type AttemptHolder, holderKey } from './adoption.ts';
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
import { missingSlotsError, placeSlices, type RegionSlice, type SlotOffer, slicesOf } from './slot-assignment.ts';
import type { SlotSupply } from './slot-pool.ts';
import { Timers } from './timers.ts';

/** What follows when the attempt has ended. */
type Aim =
  | { readonly kind: 'restart'; readonly delayMs: number }
  | { readonly kind: 'end'; readonly state: TerminalJobState; readonly error: WireError | null };

type Phase =
  | { readonly step: 'new' }
  /** Attempts of an earlier leader may be running. */
  | { readonly step: 'adopting'; readonly adoption: Adoption }
  | { readonly step: 'waiting-for-slots' }
  | { readonly step: 'numbering'; readonly offers: readonly SlotOffer[]; readonly numbers: number[] }
  /** `connected`: attempts whose slots know each other. */
  | { readonly step: 'deployed'; readonly connected: Set<number> }
  | { readonly step: 'running' }
  /** A stopped job's last output is being committed. */
  | { readonly step: 'committing' }
  | { readonly step: 'ending'; aim: Aim }
  | { readonly step: 'restart-delay' }
  | { readonly step: 'recording'; readonly state: TerminalJobState; readonly error: WireError | null }
  | { readonly step: 'ended' };

const counterRetryMs = 500;
const terminalRetryMs = 500;
const cancelRetryMs = 1_000;
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
  /** Attempts that run while nothing is to be done about them. */
  #running: AttemptExecution[] = [];
  /** Attempts of the phase: those that are coming up, or are ended. */
  #moving: AttemptExecution[] = [];
  /** Attempts that are none of the job's and whose task managers have not said yet that they end them, by holder. */
  readonly #foreign = new Map<string, AttemptHolder>();
  /** The newest number. */
  #attempt = 0;
  #restartCount = 0;
  /** What there was when the job last asked for slots in vain. */
  #supply: SlotSupply = { taskManagers: 0, slots: 0, freeSlots: 0 };
  /** Failures in a row to write a record of the job itself. */
  #storeFailures = 0;
  /** A stop that is nothing without its savepoint: when its checkpoint fails, the job goes on. */
  #stopNeedsSavepoint = false;
  /** Subtasks that were not started, because they had finished before. */
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
  /** Numbers of the attempts that run, come up, or are being ended. */
  get currentAttempts(): number[] {
    return this.#executions.map(({ attempt }) => attempt);
  }
  get restartCount(): number {
    return this.#restartCount;
  }
  get waitsForSlots(): boolean {
    return this.#phase.step === 'waiting-for-slots';
  }
  /** Of the attempts that have slots now: how many subtasks of a vertex are in which state. */
  get subtaskStates(): ReadonlyMap<string, Readonly<Record<string, number>>> {
    // No vertex is in two regions.
    return new Map(this.#executions.flatMap((execution) => [...execution.subtaskStates]));
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
        return this.#attemptsFailed(this.#moving, this.#deadlineError());
      case 'cancel-deadline':
        return this.#cancelDeadlinePassed();
      case 'cancel-retry':
        for (const holder of this.#foreign.values()) this.#callCancel(holder);
        return;
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
    if (problem !== null) return this.#beginEnding([], { kind: 'end', state: 'failed', error: toWireError(problem) });
    this.#attempt = Math.max(manifest?.attempt ?? 0, this.#options.newestAttempt);
    if (this.#options.newestAttempt === 0) return this.#waitForSlots();
    this.#phase = { step: 'adopting', adoption: new Adoption(this.#attempt, graph, this.#graphRef.sha256, manifest) };
    this.#setTimer('adoption-deadline', this.#options.settings.adoptionTimeoutMs);
  }

  // ---- adopting what an earlier leader has deployed ---------------------------------------------------------------------

  #attemptReported(taskManagerId: string, running: RunningAttempt): void {
    const { attempt } = running.attempt;
    // A task manager that comes with an attempt nobody waits for has missed its end.
    if (this.#phase.step !== 'adopting') return this.#cancelForeign({ taskManagerId, attempt });
    this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.reported(taskManagerId, running));
  }

  #cancelForeign(holder: AttemptHolder): void {
    if (this.#executionOf(holder.attempt)?.taskManagerIds.includes(holder.taskManagerId) === true) return;
    this.#foreign.set(holderKey(holder), holder);
    this.#callCancel(holder);
  }

  #callCancel({ taskManagerId, attempt }: AttemptHolder): void {
    const { cancelTimeoutMs } = this.#options.settings;
    const request = { attempt: this.#attemptRef(attempt), cancelTimeoutMs };
    this.#call(taskManagerId, { method: 'cancelAttempt', request });
  }

  /** No deadline watches the end of what is none of the job's, but it holds slots: who was not reached is told again. */
  #cancelAnswered(holder: AttemptHolder, error: WireError | null): void {
    if (!this.#foreign.has(holderKey(holder))) return;
    if (error?.code === 'TRANSPORT_FAILED') this.#setTimer('cancel-retry', cancelRetryMs);
    else this.#foreign.delete(holderKey(holder));
  }

  /** Something was heard of what runs: it is all there, still incomplete, or beyond adopting. */
  #adoptionStep(adoption: Adoption, take: (adoption: Adoption) => string | null): void {
    const problem = take(adoption);
    if (problem !== null) return this.#notAdopted(adoption, problem);
    if (adoption.becameComplete()) {
      const completedCheckpointId = this.#coordinator.newest?.pointer.checkpointId ?? 0;
      for (const { taskManagerId, attempt } of adoption.holders) {
        const request = { attempt: this.#attemptRef(attempt), completedCheckpointId };
        this.#call(taskManagerId, { method: 'adoptAttempt', request });
      }
    }
    if (adoption.isAcknowledged) this.#adopted(adoption);
  }

  #adoptionAnswered(holder: AttemptHolder, error: WireError | null): void {
    if (this.#phase.step !== 'adopting') return;
    this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.answered(holder, error?.message ?? null));
  }

  #adopted(adoption: Adoption): void {
    this.#clearTimer('adoption-deadline');
    this.#running = adoption.executions();
    this.#finished = adoption.gone;
    for (const { attempt } of this.#running) this.#do({ kind: 'adopt-slots', attempt });
    this.#notice({ kind: 'adopted', attempts: this.#running.map(({ attempt }) => attempt) });
    for (const holder of adoption.superseded) this.#cancelForeign(holder);
    // Barriers of a checkpoint that some task managers never heard of may still be on their way to them.
    for (const checkpointId of adoption.pendingCheckpointIds) {
      if (checkpointId === this.#coordinator.newest?.pointer.checkpointId) continue;
      for (const { taskManagerId, attempt } of adoption.holders) {
        const request = { attempt: this.#attemptRef(attempt), checkpointId };
        this.#call(taskManagerId, { method: 'notifyCheckpointAborted', request });
      }
    }
    if (adoption.givenUp.size > 0) return this.#restartGivenUp(adoption);
    this.#allRunning();
    this.#checkEnd();
  }

  /** Regions that could not be taken over with the others start again. */
  #restartGivenUp(adoption: Adoption): void {
    for (const why of adoption.givenUp.values())
      this.#warn(`a region of job "${this.#jobName}" is not taken over with the others, it starts again: ${why}`);
    this.#beginEnding(adoption.abandoned(), { kind: 'restart', delayMs: 0 });
  }

  /** What is missing is given up; what is left is given as much time again to acknowledge. */
  #adoptionTimedOut(): void {
    if (this.#phase.step !== 'adopting') return;
    const { adoptionTimeoutMs } = this.#options.settings;
    this.#setTimer('adoption-deadline', adoptionTimeoutMs);
    this.#adoptionStep(this.#phase.adoption, (adoption) => {
      const problem = adoption.deadlinePassed();
      return problem === null ? null : `${problem}, within ${adoptionTimeoutMs} ms`;
    });
  }

  /** What runs is ended, and a new attempt goes on from the newest checkpoint. */
  #notAdopted(adoption: Adoption, why: string): void {
    this.#clearTimer('adoption-deadline');
    this.#warn(`attempt ${this.#attempt} of job "${this.#jobName}" is not taken over, a new one follows: ${why}`);
    this.#running = adoption.everything();
    this.#beginEnding(this.#running, { kind: 'restart', delayMs: 0 });
  }

  #waitForSlots(): void {
    this.#takeRescaled();
    this.#phase = { step: 'waiting-for-slots' };
    this.#setTimer('slot-wait', this.#options.settings.slotWaitMs);
    const kept = this.#running.flatMap((execution) => execution.heldSlots);
    this.#do({ kind: 'request-slots', count: this.#neededSlices().length, kept });
  }

  /** The slices of the regions that are down: vertices that had finished in the newest checkpoint are not started again. */
  #neededSlices(): RegionSlice[] {
    const up = this.#running.map(({ region }) => region);
    return slicesOf(this.#graph, this.#finishedVertices()).filter(({ region }) => !up.includes(region));
  }

  /** Regions with slices, in order. */
  #neededRegions(): number[] {
    return [...new Set(this.#neededSlices().map(({ region }) => region))].sort((a, b) => a - b);
  }

  #finishedVertices(): Set<string> {
    return finishedVertices(this.#graph, this.#coordinator.newest?.manifest ?? null);
  }

  #slotsGranted(offers: readonly SlotOffer[]): void {
    if (this.#phase.step !== 'waiting-for-slots') return;
    this.#clearTimer('slot-wait');
    this.#phase = { step: 'numbering', offers, numbers: [] };
    this.#number(this.#phase);
  }

  /** Takes a number for each attempt, one after the other; then they are deployed. */
  #number({ numbers, offers }: Phase & { step: 'numbering' }): void {
    if (numbers.length < this.#neededRegions().length) return this.#do({ kind: 'advance-counter', counter: 'attempt' });
    this.#deploy(numbers, offers);
  }

  #slotWaitOver(): void {
    if (this.#phase.step !== 'waiting-for-slots') return;
    const needed = this.#neededSlices().length;
    const error = toWireError(missingSlotsError(this.#jobName, needed, this.#supply));
    this.#beginEnding([], { kind: 'end', state: 'failed', error });
  }

  #counterAdvanced(counter: CounterName, value: number): void {
    this.#storeFailures = 0;
    if (counter === 'checkpoint') return this.#take(this.#coordinator.numbered(value, this.#env));
    if (this.#phase.step !== 'numbering') return;
    this.#attempt = Math.max(this.#attempt, value);
    this.#phase.numbers.push(value);
    this.#number(this.#phase);
  }

  #deploy(numbers: readonly number[], offers: readonly SlotOffer[]): void {
    const placed = placeSlices(this.#neededSlices(), offers);
    assert(placed !== null, 'all slots of an attempt are granted together');
    const regions = this.#neededRegions();
    this.#moving = regions.map((region, index) => {
      const own = placed.filter((slot) => slot.region === region);
      return new AttemptExecution(numbers[index] ?? 0, region, own);
    });
    const up = new Set(this.#running.map(({ region }) => region));
    const regionOf = regionsOf(this.#graph);
    const isUp = ({ vertexId }: SubtaskRef): boolean => up.has(regionOf.get(vertexId) ?? 0);
    const finished = finishedSubtasks(this.#graph, this.#finishedVertices());
    this.#finished = [...this.#finished.filter(isUp), ...finished.filter((subtask) => !isUp(subtask))];
    this.#phase = { step: 'deployed', connected: new Set() };
    this.#move('deploying');
    for (const execution of this.#moving) this.#deployAttempt(execution);
    this.#setTimer('deploy-deadline', this.#options.settings.deployTimeoutMs);
    if (this.#moving.length === 0) this.#cameUp();
  }

  #deployAttempt(execution: AttemptExecution): void {
    const newest = this.#coordinator.newest;
    const restoreManifest = newest?.pointer.retained[newest.pointer.retained.length - 1]?.manifest ?? null;
    const { artifactRef: artifact, workingDirectory, graphHash } = this.#options;
    for (const taskManagerId of execution.taskManagerIds) {
      const request = {
        attempt: this.#attemptRef(execution.attempt),
        graph: this.#graphRef,
        artifact,
        restoreManifest,
        slices: execution.slices(taskManagerId),
        finished: this.#finished,
        workingDirectory,
        graphHash,
        currentAttempts: this.currentAttempts,
      };
      this.#call(taskManagerId, { method: 'deploySlots', request });
    }
  }

  #counterFailed(counter: CounterName, error: WireError): void {
    if (error.code === 'STALE_EPOCH') return this.#stepDown(error);
    if (this.#isHopeless(error)) {
      const hopeless = { ...error, retry: 'never' } as const;
      if (this.#executions.length > 0) return this.#attemptsFailed(this.#executions, hopeless);
      return this.#beginEnding([], { kind: 'end', state: 'failed', error });
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
    const execution = this.#reportedExecution(report.attempt);
    if (execution === null || this.#phase.step !== 'deployed' || !this.#moving.includes(execution)) return;
    if (!execution.listening(report.taskManagerId, report.address)) return;
    const { attempt, addresses: slots } = execution;
    if (slots === null || this.#phase.connected.has(attempt)) return;
    this.#phase.connected.add(attempt);
    const request = { attempt: this.#attemptRef(attempt), slots, slices: execution.slices() };
    for (const taskManagerId of execution.taskManagerIds)
      this.#call(taskManagerId, { method: 'connectSlots', request });
  }

  #subtaskState(report: SubtaskStateReport): void {
    const execution = this.#reportedExecution(report.attempt);
    if (this.#phase.step === 'adopting')
      return this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.subtaskState(report));
    if (execution === null || !execution.report(report)) return;
    if (report.state === 'failed') {
      const { subtaskIndex, vertexId } = report.subtask;
      const silent = `subtask ${subtaskIndex} of ${vertexId} failed without saying why`;
      return this.#attemptsFailed([execution], report.error ?? this.#slotError(execution.attempt, silent));
    }
    if (report.state === 'finished') this.#take(this.#coordinator.subtaskFinished(report.subtask, this.#env));
    this.#cameUp();
    this.#checkEnd();
  }

  /** The regions that were down are up when every subtask of them runs. */
  #cameUp(): void {
    if (this.#phase.step !== 'deployed' || !this.#moving.every((execution) => execution.allRunning)) return;
    this.#running = [...this.#running, ...this.#moving];
    this.#moving = [];
    this.#clearTimer('deploy-deadline');
    this.#allRunning();
  }

  #allRunning(): void {
    this.#phase = { step: 'running' };
    this.#move('running');
    this.#restarts.running(this.#env.nowMs);
    const left = this.#running.flatMap((execution) => execution.finishedSubtasks);
    this.#take(this.#coordinator.allRunning(this.#running, [...this.#finished, ...left], this.#env));
    if (this.#rescaled !== null) this.#take(this.#coordinator.requestNow(this.#env));
  }

  /** Input has ended everywhere: the final checkpoint; everybody has left: the job is finished. */
  #checkEnd(): void {
    if (this.#phase.step !== 'running') return;
    if (this.#running.every((execution) => execution.allFinished))
      return this.#beginEnding(this.#running, { kind: 'end', state: 'finished', error: null });
    if (this.#running.every((execution) => execution.allInputEnded))
      this.#take(this.#coordinator.requestFinal(this.#env));
  }

  // ---- another parallelism -----------------------------------------------------------------------------------------------

  /** The graph is durable already: whatever attempt comes next runs it, from a checkpoint that is taken now where one can be. */
  #rescale(graph: JobGraph, graphRef: ObjectRef): void {
    this.#rescaled = { graph, graphRef };
    if (this.#phase.step === 'waiting-for-slots') return this.#waitForSlots();
    if (this.#phase.step === 'running') this.#take(this.#coordinator.requestNow(this.#env));
  }

  #takeRescaled(): void {
    // Regions that run on have the graph they were deployed with; all are ended once a checkpoint for it is there.
    if (this.#rescaled === null || this.#running.length > 0) return;
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
    const execution = this.#reportedExecution(report.attempt);
    if (this.#phase.step === 'adopting')
      return this.#adoptionStep(this.#phase.adoption, (adoption) => adoption.slotEnded(report));
    if (execution === null || !execution.slotEnded(report.taskManagerId, report.slotIndex)) return;
    if (this.#isEnding(execution)) return this.#checkEnded();
    if (execution.isSlotFinished(report.slotIndex)) return;
    const silent = `slot ${report.slotIndex} ended before its subtasks had finished`;
    this.#attemptsFailed([execution], report.error ?? this.#slotError(execution.attempt, silent));
  }

  #isEnding(execution: AttemptExecution): boolean {
    return this.#phase.step === 'ending' && this.#moving.includes(execution);
  }

  /** These attempts, which have one cause, are ended; what becomes of their regions is for the restart policy to say. */
  #attemptsFailed(failed: readonly AttemptExecution[], error: WireError): void {
    const undecided = failed.filter((execution) => !this.#isEnding(execution));
    if (undecided.length === 0 || (this.#phase.step === 'ending' && this.#phase.aim.kind === 'end')) return;
    if (this.#state === 'stopping' && (!this.#stopNeedsSavepoint || this.#phase.step === 'committing')) {
      // The job was to end anyway; it goes on from its newest checkpoint when it is resumed.
      this.#warn(
        `the last checkpoint of job "${this.#jobName}" was not taken, it stops with the one before: ${error.message}`,
      );
      return this.#beginEnding(this.#executions, { kind: 'end', state: 'stopped', error: null });
    }
    const decision = isRestartable(error) ? this.#restarts.failed(this.#env.nowMs, this.#env.random) : null;
    const next =
      decision === null
        ? 'the job fails'
        : decision.restart
          ? `restart in ${decision.delayMs} ms`
          : `the job fails: ${decision.reason}`;
    const attempts = undecided.map(({ attempt }) => attempt);
    this.#notice({ kind: 'attempt-failed', attempts, error, next, restarts: decision?.restart === true });
    if (decision?.restart === false && this.#restartCount > 0)
      this.#warn(`job "${this.#jobName}" is given up: ${decision.reason}`);
    if (decision?.restart === true) return this.#beginEnding(undecided, { kind: 'restart', delayMs: decision.delayMs });
    this.#beginEnding(this.#executions, { kind: 'end', state: 'failed', error });
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
      return this.#take(this.#coordinator.requestStop(this.#env, withSavepoint));
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
    if (this.#phase.step === 'adopting') this.#running = this.#phase.adoption.everything();
    this.#beginEnding(this.#executions, aim);
  }

  /** Ends attempts, with those that are coming up or are ended already. Others run on; there are none when the job is to end. */
  #beginEnding(ended: readonly AttemptExecution[], aim: Aim): void {
    for (const timer of [
      'slot-wait',
      'adoption-deadline',
      'deploy-deadline',
      'restart-delay',
      'counter-retry',
      'commit-wait',
    ] as const)
      this.#clearTimer(timer);
    const earlier = this.#phase.step === 'ending' ? this.#moving : [];
    this.#moving = [...new Set([...this.#moving, ...ended])];
    this.#running = this.#running.filter((execution) => !this.#moving.includes(execution));
    this.#phase = { step: 'ending', aim };
    if (aim.kind === 'restart') this.#moveUnless('restarting');
    else if (this.#moving.length > 0 && aim.state !== 'finished') this.#moveUnless('canceling');
    this.#take(this.#coordinator.attemptsEnded(this.#moving.map(({ attempt }) => attempt)));
    for (const execution of this.#moving) if (!earlier.includes(execution)) this.#cancel(execution);
    this.#checkEnded();
  }

  #cancel(execution: AttemptExecution): void {
    if (execution.allSlotsEnded) return;
    execution.cancel();
    const { attempt, taskManagerIds } = execution;
    // Finished slots end by themselves; only their deadline is watched.
    if (!execution.allFinished)
      for (const taskManagerId of taskManagerIds) this.#callCancel({ taskManagerId, attempt });
    this.#setTimer('cancel-deadline', this.#options.settings.cancelTimeoutMs + cancelGraceMs);
  }

  /** Slots that do not end belong to a task manager that no longer does as it is told. */
  #cancelDeadlinePassed(): void {
    if (this.#phase.step !== 'ending') return;
    for (const execution of this.#moving) {
      for (const { slotIndex, taskManagerId } of execution.openSlots) {
        const reason = `slot ${slotIndex} did not end in time`;
        this.#warn(`task manager ${taskManagerId} is not used any more: ${reason}`);
        execution.taskManagerLost(taskManagerId);
        this.#do({ kind: 'give-up-task-manager', taskManagerId, reason });
      }
    }
    this.#checkEnded();
  }

  /** The next thing, when every slot has ended and the newest checkpoint is known. */
  #checkEnded(): void {
    if (this.#phase.step !== 'ending') return;
    const { aim } = this.#phase;
    if (!this.#moving.every((execution) => execution.allSlotsEnded)) return;
    this.#clearTimer('cancel-deadline');
    if (!this.#coordinator.isSettled) return;
    this.#moving = [];
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
    const failed = this.#executions.filter((execution) => {
      const undone = execution.taskManagerIds.includes(taskManagerId) && execution.taskManagerLost(taskManagerId);
      return undone && !this.#isEnding(execution);
    });
    for (const [key, holder] of this.#foreign) if (holder.taskManagerId === taskManagerId) this.#foreign.delete(key);
    const why = (attempt: number): WireError =>
      this.#slotError(attempt, `task manager ${taskManagerId} is lost: ${reason}`);
    if (failed.length > 0) this.#attemptsFailed(failed, why(failed[failed.length - 1]?.attempt ?? 0));
    // The numbers that are being made are never used.
    else if (this.#phase.step === 'numbering' && this.#phase.offers.some((one) => one.taskManagerId === taskManagerId))
      this.#waitForSlots();
    this.#checkEnded();
  }

  #callEnded(taskManagerId: string, call: TaskManagerCall, error: WireError | null): void {
    const { attempt } = call.request.attempt;
    if (call.method === 'adoptAttempt') return this.#adoptionAnswered({ taskManagerId, attempt }, error);
    if (call.method === 'cancelAttempt') return this.#cancelAnswered({ taskManagerId, attempt }, error);
    const execution = this.#executionOf(attempt);
    if (execution === null) return;
    if (call.method === 'notifyCheckpointComplete') {
      this.#take(this.#coordinator.notified({ taskManagerId, attempt }, call.request.checkpointId, error));
      if (this.#phase.step === 'committing' && this.#coordinator.allNotified) this.#endJob('stopped', null);
      return;
    }
    if (error === null || call.method === 'notifyCheckpointAborted') return;
    if (call.method === 'triggerCheckpoint')
      return this.#take(this.#coordinator.triggerFailed(call.request.checkpointId, error, this.#env));
    if (call.method === 'deploySlots') return this.#deploymentFailed(execution, taskManagerId, error);
    // A lost merge is covered by its timeout, as is a lost request to cancel.
    if (call.method === 'connectSlots') this.#attemptsFailed([execution], error);
  }

  /** A refused deployment has started no slot, so no end of one is waited for; of a lost one nothing is known. */
  #deploymentFailed(execution: AttemptExecution, taskManagerId: string, error: WireError): void {
    if (error.code !== 'TRANSPORT_FAILED') execution.neverStarted(taskManagerId);
    if (this.#isEnding(execution)) return this.#checkEnded();
    this.#attemptsFailed([execution], error);
  }

  // ---- checkpoints -----------------------------------------------------------------------------------------------------

  /** Refuses what another epoch says; the coordinator knows what to do with other attempts. */
  #fromTaskManager(message: { readonly attempt: AttemptRef }, take: () => CoordinatorOutcome): void {
    this.#refuseOthers(message.attempt);
    this.#take(take());
  }

  #take(outcome: CoordinatorOutcome): void {
    this.#actions.push(...outcome.actions);
    if (outcome.fenced !== undefined) return this.#stepDown(outcome.fenced);
    if (outcome.completed?.reason === 'stop') this.#stopCheckpointCompleted();
    else if (outcome.completed !== undefined) this.#restartRescaled();
    const { failed } = outcome;
    if (failed !== undefined && !failed.fatal && failed.reason === 'stop' && this.#stopNeedsSavepoint) this.#unstop();
    else if (failed !== undefined && (failed.fatal || failed.reason === 'stop'))
      this.#attemptsFailed(this.#executions, failed.error);
    if (this.#phase.step === 'ending') this.#checkEnded();
  }

  /** A job that is to end anyway is not started again for another parallelism. */
  #restartRescaled(): void {
    if (this.#rescaled === null || this.#phase.step !== 'running' || this.#state !== 'running') return;
    this.#beginEnding(this.#running, { kind: 'restart', delayMs: 0 });
  }

  /** The savepoint of a stop was given up, and its sources go on: so does the job. */
  #unstop(): void {
    if (this.#phase.step !== 'running' || this.#state !== 'stopping') return;
    this.#take(this.#coordinator.stopGivenUp(this.#env));
    this.#move('running');
  }

  #stopCheckpointCompleted(): void {
    // An attempt has failed meanwhile, but what was asked for is there.
    if (this.#phase.step === 'ending' && this.#phase.aim.kind === 'restart' && this.#stopNeedsSavepoint)
      return this.#beginEnding(this.#executions, { kind: 'end', state: 'stopped', error: null });
    if (this.#phase.step !== 'running' || this.#state !== 'stopping') return;
    this.#phase = { step: 'committing' };
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

  /** Attempts that have slots now. */
  get #executions(): AttemptExecution[] {
    return [...this.#running, ...this.#moving];
  }

  #executionOf(attempt: number): AttemptExecution | null {
    return this.#executions.find((execution) => execution.attempt === attempt) ?? null;
  }

  /** What a message is about; null when that is over. @throws EngineError STALE_EPOCH for a message to another leader */
  #reportedExecution(attempt: AttemptRef): AttemptExecution | null {
    this.#refuseOthers(attempt);
    return this.#executionOf(attempt.attempt);
  }

  /** @throws EngineError STALE_EPOCH for a message to another leader */
  #refuseOthers(attempt: AttemptRef): void {
    if (attempt.jobId === this.#options.jobId && attempt.leaderEpoch === this.#options.leaderEpoch) return;
    const message = `message for job ${attempt.jobId}, epoch ${attempt.leaderEpoch}, refused: this is job ${this.#options.jobId}, epoch ${this.#options.leaderEpoch}; register again`;
    throw new EngineError('STALE_EPOCH', message, {
      domain: 'external',
      retry: 'backoff',
      ids: { jobId: attempt.jobId },
    });
  }

  #attemptRef(attempt: number): AttemptRef {
    const { leaderEpoch, jobId } = this.#options;
    return { leaderEpoch, jobId, attempt };
  }

  #slotError(attempt: number, what: string): WireError {
    const ids = { jobName: this.#jobName, attempt };
    const message = `attempt ${attempt} of job "${this.#jobName}" failed: ${what}`;
    return toWireError(new EngineError('SLOT_EXITED', message, { domain: 'external', retry: 'backoff', ids }));
  }

  #deadlineError(): WireError {
    return this.#slotError(this.#attempt, `it did not run within ${this.#options.settings.deployTimeoutMs} ms`);
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
