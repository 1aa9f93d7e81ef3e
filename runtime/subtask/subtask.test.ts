import { describe, expect, it } from 'vitest';
import { maxWatermark, type StreamElement } from '../../core/stream/batch.ts';
import type { ChannelWriter } from '../exchange/channel.ts';
import { type OperatorMetrics, type PollResult, RecordScope } from '../operators/operator.ts';
import { StatelessOperator } from '../operators/stateless.ts';
import { emitPerRecordMaxBytes } from './output-overrun.ts';
import { MetricsRows } from './metrics-rows.ts';
import { createRecordWriter } from './record-writer.ts';
import { Subtask } from './subtask.ts';

class EmptySource extends StatelessOperator {
  emit(): void {}

  poll(): PollResult {
    return 'ended';
  }
}

/** A source that always has more. */
class EndlessSource extends StatelessOperator {
  polls = 0;

  emit(): void {}

  poll(): PollResult {
    this.polls++;
    return 'waiting';
  }
}

/** A channel whose receiver has all of the sender's credit and never gives it back. */
class ChannelWithoutCredit implements ChannelWriter {
  readonly elements: StreamElement[] = [];

  get hasRoom(): boolean {
    return this.elements.length === 0;
  }

  write(element: StreamElement): void {
    this.elements.push(element);
  }
}

describe('Subtask', () => {
  it('finishes when the checkpoint after its end completes and its receiver has left without granting credit', async () => {
    const channel = new ChannelWithoutCredit();
    const metrics: OperatorMetrics = { recordsIn: 0, recordsOut: 0, lateRecords: 0, counters: new Map() };
    const scope = new RecordScope();
    const events: string[] = [];
    const writerHost = { scope, metrics, blockOutput: () => {}, overran: () => {}, fail: () => {}, failed: false };
    const writer = createRecordWriter(writerHost, {
      partitioner: 'forward',
      context: null as never,
      keyOf: null,
      channels: [channel],
    });
    const link = { operatorId: 'source', kind: 'source-reader', operator: new EmptySource(), metrics } as const;
    const metricsRows = new MetricsRows(metrics, { operatorId: 'source', subtaskIndex: 0, parallelism: 1 });
    const subtask = new Subtask({
      id: { vertexId: 'source', subtaskIndex: 0 },
      host: {
        wake: () => {},
        wakeAt: () => {},
        failed: (error) => void events.push(`failed: ${String(error)}`),
        inputEnded: () => void events.push('inputEnded'),
        finished: () => void events.push('finished'),
        snapshot: ({ checkpointId }) => void events.push(`snapshot ${checkpointId}`),
        sideRead: () => {},
        alarm: () => () => {},
        nowMs: () => 0,
      },
      scope,
      chain: [{ ...link, metricsRows }],
      inputs: [],
      writers: [writer],
      bufferTimeoutMs: 5,
      emitPerRecordMaxBytes,
    });
    await subtask.open();
    const run = async (): Promise<void> => {
      subtask.step(Number.POSITIVE_INFINITY);
      // Asynchronous parts (the end of input, closing) go on in promise jobs.
      await new Promise<void>((resolve) => setImmediate(resolve));
    };
    await run();
    await run();
    subtask.trigger({ checkpointId: 1, triggeredAtMs: 0 });
    await run();
    subtask.completed(1);
    await run();
    expect(channel.hasRoom).toBe(false);
    expect(events).toEqual(['inputEnded', 'snapshot 1', 'finished']);
  });

  it('ends, and hands on the final watermark, when it is drained although its source could go on', async () => {
    const source = new EndlessSource();
    const channel = new ChannelWithoutCredit();
    const metrics: OperatorMetrics = { recordsIn: 0, recordsOut: 0, lateRecords: 0, counters: new Map() };
    const scope = new RecordScope();
    const events: string[] = [];
    const writerHost = { scope, metrics, blockOutput: () => {}, overran: () => {}, fail: () => {}, failed: false };
    const writer = createRecordWriter(writerHost, {
      partitioner: 'forward',
      context: null as never,
      keyOf: null,
      channels: [channel],
    });
    const link = { operatorId: 'source', kind: 'source-reader', operator: source, metrics } as const;
    const metricsRows = new MetricsRows(metrics, { operatorId: 'source', subtaskIndex: 0, parallelism: 1 });
    const subtask = new Subtask({
      id: { vertexId: 'source', subtaskIndex: 0 },
      host: {
        wake: () => {},
        wakeAt: () => {},
        failed: (error) => void events.push(`failed: ${String(error)}`),
        inputEnded: () => void events.push('inputEnded'),
        finished: () => void events.push('finished'),
        snapshot: ({ checkpointId }) => void events.push(`snapshot ${checkpointId}`),
        sideRead: () => {},
        alarm: () => () => {},
        nowMs: () => 0,
      },
      scope,
      chain: [{ ...link, metricsRows }],
      inputs: [],
      writers: [writer],
      bufferTimeoutMs: 5,
      emitPerRecordMaxBytes,
    });
    await subtask.open();
    const run = async (): Promise<void> => {
      subtask.step(Number.POSITIVE_INFINITY);
      // Asynchronous parts (the end of input, closing) go on in promise jobs.
      await new Promise<void>((resolve) => setImmediate(resolve));
    };
    await run();
    expect([source.polls > 0, events]).toEqual([true, []]);
    const { polls } = source;
    subtask.trigger({ checkpointId: 1, triggeredAtMs: 0 });
    subtask.drain();
    for (let turn = 0; turn < 3; turn++) await run();
    expect(source.polls).toBe(polls);
    expect(events).toEqual(['snapshot 1', 'inputEnded']);
    expect(subtask.watermark).toBe(maxWatermark);
    subtask.trigger({ checkpointId: 2, triggeredAtMs: 0 });
    await run();
    subtask.completed(2);
    await run();
    expect(events).toEqual(['snapshot 1', 'inputEnded', 'snapshot 2', 'finished']);
  });
});
