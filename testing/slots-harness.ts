/**
 * Several slots in this thread, joined by real data planes over loopback TCP, without job manager, threads or files: the
 * coordinator of checkpoints is here, state is kept in memory. `kill` drops all slots as a crash would; a new harness goes
 * on from a checkpoint, at any parallelism. For what a single slot cannot show: exchange, alignment, rescaling.
 */
import type { PlannedJob } from '../core/graph/job-definition.ts';
import { finishedSubtasks, finishedVertices } from '../jobmanager/model/restored-job.ts';
import { slicesOf } from '../jobmanager/model/slot-assignment.ts';
import type { Manifest } from '../proto/messages.ts';
import { forEachRow, type RowBlock, RowBlockWriter } from '../runtime/checkpoint/row-block.ts';
import type { ExchangeLimits } from '../runtime/exchange/exchange-limits.ts';
import { reservedKeyGroup } from '../runtime/operators/operator.ts';
import type { EncodedSnapshot } from '../runtime/slot/snapshot-encoder.ts';
import { SlotRuntime } from '../runtime/slot/slot-runtime.ts';
import { memoryBackend, type StateBackend } from '../runtime/state/backend.ts';
import type { SubtaskId } from '../runtime/subtask/subtask.ts';
import { createDataPlane, type DataPlane } from '../taskmanager/data-plane/data-plane.ts';

/** Everything a completed checkpoint consists of. */
export interface SlotsCheckpoint {
  readonly checkpointId: number;
  /** In order of application, older checkpoints first. */
  readonly blocks: readonly RowBlock[];
  readonly finished: readonly SubtaskId[];
  readonly vertexParallelism: Readonly<Record<string, number>>;
}

export interface SlotsHarnessOptions {
  readonly job: PlannedJob;
  /** Plans the job again for each slot, as slots do; else all of them share the functions of `job` and what these keep. */
  planAgain?(): PlannedJob;
  readonly restore?: SlotsCheckpoint | null;
  readonly attempt?: number;
  /** Made once per slot. */
  readonly backend?: () => StateBackend;
  readonly limits?: Partial<ExchangeLimits>;
  /** Processing time; the real one unless given. */
  nowMs?(): number;
  onDelivery?(channel: string, id: string, values: readonly unknown[]): void;
}

interface HarnessSlot {
  readonly slotIndex: number;
  readonly subtasks: readonly SubtaskId[];
  readonly plane: DataPlane;
  readonly runtime: SlotRuntime;
}

interface Pending {
  readonly checkpointId: number;
  readonly blocks: RowBlock[];
  readonly shares: Map<number, readonly EncodedSnapshot[]>;
}

const subtaskName = (subtask: SubtaskId): string => `${subtask.vertexId}#${subtask.subtaskIndex}`;

export class SlotsHarness {
  readonly #options: SlotsHarnessOptions;
  readonly #restore: SlotsCheckpoint | null;
  readonly #abort = new AbortController();
  readonly #slots: HarnessSlot[] = [];
  readonly #finishedAtStart: readonly SubtaskId[];
  readonly #running = new Set<string>();
  readonly #ended = new Set<string>();
  readonly #finished = new Set<string>();
  /** Marks of subtasks that acknowledged after their end; carried into later checkpoints. */
  readonly #marks = new Map<string, SubtaskId>();
  #pending: Pending | null = null;
  #failure: { error: unknown } | null = null;
  #changed: () => void = () => {};
  #nextCheckpointId: number;
  #newest: SlotsCheckpoint | null;

  constructor(options: SlotsHarnessOptions) {
    this.#options = options;
    this.#restore = options.restore ?? null;
    this.#newest = this.#restore;
    this.#nextCheckpointId = (this.#restore?.checkpointId ?? 0) + 1;
    // Only what the rule looks at.
    const manifest = this.#restore === null ? null : (this.#restore as unknown as Manifest);
    this.#finishedAtStart = finishedSubtasks(options.job.graph, finishedVertices(options.job.graph, manifest));
    for (const subtask of this.#finishedAtStart) this.#marks.set(subtaskName(subtask), subtask);
  }

  /** The newest completed checkpoint, the restored one before the first. */
  get newest(): SlotsCheckpoint | null {
    return this.#newest;
  }

  /** Listens, connects every slot with every other, restores, opens, and waits until every subtask runs. */
  async start(): Promise<this> {
    const slices = slicesOf(this.#options.job.graph, new Set(this.#finishedAtStart.map((subtask) => subtask.vertexId)));
    const planes = slices.map(({ slotIndex }) => this.#plane(slotIndex));
    const endpoints = await Promise.all(planes.map((plane) => plane.listen('127.0.0.1')));
    await Promise.all(
      planes.map((plane, self) => {
        const peers = slices.flatMap(({ slotIndex }, place) =>
          place === self ? [] : [[slotIndex, endpoints[place]] as const],
        );
        return plane.connect(new Map(peers));
      }),
    );
    slices.forEach(({ slotIndex, subtasks }, place) => {
      this.#slots.push({
        slotIndex,
        subtasks,
        plane: planes[place],
        runtime: this.#runtime(slotIndex, slices, planes[place]),
      });
    });
    for (const { runtime } of this.#slots) this.#restoreTo(runtime);
    await Promise.all(this.#slots.map(({ runtime }) => runtime.open()));
    await this.#until(() => this.#running.size >= this.#subtaskCount);
    return this;
  }

  /** Processing time has moved other than by passing. */
  clockMoved(): void {
    for (const { runtime } of this.#slots) runtime.clockMoved();
  }

  /** The slots, for what concerns only time: how far sources are, what they are told of others. */
  get alignments(): readonly { readonly slotIndex: number; readonly alignment: SlotRuntime['alignment'] }[] {
    return this.#slots.map(({ slotIndex, runtime }) => ({ slotIndex, alignment: runtime.alignment }));
  }

  /** Takes a checkpoint and completes it; null when every subtask has finished meanwhile. */
  async checkpoint(): Promise<SlotsCheckpoint | null> {
    const checkpointId = this.#nextCheckpointId++;
    const pending: Pending = { checkpointId, blocks: [], shares: new Map() };
    this.#pending = pending;
    for (const { runtime } of this.#slots) runtime.trigger({ checkpointId, triggeredAtMs: 0 });
    const allIn = (): boolean =>
      this.#slots.every(
        ({ slotIndex, subtasks }) =>
          pending.shares.has(slotIndex) || subtasks.every((subtask) => this.#finished.has(subtaskName(subtask))),
      );
    await this.#until(allIn);
    this.#pending = null;
    if (pending.shares.size === 0) return null;
    for (const share of [...pending.shares.values()].flat()) {
      if (share.afterEnd) this.#marks.set(subtaskName(share.subtask), share.subtask);
    }
    const blocks = [...(this.#newest?.blocks ?? []), ...pending.blocks];
    const { vertices } = this.#options.job.graph;
    const vertexParallelism = Object.fromEntries(vertices.map((vertex) => [vertex.id, vertex.parallelism]));
    this.#newest = { checkpointId, blocks, finished: [...this.#marks.values()], vertexParallelism };
    for (const { runtime } of this.#slots) runtime.completed(checkpointId);
    return this.#newest;
  }

  /** Until all input is read, then the last checkpoint, then until every subtask has finished. */
  async finish(): Promise<void> {
    await this.#until(() => this.#ended.size >= this.#subtaskCount);
    await this.checkpoint();
    await this.#until(() => this.#finished.size >= this.#subtaskCount);
    await this.#close();
  }

  /** Drops all slots as a crash would: nothing is prepared, committed or closed in order. */
  async kill(): Promise<void> {
    this.#abort.abort();
    await this.#close();
  }

  get #subtaskCount(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.subtasks.length, 0);
  }

  async #close(): Promise<void> {
    await Promise.all(this.#slots.map(({ runtime }) => runtime.close()));
    await Promise.all(this.#slots.map(({ plane }) => plane.close()));
  }

  #plane(self: number): DataPlane {
    const { attempt = 1, job, limits = {} } = this.#options;
    const onFailure = (error: unknown): void => this.#fail(error);
    return createDataPlane({
      clusterId: 'harness',
      jobName: job.graph.name,
      attempt,
      self,
      onFailure,
      limits,
      closeTimeoutMs: 100,
    });
  }

  #runtime(slotIndex: number, placements: ReturnType<typeof slicesOf>, plane: DataPlane): SlotRuntime {
    const { job, attempt = 1, backend = () => memoryBackend, onDelivery } = this.#options;
    const note = (set: Set<string>) => (subtask: SubtaskId) => {
      set.add(subtaskName(subtask));
      this.#changed();
    };
    return new SlotRuntime({
      graph: job.graph,
      functions: (this.#options.planAgain?.() ?? job).functions,
      attempt,
      restoredCheckpointId: this.#restore?.checkpointId ?? null,
      slotIndex,
      placements,
      finished: this.#finishedAtStart,
      workingDirectory: process.cwd(),
      backend: backend(),
      pulse: new Int32Array(2),
      snapshotSink: {
        hasCredit: true,
        sendBlock: (checkpointId, block) => {
          if (this.#pending?.checkpointId === checkpointId) this.#pending.blocks.push(block);
        },
        slotDone: (checkpointId, shares) => {
          if (this.#pending?.checkpointId === checkpointId) this.#pending.shares.set(slotIndex, shares);
          this.#changed();
        },
      },
      remote: plane,
      events: {
        running: note(this.#running),
        inputEnded: note(this.#ended),
        finished: note(this.#finished),
        failed: (_, error) => this.#fail(error),
        log: () => {},
        deliver: (channel, id, values) => onDelivery?.(channel, id, values),
      },
      signal: this.#abort.signal,
      checkImmutability: true,
      nowMs: this.#options.nowMs ?? (() => Date.now()),
    });
  }

  /** Rows of the slot's key groups and those that belong to no key, as the store thread picks them. */
  #restoreTo(runtime: SlotRuntime): void {
    const writer = new RowBlockWriter((block) => runtime.restoreBlock(block));
    for (const { operatorId, keyGroups } of runtime.restoreWanted) {
      for (const block of this.#restore?.blocks ?? []) {
        if (block.operatorId !== operatorId) continue;
        writer.startTable(operatorId, block.stateName);
        forEachRow(block.bytes, (keyGroup, key, value) => {
          const owned =
            keyGroup === reservedKeyGroup || keyGroups.some(({ first, last }) => keyGroup >= first && keyGroup <= last);
          if (owned) writer.writeRow(keyGroup, key, value);
        });
      }
    }
    writer.flush();
  }

  #fail(error: unknown): void {
    if (!this.#abort.signal.aborted) this.#failure ??= { error };
    this.#changed();
  }

  /** Waits for a condition; rejects with what failed the attempt. */
  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#failure !== null) throw this.#failure.error;
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure.error;
  }
}
