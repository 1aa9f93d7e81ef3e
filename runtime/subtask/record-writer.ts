/**
 * The writers at the end of a chain: one per outgoing edge. Each collects records into batches, one under construction per
 * target, and decides by its partitioner where a record goes.
 *
 * A batch is handed on when it is full, when the subtask has nothing to do, before a barrier, and when it has waited for
 * the buffer timeout. Watermarks ride at the end of the batch under construction and never cut it.
 */
import { keyGroupOf } from '../../core/codec/key-hash.ts';
import { subtaskOfKeyGroup } from '../../core/key-groups.ts';
import type { Key } from '../../core/operators.ts';
import type { Barrier } from '../../core/stream/batch.ts';
import { BatchBuilder } from '../../core/stream/batch-builder.ts';
import type { ChannelWriter } from '../exchange/channel.ts';
import type { AnyOperatorContext, Collector, OperatorMetrics, RecordScope } from '../operators/operator.ts';
import { handleUserError } from '../operators/user-code.ts';

/** What a writer needs of its subtask. */
export interface WriterHost {
  readonly scope: RecordScope;
  readonly metrics: OperatorMetrics;
  /** A channel is out of credit: stop before the next head record. */
  blockOutput(): void;
}

export abstract class RecordWriter implements Collector {
  protected readonly scope: RecordScope;
  protected readonly metrics: OperatorMetrics;
  protected readonly channels: readonly ChannelWriter[];
  protected readonly builders: readonly BatchBuilder[];
  readonly #host: WriterHost;
  /** `performance.now()` of the oldest record or watermark not handed on; 0 when none. */
  #waitingSinceMs = 0;

  constructor(host: WriterHost, channels: readonly ChannelWriter[]) {
    this.#host = host;
    this.scope = host.scope;
    this.metrics = host.metrics;
    this.channels = channels;
    this.builders = channels.map(() => new BatchBuilder());
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

  protected add(target: number, value: unknown): void {
    const builder = this.builders[target];
    const scope = this.scope;
    builder.add(value, scope.timestamp, scope.splitWatermark, scope.rowKind as 0);
    if (builder.full) this.flushTarget(target);
  }

  protected flushTarget(target: number): void {
    const builder = this.builders[target];
    if (builder.empty) return;
    const channel = this.channels[target];
    channel.write({ kind: 'batch', batch: builder.take() });
    if (!channel.hasRoom) this.#host.blockOutput();
  }
}

/** One target: forward edges, and every edge to a vertex of parallelism 1. */
class SingleWriter extends RecordWriter {
  emit(value: unknown): void {
    this.metrics.recordsOut++;
    this.add(0, value);
  }
}

class HashWriter extends RecordWriter {
  readonly #keyOf: (value: never) => Key;
  readonly #maxParallelism: number;
  readonly #context: AnyOperatorContext;

  constructor(host: WriterHost, channels: readonly ChannelWriter[], context: AnyOperatorContext, keyOf: (value: never) => Key) {
    super(host, channels);
    this.#keyOf = keyOf;
    this.#maxParallelism = context.maxParallelism;
    this.#context = context;
  }

  emit(value: unknown): void {
    let target: number;
    try {
      const group = keyGroupOf(this.#keyOf(value as never), this.#maxParallelism);
      target = subtaskOfKeyGroup(this.#maxParallelism, this.channels.length, group);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    this.metrics.recordsOut++;
    this.add(target, value);
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
  readonly partitioner: 'forward' | 'hash' | 'rebalance' | 'broadcast' | 'split';
  /** The operator whose output this is. */
  readonly context: AnyOperatorContext;
  /** Key selector of the target's head operator; null unless the partitioner is hash. */
  readonly keyOf: ((value: never) => Key) | null;
  /** Channels by index of the target subtask; for forward the one of the same index. */
  readonly channels: readonly ChannelWriter[];
}

export function createRecordWriter(host: WriterHost, options: RecordWriterOptions): RecordWriter {
  const { partitioner, channels, context, keyOf } = options;
  if (channels.length === 1) return new SingleWriter(host, channels);
  if (partitioner === 'broadcast') return new BroadcastWriter(host, channels);
  if (partitioner === 'split') return new SplitWriter(host, channels);
  if (partitioner === 'hash' && keyOf !== null) return new HashWriter(host, channels, context, keyOf);
  return new RebalanceWriter(host, channels);
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
  }
}

/** Output that nobody reads. */
export const discard: Collector = { emit: () => undefined };
