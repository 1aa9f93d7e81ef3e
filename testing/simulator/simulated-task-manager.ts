/**
 * A task manager of the simulated world: deploys slots, runs subtasks, writes state files, and tells the leading job
 * manager. Refuses older epochs and attempts. Reports are sent in order and repeated until somebody has answered.
 */
import { EngineError, toWireError } from '../../core/errors.ts';
import type { JobMasterEvent, TaskManagerCall } from '../../jobmanager/model/job-master-protocol.ts';
import { subtaskKey } from '../../jobmanager/model/slot-assignment.ts';
import type {
  AttemptRef,
  DeploySlotsRequest,
  Manifest,
  ObjectRef,
  RunningAttempt,
  RunningSubtask,
  StateFile,
  SubtaskRef,
} from '../../proto/messages.ts';
import type { Random } from './random.ts';
import type { Simulation } from './simulation.ts';
import { type SubtaskSnapshot, SimulatedSubtask } from './simulated-subtask.ts';
import { encodeStateFile, forEachStateRow, mergeStateFiles } from './state-rows.ts';
import { type Process, transportError } from './world.ts';

interface SimulatedAttempt {
  readonly ref: AttemptRef;
  readonly request: DeploySlotsRequest;
  readonly subtasks: Map<string, SimulatedSubtask>;
  readonly collected: Map<number, SubtaskSnapshot[]>;
  /** What was last reported of each subtask. */
  readonly states: Map<string, RunningSubtask>;
  readonly endedSlots: Set<number>;
  /** Checkpoints that were triggered and are neither complete nor aborted. */
  readonly pending: Set<number>;
  /** Sources have handed on their last record: the attempt cannot go on. */
  stopping: boolean;
  connected: boolean;
  alive: boolean;
}

const heartbeatMs = 1_000;
const resendMs = 150;

export class SimulatedTaskManager {
  readonly process: Process;
  readonly index: number;
  id: string;
  cutUntilMs = 0;
  #registrations = 0;
  #registering = 0;
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #incarnation: number;
  #epoch = 0;
  /** The newest attempt that was deployed, and those that are current with it. */
  #newestAttempt = 0;
  #currentAttempts: ReadonlySet<number> = new Set();
  readonly #canceled = new Set<number>();
  readonly #attempts = new Map<number, SimulatedAttempt>();
  readonly #outbox: { readonly attempt: SimulatedAttempt; readonly event: JobMasterEvent }[] = [];
  #sending = false;
  #registered = false;
  #fileCount = 0;

  constructor(simulation: Simulation, index: number, incarnation: number) {
    this.#simulation = simulation;
    this.index = index;
    this.#incarnation = incarnation;
    this.id = `tm${index}.${incarnation}.0`;
    this.process = simulation.world.newProcess(this.id);
    this.#random = simulation.world.random(`task manager ${this.id}`);
    this.#register();
    this.#heartbeat();
  }

  get subtasks(): SimulatedSubtask[] {
    return [...this.#attempts.values()].flatMap((attempt) => [...attempt.subtasks.values()]);
  }

  get isCut(): boolean {
    return this.#simulation.world.nowMs < this.cutUntilMs;
  }

  describe(): string {
    const attempts = [...this.#attempts.values()].map(({ ref, connected }) => `${ref.attempt} connected ${connected}`);
    return `${this.id} attempts [${attempts}], ${this.#outbox.length} unsent`;
  }

  /** A call has arrived. */
  handle(call: TaskManagerCall, answer: (error: EngineError | null) => void): void {
    const { leaderEpoch, attempt } = call.request.attempt;
    if (leaderEpoch < this.#epoch || (call.method !== 'cancelAttempt' && this.#isOver(attempt))) {
      if (leaderEpoch < this.#epoch) this.#simulation.world.saw('stale_leader_refused_by_task_manager');
      return answer(
        new EngineError('STALE_EPOCH', `${this.id} follows epoch ${this.#epoch}, attempt ${this.#newestAttempt}`, {
          domain: 'external',
          retry: 'backoff',
        }),
      );
    }
    this.#epoch = leaderEpoch;
    const current = this.#attempts.get(attempt) ?? null;
    switch (call.method) {
      case 'deploySlots':
        // Graph and artifact are read first; a cancel request may overtake that.
        return this.#simulation.world.schedule(this.#random.between(0, 60), this.process, 'deploy', () => {
          if (this.#canceled.has(attempt) || this.#isOver(attempt)) {
            return answer(new EngineError('CANCELED', `attempt ${attempt} was canceled`, { retry: 'backoff' }));
          }
          this.#deploy(call.request);
          answer(null);
        });
      case 'connectSlots':
        if (current !== null)
          this.#connect(
            current,
            call.request.slices.flatMap((slice) => slice.subtasks),
          );
        return answer(current === null ? transportError('nothing is deployed') : null);
      case 'cancelAttempt':
        this.#canceled.add(attempt);
        if (current !== null)
          this.#simulation.world.schedule(this.#random.between(0, 60), this.process, 'cancel', () =>
            this.#end(current),
          );
        return answer(null);
      case 'triggerCheckpoint':
        current?.pending.add(call.request.checkpointId);
        if (current !== null && call.request.stop) current.stopping = true;
        for (const subtask of current?.subtasks.values() ?? []) {
          this.#simulation.world.schedule(this.#random.between(0, 2), this.process, 'trigger', () =>
            subtask.trigger(call.request.checkpointId),
          );
        }
        return answer(null);
      case 'notifyCheckpointAborted':
        if (current !== null) this.#aborted(current, call.request.checkpointId);
        return answer(null);
      case 'notifyCheckpointComplete':
        return this.#completed(current, call.request.checkpointId, answer);
      case 'adoptAttempt':
        return this.#adopt(current, call.request.completedCheckpointId, answer);
      case 'mergeFiles':
        if (current !== null) this.#merge(current, call.request.mergeId, call.request.inputs);
        return answer(null);
    }
  }

  #isOver(attempt: number): boolean {
    return attempt < this.#newestAttempt && !this.#currentAttempts.has(attempt);
  }

  /** A new leader goes on with what runs here. */
  #adopt(
    attempt: SimulatedAttempt | null,
    completedCheckpointId: number,
    answer: (error: EngineError | null) => void,
  ): void {
    if (attempt === null || !attempt.alive) return answer(transportError('the attempt is over'));
    for (const checkpointId of [...attempt.pending])
      if (checkpointId !== completedCheckpointId) this.#aborted(attempt, checkpointId);
    if (completedCheckpointId === 0) return answer(null);
    this.#completed(attempt, completedCheckpointId, answer);
  }

  #aborted(attempt: SimulatedAttempt, checkpointId: number): void {
    attempt.pending.delete(checkpointId);
    attempt.collected.delete(checkpointId);
    for (const subtask of attempt.subtasks.values()) subtask.aborted(checkpointId);
  }

  /** The whole process dies. */
  crash(): void {
    this.process.alive = false;
    this.#killAll();
  }

  // ---- attempts --------------------------------------------------------------------------------------------------------

  #deploy(request: DeploySlotsRequest): void {
    const { attempt: number } = request.attempt;
    if (number > this.#newestAttempt) {
      this.#newestAttempt = number;
      this.#currentAttempts = new Set(request.currentAttempts);
    }
    for (const other of [...this.#attempts.values()]) if (this.#isOver(other.ref.attempt)) this.#end(other);
    const attempt = {
      ref: request.attempt,
      request,
      subtasks: new Map(),
      collected: new Map(),
      states: new Map(),
      endedSlots: new Set<number>(),
      pending: new Set<number>(),
      stopping: false,
      connected: false,
      alive: true,
    };
    this.#attempts.set(number, attempt);
    for (const { slotIndex } of request.slices) {
      this.#simulation.world.schedule(this.#random.between(1, 20), this.process, 'slot starts', () => {
        const address = { slotIndex, host: this.id, port: 1 };
        this.#report(attempt, {
          kind: 'slot-listening',
          report: { attempt: attempt.ref, taskManagerId: this.id, address },
        });
      });
    }
  }

  #connect(attempt: SimulatedAttempt, everywhere: readonly SubtaskRef[]): void {
    if (attempt.connected || !attempt.alive) return;
    attempt.connected = true;
    const { restoreManifest } = attempt.request;
    if (restoreManifest === null) return this.#start(attempt, everywhere, null, []);
    this.#read(attempt, [restoreManifest], ([bytes]) => {
      const manifest = this.#simulation.store.readManifest(restoreManifest);
      if (bytes === undefined) return;
      const files = manifest.files.map((entry) => entry.file.object);
      this.#read(attempt, files, (contents) => this.#start(attempt, everywhere, manifest, contents));
    });
  }

  /** Reads objects one after the other; the attempt fails when one cannot be read. */
  #read(attempt: SimulatedAttempt, objects: readonly ObjectRef[], then: (contents: Uint8Array[]) => void): void {
    const contents: Uint8Array[] = [];
    const next = (): void => {
      if (!attempt.alive) return;
      const object = objects[contents.length];
      if (object === undefined) return then(contents);
      this.#simulation.store.getObject(this.process, object, {
        done: (bytes) => {
          contents.push(bytes);
          next();
        },
        failed: (error) => {
          const subtask = attempt.request.slices[0]?.subtasks[0];
          if (subtask !== undefined) this.#subtaskState(attempt, subtask, 'failed', { error });
        },
      });
    };
    next();
  }

  #start(
    attempt: SimulatedAttempt,
    everywhere: readonly SubtaskRef[],
    manifest: Manifest | null,
    files: readonly Uint8Array[],
  ): void {
    if (!attempt.alive) return;
    if (manifest !== null) this.#simulation.world.saw('restored_from_checkpoint');
    if (attempt.request.finished.length > 0) this.#simulation.world.saw('finished_subtasks_not_started_again');
    const own = attempt.request.slices.flatMap((slice) => slice.subtasks);
    for (const ref of own) {
      const subtask = this.#makeSubtask(attempt, ref, everywhere, manifest);
      attempt.subtasks.set(subtaskKey(ref), subtask);
      for (const file of files) {
        forEachStateRow(file, (vertexId, keyGroup, key, value) => {
          if (vertexId === ref.vertexId) subtask.restore(keyGroup, key, value);
        });
      }
    }
    for (const subtask of attempt.subtasks.values()) {
      subtask.start();
      this.#subtaskState(attempt, subtask.ref, 'running');
    }
  }

  #makeSubtask(
    attempt: SimulatedAttempt,
    ref: SubtaskRef,
    everywhere: readonly SubtaskRef[],
    manifest: Manifest | null,
  ): SimulatedSubtask {
    const simulation = this.#simulation;
    const { inputs, outputs, parallelism } = simulation.channelsOf(
      attempt.ref.attempt,
      ref,
      everywhere,
      attempt.request.finished,
    );
    return new SimulatedSubtask({
      world: simulation.world,
      process: this.process,
      host: {
        snapshot: (snapshot) => this.#snapshot(attempt, snapshot),
        inputEnded: (subtask) => this.#subtaskState(attempt, subtask, 'running', { inputEnded: true }),
        finished: (subtask) => this.#finished(attempt, subtask),
        failed: (subtask, error) => this.#subtaskState(attempt, subtask, 'failed', { error: toWireError(error) }),
      },
      ref,
      attempt: attempt.ref.attempt,
      parallelism,
      inputs,
      outputs,
      input: simulation.input,
      sink: simulation.sink,
      restoredCheckpointId: manifest?.checkpointId ?? null,
    });
  }

  #finished(attempt: SimulatedAttempt, subtask: SubtaskRef): void {
    this.#subtaskState(attempt, subtask, 'finished', { inputEnded: true });
    for (const checkpointId of attempt.collected.keys()) this.#writeIfComplete(attempt, checkpointId);
    for (const slice of attempt.request.slices) {
      const live = slice.subtasks.some((ref) => attempt.subtasks.get(subtaskKey(ref))?.isLive === true);
      if (!live && slice.subtasks.some((ref) => subtaskKey(ref) === subtaskKey(subtask)))
        this.#slotEnded(attempt, slice.slotIndex);
    }
  }

  #killAll(): void {
    for (const attempt of [...this.#attempts.values()]) this.#kill(attempt);
  }

  #kill(attempt: SimulatedAttempt): void {
    attempt.alive = false;
    for (const subtask of attempt.subtasks.values()) subtask.kill();
    this.#attempts.delete(attempt.ref.attempt);
  }

  #end(attempt: SimulatedAttempt): void {
    if (!attempt.alive) return;
    this.#kill(attempt);
    for (const { slotIndex } of attempt.request.slices) this.#slotEnded(attempt, slotIndex);
  }

  // ---- checkpoints -----------------------------------------------------------------------------------------------------

  #snapshot(attempt: SimulatedAttempt, snapshot: SubtaskSnapshot): void {
    const collected = attempt.collected.get(snapshot.checkpointId) ?? [];
    attempt.collected.set(snapshot.checkpointId, [...collected, snapshot]);
    this.#writeIfComplete(attempt, snapshot.checkpointId);
  }

  #writeIfComplete(attempt: SimulatedAttempt, checkpointId: number): void {
    const collected = attempt.collected.get(checkpointId);
    if (collected === undefined || !attempt.alive) return;
    const taken = new Set(collected.map((snapshot) => subtaskKey(snapshot.subtask)));
    for (const subtask of attempt.subtasks.values()) if (subtask.isLive && !taken.has(subtaskKey(subtask.ref))) return;
    attempt.collected.delete(checkpointId);
    const blocks = collected.flatMap((snapshot) => snapshot.blocks);
    if (blocks.length === 0) return this.#acknowledge(attempt, checkpointId, collected, null);
    this.#write(`${attempt.ref.jobId}/state/${attempt.ref.attempt}-${checkpointId}`, encodeStateFile(blocks), {
      done: (file) => this.#acknowledge(attempt, checkpointId, collected, file),
      failed: (error) => {
        const report = { attempt: attempt.ref, taskManagerId: this.id, checkpointId, error };
        this.#report(attempt, { kind: 'checkpoint-declined', report });
      },
    });
  }

  #write(
    prefix: string,
    bytes: Uint8Array,
    outcome: { done: (file: StateFile) => void; failed: (error: ReturnType<typeof toWireError>) => void },
  ): void {
    const name = `${prefix}-${this.id}-${this.#fileCount++}`;
    const done = (object: ObjectRef): void => outcome.done({ object, rows: 0, keyGroupFirst: 0, keyGroupLast: 0xffff });
    this.#simulation.store.putObject(this.process, name, bytes, { done, failed: outcome.failed });
  }

  #acknowledge(
    attempt: SimulatedAttempt,
    checkpointId: number,
    collected: readonly SubtaskSnapshot[],
    file: StateFile | null,
  ): void {
    const subtasks = collected.map(({ subtask, afterEnd, sourceRecords }) => {
      return { subtask, afterEnd, sourceRecords, rows: 0, bytes: 0, alignmentMs: 0 };
    });
    const report = { attempt: attempt.ref, taskManagerId: this.id, checkpointId, subtasks, file };
    this.#report(attempt, { kind: 'checkpoint-acknowledged', report });
  }

  #completed(
    attempt: SimulatedAttempt | null,
    checkpointId: number,
    answer: (error: EngineError | null) => void,
  ): void {
    if (attempt === null) return answer(transportError('the attempt is over'));
    this.#simulation.notificationArrived(checkpointId);
    for (const pending of [...attempt.pending]) if (pending <= checkpointId) attempt.pending.delete(pending);
    let waiting = 1;
    const committed = (): void => {
      if (--waiting === 0) answer(null);
    };
    for (const subtask of attempt.subtasks.values()) {
      waiting++;
      subtask.completed(checkpointId);
      subtask.whenCommitted(committed);
    }
    committed();
  }

  #merge(attempt: SimulatedAttempt, mergeId: number, inputs: readonly ObjectRef[]): void {
    const contents: Uint8Array[] = [];
    const report = (base: StateFile | null, error: ReturnType<typeof toWireError> | null): void =>
      this.#report(attempt, {
        kind: 'merge-reported',
        report: { attempt: attempt.ref, taskManagerId: this.id, mergeId, base, error },
      });
    const next = (): void => {
      const object = inputs[contents.length];
      if (object === undefined) {
        const bytes = mergeStateFiles(contents);
        return this.#write(`${attempt.ref.jobId}/merged/${attempt.ref.attempt}-${mergeId}`, bytes, {
          done: (base) => report(base, null),
          failed: (error) => report(null, error),
        });
      }
      this.#simulation.store.getObject(this.process, object, {
        done: (bytes) => {
          contents.push(bytes);
          next();
        },
        failed: (error) => report(null, error),
      });
    };
    next();
  }

  // ---- messages to the job manager -------------------------------------------------------------------------------------

  #subtaskState(
    attempt: SimulatedAttempt,
    subtask: SubtaskRef,
    state: 'running' | 'finished' | 'failed',
    more: { inputEnded?: boolean; error?: ReturnType<typeof toWireError> } = {},
  ): void {
    const { inputEnded = false, error = null } = more;
    attempt.states.set(subtaskKey(subtask), { subtask, state, inputEnded, error });
    const report = { attempt: attempt.ref, taskManagerId: this.id, subtask, state, inputEnded, error };
    this.#report(attempt, { kind: 'subtask-state', report });
  }

  #slotEnded(attempt: SimulatedAttempt, slotIndex: number): void {
    attempt.endedSlots.add(slotIndex);
    this.#report(attempt, {
      kind: 'slot-ended',
      report: { attempt: attempt.ref, taskManagerId: this.id, slotIndex, error: null },
    });
  }

  #report(attempt: SimulatedAttempt, event: JobMasterEvent): void {
    this.#outbox.push({ attempt, event });
    this.#send();
  }

  #send(): void {
    const message = this.#outbox[0];
    if (this.#sending || message === undefined || !this.#registered) return;
    this.#sending = true;
    this.#simulation.tellJobManager(this, this.#stamped(message.event), (delivered) => {
      this.#sending = false;
      if (delivered && this.#outbox[0] === message) this.#outbox.shift();
      this.#simulation.world.schedule(delivered ? 0 : resendMs, this.process, 'send next', () => this.#send());
    });
  }

  #heartbeat(): void {
    const { world } = this.#simulation;
    world.schedule(heartbeatMs, this.process, 'heartbeat', () => {
      const { id } = this;
      const heartbeat = { kind: 'heartbeat', taskManagerId: id, leaderEpoch: this.#epoch } as const;
      this.#simulation.tellJobManager(this, heartbeat, (_delivered, refusal) => {
        if (refusal?.code !== 'STALE_EPOCH' || id !== this.id) return;
        // Another leader wants to hear what runs here; the same one has given this task manager up.
        if (Number(refusal.ids.leaderEpoch ?? 0) > this.#epoch) this.#registerWith();
        else if (this.#registered) this.#register();
      });
      this.#heartbeat();
    });
  }

  /** The epoch that is followed now. */
  #stamped(event: JobMasterEvent): JobMasterEvent {
    if (!('report' in event)) return event;
    const attempt = { ...event.report.attempt, leaderEpoch: this.#epoch };
    return { ...event, report: { ...event.report, attempt } } as JobMasterEvent;
  }

  /** Registers with the leader under a new id; what ran for the one before is over. */
  #register(): void {
    this.#killAll();
    this.#outbox.length = 0;
    this.id = `tm${this.index}.${this.#incarnation}.${++this.#registrations}`;
    this.#registerWith();
  }

  /** Registers with the leader of now, telling what runs here. */
  #registerWith(): void {
    this.#registered = false;
    const { id } = this;
    const number = ++this.#registering;
    const { slotsPerTaskManager } = this.#simulation.world.configuration;
    const attempt = (): void => {
      if (number !== this.#registering) return;
      const running = this.#running();
      const event = {
        kind: 'task-manager-registered',
        taskManagerId: id,
        slotCount: slotsPerTaskManager,
        running,
      } as const;
      this.#simulation.tellJobManager(this, event, (delivered, _refusal, leaderEpoch = 0) => {
        if (number !== this.#registering) return;
        if (!delivered || leaderEpoch < this.#epoch)
          return this.#simulation.world.schedule(resendMs, this.process, 'register again', attempt);
        this.#epoch = leaderEpoch;
        this.#registered = true;
        this.#send();
      });
    };
    attempt();
  }

  #running(): RunningAttempt[] {
    return [...this.#attempts.values()].map((attempt) => {
      const subtasks = attempt.request.slices
        .flatMap((slice) => slice.subtasks)
        .map((subtask): RunningSubtask => {
          const silent = { subtask, state: 'deploying', inputEnded: false, error: null } as const;
          const known = attempt.states.get(subtaskKey(subtask)) ?? silent;
          return attempt.stopping ? { ...known, state: 'canceling' } : known;
        });
      const { ref, request, pending, endedSlots } = attempt;
      return {
        attempt: ref,
        graphSha256: request.graph.sha256,
        slices: request.slices,
        subtasks,
        pendingCheckpointIds: [...pending],
        endedSlots: [...endedSlots],
        currentAttempts: request.currentAttempts,
      };
    });
  }
}
