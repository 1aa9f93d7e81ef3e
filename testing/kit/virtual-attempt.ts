/**
 * One attempt of a job in a test: real slots, subtasks and operators, without threads, files or a clock. The coordinator of
 * checkpoints is here, as in `../slots-harness.ts`; when something happens is decided by the schedule that drives it.
 */
import type { PlannedJob } from '../../core/graph/job-definition.ts';
import { finishedSubtasks, finishedVertices } from '../../jobmanager/model/restored-job.ts';
import { slicesOf } from '../../jobmanager/model/slot-assignment.ts';
import type { Manifest } from '../../proto/messages.ts';
import { forEachRow, type RowBlock, RowBlockWriter } from '../../runtime/checkpoint/row-block.ts';
import { reservedKeyGroup } from '../../runtime/operators/operator.ts';
import type { EncodedSnapshot } from '../../runtime/slot/snapshot-encoder.ts';
import { SlotRuntime } from '../../runtime/slot/slot-runtime.ts';
import { memoryBackend } from '../../runtime/state/backend.ts';
import { createColdTestBackend } from '../../runtime/state/cold-test-backend.ts';
import type { ChainedOperator, SubtaskId } from '../../runtime/subtask/subtask.ts';
import { MemoryExchange } from './memory-exchange.ts';
import type { VirtualScheduler } from './virtual-scheduler.ts';

/** Everything a completed checkpoint consists of. */
export interface VirtualCheckpoint {
  readonly checkpointId: number;
  /** In order of application, older checkpoints first. */
  readonly blocks: readonly RowBlock[];
  readonly finished: readonly SubtaskId[];
  readonly vertexParallelism: Readonly<Record<string, number>>;
}

export interface VirtualAttemptOptions {
  readonly job: PlannedJob;
  readonly attempt: number;
  readonly restore: VirtualCheckpoint | null;
  /** Ids are never used again, not even those of checkpoints that were given up. */
  readonly nextCheckpointId: number;
  readonly scheduler: VirtualScheduler;
  readonly backend: 'memory' | 'cold';
  readonly checkImmutability: boolean;
  onOperator?(link: ChainedOperator, subtask: SubtaskId): void;
  onDelivery(channel: string, id: string, values: readonly unknown[]): void;
}

interface Slot {
  readonly slotIndex: number;
  readonly subtasks: readonly SubtaskId[];
  readonly runtime: SlotRuntime;
}

interface Pending {
  readonly checkpointId: number;
  readonly blocks: RowBlock[];
  readonly shares: Map<number, readonly EncodedSnapshot[]>;
}

const nameOf = (subtask: SubtaskId): string => `${subtask.vertexId}#${subtask.subtaskIndex}`;

export class VirtualAttempt {
  readonly options: VirtualAttemptOptions;
  readonly #slots: Slot[];
  readonly #abort = new AbortController();
  readonly #subtaskCount: number;
  readonly #finishedAtStart: readonly SubtaskId[];
  readonly #running = new Set<string>();
  readonly #ended = new Set<string>();
  readonly #finished = new Set<string>();
  readonly #marks = new Map<string, SubtaskId>();
  #pending: Pending | null = null;
  #nextCheckpointId: number;
  #newest: VirtualCheckpoint | null;
  #failure: { readonly error: unknown } | null = null;

  constructor(options: VirtualAttemptOptions) {
    this.options = options;
    const { graph } = options.job;
    this.#newest = options.restore;
    this.#nextCheckpointId = options.nextCheckpointId;
    // Only what the rule looks at.
    const manifest = options.restore === null ? null : (options.restore as unknown as Manifest);
    this.#finishedAtStart = finishedSubtasks(graph, finishedVertices(graph, manifest));
    for (const subtask of this.#finishedAtStart) this.#marks.set(nameOf(subtask), subtask);
    const slices = slicesOf(graph, new Set(this.#finishedAtStart.map((subtask) => subtask.vertexId)));
    const exchange = new MemoryExchange();
    this.#slots = slices.map(({ slotIndex, subtasks }) => {
      return { slotIndex, subtasks, runtime: this.#runtime(slotIndex, slices, exchange) };
    });
    this.#subtaskCount = this.#slots.reduce((sum, slot) => sum + slot.subtasks.length, 0);
  }

  get newest(): VirtualCheckpoint | null {
    return this.#newest;
  }

  get nextCheckpointId(): number {
    return this.#nextCheckpointId;
  }

  /** What failed the attempt. */
  get failure(): { readonly error: unknown } | null {
    return this.#failure;
  }

  /** Every subtask has read its side inputs: checkpoints may be taken. */
  get allRunning(): boolean {
    return this.#running.size >= this.#subtaskCount;
  }

  get allEnded(): boolean {
    return this.#ended.size >= this.#subtaskCount;
  }

  get allFinished(): boolean {
    return this.#finished.size >= this.#subtaskCount;
  }

  get checkpointPending(): boolean {
    return this.#pending !== null;
  }

  /** Restores and opens; the schedule runs the subtasks afterwards. */
  async start(): Promise<void> {
    for (const { runtime } of this.#slots) this.#restoreTo(runtime);
    await Promise.all(this.#slots.map(({ runtime }) => runtime.open()));
  }

  trigger(): void {
    const checkpointId = this.#nextCheckpointId++;
    this.#pending = { checkpointId, blocks: [], shares: new Map() };
    for (const { runtime } of this.#slots) runtime.trigger({ checkpointId, triggeredAtMs: 0 });
  }

  /** True when every slot has handed in its share of the checkpoint under way, or has nothing left to hand in. */
  get checkpointAcknowledged(): boolean {
    const pending = this.#pending;
    if (pending === null) return false;
    return this.#slots.every(
      ({ slotIndex, subtasks }) =>
        pending.shares.has(slotIndex) || subtasks.every((subtask) => this.#finished.has(nameOf(subtask))),
    );
  }

  /** The acknowledged checkpoint is complete from now on. */
  complete(): void {
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null || pending.shares.size === 0) return;
    const { checkpointId } = pending;
    for (const share of [...pending.shares.values()].flat())
      if (share.afterEnd) this.#marks.set(nameOf(share.subtask), share.subtask);
    const { vertices } = this.options.job.graph;
    this.#newest = {
      checkpointId,
      blocks: [...(this.#newest?.blocks ?? []), ...pending.blocks],
      finished: [...this.#marks.values()],
      vertexParallelism: Object.fromEntries(vertices.map((vertex) => [vertex.id, vertex.parallelism])),
    };
    for (const { runtime } of this.#slots) runtime.completed(checkpointId);
  }

  /** Ends the attempt as a crash would: nothing is prepared or committed. */
  async close(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#slots.map(({ runtime }) => runtime.close()));
  }

  #runtime(slotIndex: number, placements: ReturnType<typeof slicesOf>, exchange: MemoryExchange): SlotRuntime {
    const { job, attempt, scheduler, backend, restore, checkImmutability, onOperator } = this.options;
    const note = (set: Set<string>) => (subtask: SubtaskId) => void set.add(nameOf(subtask));
    return new SlotRuntime({
      graph: job.graph,
      functions: job.functions,
      attempt,
      restoredCheckpointId: restore?.checkpointId ?? null,
      slotIndex,
      placements,
      finished: this.#finishedAtStart,
      workingDirectory: process.cwd(),
      backend: backend === 'cold' ? createColdTestBackend() : memoryBackend,
      pulse: new Int32Array(2),
      snapshotSink: {
        hasCredit: true,
        sendBlock: (checkpointId, block) => {
          if (this.#pending?.checkpointId === checkpointId) this.#pending.blocks.push(block);
        },
        slotDone: (checkpointId, shares) => {
          if (this.#pending?.checkpointId === checkpointId) this.#pending.shares.set(slotIndex, shares);
        },
      },
      remote: exchange,
      events: {
        running: note(this.#running),
        inputEnded: note(this.#ended),
        finished: note(this.#finished),
        failed: (_, error) => {
          this.#failure ??= { error };
        },
        log: () => {},
        deliver: (channel, id, values) => {
          if (!this.#abort.signal.aborted) this.options.onDelivery(channel, id, values);
        },
      },
      signal: this.#abort.signal,
      checkImmutability,
      createLoop: (encoder) => scheduler.loop(encoder),
      ...(onOperator === undefined ? {} : { onOperator }),
      nowMs: () => scheduler.nowMs,
    });
  }

  /** Rows of the slot's key groups and those that belong to no key, as the store thread picks them. */
  #restoreTo(runtime: SlotRuntime): void {
    const writer = new RowBlockWriter((block) => runtime.restoreBlock(block));
    for (const { operatorId, keyGroups } of runtime.restoreWanted) {
      for (const block of this.options.restore?.blocks ?? []) {
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
}
