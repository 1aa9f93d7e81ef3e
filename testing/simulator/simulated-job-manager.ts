/**
 * A job manager of the simulated world: the shell around the real job master and the real slot pool, with virtual timers, storage and network. The
 * same actions as in `jobmanager/job-manager.ts`, under faults.
 */
import { EngineError, toWireError } from '../../core/errors.ts';
import { CheckpointRequests } from '../../jobmanager/checkpoint-requests.ts';
import { JobMaster } from '../../jobmanager/model/job-master.ts';
import {
  type JobMasterAction,
  type JobMasterEvent,
  jobMasterSettingsDefault,
  type JobNotice,
  type RestoredPointer,
  type TaskManagerCall,
} from '../../jobmanager/model/job-master-protocol.ts';
import { SlotPool, type SlotPoolOutcome } from '../../jobmanager/model/slot-pool.ts';
import { isLegalJobMove, isTerminal, type JobState } from '../../jobmanager/model/job-state.ts';
import type { ObjectRef, RunningAttempt } from '../../proto/messages.ts';
import type { Random } from './random.ts';
import { makeGraph } from './simulated-job.ts';
import type { Simulation } from './simulation.ts';
import type { Process, World } from './world.ts';

const graphHash = 'hash';
/** Where the graph of a parallelism is stored. */
export const graphRefOf = (parallelism: number): ObjectRef => ({ name: 'graph', sha256: `p${parallelism}`, bytes: 1 });

/** What task managers say to the job manager itself. */
export type TaskManagerEvent =
  | JobMasterEvent
  | {
      readonly kind: 'task-manager-registered';
      readonly taskManagerId: string;
      readonly slotCount: number;
      readonly running: readonly RunningAttempt[];
    }
  | { readonly kind: 'heartbeat'; readonly taskManagerId: string; readonly leaderEpoch: number };

const heartbeatTimeoutMs = 5_000;
const heartbeatCheckMs = 1_000;
const settings = {
  ...jobMasterSettingsDefault,
  adoptionTimeoutMs: 2_500,
  slotWaitMs: 1_000_000,
  cancelTimeoutMs: 300,
  commitWaitMs: 3_000,
};

export class SimulatedJobManager {
  readonly process: Process;
  readonly epoch: number;
  readonly master: JobMaster;
  readonly #jobId: string;
  ended = false;
  /** Newest checkpoint for which a manifest was written or a pointer set by this one. */
  newestCheckpointTried = 0;
  readonly #pool = new SlotPool(heartbeatTimeoutMs);
  readonly #queue: JobMasterEvent[] = [];
  #stepping = false;
  readonly #simulation: Simulation;
  readonly #random: Random;
  readonly #requests = new CheckpointRequests('x');
  readonly #savepoints = new CheckpointRequests('x', 'savepoint');
  /** Requests of a checkpoint that were not answered. */
  #requestsOpen = 0;
  #newestTriggered = 0;
  #state: JobState = 'created';
  /** Attempts of the time when all regions ran last. */
  #ran: readonly number[] = [];

  constructor(simulation: Simulation, epoch: number, restored: RestoredPointer | null, newestAttempt: number) {
    this.#simulation = simulation;
    this.epoch = epoch;
    this.#jobId = simulation.jobId;
    this.process = simulation.world.newProcess(`jm${epoch}`);
    this.#random = simulation.world.random(`job manager ${epoch}`);
    const ref = { name: 'x', sha256: 'x', bytes: 1 };
    const graphRef = graphRefOf(simulation.parallelism);
    const graph = makeGraph(simulation.world.configuration, simulation.parallelism);
    this.master = new JobMaster({
      jobId: simulation.jobId,
      objectPrefix: `${simulation.jobId}/`,
      graph,
      graphHash,
      restorableGraphHashes: [],
      graphRef,
      artifactRef: ref,
      workingDirectory: '',
      newestAttempt,
      leaderEpoch: epoch,
      restored,
      settings,
    });
    simulation.world.schedule(0, this.process, 'start', () => this.tell({ kind: 'started' }));
    this.#checkHeartbeats();
  }

  /** Hands an event to the job master. @throws EngineError when a message is refused */
  receive(event: TaskManagerEvent): void {
    if (this.ended) return;
    if (event.kind === 'task-manager-registered') return this.#registered(event);
    if (event.kind === 'heartbeat') return this.#heard(event);
    if (event.kind === 'slot-ended') {
      const { taskManagerId, attempt } = event.report;
      this.#follow(this.#pool.slotEnded(taskManagerId, attempt.jobId, attempt.attempt));
    }
    if (this.#stepping) {
      this.#queue.push(event);
      return;
    }
    this.#stepping = true;
    try {
      this.#step(event);
    } finally {
      this.#stepping = false;
    }
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.tell(next);
  }

  /** Somebody asks for a checkpoint: answered once, by one that was triggered afterwards and that the pointer names. */
  requestCheckpoint(): void {
    const { store } = this.#simulation;
    const world: World = this.#simulation.world;
    if (!this.process.alive || this.ended) return;
    if (this.#state !== 'running') world.saw('checkpoint_requested_while_not_running');
    const afterId = this.#newestTriggered;
    if (afterId > (this.master.newestCheckpoint?.pointer.checkpointId ?? 0))
      world.saw('checkpoint_requested_during_another');
    let answers = 0;
    const answered = (): void => {
      this.#requestsOpen--;
      world.check(++answers === 1, () => `the request of a checkpoint after ${afterId} was answered ${answers} times`);
    };
    this.#requestsOpen++;
    this.#requests.wait(
      (checkpointId) => {
        answered();
        world.saw('requested_checkpoint_completed');
        world.check(
          checkpointId > afterId,
          () => `checkpoint ${checkpointId} answers a request that came after ${afterId} was triggered`,
        );
        world.check(
          (store.pointer?.checkpointId ?? 0) >= checkpointId,
          () => `checkpoint ${checkpointId} answers a request, but no pointer names it`,
        );
      },
      () => {
        answered();
        world.saw('requested_checkpoint_given_up');
      },
    );
    this.tell({ kind: 'checkpoint-requested' });
  }

  /** Somebody asks for a savepoint: when it is answered, its checkpoint is the newest and pinned. */
  requestSavepoint(): void {
    const { store } = this.#simulation;
    const world: World = this.#simulation.world;
    if (!this.process.alive || this.ended) return;
    this.#requestsOpen++;
    this.#savepoints.wait(
      (checkpointId) => {
        this.#requestsOpen--;
        world.saw('savepoint_taken');
        const pinned = store.pointer?.pinned ?? [];
        const mine = store.leaderEpoch === this.epoch;
        world.check(
          !mine || pinned.some((one) => one.checkpointId === checkpointId),
          () => `checkpoint ${checkpointId} answers a request of a savepoint, but is not pinned`,
        );
      },
      () => {
        this.#requestsOpen--;
        world.saw('savepoint_given_up');
      },
    );
    this.tell({ kind: 'savepoint-requested' });
  }

  #heard({ taskManagerId, leaderEpoch }: TaskManagerEvent & { kind: 'heartbeat' }): void {
    if (leaderEpoch !== this.epoch) {
      const ids = { leaderEpoch: this.epoch };
      throw new EngineError('STALE_EPOCH', 'another epoch', { domain: 'external', retry: 'backoff', ids });
    }
    this.#pool.heard(taskManagerId, this.#simulation.world.nowMs);
  }

  #registered(event: TaskManagerEvent & { kind: 'task-manager-registered' }): void {
    const { taskManagerId, slotCount, running } = event;
    const found = running.flatMap(({ attempt: { jobId, attempt }, slices, endedSlots }) => {
      const slots = slices.length - endedSlots.length;
      return slots > 0 ? [{ jobId, attempt, slots }] : [];
    });
    this.#follow(this.#pool.registered(taskManagerId, slotCount, this.#simulation.world.nowMs, found));
    for (const one of running) {
      if (one.attempt.jobId === this.#jobId) this.tell({ kind: 'attempt-reported', taskManagerId, running: one });
      else this.#cancelOther(taskManagerId, one);
    }
  }

  /** Of a job that is over, and whose end the task manager missed. */
  #cancelOther(taskManagerId: string, running: RunningAttempt): void {
    const attempt = { ...running.attempt, leaderEpoch: this.epoch };
    const call = { method: 'cancelAttempt', request: { attempt, cancelTimeoutMs: settings.cancelTimeoutMs } } as const;
    this.#simulation.callTaskManager(this, taskManagerId, call, (error) => {
      if (error !== null && !this.ended) this.#cancelOther(taskManagerId, running);
    });
  }

  /** The connection to a task manager broke. */
  connectionLost(taskManagerId: string): void {
    this.#follow(this.#pool.lost(taskManagerId, 'connection reset'));
  }

  #checkHeartbeats(): void {
    const { world } = this.#simulation;
    world.schedule(heartbeatCheckMs, this.process, 'heartbeat check', () => {
      if (this.ended) return;
      this.#follow(this.#pool.check(world.nowMs));
      this.#checkHeartbeats();
    });
  }

  /** Tells the job what the slot pool has decided. */
  #follow({ granted, waiting, lost }: SlotPoolOutcome): void {
    for (const { taskManagerId, reason, jobIds } of lost)
      if (jobIds.includes(this.#jobId)) this.tell({ kind: 'task-manager-lost', taskManagerId, reason });
    for (const { offers } of granted) this.tell({ kind: 'slots-granted', offers });
    if (waiting.includes(this.#jobId)) this.tell({ kind: 'slots-short', supply: this.#pool.supply });
  }

  #step(event: JobMasterEvent): void {
    const { world } = this.#simulation;
    world.trace(() => `${this.process.name} <- ${describeEvent(event)}`);
    const actions = this.master.step(event, { nowMs: Math.floor(world.nowMs), random: this.#random.next() });
    for (const action of actions) {
      if (action.kind !== 'set-timer' && action.kind !== 'clear-timer')
        world.trace(() => `${this.process.name} -> ${describeAction(action)}`);
      this.#act(action);
    }
  }

  /** An event of this process itself. */
  tell(event: JobMasterEvent): void {
    try {
      this.receive(event);
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'STALE_EPOCH') throw error;
    }
  }

  #act(action: JobMasterAction): void {
    const { store, world } = this.#simulation;
    const tell = (event: JobMasterEvent): void => this.tell(event);
    switch (action.kind) {
      case 'request-slots':
        return this.#follow(this.#pool.requested(this.#jobId, action.count, action.kept));
      case 'adopt-slots':
        return this.#pool.adopted(this.#jobId, action.attempt);
      case 'release-slots':
        return this.#follow(this.#pool.released(this.#jobId));
      case 'give-up-task-manager':
        return this.#follow(this.#pool.lost(action.taskManagerId, action.reason));
      case 'call':
        return this.#call(action.taskManagerId, action.call);
      case 'set-timer':
        return world.schedule(action.delayMs, this.process, action.timer, () => {
          this.tell({ kind: 'timer-fired', timer: action.timer, generation: action.generation });
        });
      case 'clear-timer':
        return;
      case 'advance-counter': {
        const { counter } = action;
        return store.advanceCounter(
          this.process,
          { counter, leaderEpoch: this.epoch },
          {
            done: (value) => tell({ kind: 'counter-advanced', counter, value }),
            failed: (error) => tell({ kind: 'counter-failed', counter, error }),
          },
        );
      }
      case 'write-manifest': {
        const { checkpointId, files } = action.manifest;
        this.newestCheckpointTried = checkpointId;
        if (files.some((entry) => entry.base)) world.saw('merge_entered_manifest');
        return store.writeManifest(this.process, this.#jobId, action.manifest, {
          done: (manifest) => tell({ kind: 'manifest-written', checkpointId, manifest }),
          failed: (error) => tell({ kind: 'manifest-failed', checkpointId, error }),
        });
      }
      case 'set-pointer': {
        const { checkpointId } = action.pointer;
        const slowMs = this.#simulation.settingPointer(this);
        return store.setPointer(
          this.process,
          { ...action, slowMs },
          {
            done: (result) => tell({ kind: 'pointer-set', checkpointId, result }),
            failed: () => {
              world.saw('pointer_result_unknown');
              tell({ kind: 'pointer-set', checkpointId, result: 'unknown' });
            },
          },
        );
      }
      case 'read-pointer': {
        const { checkpointId } = action;
        return store.readPointer(this.process, {
          done: (pointer) => tell({ kind: 'pointer-read', checkpointId, pointer }),
          failed: (error) => tell({ kind: 'pointer-read-failed', checkpointId, error }),
        });
      }
      case 'delete-objects':
        return store.deleteObjects(this.process, action.names);
      case 'record-terminal':
        return store.recordTerminal(
          this.process,
          { ...action, leaderEpoch: this.epoch },
          {
            done: (result) => tell({ kind: 'terminal-recorded', result }),
            failed: (error) => tell({ kind: 'terminal-failed', error }),
          },
        );
      case 'step-down':
        this.ended = true;
        return this.#simulation.steppedDown(this);
      case 'job-ended':
        this.ended = true;
        this.#requests.jobEnded();
        this.#savepoints.jobEnded();
        this.#simulation.world.check(
          this.#requestsOpen === 0,
          () => `${this.#requestsOpen} requests of a checkpoint were never answered`,
        );
        return this.#simulation.jobEnded(this, action.state, action.error);
      case 'notice':
        return this.#notice(action.notice);
    }
  }

  #call(taskManagerId: string, call: TaskManagerCall): void {
    if (call.method === 'triggerCheckpoint') {
      this.#newestTriggered = Math.max(this.#newestTriggered, call.request.checkpointId);
      this.#requests.triggered(call.request.checkpointId);
      this.#savepoints.triggered(call.request.checkpointId);
    }
    this.#simulation.callTaskManager(this, taskManagerId, call, (error) => {
      this.tell({ kind: 'call-ended', taskManagerId, call, error: error === null ? null : toWireError(error) });
    });
  }

  #notice(notice: JobNotice): void {
    const world: World = this.#simulation.world;
    if (notice.kind === 'state-changed') {
      world.check(notice.from === this.#state, () => `job moves from ${notice.from}, but was ${this.#state}`);
      world.check(
        isLegalJobMove(notice.from, notice.to) && !isTerminal(notice.from),
        () => `job moves from ${notice.from} to ${notice.to}`,
      );
      this.#state = notice.to;
      if (notice.to === 'running') this.#ran = this.master.currentAttempts;
      if (notice.to === 'deploying' && this.master.currentAttempts.some((attempt) => this.#ran.includes(attempt)))
        world.saw('region_restarted_alone');
    } else if (notice.kind === 'adopted') world.saw('attempt_adopted');
    else if (notice.kind === 'rescaled') world.saw('rescaled');
    else if (notice.kind === 'warning' && notice.message.includes('with the others'))
      world.saw('region_not_adopted_with_the_others');
    else if (notice.kind === 'warning' && notice.message.includes('is not taken over'))
      world.saw('attempt_not_adopted');
    else if (notice.kind === 'checkpoint-aborted' && notice.reason.includes('was not acknowledged'))
      world.saw('checkpoint_timed_out');
    else if (notice.kind === 'attempt-failed' && notice.error.message.includes('is lost'))
      world.saw('task_manager_lost');
    if (this.#requests.noticed(notice)) this.tell({ kind: 'checkpoint-requested' });
    if (this.#savepoints.noticed(notice)) this.tell({ kind: 'savepoint-requested' });
  }
}

function describeEvent(event: JobMasterEvent): string {
  if ('report' in event)
    return `${event.kind} ${JSON.stringify({ ...event.report, subtasks: undefined }).slice(0, 240)}`;
  if (event.kind === 'call-ended')
    return `call-ended ${event.taskManagerId} ${event.call.method} ${event.error?.message ?? 'ok'}`;
  return JSON.stringify(event).slice(0, 200);
}

function describeAction(action: JobMasterAction): string {
  if (action.kind !== 'call') return JSON.stringify(action).slice(0, 300);
  const { attempt, ...rest } = action.call.request;
  return `call ${action.taskManagerId} ${action.call.method} attempt ${attempt.attempt} ${JSON.stringify(rest).slice(0, 120)}`;
}
