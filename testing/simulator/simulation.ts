/**
 * One schedule: the world, its processes, the network between them, and the faults. Phase A: faults happen. Phase B: all is
 * healed, and the job has to finish with exactly the results of the oracle.
 */
import { EngineError, type WireError } from '../../core/errors.ts';
import type { RestoredPointer, TaskManagerCall } from '../../jobmanager/model/job-master-protocol.ts';
import type { TerminalJobState } from '../../jobmanager/model/job-state.ts';
import { subtaskKey } from '../../jobmanager/model/slot-assignment.ts';
import type { SubtaskRef } from '../../proto/messages.ts';
import type { Fault, SimulationConfiguration } from './configuration.ts';
import { SimulatedChannel } from './simulated-channel.ts';
import { makeGraph, makeInput, neighbour, oracle } from './simulated-job.ts';
import { graphRefOf, SimulatedJobManager, type TaskManagerEvent } from './simulated-job-manager.ts';
import { SimulatedSink } from './simulated-sink.ts';
import { SimulatedStore } from './simulated-store.ts';
import { SimulatedTaskManager } from './simulated-task-manager.ts';
import { transportError, World } from './world.ts';

/** Virtual time within which the job must finish after everything was healed. */
const livenessMs = 120_000;
const eventsMax = 400_000;
const callTimeoutMs = 400;

export class Simulation {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly sink: SimulatedSink;
  readonly input;
  readonly expected: ReadonlySet<string>;
  parallelism: number;
  readonly #taskManagers: SimulatedTaskManager[] = [];
  readonly #channels = new Map<string, SimulatedChannel>();
  readonly #linkFreeMs = new Map<string, number>();
  readonly #network;
  readonly #random;
  #leader: SimulatedJobManager | null = null;
  #incarnations = 0;
  #newestNotified = 0;
  #newestDeployed = 0;
  #outcome: TerminalJobState | null = null;
  #resumeWith: number | null = null;
  /** The job is to end, and another one starts from its newest savepoint. */
  #startsAnother = false;
  #jobNumber = 1;
  /** The savepoint that the job started from. */
  #foreign: RestoredPointer | null = null;

  constructor(configuration: SimulationConfiguration, traced: boolean) {
    this.world = new World(configuration, traced);
    this.input = makeInput(configuration);
    this.expected = oracle(configuration, this.input);
    this.store = new SimulatedStore(this.world);
    this.sink = new SimulatedSink(this.world, this.expected);
    this.store.onPointer = (pointer) => {
      // An attempt that was deployed before did not start from this checkpoint.
      this.world.check(
        pointer.attempt >= this.#newestDeployed,
        () =>
          `checkpoint ${pointer.checkpointId} of attempt ${pointer.attempt} completes after attempt ${this.#newestDeployed} was deployed`,
      );
      this.sink.checkpointCompleted(pointer.checkpointId);
    };
    this.parallelism = configuration.parallelism;
    this.#network = this.world.random('network');
    this.#random = this.world.random('faults');
    this.#startJobManager();
    for (let index = 0; index < configuration.taskManagerCount; index++) this.#startTaskManager(index);
    for (const fault of configuration.faults)
      this.world.schedule(fault.atMs, null, fault.kind, () => this.#inject(fault));
    this.world.schedule(configuration.healAtMs, null, 'heal', () => this.#heal());
  }

  /** Runs to the end. @throws ViolationError */
  run(): void {
    const { healAtMs } = this.world.configuration;
    while (this.#outcome === null) {
      const alive = this.world.step() && this.world.nowMs < healAtMs + livenessMs && this.world.eventCount < eventsMax;
      this.world.check(alive, () => `stuck\n${this.#dump()}`);
    }
    // Canceled: another job was to start from its savepoint, which was given up meanwhile.
    if (this.#outcome === 'failed' || this.#outcome === 'canceled') return;
    for (const result of this.expected)
      this.world.check(this.sink.visible.has(result), () => `${result} was never delivered`);
  }

  get jobId(): string {
    return `job-${this.#jobNumber}`;
  }

  // ---- what processes need ----------------------------------------------------------------------------------------------

  /** The ends of a subtask's channels; both sides of an attempt find the same ones. */
  channelsOf(attempt: number, ref: SubtaskRef, everywhere: readonly SubtaskRef[], finished: readonly SubtaskRef[]) {
    const all = [...everywhere, ...finished];
    const of = (vertexId: string | null): SubtaskRef[] =>
      all.filter((other) => other.vertexId === vertexId).sort((a, b) => a.subtaskIndex - b.subtaskIndex);
    const done = new Set(finished.map(subtaskKey));
    const channel = (from: SubtaskRef, to: SubtaskRef): SimulatedChannel => {
      const name = `${attempt}|${subtaskKey(from)}|${subtaskKey(to)}`;
      let found = this.#channels.get(name);
      if (found === undefined) {
        const delayMsMax = Math.min(20, this.world.configuration.networkMsMax);
        found = new SimulatedChannel(this.world, name, { delayMsMax, endedAtStart: done.has(subtaskKey(from)) });
        this.#channels.set(name, found);
      }
      return found;
    };
    return {
      inputs: of(neighbour(ref.vertexId, -1)).map((from) => channel(from, ref)),
      outputs: of(neighbour(ref.vertexId, 1)).map((to) => channel(ref, to)),
      parallelism: of(ref.vertexId).length,
    };
  }

  /** Sends an event of a task manager to the leader. `delivered` is false when it may not have arrived. */
  tellJobManager(
    from: SimulatedTaskManager,
    event: TaskManagerEvent,
    ended: (delivered: boolean, refusal?: EngineError, leaderEpoch?: number) => void,
  ): void {
    const leader = this.#leader;
    const { process } = from;
    let open = true;
    const end = (delivered: boolean, refusal?: EngineError): void => {
      if (open) ended(delivered, refusal, leader?.epoch);
      open = false;
    };
    const replyLost = this.#lost(this.world.configuration.rates.replyLost);
    if (leader === null || from.isCut || this.#lost(this.world.configuration.rates.requestLost)) {
      return this.world.schedule(callTimeoutMs, process, 'report lost', () => end(false));
    }
    this.world.schedule(this.#linkDelay(`${process.name}>${leader.process.name}`), leader.process, 'report', () => {
      const refusal = this.#deliver(leader, event);
      if (replyLost) this.world.schedule(callTimeoutMs, process, 'reply lost', () => end(false));
      else
        this.world.schedule(this.#linkDelay(`${leader.process.name}>${process.name}`), process, 'report answered', () =>
          end(true, refusal),
        );
    });
    // A job manager that dies or is replaced meanwhile is not waited for.
    const watch = (): void => {
      if (leader !== this.#leader) end(false);
    };
    this.world.schedule(callTimeoutMs + this.world.configuration.networkMsMax, process, 'report watched', watch);
  }

  #deliver(leader: SimulatedJobManager, event: TaskManagerEvent): EngineError | undefined {
    try {
      if ('report' in event && !leader.master.currentAttempts.includes(event.report.attempt.attempt)) {
        this.world.saw('late_report_of_older_attempt');
        if (event.kind === 'checkpoint-acknowledged') this.world.saw('zombie_acknowledgement_refused');
      }
      leader.receive(event);
      return undefined;
    } catch (error) {
      if (error instanceof EngineError && (error.code === 'STALE_EPOCH' || error.code === 'PROTOCOL')) {
        if (event.kind === 'checkpoint-acknowledged') this.world.saw('zombie_acknowledgement_refused');
        return error;
      }
      throw error;
    }
  }

  callTaskManager(
    from: SimulatedJobManager,
    taskManagerId: string,
    call: TaskManagerCall,
    ended: (error: EngineError | null) => void,
  ): void {
    const { process } = from;
    if (call.method === 'deploySlots' && from === this.#leader)
      this.#newestDeployed = Math.max(this.#newestDeployed, call.request.attempt.attempt);
    const [name] = taskManagerId.split('.', 1);
    const target = this.#taskManagers.find((other) => `tm${other.index}` === name);
    const replyLost = this.#lost(this.world.configuration.rates.replyLost);
    const sameProcess = target?.process.name.split('.')[1] === taskManagerId.split('.')[1];
    if (
      target === undefined ||
      !sameProcess ||
      target.isCut ||
      this.#lost(this.world.configuration.rates.requestLost)
    ) {
      return this.world.schedule(callTimeoutMs, process, 'call lost', () =>
        ended(transportError(`${taskManagerId} did not answer`)),
      );
    }
    this.world.schedule(this.#linkDelay(`${process.name}>${target.process.name}`), target.process, call.method, () => {
      this.world.trace(() => `${target.id} does ${call.method}`);
      target.handle(call, (error) => {
        const back = this.#linkDelay(`${target.process.name}>${process.name}`);
        this.world.schedule(replyLost ? callTimeoutMs : back, process, 'call answered', () =>
          ended(replyLost ? transportError('reply lost') : error),
        );
      });
    });
  }

  notificationArrived(checkpointId: number): void {
    this.#newestNotified = Math.max(this.#newestNotified, checkpointId);
  }

  /** The moment that recovery is most often wrong about. Returns by how much setting the pointer is slowed down. */
  settingPointer(jobManager: SimulatedJobManager): number {
    const { rates, storeMsMax } = this.world.configuration;
    if (!this.world.faultsOn || !this.#random.chance(rates.troubleAtPointer)) return 0;
    const delayMs = this.#random.between(0, storeMsMax * 2);
    if (this.#random.chance(0.3)) {
      this.world.schedule(delayMs, null, 'job manager dies', () => {
        if (jobManager === this.#leader) this.#crashJobManager(200);
      });
    } else {
      const target = this.#random.between(0, this.#taskManagers.length - 1);
      this.world.schedule(delayMs, null, 'subtask fails', () =>
        this.#inject({ kind: 'fail-subtask', atMs: this.world.nowMs, target }),
      );
    }
    return this.#random.chance(0.5) ? this.#random.between(0, 2_000) : 0;
  }

  jobEnded(by: SimulatedJobManager | null, state: TerminalJobState, error: WireError | null): void {
    // It had stopped the job while it led, and hears so only now that another one goes on with it.
    if (by !== this.#leader && state === 'stopped') return;
    this.world.check(by === this.#leader, () => `${by?.process.name} ended the job, but is not the leader`);
    if (this.#startsAnother && this.#startFromSavepoint()) return;
    if (state === 'stopped' && this.#resumeWith !== null) return this.#resume(this.#resumeWith);
    if (state === 'failed') {
      this.world.check(
        this.store.damaged && error?.code === 'CHECKPOINT_UNREADABLE',
        () => `the job failed: ${error?.message}`,
      );
      this.world.saw('unreadable_checkpoint_stopped_the_job');
    }
    this.#outcome = state;
  }

  steppedDown(jobManager: SimulatedJobManager): void {
    this.world.check(jobManager !== this.#leader, () => `the only leader ${jobManager.process.name} stepped down`);
  }

  // ---- processes and faults --------------------------------------------------------------------------------------------

  /** @param adopt what an earlier one has deployed may still run */
  #startJobManager(adopt = true): void {
    const epoch = this.store.newLeader();
    const { terminal, pointer } = this.store;
    if (terminal !== null && terminal.state !== 'stopped') {
      // The job had ended before its job manager died: it is never run again.
      this.#leader = null;
      return this.jobEnded(null, terminal.state, terminal.error);
    }
    if (terminal !== null) this.store.terminal = null;
    let restored = this.#foreign;
    try {
      if (pointer !== null)
        restored = {
          pointer,
          manifests: pointer.retained.map((one) => this.store.readManifest(one.manifest)),
          pinnedManifests: (pointer.pinned ?? []).map((one) => this.store.readManifest(one.manifest)),
        };
    } catch (error) {
      this.world.check(
        this.store.damaged && error instanceof EngineError,
        () => `the newest checkpoint cannot be read: ${String(error)}`,
      );
      this.world.saw('unreadable_checkpoint_stopped_the_job');
      this.#outcome = 'failed';
      return;
    }
    this.#leader = new SimulatedJobManager(this, epoch, restored, adopt ? this.store.newestAttempt : 0);
  }

  #startTaskManager(index: number): void {
    this.#taskManagers[index] = new SimulatedTaskManager(this, index, this.#incarnations++);
  }

  #crashJobManager(downMs: number): void {
    const leader = this.#leader;
    if (leader === null) return;
    leader.process.alive = false;
    this.#leader = null;
    const pointed = this.store.pointer?.checkpointId ?? 0;
    if (leader.newestCheckpointTried > pointed) this.world.saw('job_manager_died_before_pointer');
    if (pointed > this.#newestNotified && pointed > 0)
      this.world.saw('job_manager_died_after_pointer_before_notification');
    this.world.schedule(downMs, null, 'job manager starts', () => {
      if (this.#leader === null && this.#outcome === null) this.#startJobManager();
    });
  }

  #crashTaskManager(index: number, downMs: number): void {
    const taskManager = this.#taskManagers[index];
    if (taskManager === undefined || !taskManager.process.alive) return;
    taskManager.crash();
    const leader = this.#leader;
    if (leader !== null && this.#random.chance(0.5)) {
      // The broken connection is noticed at once, or only the silence later.
      this.world.schedule(30, leader.process, 'connection reset', () => leader.connectionLost(taskManager.id));
    }
    this.world.schedule(downMs, null, 'task manager starts', () => this.#startTaskManager(index));
  }

  #inject(fault: Fault): void {
    if (this.#outcome !== null) return;
    this.world.trace(() => `FAULT ${JSON.stringify(fault)}`);
    const { nowMs } = this.world;
    switch (fault.kind) {
      case 'crash-task-manager':
        return this.#crashTaskManager(fault.target, fault.downMs);
      case 'pause-task-manager':
        return this.#withTaskManager(fault.target, (one) => (one.process.pausedUntilMs = nowMs + fault.forMs));
      case 'cut-task-manager':
        return this.#withTaskManager(fault.target, (one) => (one.cutUntilMs = nowMs + fault.forMs));
      case 'crash-job-manager':
        return this.#crashJobManager(fault.downMs);
      case 'replace-job-manager':
        return this.#replaceJobManager(fault.forMs);
      case 'crash-everything':
        for (let index = 0; index < this.#taskManagers.length; index++) this.#crashTaskManager(index, fault.downMs);
        return this.#crashJobManager(fault.downMs);
      case 'fail-subtask':
        return this.#withTaskManager(fault.target, (one) => {
          if (one.subtasks.length > 0) this.#random.pick(one.subtasks).fail();
        });
      case 'store-down':
        this.store.downUntilMs = nowMs + fault.forMs;
        return;
      case 'store-full':
        this.store.fullUntilMs = nowMs + fault.forMs;
        return;
      case 'rescale':
        return this.#rescale(fault.parallelism);
      case 'stop-and-resume':
        this.#resumeWith = fault.parallelism;
        return this.#leader?.tell({ kind: 'stop-requested' });
      case 'flip-byte':
        return this.store.flipByte(this.#random);
      case 'request-checkpoint':
        return this.#leader?.requestCheckpoint();
      case 'request-savepoint':
        return this.#leader?.requestSavepoint();
      case 'dispose-savepoint': {
        const [oldest] = this.store.pointer?.pinned ?? [];
        if (oldest === undefined) return;
        this.world.saw('savepoint_disposed');
        return this.#leader?.tell({ kind: 'savepoint-disposed', checkpointId: oldest.checkpointId });
      }
      case 'start-from-savepoint':
        if (this.#leader === null || this.#resumeWith !== null || this.#newestSavepoint() === undefined) return;
        this.#startsAnother = true;
        return this.#leader.tell({ kind: 'cancel-requested' });
    }
  }

  #newestSavepoint() {
    return this.store.pointer?.pinned?.at(-1);
  }

  /** False when its savepoints were disposed of meanwhile. */
  #startFromSavepoint(): boolean {
    this.#startsAnother = false;
    const pin = this.#newestSavepoint();
    const damaged = this.store.damaged;
    if (pin === undefined || damaged) return false;
    const { checkpointId, manifest: object } = pin;
    const manifest = this.store.readManifest(object);
    const pointer = { checkpointId, attempt: manifest.attempt, leaderEpoch: 0, retained: [pin] };
    this.#foreign = { pointer, manifests: [manifest], isForeign: true };
    this.world.saw('started_from_savepoint');
    this.store.beginAnotherJob();
    this.sink.startFrom(checkpointId);
    this.#jobNumber++;
    this.#leader = null;
    this.world.schedule(100, null, 'start from savepoint', () => this.#startJobManager(false));
    return true;
  }

  /** The graph is recorded, and the leader is told; it may die in between, or later. */
  #rescale(parallelism: number): void {
    if (this.#leader === null || this.#resumeWith !== null) return;
    this.parallelism = parallelism;
    if (this.#random.chance(0.2)) return this.#crashJobManager(100);
    const graph = makeGraph(this.world.configuration, parallelism);
    this.#leader.tell({ kind: 'rescale-requested', graph, graphRef: graphRefOf(parallelism) });
  }

  #withTaskManager(index: number, act: (taskManager: SimulatedTaskManager) => void): void {
    const taskManager = this.#taskManagers[index];
    if (taskManager?.process.alive === true) act(taskManager);
  }

  /** The leader is paused and believed dead; another one takes over; then the old one wakes up. */
  #replaceJobManager(forMs: number): void {
    if (this.#leader === null) return;
    this.#leader.process.pausedUntilMs = this.world.nowMs + forMs;
    this.#leader = null;
    this.#startJobManager();
  }

  #resume(parallelism: number): void {
    this.#resumeWith = null;
    if (this.store.pointer !== null) this.world.saw('stopped_with_last_checkpoint');
    if (parallelism !== this.parallelism) this.world.saw('resumed_with_other_parallelism');
    this.parallelism = parallelism;
    this.#leader = null;
    this.world.schedule(100, null, 'resume', () => this.#startJobManager(false));
  }

  #heal(): void {
    this.world.faultsOn = false;
    this.store.downUntilMs = 0;
    this.store.fullUntilMs = 0;
    for (const taskManager of this.#taskManagers) {
      taskManager.cutUntilMs = 0;
      taskManager.process.pausedUntilMs = 0;
    }
  }

  // ---- network ---------------------------------------------------------------------------------------------------------

  #lost(rate: number): boolean {
    return this.world.faultsOn && rate > 0 && this.#network.chance(rate);
  }

  /** Delay of the next message on a link: in order within a link, any order across links. */
  #linkDelay(link: string): number {
    const { nowMs, configuration } = this.world;
    const atMs =
      Math.max(this.#linkFreeMs.get(link) ?? 0, nowMs + this.#network.between(0, configuration.networkMsMax)) + 0.001;
    this.#linkFreeMs.set(link, atMs);
    return atMs - nowMs;
  }

  #dump(): string {
    const lines = [
      `leader ${this.#leader?.process.name ?? 'none'} job ${this.#leader?.master.state ?? '-'} attempt ${this.#leader?.master.attempt ?? '-'}`,
    ];
    for (const taskManager of this.#taskManagers) {
      lines.push(taskManager.describe(), ...taskManager.subtasks.map((subtask) => `  ${subtask.describe()}`));
    }
    return lines.join('\n');
  }
}
