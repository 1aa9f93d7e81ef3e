/**
 * A subtask of the simulated job: the real aligner, valve and two-phase committer around a small operator. What it does in
 * which order is what the subtask of the runtime does: one element at a time, a snapshot only between two elements, `end`
 * after the last committables, leaving only after a checkpoint that followed the end.
 */
import { EngineError } from '../../core/errors.ts';
import type { Committable } from '../../core/connector/index.ts';
import { keyGroupRange } from '../../core/key-groups.ts';
import { BarrierAligner, type SnapshotDecision } from '../../runtime/checkpoint/barrier-aligner.ts';
import type { RowBlock } from '../../runtime/checkpoint/row-block.ts';
import { type CommitBatch, TwoPhaseCommitter } from '../../runtime/checkpoint/two-phase-committer.ts';
import { reservedKeyGroup } from '../../runtime/operators/operator.ts';
import { valveLayout } from '../../runtime/time/input-lineage.ts';
import { WatermarkValve } from '../../runtime/time/watermark-valve.ts';
import type { SubtaskRef } from '../../proto/messages.ts';
import type { Random } from './random.ts';
import type { SimulatedChannel, SimulatedElement } from './simulated-channel.ts';
import {
  countResult,
  delivered,
  type InputRecord,
  keyGroupOf,
  makeGraph,
  type Role,
  roleOf,
  windowEndOf,
  windowResult,
} from './simulated-job.ts';
import type { SimulatedSink, Transaction } from './simulated-sink.ts';
import { SimulatedState } from './simulated-state.ts';
import type { RowValue } from './state-rows.ts';
import { ValveSpecification } from './valve-specification.ts';
import type { Process, World } from './world.ts';

export interface SubtaskSnapshot {
  readonly subtask: SubtaskRef;
  readonly checkpointId: number;
  readonly afterEnd: boolean;
  readonly blocks: readonly RowBlock[];
  readonly sourceRecords: number;
}

export interface SubtaskHost {
  snapshot(snapshot: SubtaskSnapshot): void;
  inputEnded(subtask: SubtaskRef): void;
  finished(subtask: SubtaskRef): void;
  failed(subtask: SubtaskRef, error: EngineError): void;
}

export interface SubtaskParts {
  readonly world: World;
  readonly process: Process;
  readonly host: SubtaskHost;
  readonly ref: SubtaskRef;
  readonly attempt: number;
  readonly parallelism: number;
  readonly inputs: readonly SimulatedChannel[];
  readonly outputs: readonly SimulatedChannel[];
  readonly input: readonly (readonly InputRecord[])[];
  readonly sink: SimulatedSink;
  readonly restoredCheckpointId: number | null;
}

type Phase = 'running' | 'ended' | 'finished' | 'dead';

export class SimulatedSubtask {
  readonly ref: SubtaskRef;
  readonly #role: Role;
  readonly #parts: SubtaskParts;
  readonly #world: World;
  readonly #random: Random;
  readonly #state: SimulatedState;
  readonly #aligner: BarrierAligner;
  readonly #valve: WatermarkValve;
  readonly #specification: ValveSpecification;
  readonly #committer = new TwoPhaseCommitter();
  readonly #channelEnded: boolean[];
  #phase: Phase = 'running';
  #suspended = false;
  #awake = false;
  #snapshotWanted: SnapshotDecision | null = null;
  #nextPollMs = 0;
  #ownInputEnded: boolean;
  #watermark = Number.NEGATIVE_INFINITY;
  #idle = false;
  #results: string[] = [];
  #transactionCount = 0;
  #lastCheckpointId: number;
  #endCheckpointId = 0;
  #endComplete = false;
  #committing = false;
  #whenCommitted: (() => void)[] = [];

  constructor(parts: SubtaskParts) {
    const { world, ref, attempt, inputs } = parts;
    this.#parts = parts;
    this.ref = ref;
    this.#role = roleOf(ref.vertexId);
    const hasOwnInput = this.#role === 'planner' || this.#role === 'reader';
    this.#world = world;
    this.#random = world.random(`subtask ${attempt} ${ref.vertexId} ${ref.subtaskIndex}`);
    this.#state = new SimulatedState(ref.vertexId);
    this.#aligner = new BarrierAligner(inputs.length, { hasOwnInput });
    const graph = makeGraph(world.configuration, Math.max(inputs.length, parts.parallelism));
    const layout = valveLayout(graph, ref.vertexId, inputs.length === 0 ? [] : [inputs.length]);
    this.#valve = new WatermarkValve(inputs.length, layout);
    this.#specification = new ValveSpecification(inputs.length, layout);
    this.#channelEnded = inputs.map(() => false);
    this.#ownInputEnded = !hasOwnInput;
    this.#lastCheckpointId = parts.restoredCheckpointId ?? 0;
    for (const channel of inputs) channel.receiver = { process: parts.process, wake: () => this.wake() };
    for (const channel of parts.outputs) channel.sender = { process: parts.process, wake: () => this.wake() };
  }

  get isLive(): boolean {
    return this.#phase === 'running' || this.#phase === 'ended';
  }

  /** For the dump of a world that is stuck. */
  describe(): string {
    const blocked = this.#parts.inputs.map(
      (channel, index) =>
        `${channel.queuedCount}${this.#aligner.isBlocked(index) ? 'B' : ''}${this.#channelEnded[index] === true ? 'E' : ''}`,
    );
    const room = this.#parts.outputs.map((channel) => (channel.hasRoom ? 'room' : 'full'));
    const pending = this.#aligner.pendingCheckpointId;
    return `${this.ref.vertexId}/${this.ref.subtaskIndex} ${this.#phase}${this.#suspended ? ' suspended' : ''} in[${blocked}] out[${room}] aligning ${pending} end ${this.#endCheckpointId}/${this.#endComplete} uncommitted ${this.#committer.pendingCount}`;
  }

  /** A row of the restored checkpoint, oldest file first. Rows of others are left alone. */
  restore(keyGroup: number, key: string, value: RowValue | null): void {
    const { parallelism, ref } = this.#parts;
    if (this.#role === 'counter') {
      const range = keyGroupRange(this.#world.configuration.maxParallelism, parallelism, ref.subtaskIndex);
      if (keyGroup < range.first || keyGroup > range.last) return;
    }
    if (this.#role === 'reader' && Number(key) % parallelism !== ref.subtaskIndex) return;
    this.#state.restore(keyGroup, key, value);
  }

  /** All rows are restored. */
  start(): void {
    const { restoredCheckpointId } = this.#parts;
    if (this.#role === 'committer' && restoredCheckpointId !== null) {
      const committables = this.#state.keys.map((key) => this.#state.get(key) as unknown as Committable);
      const batch = this.#committer.restored(restoredCheckpointId, committables);
      if (batch !== null) this.#world.saw('commits_driven_again_after_restore');
      this.#commit(batch);
    }
    this.#parts.inputs.forEach((channel, index) => {
      if (channel.endedAtStart) this.#endChannel(index);
    });
    this.wake();
  }

  wake(): void {
    if (this.#awake || !this.isLive) return;
    this.#awake = true;
    this.#world.schedule(this.#random.between(0, 1), this.#parts.process, this.ref.vertexId, () => {
      this.#awake = false;
      for (let unit = 0; unit < 4 && this.isLive; unit++) if (!this.#work()) return;
      this.wake();
    });
  }

  kill(): void {
    this.#phase = 'dead';
    this.#whenCommitted = [];
  }

  fail(): void {
    if (!this.isLive) return;
    this.kill();
    this.#parts.host.failed(
      this.ref,
      new EngineError('USER_FUNCTION_FAILED', 'thrown by the simulation', { retry: 'backoff' }),
    );
  }

  trigger(checkpointId: number): void {
    if (!this.isLive) return;
    this.#want(this.#aligner.announced(checkpointId));
  }

  completed(checkpointId: number): void {
    if (!this.isLive) return;
    this.#state.completed(checkpointId);
    if (this.#endCheckpointId !== 0 && checkpointId >= this.#endCheckpointId) this.#endComplete = true;
    if (this.#role === 'committer') this.#commit(this.#committer.completed(checkpointId));
    this.wake();
  }

  aborted(checkpointId: number): void {
    if (!this.isLive) return;
    if (this.#aligner.pendingCheckpointId === checkpointId) this.#world.saw('abort_during_alignment');
    this.#aligner.aborted(checkpointId);
    if (this.#snapshotWanted?.checkpointId === checkpointId) this.#snapshotWanted = null;
    this.#state.aborted(checkpointId);
    this.wake();
  }

  /** Calls back when nothing is being committed. */
  whenCommitted(then: () => void): void {
    if (this.#committing) this.#whenCommitted.push(then);
    else then();
  }

  #want(decision: SnapshotDecision | null): void {
    if (decision === null) return;
    this.#snapshotWanted = decision;
    this.wake();
  }

  /** Does one thing; false when there is nothing to do now. */
  #work(): boolean {
    if (this.#suspended) return false;
    if (this.#snapshotWanted !== null) {
      this.#takeSnapshot(this.#snapshotWanted);
      return true;
    }
    if (this.#phase === 'ended') return this.#maybeFinish();
    if (!this.#parts.outputs.every((channel) => channel.hasRoom)) return false;
    const ready: number[] = [];
    this.#parts.inputs.forEach((channel, index) => {
      if (channel.queuedCount > 0 && !this.#aligner.isBlocked(index)) ready.push(index);
    });
    if (ready.length > 0) {
      const index = this.#random.pick(ready);
      this.#accept(index, this.#parts.inputs[index]?.poll() as SimulatedElement);
      return true;
    }
    if (!this.#ownInputEnded) return this.#pollOwnInput();
    if (this.#channelEnded.every((ended) => ended)) this.#endInput();
    return false;
  }

  #accept(channel: number, element: SimulatedElement): void {
    switch (element.kind) {
      case 'barrier':
        return this.#want(this.#aligner.barrier(channel, element.checkpointId));
      case 'end':
        return this.#endChannel(channel);
      case 'watermark':
        this.#valve.watermark(channel, element.watermark);
        this.#specification.watermark(channel, element.watermark);
        return this.#timeMoved();
      case 'idle':
        this.#valve.idle(channel, element.idle);
        this.#specification.idle(channel, element.idle);
        return this.#timeMoved();
      case 'split':
        return this.#state.put(reservedKeyGroup, String(element.split), 0);
      case 'record':
        return this.#count(element.key, element.timestamp);
      case 'committable': {
        const { checkpointId, subtaskIndex } = element;
        const committable = { checkpointId, subtaskIndex, data: element.data };
        this.#committer.received(committable);
        return this.#state.put(reservedKeyGroup, (element.data as Transaction).id, committable as unknown as RowValue);
      }
    }
  }

  #endChannel(channel: number): void {
    this.#channelEnded[channel] = true;
    this.#want(this.#aligner.ended(channel));
    this.#valve.ended(channel);
    this.#specification.ended(channel);
    this.#timeMoved();
  }

  // ---- sources ---------------------------------------------------------------------------------------------------------

  #pollOwnInput(): boolean {
    const { process, outputs, input } = this.#parts;
    if (this.#world.nowMs < this.#nextPollMs) {
      this.#world.schedule(this.#nextPollMs - this.#world.nowMs, process, 'poll', () => this.wake());
      return false;
    }
    this.#nextPollMs = this.#world.nowMs + this.#random.between(1, this.#world.configuration.recordMsMax);
    if (this.#role === 'planner') {
      const next = (this.#state.get('next') as number | null) ?? 0;
      if (next === input.length) this.#ownInputEnded = true;
      else {
        outputs[next % outputs.length]?.write({ kind: 'split', split: next });
        this.#state.put(reservedKeyGroup, 'next', next + 1);
      }
      return true;
    }
    const open = this.#openSplits();
    if (open.length === 0) {
      this.#ownInputEnded = this.#channelEnded.every((ended) => ended);
      return this.#ownInputEnded;
    }
    this.#readRecord(this.#random.pick(open));
    return true;
  }

  #openSplits(): number[] {
    return this.#state.keys
      .map(Number)
      .filter((split) => (this.#state.get(String(split)) as number) < this.#split(split).length);
  }

  #split(split: number): readonly InputRecord[] {
    return this.#parts.input[split] ?? [];
  }

  #readRecord(split: number): void {
    const { outputs } = this.#parts;
    const { idleReaders, maxParallelism } = this.#world.configuration;
    if (idleReaders && this.#random.chance(0.2)) {
      this.#idle = !this.#idle;
      for (const channel of outputs) channel.write({ kind: 'idle', idle: this.#idle });
      return;
    }
    const position = this.#state.get(String(split)) as number;
    const { key, timestamp } = this.#split(split)[position] as InputRecord;
    const target = Math.floor((keyGroupOf(key, maxParallelism) * outputs.length) / maxParallelism);
    outputs[target]?.write({ kind: 'record', split, key, timestamp });
    this.#state.put(reservedKeyGroup, String(split), position + 1);
    this.#emitSourceWatermark();
  }

  /** The lowest time an unfinished split may still bring; nothing is known before all splits are. */
  #emitSourceWatermark(): void {
    if (!this.#channelEnded.every((ended) => ended)) return;
    let lowest = Number.POSITIVE_INFINITY;
    for (const split of this.#openSplits()) {
      const position = this.#state.get(String(split)) as number;
      const last = position === 0 ? Number.NEGATIVE_INFINITY : (this.#split(split)[position - 1]?.timestamp ?? 0);
      lowest = Math.min(lowest, last);
    }
    this.#emitWatermark(lowest);
  }

  #emitWatermark(watermark: number): void {
    if (watermark <= this.#watermark) return;
    this.#watermark = watermark;
    for (const channel of this.#parts.outputs) channel.write({ kind: 'watermark', watermark });
  }

  // ---- counter and writer ----------------------------------------------------------------------------------------------

  #count(key: string, timestamp: number): void {
    const { maxParallelism, idleReaders } = this.#world.configuration;
    const group = keyGroupOf(key, maxParallelism);
    const count = ((this.#state.get(`c|${key}`) as number | null) ?? 0) + 1;
    this.#state.put(group, `c|${key}`, count);
    this.#results.push(delivered(this.ref.vertexId, countResult(key, count)));
    if (idleReaders) return;
    const end = windowEndOf(timestamp);
    this.#world.check(
      end - 1 > this.#watermark,
      () => `record ${key}@${timestamp} came after watermark ${this.#watermark}`,
    );
    const row = `w|${end}|${key}`;
    this.#state.put(group, row, ((this.#state.get(row) as number | null) ?? 0) + 1);
  }

  #timeMoved(): void {
    if (this.#parts.inputs.length === 0) return;
    const { current, isIdle } = this.#valve;
    const specified = this.#specification.current;
    this.#world.check(
      current === specified.watermark && isIdle === specified.idle,
      () =>
        `merged watermark is ${current} (idle ${isIdle}), specified ${specified.watermark} (idle ${specified.idle})`,
    );
    if (this.#role !== 'counter' || current <= this.#watermark) return;
    this.#watermark = current;
    this.#fireWindows();
  }

  #fireWindows(): void {
    if (this.#world.configuration.idleReaders) return;
    for (const row of this.#state.keys) {
      if (!row.startsWith('w|')) continue;
      const [, end, key] = row.split('|') as [string, string, string];
      if (Number(end) - 1 > this.#watermark) continue;
      const result = windowResult(Number(end), key, this.#state.get(row) as number);
      this.#results.push(delivered(this.ref.vertexId, result));
      this.#state.put(keyGroupOf(key, this.#world.configuration.maxParallelism), row, null);
    }
  }

  /** Hands what was written since the last time to the committer. */
  #prepareCommit(checkpointId: number): void {
    this.#lastCheckpointId = checkpointId;
    if (this.#results.length === 0) return;
    const { attempt, outputs, ref } = this.#parts;
    const id = `${attempt}:${ref.subtaskIndex}:${this.#transactionCount++}`;
    const data: Transaction = { id, results: this.#results };
    this.#results = [];
    outputs[0]?.write({ kind: 'committable', checkpointId, subtaskIndex: ref.subtaskIndex, data });
  }

  // ---- end, snapshots, commits -----------------------------------------------------------------------------------------

  #endInput(): void {
    if (this.#role === 'counter') {
      this.#watermark = Number.POSITIVE_INFINITY;
      this.#fireWindows();
      this.#prepareCommit(this.#lastCheckpointId + 1);
    } else if (this.#role === 'reader') this.#emitWatermark(Number.POSITIVE_INFINITY);
    for (const channel of this.#parts.outputs) channel.write({ kind: 'end' });
    this.#phase = 'ended';
    this.#parts.host.inputEnded(this.ref);
  }

  #maybeFinish(): boolean {
    if (!this.#endComplete || this.#committing || this.#committer.pendingCount > 0) return false;
    this.#phase = 'finished';
    this.#parts.host.finished(this.ref);
    return false;
  }

  #takeSnapshot(decision: SnapshotDecision): void {
    this.#snapshotWanted = null;
    if (this.#role !== 'counter' || this.#phase === 'ended') return this.#freeze(decision.checkpointId);
    // A writer makes its output durable first; only this subtask waits.
    this.#suspended = true;
    this.#world.schedule(this.#random.between(0, 20), this.#parts.process, 'prepared', () => {
      this.#suspended = false;
      if (!this.isLive) return;
      this.#prepareCommit(decision.checkpointId);
      this.#freeze(decision.checkpointId);
      this.wake();
    });
  }

  #freeze(checkpointId: number): void {
    const afterEnd = this.#phase === 'ended';
    if (this.#role === 'committer') {
      this.#committer.freeze(checkpointId);
      this.#parts.sink.frozen(checkpointId, this.#committer.pending);
    }
    const blocks = this.#state.freeze(checkpointId);
    if (afterEnd && this.#endCheckpointId === 0) this.#endCheckpointId = checkpointId;
    if (!afterEnd) for (const channel of this.#parts.outputs) channel.write({ kind: 'barrier', checkpointId });
    const sourceRecords =
      this.#role === 'reader' ? this.#state.keys.reduce((sum, key) => sum + (this.#state.get(key) as number), 0) : 0;
    this.#parts.host.snapshot({ subtask: this.ref, checkpointId, afterEnd, blocks, sourceRecords });
  }

  #commit(batch: CommitBatch | null): void {
    if (batch === null) return;
    this.#committing = true;
    this.#parts.sink.commit(this.#parts.process, batch.committables, (error) => {
      if (!this.isLive) return;
      if (error !== null) {
        this.#world.schedule(50, this.#parts.process, 'commit again', () => {
          if (this.isLive) this.#commit(this.#committer.commitFailed());
        });
        return;
      }
      const { committed, next } = this.#committer.commitSucceeded();
      for (const { data } of committed) this.#state.put(reservedKeyGroup, (data as Transaction).id, null);
      this.#committing = next !== null;
      if (next !== null) return this.#commit(next);
      for (const then of this.#whenCommitted.splice(0)) then();
      this.wake();
    });
  }
}
