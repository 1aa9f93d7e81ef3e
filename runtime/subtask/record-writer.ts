/**
 * The writers at the end of a chain: one per outgoing edge. Each collects records into batches, one under construction per
 * target, and decides by its partitioner where a record goes.
 *
 * A batch is handed on when it is full, when the subtask has nothing to do, before a barrier, and when it has waited for
 * the buffer timeout. Watermarks ride at the end of the batch under construction and never cut it. Full is a number of
 * records or, by the sizes of a few of them, of bytes.
 */
import { keyGroupOf } from '../../core/codec/key-hash.ts';
import { subtaskOfKeyGroup } from '../../core/key-groups.ts';
import { assertNever, EngineError } from '../../core/errors.ts';
import type { Partitioner } from '../../core/graph/job-graph.ts';
import type { CustomPartition, Key } from '../../core/operators.ts';
import type { Barrier } from '../../core/stream/batch.ts';
import { BatchBuilder, batchRecordsMax } from '../../core/stream/batch-builder.ts';
import type { ChannelWriter } from '../exchange/channel.ts';
import { approximateRecordBytes } from '../exchange/record-size.ts';
import type { AnyOperatorContext, Collector, OperatorMetrics, RecordScope } from '../operators/operator.ts';

/** What a writer needs of its subtask. */
export interface WriterHost {
  readonly scope: RecordScope;
  readonly metrics: OperatorMetrics;
  /** A channel is out of credit: stop before the next head record. */
  blockOutput(): void;
  /** About `bytes` were handed to a channel that was out of credit. */
  overran(bytes: number): void;
  /** Fails the attempt; does not throw. */
  fail(error: unknown): void;
  /** True when the attempt has failed: what is still emitted is dropped. */
  readonly failed: boolean;
}

/** Estimated bytes of a full batch. */
export const batchFullBytes = 256 * 1024;
/** A batch is looked at when it has one record, and again whenever it has grown by this factor or by this many. */
const lookFactor = 4;
const lookEvery = 128;

export abstract class RecordWriter implements Collector {
  protected readonly scope: RecordScope;
  protected readonly metrics: OperatorMetrics;
  protected readonly channels: readonly ChannelWriter[];
  protected readonly builders: readonly BatchBuilder[];
  readonly #host: WriterHost;
  /** `performance.now()` of the oldest record or watermark not handed on; 0 when none. */
  #waitingSinceMs = 0;
  /** Per target: records at which the batch under construction is looked at. */
  readonly #lookAt: Int32Array;
  /** Per target: largest record seen in the batch under construction, in bytes. */
  readonly #recordBytes: Float64Array;

  constructor(host: WriterHost, channels: readonly ChannelWriter[]) {
    this.#host = host;
    this.scope = host.scope;
    this.metrics = host.metrics;
    this.channels = channels;
    this.builders = channels.map(() => new BatchBuilder());
    this.#lookAt = new Int32Array(channels.length).fill(1);
    this.#recordBytes = new Float64Array(channels.length);
  }

  abstract emit(value: unknown): void;

  /** True when every channel has credit. */
  get hasRoom(): boolean {
    for (const channel of this.channels) if (!channel.hasRoom) return false;
    return true;
  }

  setWatermark(watermark: number): void {
    for (const builder of this.builders) builder.setWatermark(watermark);
  }

  /** Hands on batches that have waited longer than the buffer timeout. */
  flushOlderThan(nowMs: number, bufferTimeoutMs: number): void {
    if (this.#waitingSinceMs === 0) {
      if (this.builders.some((builder) => !builder.empty)) this.#waitingSinceMs = nowMs;
    } else if (nowMs - this.#waitingSinceMs >= bufferTimeoutMs) {
      this.flush();
    }
  }

  /** Hands on everything collected. */
  flush(): void {
    this.#waitingSinceMs = 0;
    for (let target = 0; target < this.builders.length; target++) this.flushTarget(target);
  }

  barrier(barrier: Barrier): void {
    this.flush();
    for (const channel of this.channels) channel.write({ kind: 'barrier', barrier });
  }

  idle(idle: boolean): void {
    this.flush();
    for (const channel of this.channels) channel.write({ kind: 'idle', idle });
  }

  end(): void {
    this.flush();
    for (const channel of this.channels) channel.write({ kind: 'end' });
  }

  /** The record cannot be written: fails the attempt, without throwing at the user function that emitted it. */
  protected reject(error: EngineError): void {
    this.#host.fail(error);
  }

  protected add(target: number, value: unknown): void {
    const builder = this.builders[target];
    const scope = this.scope;
    builder.add(value, scope.timestamp, scope.splitWatermark, scope.rowKind as 0);
    if (builder.length >= this.#lookAt[target]) this.#look(target, value);
  }

  /** Sizes one record of the batch under construction; hands the batch on when it is full. */
  #look(target: number, value: unknown): void {
    const { length } = this.builders[target];
    const bytes = Math.max(this.#recordBytes[target], approximateRecordBytes(value));
    this.#recordBytes[target] = bytes;
    const fullAt = Math.min(batchRecordsMax, Math.ceil(batchFullBytes / bytes));
    if (length >= fullAt) this.flushTarget(target);
    else this.#lookAt[target] = Math.min(length * lookFactor, length + lookEvery, fullAt);
  }

  protected flushTarget(target: number): void {
    const builder = this.builders[target];
    if (builder.empty) return;
    const bytes = builder.length * this.#recordBytes[target];
    this.#lookAt[target] = 1;
    this.#recordBytes[target] = 0;
    const batch = builder.take();
    if (this.#host.failed) return;
    const channel = this.channels[target];
    const hadRoom = channel.hasRoom;
    try {
      channel.write({ kind: 'batch', batch });
    } catch (error) {
      // Not thrown on: above this is a user function's `emit`, and the fault is not its.
      this.#host.fail(error);
      return;
    }
    if (!hadRoom) this.#host.overran(bytes);
    if (!channel.hasRoom) this.#host.blockOutput();
  }
}

/** One target: forward edges, global ones, and every edge to a vertex of parallelism 1. */
class SingleWriter extends RecordWriter {
  emit(value: unknown): void {
    this.metrics.recordsOut++;
    this.add(0, value);
  }
}

/**
 * Records by key group. A selector that throws, or a key that is refused, is the keyed operator's own error: the record
 * goes to its first subtask, meets the same error there and is handled by that operator's `onError`.
 */
class HashWriter extends RecordWriter {
  readonly #keyOf: (value: never) => Key;
  readonly #maxParallelism: number;

  constructor(
    host: WriterHost,
    channels: readonly ChannelWriter[],
    maxParallelism: number,
    keyOf: (value: never) => Key,
  ) {
    super(host, channels);
    this.#keyOf = keyOf;
    this.#maxParallelism = maxParallelism;
  }

  emit(value: unknown): void {
    this.metrics.recordsOut++;
    this.add(this.#targetOf(value), value);
  }

  #targetOf(value: unknown): number {
    try {
      const group = keyGroupOf(this.#keyOf(value as never), this.#maxParallelism);
      return subtaskOfKeyGroup(this.#maxParallelism, this.channels.length, group);
    } catch {
      return 0;
    }
  }
}

class RebalanceWriter extends RecordWriter {
  #next = 0;

  emit(value: unknown): void {
    this.metrics.recordsOut++;
    this.add(this.#next, value);
    this.#next = this.#next + 1 === this.channels.length ? 0 : this.#next + 1;
  }
}

/** Records at random, each target as likely: a fixed sequence per subtask, so that a replay spreads the same way. */
class ShuffleWriter extends RecordWriter {
  #state: number;

  constructor(host: WriterHost, channels: readonly ChannelWriter[], subtaskIndex: number) {
    super(host, channels);
    this.#state = Math.imul(subtaskIndex + 1, 0x9e3779b1);
  }

  emit(value: unknown): void {
    this.metrics.recordsOut++;
    this.add(Math.floor((this.#random() / 0x1_0000_0000) * this.channels.length), value);
  }

  /** The next 32 bits of splitmix32: a counter, mixed. */
  #random(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }
}

/** What a custom partitioner runs, and the operator that its errors name. */
export interface CustomPartitioning extends CustomPartition {
  readonly targetOperator: string;
}

/** Records where a function of the job's author says. What it throws or gets wrong fails the attempt. */
class CustomWriter extends RecordWriter {
  readonly #custom: CustomPartitioning;

  constructor(host: WriterHost, channels: readonly ChannelWriter[], custom: CustomPartitioning) {
    super(host, channels);
    this.#custom = custom;
  }

  emit(value: unknown): void {
    const { keyOf, partition, targetOperator } = this.#custom;
    const count = this.channels.length;
    const ids = { operator: targetOperator };
    let target: number;
    try {
      target = partition(keyOf(value as never) as never, count);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const message = `the partitionCustom function before operator '${targetOperator}' threw: ${reason} → mend the function: it must give a subtask for every record`;
      this.reject(new EngineError('USER_FUNCTION_FAILED', message, { retry: 'backoff', ids, cause }));
      return;
    }
    if (!Number.isInteger(target) || target < 0 || target >= count) {
      const message = `the partitionCustom function before operator '${targetOperator}' returned ${String(target)} → return a whole number of 0 to ${count - 1}, its second argument is the number of subtasks`;
      this.reject(new EngineError('USER_FUNCTION_FAILED', message, { ids }));
      return;
    }
    this.metrics.recordsOut++;
    this.add(target, value);
  }
}

function requireCustom(custom: CustomPartitioning | null | undefined): CustomPartitioning {
  if (custom !== null && custom !== undefined) return custom;
  throw new EngineError('INTERNAL', 'a custom edge has no partition function', { domain: 'internal' });
}

class BroadcastWriter extends RecordWriter {
  emit(value: unknown): void {
    this.metrics.recordsOut++;
    for (let target = 0; target < this.channels.length; target++) this.add(target, value);
  }
}

/** Planned splits: the place of a split in the order of discovery decides its reader. */
class SplitWriter extends RecordWriter {
  emit(value: unknown): void {
    this.metrics.recordsOut++;
    this.add((value as { index: number }).index % this.channels.length, value);
  }
}

export interface RecordWriterOptions {
  readonly partitioner: Partitioner;
  /** The operator whose output this is. */
  readonly context: Pick<AnyOperatorContext, 'maxParallelism'> & Partial<Pick<AnyOperatorContext, 'subtaskIndex'>>;
  /** Key selector of the target's head operator; null unless the partitioner is hash. */
  readonly keyOf: ((value: never) => Key) | null;
  /** Functions of a custom partitioner, with the operator that reads the edge. */
  readonly custom?: CustomPartitioning | null;
  /** Channels by index of the target subtask; for forward the one of the same index, for rescale those of the share. */
  readonly channels: readonly ChannelWriter[];
}

export function createRecordWriter(host: WriterHost, options: RecordWriterOptions): RecordWriter {
  const { partitioner, channels, context, keyOf, custom } = options;
  // Asked with one target too: a function that gives a wrong index is found at parallelism 1.
  if (partitioner === 'custom') return new CustomWriter(host, channels, requireCustom(custom));
  if (channels.length === 1) return new SingleWriter(host, channels);
  switch (partitioner) {
    case 'broadcast':
      return new BroadcastWriter(host, channels);
    case 'split':
      return new SplitWriter(host, channels);
    case 'global':
      return new SingleWriter(host, channels);
    case 'shuffle':
      return new ShuffleWriter(host, channels, context.subtaskIndex ?? 0);
    case 'hash':
      if (keyOf !== null) return new HashWriter(host, channels, context.maxParallelism, keyOf);
      return new RebalanceWriter(host, channels);
    case 'forward':
    case 'rebalance':
    case 'rescale':
      return new RebalanceWriter(host, channels);
    default:
      return assertNever(partitioner, 'partitioner');
  }
}

/** Output that several consumers read: chained operators and edges. */
export class FanOutCollector implements Collector {
  readonly #collectors: readonly Collector[];
  readonly #scope: RecordScope;

  constructor(collectors: readonly Collector[], scope: RecordScope) {
    this.#collectors = collectors;
    this.#scope = scope;
  }

  emit(value: unknown): void {
    const { timestamp, splitWatermark, rowKind } = this.#scope;
    for (const collector of this.#collectors) {
      this.#scope.timestamp = timestamp;
      this.#scope.splitWatermark = splitWatermark;
      this.#scope.rowKind = rowKind;
      collector.emit(value);
    }
    this.#scope.timestamp = timestamp;
    this.#scope.splitWatermark = splitWatermark;
    this.#scope.rowKind = rowKind;
  }
}

/** Output that nobody reads. */
export const discard: Collector = { emit: () => undefined };
