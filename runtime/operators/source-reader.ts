/**
 * Source reader: opens the splits it is given, hands on their records, and merges their watermarks.
 *
 * The position of a split is the record index within the last polled batch, so a snapshot is exact at any record. Which
 * reader owns a split is `split index % parallelism`, a pure function, so a restore at another parallelism only reads rows.
 *
 * Watermark: the smallest of all splits that have not ended and are not idle. A planned split that has no record yet holds it
 * at its declared lower bound, else at -∞, and so does the planner's channel until the first round of discovery is over;
 * otherwise the first records of a split would find their windows gone. A reader without splits holds back nothing.
 */
import { decodeValue } from '../../core/codec/value-codec.ts';
import type { SourceBatch, SourceReader, SplitCursor } from '../../core/connector/index.ts';
import type { PlainData } from '../../core/plain-data.ts';
import { maxWatermark, minWatermark } from '../../core/stream/batch.ts';
import { EngineError } from '../../core/errors.ts';
import { batchRecordsMax } from '../../core/stream/batch-builder.ts';
import { timestampMax } from '../../core/watermarks.ts';
import { ReservedRows } from '../state/reserved-rows.ts';
import type { AlignmentMember } from '../time/slot-alignment.ts';
import type { SourceTime } from '../time/split-time.ts';
import { connectorContext } from './connector-context.ts';
import type {
  Collector,
  Operator,
  OperatorContext,
  PollResult,
  RecordScope,
  RestoredRow,
  SnapshotTask,
} from './operator.ts';
import type { PlannedSplit } from './source-planner.ts';
import { ReadingSplit, splitOfRow, type SplitRow } from './reading-split.ts';
import { userError } from './user-code.ts';

const stateName = 'splits';
/** Records between two looks at the clock. */
const recordsPerClockRead = 64;

export class SourceReaderOperator implements Operator {
  readonly #context: OperatorContext<'source-reader'>;
  readonly #reader: SourceReader<unknown, unknown>;
  readonly #time: SourceTime;
  readonly #output: Collector;
  readonly #scope: RecordScope;
  readonly #rows: ReservedRows;
  readonly #openSplitsMax: number;
  readonly #isUnbounded: boolean;
  /** Splits that have not ended, in order of index. */
  #splits: ReadingSplit[] = [];
  /** Records of splits that have ended. */
  #endedRecords = 0;
  #planningDone = false;
  /** Its place in an alignment group; null without one. */
  readonly #member: AlignmentMember | null;
  #turn = 0;

  constructor(context: OperatorContext<'source-reader'>, time: SourceTime) {
    this.#context = context;
    this.#time = time;
    this.#output = context.output;
    this.#scope = context.scope;
    this.#reader = context.functions.source.createReader(connectorContext(context));
    this.#rows = new ReservedRows(context.node.id);
    this.#openSplitsMax = context.functions.source.openSplitsMax;
    this.#isUnbounded = context.functions.source.boundedness === 'unbounded';
    // The timestamps of the chain were built before: they have said what the author wants.
    this.#member = time.alignment === null ? null : time.slot.join(time.alignment, () => context.wake());
  }

  /** A split from the planner. */
  emit(value: unknown): void {
    const planned = value as PlannedSplit;
    this.#splits.push(new ReadingSplit(planned.index, planned.split, this.#floorOf(planned.split)));
  }

  restore(row: RestoredRow): void {
    if (row.value === null) return;
    const saved = decodeValue(row.value) as SplitRow;
    if (saved.index % this.#context.parallelism !== this.#context.subtaskIndex) return;
    const split = splitOfRow(saved, this.#floorOf(saved.split));
    this.#splits = this.#splits.filter((other) => other.index !== saved.index);
    this.#splits.push(split);
  }

  open(): Promise<void> {
    for (const split of this.#splits) if (split.ended) this.#endedRecords += split.records;
    this.#splits = this.#splits.filter((split) => !split.ended).sort((left, right) => left.index - right.index);
    return Promise.resolve();
  }

  /** The planner's channel has ended: no further split will come. */
  planningDone(): void {
    this.#planningDone = true;
  }

  /** Records handed on in all attempts of the job, by this subtask's splits. */
  get sourceRecords(): number {
    return this.#splits.reduce((sum, split) => sum + split.records, this.#endedRecords);
  }

  poll(deadlineMs: number): PollResult {
    this.#openSplits();
    this.#align();
    let progressed = false;
    const count = this.#splits.length;
    for (let step = 0; step < count; step++) {
      const split = this.#splits[(this.#turn + step) % count];
      if (split === undefined || split.cursor === null || split.pending || this.#isAhead(split)) continue;
      const result = this.#readSplit(split, deadlineMs);
      if (result === 'stop') {
        this.#turn = (this.#turn + step) % count;
        this.#align();
        return this.#context.hasRoom() ? 'more' : 'waiting';
      }
      progressed ||= result === 'read';
    }
    this.#turn = 0;
    this.#dropEnded();
    this.#align();
    if (this.#splits.length === 0) return this.#planningDone ? 'ended' : 'waiting';
    return progressed ? 'more' : 'waiting';
  }

  /**
   * The watermark of this reader and whether it is idle. A reader without splits is idle only when more may come: the end
   * of a bounded source holds the watermark where it is. Were it idle for the moment before its end, one consumer could see
   * the end while another, which still has results to emit, counts as idle and holds nothing back.
   * @param planning true until the first round of split discovery is over
   */
  sourceWatermark(planning: boolean): { watermarkMs: number; idle: boolean } {
    const mayIdle = !planning && this.#isUnbounded;
    if (!this.#time.assigned) return { watermarkMs: minWatermark, idle: mayIdle && this.#splits.length === 0 };
    if (planning) return { watermarkMs: minWatermark, idle: false };
    let watermarkMs = maxWatermark;
    let active = 0;
    for (const split of this.#splits) {
      if (split.ended || this.#isIdle(split)) continue;
      active++;
      watermarkMs = Math.min(watermarkMs, split.watermarkMs);
    }
    if (active > 0) return { watermarkMs, idle: false };
    return { watermarkMs: minWatermark, idle: mayIdle || this.#splits.some((split) => !split.ended) };
  }

  advanceWatermark(): boolean {
    return true;
  }

  freeze(checkpointId: number): SnapshotTask | null {
    for (const split of this.#splits) if (split.changed) this.#saveSplit(split);
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }

  checkpointAborted(): void {}

  async close(): Promise<void> {
    for (const split of this.#splits) await split.cursor?.close();
    await this.#reader.close();
  }

  #saveSplit(split: ReadingSplit): void {
    this.#rows.put(stateName, split.index, split.toRow(this.#generatorState(split)));
    split.changed = false;
  }

  /** An ended split needs none: nothing follows that could be late. */
  #generatorState(split: ReadingSplit): PlainData | undefined {
    if (split.ended) return undefined;
    try {
      return split.time.generatorState();
    } catch (error) {
      this.#context.fail(userError(this.#context, `the snapshot of a watermark generator failed`, error));
      return undefined;
    }
  }

  #openSplits(): void {
    let open = 0;
    for (const split of this.#splits) {
      if (split.ended) continue;
      if (++open > this.#openSplitsMax) return;
      if (split.cursor !== null || split.opening) continue;
      split.opening = true;
      this.#reader.openSplit(split.split, split.position).then(
        (cursor) => this.#opened(split, cursor),
        (error: unknown) => this.#context.fail(error),
      );
    }
  }

  #opened(split: ReadingSplit, cursor: SplitCursor<unknown>): void {
    split.opening = false;
    split.cursor = cursor;
    split.started = true;
    split.changed = true;
    split.lastRecordAtMs = this.#context.nowMs();
    this.#context.wake();
  }

  /** Tells the group how far the slowest split is that is read, or will be as soon as it is open. */
  #align(): void {
    if (this.#member === null) return;
    let slowestMs = Number.POSITIVE_INFINITY;
    for (const split of this.#splits) {
      const counts = !split.ended && (split.cursor !== null || split.opening) && !this.#isIdle(split);
      if (counts) slowestMs = Math.min(slowestMs, split.watermarkMs);
    }
    this.#member.progressed(slowestMs);
  }

  /** True when the split has to wait for slower ones of its group. It is not idle meanwhile (FLINK-35886). */
  #isAhead(split: ReadingSplit): boolean {
    const member = this.#member;
    if (member === null || split.watermarkMs <= member.limitMs) return false;
    split.lastRecordAtMs = this.#context.nowMs();
    member.pause();
    return true;
  }

  /** Hands on records of one split: `stop` when time or room ran out, `read` when there may be more, `dry` when not now. */
  #readSplit(split: ReadingSplit, deadlineMs: number): 'stop' | 'read' | 'dry' {
    const cursor = split.cursor as SplitCursor<unknown>;
    this.#time.current = split.time;
    if (split.batch === null || split.next >= split.batch.values.length) {
      this.#leaveBatch(split, cursor);
      const batch = cursor.ended ? null : cursor.poll(batchRecordsMax);
      if (batch === null) return this.#ranDry(split, cursor);
      if (batch.timestamps !== null && !this.#time.assigned) this.#checkTimes(split, batch.timestamps);
      split.batch = batch;
      split.next = 0;
    }
    const { batch } = split;
    const finished = this.#emitBatch(split, batch, deadlineMs);
    if (!finished) return 'stop';
    if (batch.watermarkMs !== undefined) this.#takeWatermark(split, batch.watermarkMs);
    if (cursor.ended) this.#ranDry(split, cursor);
    return 'read';
  }

  /** The source says itself how far its time is. */
  #takeWatermark(split: ReadingSplit, watermarkMs: number): void {
    this.#time.assigned = true;
    if (watermarkMs > split.time.watermarkMs) split.time.watermarkMs = watermarkMs;
  }

  /** Without `withTimestamps` the times of the source go to windows as they are: those that no window can hold end here. */
  #checkTimes(split: ReadingSplit, timestamps: Float64Array): void {
    const bad = timestamps.find((time) => Math.abs(time) > timestampMax);
    if (bad === undefined) return;
    const { id } = this.#context.node;
    const name = this.#context.functions.source.splitId(split.split);
    const message = `source '${id}' gave a record of split '${name}' the timestamp ${bad}, more than ${timestampMax} ms from the epoch: correct it there, or call withTimestamps(..) with onBadTimestamp`;
    this.#context.fail(
      new EngineError('USER_FUNCTION_FAILED', message, { domain: 'external', ids: { operator: id, split: name } }),
    );
  }

  /** The position after a batch is asked before the next poll: afterwards it would be that of another batch. */
  #leaveBatch(split: ReadingSplit, cursor: SplitCursor<unknown>): void {
    if (split.batch === null) return;
    // Not when it was polled: a batch that waited long for room was not idle (FLINK-35886).
    split.lastRecordAtMs = this.#context.nowMs();
    split.position = cursor.position(split.next);
    split.batch = null;
    split.next = 0;
  }

  /** Emits from `split.next` on; false when time or room ran out before the end of the batch. */
  #emitBatch(split: ReadingSplit, batch: SourceBatch<unknown>, deadlineMs: number): boolean {
    const { values, timestamps } = batch;
    const scope = this.#scope;
    const output = this.#output;
    const context = this.#context;
    const first = split.next;
    let next = first;
    scope.rowKind = 0;
    split.changed = true;
    const member = this.#member;
    this.#time.sourceTimestampMs = Number.NaN;
    while (next < values.length && context.hasRoom()) {
      if (member !== null && split.watermarkMs > member.limitMs) break;
      if ((next - first) % recordsPerClockRead === recordsPerClockRead - 1 && performance.now() > deadlineMs) break;
      if (timestamps !== null) {
        const { watermarkMs } = split.time;
        scope.timestamp = timestamps[next];
        scope.splitWatermark = scope.timestamp <= watermarkMs ? watermarkMs : Number.NaN;
        this.#time.sourceTimestampMs = scope.timestamp;
      } else {
        // `withTimestamps` gave the record before a time: what fails before it gets there must not have that.
        scope.timestamp = Number.NaN;
        scope.splitWatermark = Number.NaN;
      }
      output.emit(values[next]);
      next++;
    }
    split.next = next;
    split.records += next - first;
    context.metrics.recordsIn += next - first;
    return next >= values.length;
  }

  #ranDry(split: ReadingSplit, cursor: SplitCursor<unknown>): 'dry' {
    if (cursor.ended) {
      split.position = split.batch === null ? split.position : cursor.position(split.next);
      split.ended = true;
      split.changed = true;
      return 'dry';
    }
    split.pending = true;
    cursor.ready().then(
      () => {
        split.pending = false;
        this.#context.wake();
      },
      (error: unknown) => this.#context.fail(error),
    );
    return 'dry';
  }

  /** Nothing to read for the idle timeout. A split that has records it may not hand on (no room) is not idle. */
  #isIdle(split: ReadingSplit): boolean {
    const idleTimeoutMs = this.#time.idleTimeoutMs;
    if (idleTimeoutMs === null || !split.pending) return false;
    const idleAtMs = split.lastRecordAtMs + idleTimeoutMs;
    if (this.#context.nowMs() >= idleAtMs) return true;
    // Asked for whenever it is looked at: of several requests only the earliest is kept.
    this.#context.wakeAt(idleAtMs);
    return false;
  }

  #floorOf(split: unknown): number {
    const lowerBoundMs = this.#context.functions.source.splitLowerBoundMs?.(split) ?? minWatermark;
    return Number.isFinite(lowerBoundMs) ? lowerBoundMs - 1 : minWatermark;
  }

  #dropEnded(): void {
    const ended = this.#splits.filter((split) => split.ended);
    if (ended.length === 0) return;
    for (const split of ended) {
      this.#saveSplit(split);
      this.#endedRecords += split.records;
      void split.cursor?.close().catch((error: unknown) => this.#context.fail(error));
    }
    this.#splits = this.#splits.filter((split) => !split.ended);
    this.#context.wake();
  }
}
