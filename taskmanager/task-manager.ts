/**
 * The task manager: offers task slots, runs attempts in them, and relays checkpoints between slots, store thread and job
 * manager. A thin shell: it registers, forwards and reports; what a checkpoint is and when an attempt ends is decided by
 * the job manager's model and by the subtasks.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { EngineError, toWireError, type WireError } from '../core/errors.ts';
import type { JobGraph } from '../core/graph/job-graph.ts';
import { slotsNeeded } from '../core/graph/slot-sharing.ts';
import type {
  Acknowledgement,
  AdoptAttemptRequest,
  AlignedGroup,
  AttemptMetrics,
  AttemptRef,
  CancelAttemptRequest,
  ConnectSlotsRequest,
  DeploySlotsRequest,
  MergeFilesRequest,
  MergeReport,
  NotifyCheckpointRequest,
  ObjectRef,
  RegisterTaskManagerRequest,
  RunningAttempt as RunningAttemptMessage,
  RunningSubtask,
  SlotSlice,
  SubtaskMetrics,
  SubtaskRef,
  TriggerCheckpointRequest,
} from '../proto/messages.ts';
import { decodeManifest } from '../proto/rpc/manifest.ts';
import type { TlsFiles } from '../proto/rpc/security/tls-files.ts';
import type { TaskManagerGateway } from '../proto/services.ts';
import type { LogFields } from '../core/log-record.ts';
import type { LogBuffer } from '../operations/log/log-buffer.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import type { StorageLocation } from '../storage/storage-location.ts';
import { type LogReader, LogShipping } from './log/log-shipping.ts';
import { type JobManagers, LeaderSession } from './leader/leader-session.ts';
import type { FromSlot, RestorePoint, SlotTask, ToSlot } from './slot/slot-messages.ts';
import { mebibytes, watchMemory } from './memory/memory-watch.ts';
import { type SlotHandle, SlotPool } from './slot/slot-pool.ts';
import { startStateHost, type StateHost } from './state-host/state-host-client.ts';
import { startStoreThread, type StoreThread } from './store/store-client.ts';
import { failpoint } from '../core/failpoint.ts';

export interface TaskManagerOptions {
  readonly slotCount: number;
  /** Address that other task managers reach this one at. */
  readonly host: string;
  /** Address of this machine that its slots listen on; absent: `host`. */
  readonly listenHost?: string;
  /** Where this task manager's own service is reached, host:port; empty when it is called inside the process. */
  readonly rpcAddress?: string;
  readonly jobManagers: JobManagers;
  /** Graphs, artifacts and checkpoints. */
  readonly store: ObjectStore;
  /** Where that is, for the store thread, which opens it for itself. */
  readonly storage: StorageLocation;
  /** Local copies of artifacts. */
  readonly artifactDirectory: string;
  readonly workingDirectory: string;
  readonly backend: 'memory' | 'cold';
  /** Unguessable secret of the cluster; part of the data plane's handshake. */
  readonly clusterId: string;
  readonly engineVersion: string;
  readonly heartbeatIntervalMs: number;
  /** Time without a leading job manager after which what runs is ended, in ms; default 10 minutes. */
  readonly orphanTimeoutMs?: number;
  /** A subtask that runs this long without returning to the slot loop is stuck and its slot is ended. */
  readonly slotStuckTimeoutMs: number;
  /** Memory of the whole process above which its largest slot is ended, in bytes; null or absent: none. */
  readonly memoryLimitBytes?: number | null;
  /** Ports of the slots' data plane, both ends inclusive; null for any free ones. */
  readonly dataPorts: { readonly first: number; readonly last: number } | null;
  /** For the connections between slots; null: in clear. */
  readonly slotTls?: TlsFiles | null;
  /** Where slots find secrets; null: there are none. */
  readonly secretsDirectory?: string | null;
  /** Look whether user code changes its first records, which it must not. Default: no. */
  readonly checkImmutability?: boolean;
  readonly onLog: (level: 'info' | 'warn', message: string, about?: LogFields) => void;
  /** Lines that the leading job manager is told; absent: none. */
  readonly logs?: LogBuffer;
  readonly onDelivery: (channel: string, id: string, values: readonly unknown[]) => void;
}

/** One slot of the running attempt. */
interface RunningSlot {
  readonly slice: SlotSlice;
  readonly control: MessagePort;
  readonly handle: SlotHandle;
  readonly pulse: Int32Array;
  /** Subtasks in the order of the slot's loop: those of the slice that had not finished before. */
  readonly subtasks: readonly SubtaskRef[];
  /** Ids of the operators of each vertex. */
  readonly operators: ReadonlyMap<string, readonly string[]>;
  pulseTurns: number;
  stuckSinceMs: number;
  metrics: readonly SubtaskMetrics[];
  /** As its thread told last. */
  memory: { readonly heapBytes: number; readonly externalBytes: number };
  ended: boolean;
  /** Turns of its loop when its memory was looked at last, and looks since they changed. */
  turnsAtLook: number;
  looksInOneCall: number;
}

/** What runs of one attempt of one job. */
interface RunningAttempt {
  /** With the epoch of the leader that deployed or adopted it. */
  ref: AttemptRef;
  readonly request: DeploySlotsRequest;
  /** What was last reported of each subtask. */
  readonly states: Map<string, RunningSubtask>;
  /** Checkpoints that were triggered and are neither complete nor aborted. */
  readonly pending: Set<number>;
  /** Sources have handed on their last record for a stop or drain: nobody can go on with the attempt. */
  stopping: boolean;
  readonly slots: Map<number, RunningSlot>;
  cancelTimer: NodeJS.Timeout | null;
}

/** Which attempts of a job are over: those that the newest one here did not know as current, and those that were cancelled. */
interface Fence {
  newest: number;
  current: ReadonlySet<number>;
  readonly canceled: Set<number>;
}

const acknowledged: Acknowledgement = {};
const orphanTimeoutMsDefault = 10 * 60_000;
/** Attempts that are over and are still told to a new leader. */
const endedAttemptsMax = 64;
/** Looks at memory for which a slot is in one call until it counts as one that cannot tell what it holds. */
const looksInOneCallMin = 2;
/** How often slots are looked at for being stuck, in ms. */
const watchIntervalMs = 500;

export class TaskManager implements TaskManagerGateway {
  readonly #options: TaskManagerOptions;
  readonly #pool: SlotPool;
  readonly #storeThread: StoreThread;
  readonly #stateHost: StateHost | null;
  /** Attempts with threads that live, by job and number. */
  readonly #attempts = new Map<string, RunningAttempt>();
  /** What may not be started any more, by job. */
  readonly #fences = new Map<string, Fence>();
  /** Why no attempt can run here any more: a thread that all of them need has died. */
  #broken: EngineError | null = null;
  /** Attempts that are over and that no other one has taken the place of, told to a new leader, which may not know that they had finished. */
  readonly #ended = new Map<string, RunningAttempt>();
  readonly #session: LeaderSession;
  readonly #logShipping: LogShipping | null;
  readonly #baseId: string;
  #identity = 1;
  #watchTimer: NodeJS.Timeout | null = null;
  #stopMemoryWatch: () => void = () => undefined;

  /** Use {@link TaskManager.start}. */
  constructor(id: string, options: TaskManagerOptions, storeThread: StoreThread, stateHost: StateHost | null) {
    this.#baseId = id;
    this.#options = options;
    this.#session = new LeaderSession({
      jobManagers: options.jobManagers,
      heartbeatIntervalMs: options.heartbeatIntervalMs,
      orphanTimeoutMs: options.orphanTimeoutMs ?? orphanTimeoutMsDefault,
      registration: () => this.#registration(),
      metrics: () => this.attemptMetrics,
      onFollow: (epoch) => options.onLog('info', `task manager ${this.id} follows the job manager of epoch ${epoch}`),
      onGivenUp: (why) => this.#abandonEverything(why),
      onLog: options.onLog,
    });
    const { logs } = options;
    this.#logShipping = logs === undefined ? null : new LogShipping(logs, () => this.#logReader());
    this.#storeThread = storeThread;
    this.#stateHost = stateHost;
    this.#pool = new SlotPool(options.slotCount);
    this.#pool.onIdleError = (error) => options.onLog('warn', `a spare slot thread died: ${String(error)}`);
    storeThread.onWritten(({ attempt: { jobName: jobId, attempt: number }, checkpointId, file, subtasks }) => {
      const attempt = this.#attempts.get(attemptKey({ jobId, attempt: number }))?.ref;
      if (attempt === undefined) return;
      failpoint('task-manager.file-written');
      const acknowledgement = { attempt, taskManagerId: this.id, checkpointId, subtasks, file };
      this.#session.report(acknowledgement, (jobManager, message) => jobManager.acknowledgeCheckpoint(message));
    });
    storeThread.onFailed(({ attempt: { jobName: jobId, attempt: number }, checkpointId, error }) => {
      const attempt = this.#attempts.get(attemptKey({ jobId, attempt: number }))?.ref;
      if (attempt === undefined) return;
      const decline = { attempt, taskManagerId: this.id, checkpointId, error: toWireError(error) };
      this.#session.report(decline, (jobManager, message) => jobManager.declineCheckpoint(message));
    });
    storeThread.onCrashed((error) => this.#break(error));
    stateHost?.onCrashed((error) => this.#break(error));
  }

  /** Starts the threads and registers with the job manager. */
  static async start(options: TaskManagerOptions): Promise<TaskManager> {
    await mkdir(options.artifactDirectory, { recursive: true, mode: 0o700 });
    const id = randomUUID();
    const storeThread = await startStoreThread({ storage: options.storage, taskManagerId: id });
    const stateHost = options.backend === 'cold' ? await startStateHost() : null;
    return new TaskManager(id, options, storeThread, stateHost);
  }

  /** Unique for as long as a job manager knows this task manager: whoever was given up comes back under another one. */
  get id(): string {
    return this.#identity === 1 ? this.#baseId : `${this.#baseId}-${this.#identity}`;
  }

  /** Looks for the leading job manager and offers it the slots. Resolves when one has taken the registration. */
  async register(): Promise<void> {
    this.#watchTimer = setInterval(() => this.#watchSlots(), watchIntervalMs);
    this.#watchMemory();
    this.#logShipping?.start();
    await this.#session.start();
  }

  #registration(): RegisterTaskManagerRequest {
    const { slotCount, host, engineVersion, rpcAddress = '' } = this.#options;
    const running = [...this.#attempts.values(), ...this.#ended.values()].map(runningAttempt);
    return { taskManagerId: this.id, slotCount, host, engineVersion, dataHost: host, rpcAddress, running };
  }

  /** Nobody waits for what runs here any more. */
  #abandonEverything(why: string): void {
    const slots = this.#slots();
    this.#options.onLog('warn', `${slots.length} slots are ended: ${why}`);
    for (const { attempt, slot } of slots) {
      slot.ended = true;
      slot.handle.terminate();
      slot.control.close();
      if (attempt.cancelTimer !== null) clearTimeout(attempt.cancelTimer);
    }
    this.#attempts.clear();
    this.#ended.clear();
    this.#identity++;
  }

  #logReader(): LogReader | null {
    const { gateway, epoch } = this.#session;
    return gateway === null ? null : { gateway, epoch, taskManagerId: this.id };
  }

  async stop(): Promise<void> {
    this.#stopMemoryWatch();
    this.#logShipping?.stop();
    this.#session.stop();
    if (this.#watchTimer !== null) clearInterval(this.#watchTimer);
    for (const { slot } of this.#slots()) slot.handle.terminate();
    await this.#pool.destroy();
    await this.#storeThread.stop();
    await this.#stateHost?.stop();
  }

  /** True while a leading job manager is followed. */
  get followsLeader(): boolean {
    return this.#session.gateway !== null;
  }

  /** Counters of every subtask that runs, as last sent by the slots. */
  get metrics(): readonly SubtaskMetrics[] {
    return this.#slots().flatMap(({ slot }) => [...slot.metrics]);
  }

  /** Numbers of the slots, within their jobs, whose threads are alive. */
  get liveSlots(): readonly number[] {
    return this.#slots().flatMap(({ slot }) => (slot.ended ? [] : [slot.slice.slotIndex]));
  }

  #slots(): { readonly attempt: RunningAttempt; readonly slot: RunningSlot }[] {
    return [...this.#attempts.values()].flatMap((attempt) => {
      return [...attempt.slots.values()].map((slot) => ({ attempt, slot }));
    });
  }

  /** Ends the thread of a slot as a crash would, for tests of recovery; false when no such slot runs here. */
  killSlot(slotIndex: number): boolean {
    const found = this.#slots().find(({ slot }) => slot.slice.slotIndex === slotIndex && !slot.ended);
    if (found === undefined) return false;
    const { attempt, slot } = found;
    const message = `the thread of slot ${slotIndex} was killed`;
    const ids = { slot: slotIndex, attempt: attempt.ref.attempt };
    const error = new EngineError('SLOT_EXITED', message, { domain: 'external', retry: 'backoff', ids });
    this.#endSlot(attempt, slot, toWireError(error));
    return true;
  }

  async deploySlots(request: DeploySlotsRequest): Promise<Acknowledgement> {
    this.#refuseStale(request.attempt);
    try {
      await this.#deploy(request);
    } catch (error) {
      // Without this the job manager would wait for the end of slots that were never started.
      const wire = toWireError(error);
      for (const { slotIndex } of request.slices) this.#reportSlotEnded(request.attempt, slotIndex, wire);
      throw error;
    }
    return acknowledged;
  }

  async #deploy(request: DeploySlotsRequest): Promise<void> {
    const { attempt, slices } = request;
    const graph = JSON.parse(new TextDecoder().decode(await this.#options.store.get(request.graph))) as JobGraph;
    const artifactPath = await this.#localArtifact(request.artifact);
    const restore = await this.#restorePoint(request.restoreManifest);
    this.#refuseStale(attempt);
    if (this.#broken !== null) throw this.#broken;
    if (this.#fence(attempt.jobId).canceled.has(attempt.attempt)) {
      throw new EngineError('CANCELED', `attempt ${attempt.attempt} was canceled before it started`, {
        domain: 'internal',
      });
    }
    this.#requireFreeSlots(attempt, slices.length);
    this.#raiseFence(attempt, request.currentAttempts);
    const running: RunningAttempt = {
      ref: attempt,
      request,
      states: new Map(),
      pending: new Set(),
      stopping: false,
      slots: new Map(),
      cancelTimer: null,
    };
    this.#attempts.set(attemptKey(attempt), running);
    const listens = slotsNeeded(graph) > 1;
    for (const slice of slices) this.#startSlot(running, { slice, graph, artifactPath, restore, listens, request });
  }

  /** Job managers count slots; one that counts otherwise has not seen an end that was reported to its predecessor. */
  #requireFreeSlots(attempt: AttemptRef, wanted: number): void {
    const { slotCount } = this.#options;
    const used = this.liveSlots.length;
    if (used + wanted <= slotCount) return;
    const message = `attempt ${attempt.attempt} of job ${attempt.jobId} needs ${wanted} slots, but ${used} of ${slotCount} on task manager ${this.id} are in use`;
    const ids = { jobId: attempt.jobId, attempt: attempt.attempt, taskManagerId: this.id };
    throw new EngineError('SLOT_EXITED', message, { domain: 'external', retry: 'backoff', ids });
  }

  connectSlots(request: ConnectSlotsRequest): Promise<Acknowledgement> {
    this.#refuseStale(request.attempt);
    const { slots, slices } = request;
    const attempt = this.#current(request.attempt);
    if (attempt !== null) this.#sendAll(attempt, { type: 'connect', slots, slices });
    return Promise.resolve(acknowledged);
  }

  cancelAttempt(request: CancelAttemptRequest): Promise<Acknowledgement> {
    this.#refuseStaleEpoch(request.attempt);
    const attempt = this.#current(request.attempt);
    this.#fence(request.attempt.jobId).canceled.add(request.attempt.attempt);
    if (attempt === null) return Promise.resolve(acknowledged);
    this.#sendAll(attempt, { type: 'cancel' });
    attempt.cancelTimer ??= setTimeout(() => {
      for (const slot of attempt.slots.values()) this.#endSlot(attempt, slot, null);
    }, request.cancelTimeoutMs);
    return Promise.resolve(acknowledged);
  }

  triggerCheckpoint(request: TriggerCheckpointRequest): Promise<Acknowledgement> {
    const attempt = this.#current(request.attempt);
    if (attempt === null) return Promise.resolve(acknowledged);
    const { checkpointId, triggeredAtMs, stop, drain } = request;
    const live = [...attempt.slots.values()].filter((slot) => !slot.ended).map((slot) => slot.slice.slotIndex);
    attempt.pending.add(checkpointId);
    attempt.stopping ||= stop || drain;
    this.#storeThread.beginCheckpoint(storeAttempt(attempt.ref), checkpointId, live);
    this.#sendAll(attempt, { type: 'trigger', checkpointId, triggeredAtMs, stop, drain });
    return Promise.resolve(acknowledged);
  }

  notifyCheckpointComplete(request: NotifyCheckpointRequest): Promise<Acknowledgement> {
    failpoint('task-manager.checkpoint-complete');
    const attempt = this.#current(request.attempt);
    if (attempt !== null) this.#completed(attempt, request.checkpointId);
    return Promise.resolve(acknowledged);
  }

  notifyCheckpointAborted(request: NotifyCheckpointRequest): Promise<Acknowledgement> {
    const attempt = this.#current(request.attempt);
    if (attempt !== null) this.#aborted(attempt, request.checkpointId);
    return Promise.resolve(acknowledged);
  }

  #completed(attempt: RunningAttempt, checkpointId: number): void {
    for (const pending of attempt.pending) if (pending <= checkpointId) attempt.pending.delete(pending);
    this.#sendAll(attempt, { type: 'completed', checkpointId });
  }

  #aborted(attempt: RunningAttempt, checkpointId: number): void {
    attempt.pending.delete(checkpointId);
    this.#storeThread.abortCheckpoint(storeAttempt(attempt.ref), checkpointId);
    this.#sendAll(attempt, { type: 'aborted', checkpointId });
  }

  /** A new leader goes on with what runs here, from the checkpoint it names. */
  adoptAttempt(request: AdoptAttemptRequest): Promise<Acknowledgement> {
    this.#refuseStaleEpoch(request.attempt);
    const attempt = this.#current(request.attempt) ?? this.#ended.get(attemptKey(request.attempt));
    if (attempt === undefined) return Promise.reject(this.#stale(request.attempt));
    attempt.ref = request.attempt;
    const { completedCheckpointId } = request;
    for (const checkpointId of [...attempt.pending])
      if (checkpointId !== completedCheckpointId) this.#aborted(attempt, checkpointId);
    if (completedCheckpointId > 0) this.#completed(attempt, completedCheckpointId);
    return Promise.resolve(acknowledged);
  }

  async mergeFiles(request: MergeFilesRequest): Promise<Acknowledgement> {
    const { attempt, mergeId, inputs } = request;
    const told = { attempt, taskManagerId: this.id, mergeId };
    const tell = (report: MergeReport): void =>
      this.#session.report(report, (jobManager, message) => jobManager.reportMerge(message));
    try {
      tell({ ...told, base: await this.#storeThread.merge(storeAttempt(attempt), mergeId, inputs), error: null });
    } catch (error) {
      // The job manager keeps the inputs and may ask again; nothing is lost by a merge that did not happen.
      tell({ ...told, base: null, error: toWireError(error) });
    }
    return acknowledged;
  }

  #current(ref: AttemptRef): RunningAttempt | null {
    return this.#attempts.get(attemptKey(ref)) ?? null;
  }

  #fence(jobId: string): Fence {
    const fence = this.#fences.get(jobId) ?? { newest: 0, current: new Set<number>(), canceled: new Set<number>() };
    this.#fences.set(jobId, fence);
    return fence;
  }

  /** An attempt is deployed: what it does not know as current is over. */
  #raiseFence({ jobId, attempt }: AttemptRef, currentAttempts: readonly number[]): void {
    const fence = this.#fence(jobId);
    if (attempt < fence.newest) return;
    fence.newest = attempt;
    fence.current = new Set([attempt, ...currentAttempts]);
    for (const canceled of fence.canceled) if (this.#isOver(jobId, canceled)) fence.canceled.delete(canceled);
    for (const [key, { ref }] of this.#ended)
      if (ref.jobId === jobId && this.#isOver(jobId, ref.attempt)) this.#ended.delete(key);
  }

  #isOver(jobId: string, attempt: number): boolean {
    const { newest, current } = this.#fence(jobId);
    return attempt < newest && !current.has(attempt);
  }

  #refuseStale(ref: AttemptRef): void {
    this.#refuseStaleEpoch(ref);
    if (this.#isOver(ref.jobId, ref.attempt)) throw this.#stale(ref);
  }

  #refuseStaleEpoch(ref: AttemptRef): void {
    if (ref.leaderEpoch < this.#session.epoch) throw this.#stale(ref);
  }

  #stale(ref: AttemptRef): EngineError {
    const message = `attempt ${ref.attempt} of epoch ${ref.leaderEpoch} of job ${ref.jobId} is refused: this task manager has seen a newer one`;
    return new EngineError('STALE_EPOCH', message, {
      domain: 'internal',
      ids: { jobId: ref.jobId, attempt: ref.attempt },
    });
  }

  #sendAll(attempt: RunningAttempt, message: ToSlot): void {
    for (const slot of attempt.slots.values()) if (!slot.ended) slot.control.postMessage(message);
  }

  async #localArtifact(artifact: ObjectRef): Promise<string> {
    const path = join(this.#options.artifactDirectory, `${artifact.sha256}.mjs`);
    // A copy of an earlier run is used only as long as it is what its name says: it is code.
    const present = await readFile(path).catch(() => null);
    if (present !== null && sha256(present) === artifact.sha256) return path;
    const temporary = `${path}.${randomUUID()}.tmp`;
    await writeFile(temporary, await this.#options.store.get(artifact), { mode: 0o600 });
    await rename(temporary, path);
    return path;
  }

  async #restorePoint(manifest: ObjectRef | null): Promise<RestorePoint | null> {
    if (manifest === null) return null;
    const { checkpointId, files } = decodeManifest(await this.#options.store.get(manifest));
    return { checkpointId, files: files.map((entry) => ({ object: entry.file.object })) };
  }

  #startSlot(attempt: RunningAttempt, start: SlotStart): void {
    const { slice, graph, artifactPath, restore, listens, request } = start;
    const { slotIndex } = slice;
    const channel = new MessageChannel();
    const pulse = new SharedArrayBuffer(8);
    const task: SlotTask = {
      control: channel.port2,
      store: this.#storeThread.attachSlot(storeAttempt(attempt.ref), slotIndex),
      stateHost: this.#stateHost?.attachSlot({ ...storeAttempt(attempt.ref), slotIndex }) ?? null,
      pulse,
      deployment: {
        graph,
        artifactPath,
        attempt: attempt.ref.attempt,
        slotIndex,
        slice,
        finished: request.finished,
        restore,
        workingDirectory: request.workingDirectory === '' ? this.#options.workingDirectory : request.workingDirectory,
        clusterId: this.#options.clusterId,
        host: this.#options.host,
        listenHost: this.#options.listenHost ?? this.#options.host,
        listens,
        dataPorts: this.#options.dataPorts,
        tls: this.#options.slotTls ?? null,
        secretsDirectory: this.#options.secretsDirectory ?? null,
        checkImmutability: this.#options.checkImmutability ?? false,
      },
    };
    const slot: RunningSlot = {
      slice,
      control: channel.port1,
      handle: this.#pool.start(task),
      pulse: new Int32Array(pulse),
      subtasks: slice.subtasks.filter((subtask) => !request.finished.some((other) => isSame(subtask, other))),
      operators: new Map(graph.vertices.map((vertex) => [vertex.id, vertex.operators.map((operator) => operator.id)])),
      pulseTurns: 0,
      stuckSinceMs: performance.now(),
      metrics: [],
      memory: { heapBytes: 0, externalBytes: 0 },
      ended: false,
      turnsAtLook: 0,
      looksInOneCall: 0,
    };
    attempt.slots.set(slotIndex, slot);
    channel.port1.on('message', (message: FromSlot) => this.#fromSlot(attempt, slot, message));
    void slot.handle.exited.then((error) =>
      this.#endSlot(attempt, slot, error === null ? null : namingSubtask(error, slot)),
    );
  }

  #fromSlot(attempt: RunningAttempt, slot: RunningSlot, message: FromSlot): void {
    const { onLog, onDelivery } = this.#options;
    const { slotIndex } = slot.slice;
    const base = { attempt: attempt.ref, taskManagerId: this.id };
    switch (message.type) {
      case 'listening': {
        const address = { slotIndex, host: message.host, port: message.port };
        this.#session.report({ ...base, address }, (jobManager, message) => jobManager.reportSlotListening(message));
        return;
      }
      case 'running':
        this.#reportState(attempt, message.subtask, 'running', false, null);
        return;
      case 'inputEnded':
        this.#reportState(attempt, message.subtask, 'running', true, null);
        return;
      case 'finished':
        this.#reportState(attempt, message.subtask, 'finished', true, null);
        return;
      case 'failed':
        this.#reportState(attempt, message.subtask, 'failed', false, message.error);
        return;
      case 'alignment':
        void this.#align(attempt, slot, message.groups);
        return;
      case 'metrics':
        slot.metrics = message.metrics;
        slot.memory = message.memory;
        return;
      case 'log':
        onLog(message.level, message.message, { job: attempt.ref.jobId, attempt: attempt.ref.attempt });
        return;
      case 'deliver':
        onDelivery(message.channel, message.id, message.values);
        return;
      case 'ended':
        this.#endSlot(attempt, slot, null);
        return;
    }
  }

  async #align(attempt: RunningAttempt, slot: RunningSlot, groups: readonly AlignedGroup[]): Promise<void> {
    const { slotIndex } = slot.slice;
    const ref = { ...attempt.ref, leaderEpoch: this.#session.epoch };
    const report = { attempt: ref, taskManagerId: this.id, slotIndex, groups };
    try {
      const answer = await this.#session.gateway?.reportAlignment(report);
      if (answer === undefined || slot.ended) return;
      slot.control.postMessage({ type: 'aligned', groups: answer.groups } satisfies ToSlot);
    } catch {
      // Told again with the next update; until then sources wait for what they know of the others.
    }
  }

  #reportState(
    attempt: RunningAttempt,
    subtask: SubtaskRef,
    state: 'running' | 'finished' | 'failed',
    inputEnded: boolean,
    error: WireError | null,
  ): void {
    const report = { attempt: attempt.ref, taskManagerId: this.id, subtask, state, inputEnded, error };
    attempt.states.set(subtaskKey(subtask), { subtask, state, inputEnded, error });
    this.#session.report(report, (jobManager, message) => jobManager.reportSubtaskState(message));
  }

  /** The thread is over, or is ended here; reported once. */
  #endSlot(attempt: RunningAttempt, slot: RunningSlot, error: WireError | null): void {
    if (slot.ended) return;
    slot.ended = true;
    slot.handle.terminate();
    slot.control.close();
    const { slotIndex } = slot.slice;
    // The last counters are known before the end.
    this.#session.heartbeat();
    this.#reportSlotEnded(attempt.ref, slotIndex, error);
    if (![...attempt.slots.values()].every((other) => other.ended)) return;
    if (attempt.cancelTimer !== null) clearTimeout(attempt.cancelTimer);
    this.#attempts.delete(attemptKey(attempt.ref));
    this.#ended.set(attemptKey(attempt.ref), attempt);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > endedAttemptsMax && oldest !== undefined) this.#ended.delete(oldest);
  }

  #reportSlotEnded(attempt: AttemptRef, slotIndex: number, error: WireError | null): void {
    const report = { attempt, taskManagerId: this.id, slotIndex, error };
    this.#session.report(report, (jobManager, message) => jobManager.reportSlotEnded(message));
  }

  /** Without its store thread an attempt can complete no checkpoint: every slot is ended with the reason, and none starts. */
  #break(error: EngineError): void {
    this.#broken ??= error;
    for (const { attempt, slot } of this.#slots()) this.#endSlot(attempt, slot, toWireError(error));
  }

  /** What the subtasks of each attempt said last. */
  get attemptMetrics(): AttemptMetrics[] {
    return [...this.#attempts.values()].map(({ ref, slots }) => {
      return { attempt: ref, metrics: [...slots.values()].flatMap((slot) => [...slot.metrics]) };
    });
  }

  /** Ends slots in which one subtask has been running without a turn of the slot loop for too long. */
  #watchSlots(): void {
    const nowMs = performance.now();
    for (const { attempt, slot } of this.#slots()) {
      const turns = Atomics.load(slot.pulse, 0);
      const running = Atomics.load(slot.pulse, 1);
      if (slot.ended || running === 0 || turns !== slot.pulseTurns) {
        slot.pulseTurns = turns;
        slot.stuckSinceMs = nowMs;
      } else if (nowMs - slot.stuckSinceMs > this.#options.slotStuckTimeoutMs) {
        this.#endStuckSlot(attempt, slot, running - 1);
      }
    }
  }

  #watchMemory(): void {
    const { memoryLimitBytes: limitBytes = null, onLog } = this.#options;
    if (limitBytes === null) return;
    this.#stopMemoryWatch = watchMemory({
      limitBytes,
      slots: () => {
        const live = this.#slots().filter(({ slot }) => !slot.ended);
        return live.map((one) => ({ ...one, ...one.slot.memory, isSilent: isInOneCall(one.slot) }));
      },
      endSlot: (one, usage) => this.#endLargeSlot(one.attempt, one.slot, usage),
      warn: (message) => onLog('warn', message),
    });
  }

  #endLargeSlot(attempt: RunningAttempt, slot: RunningSlot, usage: string): void {
    const { heapBytes, externalBytes } = slot.memory;
    const { slotIndex } = slot.slice;
    const operators = [...slot.operators.values()].flat().map((id) => `'${id}'`);
    const where =
      slot.looksInOneCall >= looksInOneCallMin
        ? `a function of ${subtaskAt(slot, Atomics.load(slot.pulse, 1) - 1)} had not returned for a while, and before it the slot held`
        : 'it held';
    const message = `${usage}, and slot ${slotIndex}, which runs ${operators.join(', ')}, was ended: ${where} ${mebibytes(externalBytes)} MiB outside of its heap and ${mebibytes(heapBytes)} MiB in it → keep fewer Buffers and typed arrays there, or raise --memory-limit`;
    const ids = { slot: slotIndex, attempt: attempt.ref.attempt, taskManagerId: this.id };
    const error = new EngineError('MEMORY_EXCEEDED', message, { retry: 'backoff', ids });
    this.#options.onLog('warn', message, { job: attempt.ref.jobId, attempt: attempt.ref.attempt });
    this.#endSlot(attempt, slot, toWireError(error));
  }

  #endStuckSlot(attempt: RunningAttempt, slot: RunningSlot, place: number): void {
    const seconds = this.#options.slotStuckTimeoutMs / 1000;
    const message = `a function of ${subtaskAt(slot, place)} has not returned for ${seconds} s and its slot was ended → look there for an endless loop or a blocking call; --stuck-timeout sets how long a function may take`;
    const error = new EngineError('USER_FUNCTION_STUCK', message, {
      retry: 'backoff',
      ids: { slot: slot.slice.slotIndex },
    });
    this.#endSlot(attempt, slot, toWireError(error));
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** An attempt as a key: numbers are unique within a job. */
function attemptKey({ jobId, attempt }: Pick<AttemptRef, 'jobId' | 'attempt'>): string {
  return `${attempt} ${jobId}`;
}

/** What a new leader is told of an attempt. */
function runningAttempt({ ref, request, slots, states, pending, stopping }: RunningAttempt): RunningAttemptMessage {
  const subtasks = [...slots.values()]
    .flatMap((slot) => slot.subtasks)
    .map((subtask): RunningSubtask => {
      const known = states.get(subtaskKey(subtask)) ?? { subtask, state: 'deploying', inputEnded: false, error: null };
      return stopping && known.state === 'running' ? { ...known, state: 'canceling' } : known;
    });
  return {
    attempt: ref,
    graphSha256: request.graph.sha256,
    slices: [...slots.values()].map((slot) => ({ slotIndex: slot.slice.slotIndex, subtasks: slot.subtasks })),
    subtasks,
    pendingCheckpointIds: [...pending],
    endedSlots: [...slots.values()].filter((slot) => slot.ended).map((slot) => slot.slice.slotIndex),
    currentAttempts: request.currentAttempts,
  };
}

function subtaskKey({ vertexId, subtaskIndex }: SubtaskRef): string {
  return `${subtaskIndex}/${vertexId}`;
}

function storeAttempt({ jobId, attempt }: AttemptRef): { readonly jobName: string; readonly attempt: number } {
  return { jobName: jobId, attempt };
}

interface SlotStart {
  readonly slice: SlotSlice;
  readonly graph: JobGraph;
  readonly artifactPath: string;
  readonly restore: RestorePoint | null;
  readonly listens: boolean;
  readonly request: DeploySlotsRequest;
}

function isSame(left: SubtaskRef, right: SubtaskRef): boolean {
  return left.vertexId === right.vertexId && left.subtaskIndex === right.subtaskIndex;
}

/** To be asked at each look at memory. */
function isInOneCall(slot: RunningSlot): boolean {
  const turns = Atomics.load(slot.pulse, 0);
  const isRunning = Atomics.load(slot.pulse, 1) !== 0;
  slot.looksInOneCall = isRunning && turns === slot.turnsAtLook ? slot.looksInOneCall + 1 : 0;
  slot.turnsAtLook = turns;
  return slot.looksInOneCall >= looksInOneCallMin;
}

/** The subtask at a place of a slot's loop, and the operators that run in it. */
function subtaskAt(slot: RunningSlot, place: number): string {
  const subtask = slot.subtasks[place];
  if (subtask === undefined) return `slot ${slot.slice.slotIndex}`;
  const operators = slot.operators.get(subtask.vertexId) ?? [subtask.vertexId];
  const names = operators.map((id) => `'${id}'`).join(', ');
  return `${operators.length === 1 ? 'operator' : 'one of the operators'} ${names} (subtask ${subtask.subtaskIndex})`;
}

/** An error of a thread that ended by itself, with the subtask that was running then. */
function namingSubtask(error: WireError, slot: RunningSlot): WireError {
  const running = Atomics.load(slot.pulse, 1);
  return running === 0 ? error : { ...error, message: `while ${subtaskAt(slot, running - 1)} ran, ${error.message}` };
}
