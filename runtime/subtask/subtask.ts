/**
 * A subtask: one parallel instance of an operator chain, advanced in steps by the slot loop. One step does what it can
 * within its time and room and keeps its cursor (record in the batch, watermark to hand on, timers to fire) for the next.
 *
 * Way of a record: channel → batch → head operator → chained operators → record writers → channel. Way of a barrier:
 * channel → aligner → `prepareSnapshot` of sinks (only this subtask waits) → `freeze` of every operator → writers; the
 * frozen rows are encoded later, in slices, by the slot (`snapshot-encoder.ts`).
 *
 * End of input: all channels ended and the head is exhausted → final watermark → `endInput` of sinks → `end` to the
 * outputs → acknowledges barriers until a checkpoint that followed its end completes → finished.
 *
 * Architecture invariant: between two steps the state of every operator is consistent: a snapshot may be taken there and
 * nowhere else.
 */
import type { OperatorKind } from '../../core/operators.ts';
import { type Barrier, type Batch, maxWatermark, minWatermark, type StreamElement } from '../../core/stream/batch.ts';
import { BarrierAligner, type SnapshotDecision } from '../checkpoint/barrier-aligner.ts';
import type { DeferringHead, Operator, OperatorMetrics, RecordScope, SnapshotTask } from '../operators/operator.ts';
import { type ValveLayout, WatermarkValve } from '../time/watermark-valve.ts';
import { type Alarm, closeTimeoutMs, withinCloseLimit } from './close-limit.ts';
import type { MetricsRows } from './metrics-rows.ts';
import { type InputChannel, InputGate } from './input-gate.ts';
import { OutputOverrun } from './output-overrun.ts';
import type { RecordWriter } from './record-writer.ts';

/** `ready`: run me again; `waiting`: nothing to do until `wake`. */
export type StepResult = 'ready' | 'waiting';

export interface SubtaskId {
  readonly vertexId: string;
  readonly subtaskIndex: number;
}

/** What one subtask contributes to a checkpoint, before it is encoded. */
export interface SubtaskSnapshot {
  readonly checkpointId: number;
  readonly subtask: SubtaskId;
  readonly tasks: readonly { operatorId: string; task: SnapshotTask }[];
  readonly afterEnd: boolean;
  readonly alignmentMs: number;
  readonly sourceRecords: number;
}

/** What a subtask needs of the slot it runs in. */
export interface SubtaskHost {
  wake(): void;
  wakeAt(timestampMs: number): void;
  /** The attempt fails. */
  failed(error: unknown): void;
  inputEnded(): void;
  finished(): void;
  snapshot(snapshot: SubtaskSnapshot): void;
  /** The side input has been read to its end. */
  sideRead(): void;
  nowMs(): number;
  readonly alarm: Alarm;
}

export interface ChainedOperator {
  readonly operatorId: string;
  readonly kind: OperatorKind;
  readonly operator: Operator;
  readonly metrics: OperatorMetrics;
  readonly metricsRows: MetricsRows;
}

export interface SubtaskParts {
  readonly id: SubtaskId;
  readonly host: SubtaskHost;
  readonly scope: RecordScope;
  readonly chain: readonly ChainedOperator[];
  readonly inputs: readonly InputChannel[];
  /** Which inputs wake and end together; absent: every one for itself. */
  readonly valveLayout?: ValveLayout;
  readonly writers: readonly RecordWriter[];
  readonly bufferTimeoutMs: number;
  /** Most that one record may emit beyond the room there is. */
  readonly emitPerRecordMaxBytes: number;
  /** Longest that one operator may take to close; the engine's limit unless given. */
  readonly closeTimeoutMs?: number;
}

/** Source heads: their own watermark, and records handed on so far. */
interface SourceHead {
  sourceWatermark(planning: boolean): { watermarkMs: number; idle: boolean };
  readonly sourceRecords: number;
  planningDone(): void;
}

type Phase = 'running' | 'final-watermark' | 'ending' | 'ended' | 'finished' | 'failed';

const recordsPerClockRead = 64;

export class Subtask {
  readonly id: SubtaskId;
  readonly chain: readonly ChainedOperator[];
  readonly #host: SubtaskHost;
  readonly #scope: RecordScope;
  readonly #head: Operator;
  readonly #sourceHead: SourceHead | null;
  readonly #deferring: DeferringHead | null;
  readonly #gate: InputGate;
  readonly #aligner: BarrierAligner;
  readonly #valve: WatermarkValve;
  readonly #writers: readonly RecordWriter[];
  readonly #roomOperators: readonly Operator[];
  /** Operators that may keep a record handled in part, the last of the chain first. */
  readonly #resumable: readonly Operator[];
  readonly #overrun: OutputOverrun;
  readonly #bufferTimeoutMs: number;
  readonly #closeTimeoutMs: number;
  #phase: Phase = 'running';
  /** An asynchronous part (prepareSnapshot, endInput) is under way. */
  #suspended = false;
  #blocked = false;
  #batch: Batch | null = null;
  #batchInput = 0;
  #next = 0;
  #preparedUntil = 0;
  /** Watermark being handed on; NaN when none. */
  #advancing = Number.NaN;
  /** Watermark handed on last. */
  #watermark = minWatermark;
  /** Told to the outputs. */
  #idle = false;
  /** To be told when the watermark under way has been handed on. */
  #idleDue = false;
  #sourceEnded = false;
  #snapshotWanted: SnapshotDecision | null = null;
  readonly #barriers = new Map<number, Barrier>();
  #alignmentStartMs = 0;
  /** First checkpoint taken after the end; 0 when none. */
  #endCheckpointId = 0;
  /** The job stops with this checkpoint; null while it does not stop. */
  #stopAfter: number | null = null;
  /** The job stops and the snapshot is taken: a source hands on nothing more. */
  #halted = false;
  /** A source is to end, whatever it could still read. */
  #draining = false;
  /** Checkpoint this subtask took its last snapshot for. */
  #frozenId = 0;
  #endCheckpointComplete = false;
  #processingTimeDue = Number.POSITIVE_INFINITY;
  #closing: Promise<void> | null = null;

  constructor(parts: SubtaskParts) {
    this.id = parts.id;
    this.chain = parts.chain;
    this.#host = parts.host;
    this.#scope = parts.scope;
    this.#head = parts.chain[0].operator;
    this.#sourceHead = 'sourceWatermark' in this.#head ? (this.#head as unknown as SourceHead) : null;
    this.#deferring = 'handOn' in this.#head ? (this.#head as unknown as DeferringHead) : null;
    this.#writers = parts.writers;
    this.#bufferTimeoutMs = parts.bufferTimeoutMs;
    this.#closeTimeoutMs = parts.closeTimeoutMs ?? closeTimeoutMs;
    this.#roomOperators = parts.chain.map((link) => link.operator).filter((operator) => 'hasRoom' in operator);
    this.#resumable = parts.chain
      .map((link) => link.operator)
      .filter((operator) => operator.resume !== undefined)
      .reverse();
    this.#overrun = new OutputOverrun(parts.emitPerRecordMaxBytes, parts.chain);
    this.#aligner = new BarrierAligner(parts.inputs.length, { hasOwnInput: this.#head.poll !== undefined });
    this.#valve = new WatermarkValve(parts.inputs.length, parts.valveLayout);
    const sideFirst = this.#head.endSide !== undefined;
    this.#gate = new InputGate(parts.inputs, sideFirst, (channel) => this.#aligner.isBlocked(channel));
  }

  get watermark(): number {
    return this.#watermark;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Why the subtask does nothing now; for the busy / idle / back-pressured metrics. */
  get backPressured(): boolean {
    return this.#blocked;
  }

  get sourceRecords(): number {
    return this.#sourceHead?.sourceRecords ?? 0;
  }

  /** Records of the main input; for a source those it handed on, in all attempts. */
  get recordsIn(): number {
    return this.#sourceHead === null ? this.chain[0].metrics.recordsIn : this.#sourceHead.sourceRecords;
  }

  /** True when the side input, if there is one, has been read: the subtask may be reported running. */
  get sidesRead(): boolean {
    return !this.#gate.sideFirst;
  }

  /** Channels of vertices that are not started again count as ended from the beginning. */
  async open(): Promise<void> {
    for (const link of this.chain) {
      link.metricsRows.open();
      await link.operator.open();
    }
    this.#gate.channels.forEach((channel, index) => {
      if (channel.ended) this.#channelEnded(index);
    });
    if (this.#gate.sideFirst && this.#gate.sideEnded) this.#endSide();
    if (this.#gate.allEnded) this.#sourceHead?.planningDone();
  }

  /** True when every writer and sink can take what one more record may emit. */
  hasRoom(): boolean {
    return !this.#blocked;
  }

  blockOutput(): void {
    this.#blocked = true;
  }

  /** An operator handed on `bytes` although there was no room; false when the attempt has failed. */
  overran(operatorId: string, bytes: number): boolean {
    const failure = this.#overrun.add(operatorId, bytes);
    if (failure !== null) this.fail(failure);
    return this.#phase !== 'failed';
  }

  fail(error: unknown): void {
    if (this.#phase === 'failed') return;
    this.#phase = 'failed';
    this.#blocked = true;
    for (const { operator } of this.chain) for (const gate of operator.gates ?? []) gate.attemptFailed();
    this.#host.failed(error);
  }

  wakeAt(timestampMs: number): void {
    if (timestampMs >= this.#processingTimeDue) return;
    this.#processingTimeDue = timestampMs;
    this.#host.wakeAt(timestampMs);
  }

  /**
   * The job manager has triggered a checkpoint: sources, and subtasks whose inputs have all ended, start it here.
   * @param stop a source hands on nothing after its snapshot, so that the checkpoint covers all there is
   */
  trigger(barrier: Barrier, stop = false): void {
    if (this.#phase === 'finished' || this.#phase === 'failed') return;
    if (stop) this.#stopAfter = barrier.checkpointId;
    // The barrier may have come over a channel before this message.
    this.#halted ||= stop && this.#frozenId === barrier.checkpointId;
    this.#barriers.set(barrier.checkpointId, barrier);
    this.#wantSnapshot(this.#aligner.announced(barrier.checkpointId));
  }

  /** A source hands on nothing more and ends, as if its input had: windows fire. Of no effect on others. */
  drain(): void {
    this.#draining = true;
  }

  completed(checkpointId: number): void {
    if (this.#phase === 'finished' || this.#phase === 'failed') return;
    for (const link of this.chain) {
      link.operator.checkpointCompleted(checkpointId);
      link.metricsRows.checkpointCompleted(checkpointId);
    }
    if (this.#endCheckpointId !== 0 && checkpointId >= this.#endCheckpointId) this.#endCheckpointComplete = true;
    this.#host.wake();
  }

  aborted(checkpointId: number): void {
    if (this.#phase === 'finished' || this.#phase === 'failed') return;
    if (this.#stopAfter === checkpointId) {
      this.#stopAfter = null;
      this.#halted = false;
    }
    this.#aligner.aborted(checkpointId);
    if (this.#snapshotWanted?.checkpointId === checkpointId) this.#snapshotWanted = null;
    for (const link of this.chain) link.operator.checkpointAborted(checkpointId);
    this.#host.wake();
  }

  /** Closes every operator; the first error wins, all are closed. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  /** @param deadlineMs of `performance.now()` */
  step(deadlineMs: number): StepResult {
    if (this.#suspended || this.#phase === 'finished' || this.#phase === 'failed') return 'waiting';
    const startMs = performance.now();
    this.#blocked = this.#lacksRoom();
    this.#overrun.begin();
    for (const writer of this.#writers) writer.flushOlderThan(startMs, this.#bufferTimeoutMs);
    const result = this.#work(deadlineMs);
    if (result === 'waiting' && this.#acceptsFlush()) for (const writer of this.#writers) writer.flush();
    if (result === 'waiting' && this.#processingTimeDue !== Number.POSITIVE_INFINITY) this.#askAgain();
    return result;
  }

  /**
   * The slot has one alarm per subtask, the earliest asked for. A step may handle what it is for before it rings and ask for
   * a later time, which the slot then ignores: said again here. A time that has passed waits for room, which wakes by itself.
   */
  #askAgain(): void {
    if (this.#processingTimeDue > this.#host.nowMs()) this.#host.wakeAt(this.#processingTimeDue);
  }

  #acceptsFlush(): boolean {
    return this.#phase !== 'failed' && this.#phase !== 'ended' && this.#phase !== 'finished';
  }

  #lacksRoom(): boolean {
    for (const writer of this.#writers) if (!writer.hasRoom) return true;
    for (const operator of this.#roomOperators) if (operator.hasRoom === false) return true;
    return false;
  }

  /** Does one thing after the other until time is up, room is out, or nothing is left. */
  #work(deadlineMs: number): StepResult {
    for (;;) {
      if (this.#phase === 'failed' || this.#suspended) return 'waiting';
      if (this.#snapshotWanted !== null && !this.#insideElement() && !this.#mayLeave()) {
        this.#takeSnapshot(this.#snapshotWanted);
        continue;
      }
      // After the end nothing is emitted: a receiver that has left grants no more credit, and must not be waited for.
      const progress = this.#blocked && this.#phase !== 'ended' ? 'stuck' : this.#progress(deadlineMs);
      if (progress === 'stuck') return 'waiting';
      if (performance.now() >= deadlineMs) return 'ready';
    }
  }

  /**
   * True while an input element is handled only in part: a barrier that came behind it is not due yet. Sources and ended
   * subtasks take snapshots on announcement, with their own cursors, at any step boundary.
   */
  #insideElement(): boolean {
    return this.#batch !== null || this.#hasRemainder();
  }

  #hasRemainder(): boolean {
    for (const operator of this.#resumable) if (operator.pending === true) return true;
    return false;
  }

  /** Goes on with records handled in part, the operator furthest down first: what it has was emitted first. */
  #resume(): 'done' {
    for (const operator of this.#resumable) {
      if (operator.pending !== true) continue;
      operator.resume?.();
      break;
    }
    return 'done';
  }

  #progress(deadlineMs: number): 'done' | 'stuck' {
    if (this.#resumable.length > 0 && this.#hasRemainder()) return this.#resume();
    if (this.#advancing === this.#advancing) return this.#advance();
    if (this.#processingTimeDue <= this.#host.nowMs()) return this.#advanceProcessingTime();
    if (this.#deferring?.ready === true) return this.#handOn(this.#deferring);
    if (this.#batch !== null) {
      // Only records wait for a full head: without a batch in hand barriers and watermarks are still taken.
      this.#blocked ||= this.#deferring?.full === true;
      return this.#blocked ? 'stuck' : this.#processBatch(this.#batch, deadlineMs);
    }
    if (this.#phase === 'ended') return this.#maybeFinish();
    if (this.#phase === 'final-watermark') return this.#endOutputs();
    const element = this.#gate.poll();
    if (element !== null) {
      this.#accept(element, this.#gate.lastChannel);
      return 'done';
    }
    return this.#pollHead(deadlineMs);
  }

  #accept(element: StreamElement, channel: number): void {
    switch (element.kind) {
      case 'batch':
        this.#batch = element.batch;
        this.#batchInput = channel;
        this.#next = 0;
        this.#preparedUntil = this.#head.prepare === undefined ? element.batch.length : 0;
        return;
      case 'barrier':
        this.#barriers.set(element.barrier.checkpointId, element.barrier);
        if (this.#alignmentStartMs === 0) this.#alignmentStartMs = performance.now();
        this.#wantSnapshot(this.#aligner.barrier(channel, element.barrier.checkpointId));
        return;
      case 'idle':
        this.#valve.idle(channel, element.idle);
        this.#valveMoved();
        return;
      case 'end':
        this.#gate.markEnded(channel);
        this.#channelEnded(channel);
        return;
    }
  }

  #channelEnded(channel: number): void {
    this.#wantSnapshot(this.#aligner.ended(channel));
    this.#valve.ended(channel);
    if (this.#gate.sideFirst && this.#gate.sideEnded) this.#endSide();
    if (this.#gate.allEnded) this.#sourceHead?.planningDone();
    else this.#valveMoved();
  }

  #endSide(): void {
    this.#gate.sideFirst = false;
    this.#head.endSide?.();
    this.#host.sideRead();
  }

  /** Records of the batch from the cursor on, then its watermark. */
  #processBatch(batch: Batch, deadlineMs: number): 'done' | 'stuck' {
    const { input } = this.#gate.channels[this.#batchInput];
    const isSide = input === 1 && this.#head.endSide !== undefined;
    if (this.#next < batch.length) {
      if (this.#next >= this.#preparedUntil) {
        const prepared = (this.#head.prepare as NonNullable<Operator['prepare']>)(batch, this.#next, input);
        if (prepared === 0) return 'stuck';
        this.#preparedUntil = this.#next + prepared;
      }
      if (isSide) this.#processSide(batch);
      else if (input === 1) this.#processSecond(batch, deadlineMs);
      else this.#processRecords(batch, deadlineMs);
      if (this.#next < batch.length) return this.#blocked ? 'stuck' : 'done';
    }
    this.#batch = null;
    if (batch.watermark !== minWatermark && !isSide) {
      this.#valve.watermark(this.#batchInput, batch.watermark);
      this.#valveMoved();
    }
    return 'done';
  }

  #processRecords(batch: Batch, deadlineMs: number): void {
    const { values, timestamps, splitWatermarks, rowKinds } = batch;
    const scope = this.#scope;
    const head = this.#head;
    const end = this.#preparedUntil;
    const first = this.#next;
    let next = first;
    while (next < end && !this.#blocked) {
      if ((next - first) % recordsPerClockRead === recordsPerClockRead - 1 && performance.now() > deadlineMs) break;
      scope.timestamp = timestamps === null ? Number.NaN : timestamps[next];
      scope.splitWatermark = splitWatermarks === null ? Number.NaN : splitWatermarks[next];
      scope.rowKind = rowKinds === null ? 0 : rowKinds[next];
      head.emit(values[next]);
      next++;
    }
    this.#next = next;
    this.chain[0].metrics.recordsIn += next - first;
  }

  /** As `#processRecords`, for input 1; a loop of its own, so that each has one call site of the head. */
  #processSecond(batch: Batch, deadlineMs: number): void {
    const { values, timestamps, splitWatermarks, rowKinds } = batch;
    const scope = this.#scope;
    const head = this.#head as Operator & Required<Pick<Operator, 'emitSecond'>>;
    const end = this.#preparedUntil;
    const first = this.#next;
    let next = first;
    while (next < end && !this.#blocked) {
      if ((next - first) % recordsPerClockRead === recordsPerClockRead - 1 && performance.now() > deadlineMs) break;
      scope.timestamp = timestamps === null ? Number.NaN : timestamps[next];
      scope.splitWatermark = splitWatermarks === null ? Number.NaN : splitWatermarks[next];
      scope.rowKind = rowKinds === null ? 0 : rowKinds[next];
      head.emitSecond(values[next]);
      next++;
    }
    this.#next = next;
    this.chain[0].metrics.recordsIn += next - first;
  }

  #processSide(batch: Batch): void {
    while (this.#next < batch.length) this.#head.emitSide?.(batch.values[this.#next++]);
  }

  /** Takes over what the valve says; a source head has a watermark of its own. */
  #valveMoved(): void {
    if (this.#sourceHead !== null) return;
    const { current, isIdle } = this.#valve;
    if (this.#deferring === null) this.#handOnTime(current, isIdle);
    else this.#deferring.takeTime(current, isIdle);
  }

  /** What a deferring head held back: its records, then the time behind them. */
  #handOn(head: DeferringHead): 'done' {
    const time = head.handOn();
    if (time !== null) this.#handOnTime(time.watermark, time.idle);
    return 'done';
  }

  /**
   * Idleness is told only after the watermark before it: consumers that see all their channels idle go on to the largest
   * watermark, and results that are still to be emitted for a smaller one would find their windows gone. That there are
   * records again is told at once.
   */
  #handOnTime(watermark: number, idle: boolean): void {
    if (watermark > this.#watermark) this.#advancing = watermark;
    this.#idleDue = idle;
    if (!idle || !this.#hasWork()) this.#tellIdle(idle);
  }

  #tellIdle(idle: boolean): void {
    if (idle === this.#idle) return;
    this.#idle = idle;
    for (const writer of this.#writers) writer.idle(idle);
  }

  #advance(): 'done' | 'stuck' {
    const watermark = this.#advancing;
    for (const link of this.chain) {
      if (!link.operator.advanceWatermark(watermark)) return 'stuck';
    }
    // What firing emitted may wait in the chain: the watermark stays behind it.
    if (this.#hasRemainder()) return 'stuck';
    this.#advancing = Number.NaN;
    this.#watermark = watermark;
    for (const writer of this.#writers) writer.setWatermark(watermark);
    this.#tellIdle(this.#idleDue);
    return 'done';
  }

  #advanceProcessingTime(): 'done' | 'stuck' {
    const due = this.#processingTimeDue;
    this.#processingTimeDue = Number.POSITIVE_INFINITY;
    if (this.#head.advanceProcessingTime?.(this.#host.nowMs()) === false) {
      this.#processingTimeDue = due;
      return 'stuck';
    }
    return 'done';
  }

  #pollHead(deadlineMs: number): 'done' | 'stuck' {
    const head = this.#head;
    if (this.#halted) return 'stuck';
    if (head.poll !== undefined && !this.#sourceEnded) {
      const result = this.#draining ? 'ended' : head.poll(deadlineMs);
      if (this.#sourceHead !== null) this.#sourceTime(this.#sourceHead);
      if (result === 'ended') this.#sourceEnded = true;
      else return result === 'more' ? 'done' : this.#hasWork() ? 'done' : 'stuck';
    }
    if (!this.#gate.allEnded || (head.poll !== undefined && !this.#sourceEnded)) return 'stuck';
    if (this.#deferring?.drained === false) return 'stuck';
    this.#phase = 'final-watermark';
    this.#handOnTime(maxWatermark, false);
    return 'done';
  }

  #hasWork(): boolean {
    return this.#advancing === this.#advancing;
  }

  #sourceTime(head: SourceHead): void {
    const planning = !this.#gate.allEnded && !this.#valve.isIdle;
    const { watermarkMs, idle } = head.sourceWatermark(planning);
    this.#handOnTime(watermarkMs, idle);
  }

  /** The final watermark was handled: sinks do their last work, then the outputs end. */
  #endOutputs(): 'done' {
    this.#phase = 'ending';
    this.#suspend(this.#endInputs(), () => {
      for (const writer of this.#writers) writer.end();
      this.#phase = 'ended';
      this.#host.inputEnded();
    });
    return 'done';
  }

  async #endInputs(): Promise<void> {
    for (const link of this.chain) await link.operator.endInput?.();
  }

  /**
   * The checkpoint of its end is complete and nothing is left to do. It leaves before it takes part in another one: with those
   * coming one after the other it would never get to it.
   */
  #mayLeave(): boolean {
    if (this.#phase !== 'ended' || !this.#endCheckpointComplete) return false;
    return this.chain.every((link) => link.operator.settled !== false);
  }

  #maybeFinish(): 'stuck' {
    if (!this.#mayLeave()) return 'stuck';
    this.#suspend(this.close(), () => {
      this.#phase = 'finished';
      this.#host.finished();
    });
    return 'stuck';
  }

  #wantSnapshot(request: SnapshotDecision | null): void {
    if (request === null) return;
    this.#snapshotWanted = request;
    this.#host.wake();
  }

  #takeSnapshot(request: SnapshotDecision): void {
    this.#snapshotWanted = null;
    const preparing = this.chain.filter((link) => link.operator.prepareSnapshot !== undefined);
    if (preparing.length === 0) {
      this.#freeze(request);
      return;
    }
    this.#suspend(this.#prepare(preparing, request), () => this.#freeze(request));
  }

  async #prepare(links: readonly ChainedOperator[], request: SnapshotDecision): Promise<void> {
    for (const link of links) await link.operator.prepareSnapshot?.(request.checkpointId, this.#phase === 'ended');
  }

  #freeze(request: SnapshotDecision): void {
    const { checkpointId } = request;
    const afterEnd = this.#phase === 'ended';
    this.#frozenId = checkpointId;
    this.#halted ||= this.#stopAfter === checkpointId;
    const tasks: { operatorId: string; task: SnapshotTask }[] = [];
    for (const link of this.chain) {
      for (const task of [link.operator.freeze(checkpointId), link.metricsRows.freeze(checkpointId)]) {
        if (task !== null) tasks.push({ operatorId: link.operatorId, task });
      }
    }
    if (afterEnd && this.#endCheckpointId === 0) this.#endCheckpointId = checkpointId;
    const barrier = this.#barriers.get(checkpointId);
    if (!afterEnd && barrier !== undefined) for (const writer of this.#writers) writer.barrier(barrier);
    for (const id of this.#barriers.keys()) if (id <= checkpointId) this.#barriers.delete(id);
    const alignmentMs = this.#alignmentStartMs === 0 ? 0 : Math.round(performance.now() - this.#alignmentStartMs);
    this.#alignmentStartMs = 0;
    const sourceRecords = this.sourceRecords;
    this.#host.snapshot({ checkpointId, subtask: this.id, tasks, afterEnd, alignmentMs, sourceRecords });
  }

  /** Runs an asynchronous part; only this subtask waits for it. */
  #suspend(work: Promise<void>, then: () => void): void {
    this.#suspended = true;
    work.then(
      () => {
        this.#suspended = false;
        if (this.#phase === 'failed') return;
        then();
        this.#host.wake();
      },
      (error: unknown) => this.fail(error),
    );
  }

  async #closeAll(): Promise<void> {
    let failure: { error: unknown } | null = null;
    for (const link of this.chain) {
      try {
        await withinCloseLimit(link.operator.close(), link.operatorId, this.#closeTimeoutMs, this.#host.alarm);
      } catch (error) {
        // The others must be closed all the same; the first error is reported below.
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }
}
