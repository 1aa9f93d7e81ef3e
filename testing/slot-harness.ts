/**
 * Runs the slice of one slot in this thread: real subtasks, operators, slot loop and snapshots, without job manager, threads
 * or files. Checkpoints are kept in memory; `kill` drops the slot as a crash would, and a new harness goes on from a
 * checkpoint. For tests of everything between a source and a sink.
 */
import type { SecretLookup } from '../core/security/secret.ts';
import type { PlannedJob } from '../core/graph/job-definition.ts';
import type { RowBlock } from '../runtime/checkpoint/row-block.ts';
import type { RemoteChannels } from '../runtime/slot/channels.ts';
import type { EncodedSnapshot } from '../runtime/slot/snapshot-encoder.ts';
import { SlotRuntime } from '../runtime/slot/slot-runtime.ts';
import { memoryBackend, type StateBackend } from '../runtime/state/backend.ts';
import type { SubtaskId } from '../runtime/subtask/subtask.ts';

/** Everything a completed checkpoint consists of. */
export interface HarnessCheckpoint {
  readonly checkpointId: number;
  /** In order of application, older checkpoints first. */
  readonly blocks: readonly RowBlock[];
  readonly subtasks: readonly EncodedSnapshot[];
}

export interface SlotHarnessOptions {
  readonly job: PlannedJob;
  readonly restore?: HarnessCheckpoint | null;
  readonly attempt?: number;
  readonly backend?: StateBackend;
  readonly workingDirectory?: string;
  readonly secretOf?: SecretLookup;
  readonly emitPerRecordMaxBytes?: number;
  /** Processing time; the real one unless given. */
  nowMs?(): number;
  onDelivery?(channel: string, id: string, values: readonly unknown[]): void;
}

const noPeers: RemoteChannels = {
  writer: () => {
    throw new Error('the slot harness runs one slot');
  },
  reader: () => {
    throw new Error('the slot harness runs one slot');
  },
};

export class SlotHarness {
  readonly runtime: SlotRuntime;
  readonly #restore: HarnessCheckpoint | null;
  readonly #abort = new AbortController();
  readonly #subtaskCount: number;
  #blocks: RowBlock[] = [];
  #waiting: { checkpointId: number; done: (subtasks: readonly EncodedSnapshot[]) => void } | null = null;
  #running = 0;
  #ended = 0;
  #finished = 0;
  #failure: { error: unknown } | null = null;
  #changed: () => void = () => {};
  #nextCheckpointId: number;
  #newest: HarnessCheckpoint | null;
  #dead = false;

  constructor(options: SlotHarnessOptions) {
    const { graph, functions } = options.job;
    this.#restore = options.restore ?? null;
    this.#newest = this.#restore;
    this.#nextCheckpointId = (this.#restore?.checkpointId ?? 0) + 1;
    const all = graph.vertices.map((vertex) => ({ vertexId: vertex.id, subtaskIndex: 0 }));
    const finished = (this.#restore?.subtasks ?? []).filter((share) => share.afterEnd).map((share) => share.subtask);
    const startable = finishedVertices(options.job, finished);
    this.#subtaskCount = all.length - startable.length;
    this.runtime = new SlotRuntime({
      graph,
      functions,
      attempt: options.attempt ?? 1,
      restoredCheckpointId: this.#restore?.checkpointId ?? null,
      slotIndex: 0,
      placements: [{ slotIndex: 0, subtasks: all }],
      finished: startable,
      workingDirectory: options.workingDirectory ?? process.cwd(),
      backend: options.backend ?? memoryBackend,
      pulse: new Int32Array(2),
      snapshotSink: {
        hasCredit: true,
        sendBlock: (_, block) => void this.#blocks.push(block),
        slotDone: (checkpointId, subtasks) => {
          if (this.#waiting?.checkpointId === checkpointId) this.#waiting.done(subtasks);
        },
      },
      remote: noPeers,
      events: {
        running: () => this.#count('running'),
        inputEnded: () => this.#count('ended'),
        finished: () => this.#count('finished'),
        failed: (_, error) => {
          this.#failure = { error };
          this.#changed();
        },
        log: () => {},
        deliver: (channel, id, values) => options.onDelivery?.(channel, id, values),
      },
      signal: this.#abort.signal,
      ...(options.secretOf === undefined ? {} : { secretOf: options.secretOf }),
      ...(options.emitPerRecordMaxBytes === undefined ? {} : { emitPerRecordMaxBytes: options.emitPerRecordMaxBytes }),
      checkImmutability: true,
      nowMs: options.nowMs ?? (() => Date.now()),
    });
  }

  /** The newest completed checkpoint, the restored one before the first. */
  get newest(): HarnessCheckpoint | null {
    return this.#newest;
  }

  /** Restores, opens, and waits until every subtask runs (side inputs are read): no checkpoint may start before. */
  async start(): Promise<this> {
    for (const block of this.#restore?.blocks ?? []) this.runtime.restoreBlock(block);
    await this.runtime.open();
    await this.#until(() => this.#running >= this.#subtaskCount);
    return this;
  }

  /** Takes a checkpoint and completes it; null when every subtask has finished meanwhile. */
  async checkpoint(): Promise<HarnessCheckpoint | null> {
    const checkpoint = await this.snapshot();
    if (checkpoint !== null) this.complete(checkpoint);
    return checkpoint;
  }

  /**
   * Takes a checkpoint and does not complete it; null when every subtask has finished meanwhile.
   * @param stop the job stops with it: sources hand on nothing after its barrier
   */
  async snapshot(stop = false): Promise<HarnessCheckpoint | null> {
    const checkpointId = this.#nextCheckpointId++;
    const earlier = this.#newest?.blocks ?? [];
    this.#blocks = [];
    let subtasks: readonly EncodedSnapshot[] | null = null;
    this.#waiting = {
      checkpointId,
      done: (shares) => {
        subtasks = shares;
        this.#changed();
      },
    };
    this.runtime.trigger({ checkpointId, triggeredAtMs: 0 }, stop);
    await this.#until(() => subtasks !== null || this.#finished >= this.#subtaskCount);
    this.#waiting = null;
    if (subtasks === null) return null;
    const carried = (this.#restore?.subtasks ?? []).filter((share) => share.afterEnd);
    return {
      checkpointId,
      blocks: [...earlier, ...this.#blocks],
      subtasks: [...carried, ...(subtasks as readonly EncodedSnapshot[])],
    };
  }

  complete(checkpoint: HarnessCheckpoint): void {
    this.#newest = checkpoint;
    this.runtime.completed(checkpoint.checkpointId);
  }

  abort(checkpoint: HarnessCheckpoint): void {
    this.runtime.aborted(checkpoint.checkpointId);
  }

  /** Until all input is read, then the last checkpoint, then until every subtask has finished. */
  async finish(): Promise<void> {
    await this.untilEnded();
    await this.checkpoint();
    await this.#until(() => this.#finished >= this.#subtaskCount);
    await this.runtime.close();
  }

  async untilEnded(): Promise<void> {
    await this.#until(() => this.#ended >= this.#subtaskCount);
  }

  /** Drops the slot as a crash would: nothing is prepared, committed or closed in order. */
  async kill(): Promise<void> {
    this.#dead = true;
    this.#abort.abort();
    await this.runtime.close();
  }

  #count(what: 'running' | 'ended' | 'finished'): void {
    if (what === 'running') this.#running++;
    else if (what === 'ended') this.#ended++;
    else this.#finished++;
    this.#changed();
  }

  /** Waits for a condition; rejects with what failed the attempt. */
  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#failure !== null) throw this.#failure.error;
      if (this.#dead) throw new Error('the slot was killed');
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure.error;
  }
}

/** Subtasks that are not started again: their vertex and all upstream had finished. Committers always start, to commit again. */
function finishedVertices(job: PlannedJob, finished: readonly SubtaskId[]): SubtaskId[] {
  const ended = new Set(finished.map((subtask) => subtask.vertexId));
  const result: SubtaskId[] = [];
  const gone = new Set<string>();
  for (const vertex of job.graph.vertices) {
    const upstreamGone = job.graph.edges.every(
      (edge) => edge.targetVertex !== vertex.id || gone.has(edge.sourceVertex),
    );
    const committer = vertex.operators.some((operator) => operator.kind === 'sink-committer');
    if (committer || !ended.has(vertex.id) || !upstreamGone) continue;
    gone.add(vertex.id);
    result.push({ vertexId: vertex.id, subtaskIndex: 0 });
  }
  return result;
}
