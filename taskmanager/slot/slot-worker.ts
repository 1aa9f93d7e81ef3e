/**
 * Entry of a slot thread. Piscina calls the default export once; the task lasts for one attempt and never settles: when the
 * attempt has ended here the slot says so, and the task manager ends the thread. So no module variable, interval or
 * patched global outlives an attempt (the pool would hand a thread whose task settled to the next one).
 */
import { getHeapStatistics } from 'node:v8';
import { EngineError, toWireError } from '../../core/errors.ts';
import { describeGraphDifference, graphHash } from '../../core/graph/graph-hash.ts';
import type { PlannedJob } from '../../core/graph/job-definition.ts';
import { type SlotEvents, SlotRuntime } from '../../runtime/slot/slot-runtime.ts';
import type { RemoteChannels } from '../../runtime/slot/channels.ts';
import { memoryBackend } from '../../runtime/state/backend.ts';
import { loadJobDefinition } from '../artifact/load-artifact.ts';
import type { SubtaskRef } from '../../proto/messages.ts';
import { TlsFileSource } from '../../proto/rpc/security/tls-files.ts';
import { createDataPlane, type DataPlane } from '../data-plane/data-plane.ts';
import { hostBackend } from '../state-host/host-backend.ts';
import { LogBudget } from './log-budget.ts';
import { SecretFiles } from './secret-files.ts';
import { SlotStoreClient } from '../store/slot-store-client.ts';
import type { FromSlot, SlotDeployment, SlotTask, ToSlot } from './slot-messages.ts';
import { failpoint } from '../../core/failpoint.ts';

/** How often metrics are sent, in ms. */
const metricsIntervalMs = 200;

const noRemoteChannels: RemoteChannels = {
  writer: (peer) => unreachablePeer(peer),
  reader: (peer) => unreachablePeer(peer),
};

function unreachablePeer(peer: number): never {
  throw new EngineError('INTERNAL', `slot ${peer} is not part of this attempt`, { domain: 'internal' });
}

export default function runSlot(task: SlotTask): Promise<never> {
  new SlotThread(task);
  return new Promise<never>(() => {});
}

class SlotThread {
  readonly #task: SlotTask;
  readonly #deployment: SlotDeployment;
  readonly #abort = new AbortController();
  readonly #store: SlotStoreClient;
  readonly #logBudget = new LogBudget();
  readonly #secrets: SecretFiles;
  #runtime: SlotRuntime | null = null;
  #dataPlane: DataPlane | null = null;
  #metricsTimer: NodeJS.Timeout | null = null;
  #alignmentTimer: NodeJS.Timeout | null = null;
  #job: PlannedJob | null = null;
  /** Since the attempt began. */
  readonly #finished: SubtaskRef[] = [];
  #failed = false;
  #closing = false;

  constructor(task: SlotTask) {
    this.#task = task;
    this.#deployment = task.deployment;
    this.#secrets = new SecretFiles(task.deployment.secretsDirectory ?? null);
    this.#store = new SlotStoreClient(task.store);
    task.control.on('message', (message: ToSlot) => this.#received(message));
    this.#guard(this.#prepare());
  }

  #send(message: FromSlot): void {
    // What a commit that is still under way delivers is wanted; reports of states are not any more.
    const wanted =
      !this.#closing || message.type === 'ended' || message.type === 'metrics' || message.type === 'deliver';
    if (wanted) this.#task.control.postMessage(message);
  }

  #guard(work: Promise<void>): void {
    work.catch((error: unknown) => this.#failSlot(error));
  }

  /**
   * A failure of the slot as a whole is told as that of a subtask. One that has finished cannot fail any more: the job manager
   * would refuse the report, and wait for ever.
   */
  #failSlot(error: unknown): void {
    const { slice, finished } = this.#deployment;
    const isOver = (subtask: SubtaskRef): boolean =>
      [...finished, ...this.#finished].some(
        ({ vertexId, subtaskIndex }) => vertexId === subtask.vertexId && subtaskIndex === subtask.subtaskIndex,
      );
    this.#fail(slice.subtasks.find((subtask) => !isOver(subtask)) ?? slice.subtasks[0], error);
  }

  #fail(subtask: { vertexId: string; subtaskIndex: number }, error: unknown): void {
    if (this.#failed || this.#closing) return;
    this.#failed = true;
    this.#send({ type: 'failed', subtask, error: this.#secrets.hideInError(toWireError(error)) });
  }

  #received(message: ToSlot): void {
    switch (message.type) {
      case 'connect':
        this.#guard(this.#start(message));
        return;
      case 'trigger':
        this.#runtime?.trigger(message, message.stop, message.drain);
        return;
      case 'completed':
        this.#runtime?.completed(message.checkpointId);
        return;
      case 'aborted':
        this.#runtime?.aborted(message.checkpointId);
        return;
      case 'aligned':
        this.#runtime?.alignment.others(message.groups);
        return;
      case 'cancel':
        this.#close();
        return;
    }
  }

  /** Loads the job, plans it again and opens the port. */
  async #prepare(): Promise<void> {
    const { graph, artifactPath, listens, host, listenHost } = this.#deployment;
    const definition = await loadJobDefinition(artifactPath);
    const { parameters, options } = graph;
    const job = definition.plan({ resolvedParameters: parameters, parallelism: options.parallelism, options });
    if (graphHash(job.graph) !== graphHash(graph))
      throw notDeterministic(graph.name, describeGraphDifference(graph, job.graph));
    this.#job = job;
    if (!listens) {
      this.#send({ type: 'listening', host, port: 0 });
      return;
    }
    const { clusterId, attempt, slotIndex } = this.#deployment;
    this.#dataPlane = createDataPlane({
      clusterId,
      jobName: graph.name,
      attempt,
      self: slotIndex,
      tls: this.#tls(),
      onFailure: (error) => this.#failSlot(error),
    });
    const { port } = await this.#dataPlane.listen(listenHost, this.#deployment.dataPorts ?? undefined);
    this.#send({ type: 'listening', host, port });
  }

  /** Read for every attempt, and again when they are renewed while it runs. */
  #tls(): TlsFileSource | null {
    const { tls } = this.#deployment;
    if (tls === undefined || tls === null) return null;
    return new TlsFileSource(tls, {
      role: 'task-manager',
      nowMs: () => Date.now(),
      onProblem: ({ message }) => {
        this.#send({ type: 'log', level: 'warn', message: `renewed certificates are not used: ${message}` });
      },
    });
  }

  async #start(message: Extract<ToSlot, { type: 'connect' }>): Promise<void> {
    const { graph, attempt, slotIndex, restore, finished, workingDirectory } = this.#deployment;
    const peers = message.slots.filter((slot) => slot.slotIndex !== slotIndex);
    await this.#dataPlane?.connect(
      new Map(peers.map((slot) => [slot.slotIndex, { host: slot.host, port: slot.port }])),
    );
    const { stateHost } = this.#task;
    const store = this.#store;
    const runtime = new SlotRuntime({
      graph,
      functions: (this.#job as PlannedJob).functions,
      attempt,
      restoredCheckpointId: restore?.checkpointId ?? null,
      slotIndex,
      placements: message.slices,
      finished,
      workingDirectory,
      secretOf: this.#secrets.lookup,
      backend:
        stateHost === null
          ? memoryBackend
          : hostBackend(stateHost.port, stateHost.shared, {
              spill: store,
              onFailed: (error) => this.#failSlot(error),
            }),
      pulse: new Int32Array(this.#task.pulse),
      snapshotSink: {
        get hasCredit() {
          return store.hasCredit;
        },
        sendBlock: (checkpointId, block) => store.sendBlock(checkpointId, block),
        slotDone: (checkpointId, subtasks) => store.slotDone(checkpointId, subtasks),
      },
      remote: this.#dataPlane ?? noRemoteChannels,
      events: this.#events(),
      signal: this.#abort.signal,
      checkImmutability: this.#deployment.checkImmutability,
      nowMs: () => Date.now(),
    });
    store.onCredit = () => runtime.creditArrived();
    store.onSpillFailed = (error) => this.#failSlot(error);
    store.onClosed = (error) => this.#failSlot(error);
    this.#runtime = runtime;
    if (restore !== null)
      await store.restore(restore.files, runtime.restoreWanted, (block) => runtime.restoreBlock(block));
    failpoint('slot.restored');
    await runtime.open();
    failpoint('slot.opened');
    this.#metricsTimer = setInterval(() => this.#sendMetrics(), metricsIntervalMs);
    if (message.slices.length > 1) this.#tellAlignment(runtime.alignment);
    if (runtime.allFinished) this.#close();
  }

  /** Other slots may have sources that wait for those here. Told again and again, also when nothing changed: one may be lost. */
  #tellAlignment(alignment: SlotRuntime['alignment']): void {
    const { updateIntervalMs } = alignment;
    if (updateIntervalMs === null || this.#closing) return;
    const tell = (): void => this.#send({ type: 'alignment', groups: alignment.report() });
    this.#alignmentTimer = setInterval(tell, updateIntervalMs);
    tell();
  }

  #events(): SlotEvents {
    return {
      running: (subtask) => this.#send({ type: 'running', subtask }),
      inputEnded: (subtask) => this.#send({ type: 'inputEnded', subtask }),
      finished: (subtask) => {
        this.#finished.push(subtask);
        this.#sendMetrics();
        this.#send({ type: 'finished', subtask });
        if (this.#runtime?.allFinished === true) this.#close();
      },
      failed: (subtask, error) => this.#fail(subtask, error),
      log: (level, message) => {
        for (const line of this.#logBudget.take(Date.now(), message))
          this.#send({ type: 'log', level, message: this.#secrets.hide(line) });
      },
      deliver: (channel, id, values) => this.#send({ type: 'deliver', channel, id, values }),
    };
  }

  #sendMetrics(): void {
    if (this.#runtime === null) return;
    const { used_heap_size: heapBytes, external_memory: externalBytes } = getHeapStatistics();
    this.#send({ type: 'metrics', metrics: this.#runtime.metrics(), memory: { heapBytes, externalBytes } });
  }

  #close(): void {
    if (this.#closing) return;
    this.#sendMetrics();
    this.#closing = true;
    this.#abort.abort();
    if (this.#metricsTimer !== null) clearInterval(this.#metricsTimer);
    if (this.#alignmentTimer !== null) clearInterval(this.#alignmentTimer);
    void this.#closeAll().finally(() => this.#send({ type: 'ended' }));
  }

  async #closeAll(): Promise<void> {
    await this.#runtime?.close();
    await this.#dataPlane?.close();
    if (this.#runtime?.allFinished === true) this.#store.left();
    this.#store.close();
  }
}

function notDeterministic(jobName: string, differences: readonly string[]): EngineError {
  const message = `the definition of job '${jobName}' is not deterministic: run again in a slot it built another graph (${differences.join('; ')}) → build the graph from parameters only, never from time, randomness, files or the environment`;
  return new EngineError('JOB_NOT_DETERMINISTIC', message, { ids: { job: jobName } });
}
