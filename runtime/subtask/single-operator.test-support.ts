/** A subtask of one operator between channels of the same slot, for tests of the subtask and of the loop that runs it. */
import type { StreamElement } from '../../core/stream/batch.ts';
import { LocalChannel } from '../exchange/local-channel.ts';
import { type AnyOperatorContext, type Operator, RecordScope } from '../operators/operator.ts';
import { MetricsRows } from './metrics-rows.ts';
import { createRecordWriter } from './record-writer.ts';
import { Subtask } from './subtask.ts';

/** Hands every record on; a test replaces what it is about. */
export class PassOn implements Operator {
  output: (value: unknown) => void = () => undefined;
  readonly seen: unknown[] = [];
  opened = false;

  restore(): void {}

  async open(): Promise<void> {
    this.opened = true;
  }

  emit(value: unknown): void {
    this.seen.push(value);
    this.output(value);
  }

  advanceWatermark(_watermark: number): boolean {
    return true;
  }

  freeze(): null {
    return null;
  }

  checkpointCompleted(): void {}

  checkpointAborted(): void {}

  async close(): Promise<void> {}
}

export interface SingleOperator {
  readonly subtask: Subtask;
  readonly input: LocalChannel;
  readonly output: LocalChannel;
  /** Everything written to the output since the last call. */
  takeOutput(): StreamElement[];
  /** Alarms that are set, in order. */
  readonly alarms: readonly Alarm[];
}

interface Alarm {
  readonly delayMs: number;
  readonly then: () => void;
}

/** @param wake called when the subtask has something to do */
export function singleOperator(operator: PassOn, wake: () => void): SingleOperator {
  const scope = new RecordScope();
  const metrics = { recordsIn: 0, recordsOut: 0, lateRecords: 0, counters: new Map<string, number>() };
  const input = new LocalChannel({ onReadable: wake, onWritable: () => undefined });
  const output = new LocalChannel({ onReadable: () => undefined, onWritable: wake });
  const id = { vertexId: 'pass-on', subtaskIndex: 0 };
  const alarms: Alarm[] = [];
  const host = {
    wake,
    wakeAt: () => undefined,
    failed: (error: unknown) => {
      throw error;
    },
    inputEnded: () => undefined,
    finished: () => undefined,
    snapshot: () => undefined,
    sideRead: () => undefined,
    nowMs: () => 0,
    alarm: (delayMs: number, then: () => void) => {
      alarms.push({ delayMs, then });
      return () => alarms.splice(0);
    },
  };
  const writer = createRecordWriter(
    {
      scope,
      metrics,
      blockOutput: () => subtask.blockOutput(),
      overran: (bytes) => void subtask.overran('pass-on', bytes),
      fail: (error) => subtask.fail(error),
      get failed() {
        return subtask.phase === 'failed';
      },
    },
    // One channel: the writer needs neither the operator's context nor its key.
    { partitioner: 'forward', context: null as unknown as AnyOperatorContext, keyOf: null, channels: [output] },
  );
  operator.output = (value) => writer.emit(value);
  const metricsRows = new MetricsRows(metrics, { operatorId: 'pass-on', subtaskIndex: 0, parallelism: 1 });
  const chain = [{ operatorId: 'pass-on', kind: 'map' as const, operator, metrics, metricsRows }];
  const inputs = [{ reader: input, input: 0, ended: false }];
  const limits = { bufferTimeoutMs: 5, emitPerRecordMaxBytes: 64 * 1024 * 1024 };
  const subtask: Subtask = new Subtask({ id, host, scope, chain, inputs, writers: [writer], ...limits });
  const takeOutput = (): StreamElement[] => {
    const elements: StreamElement[] = [];
    for (let next = output.poll(); next !== null; next = output.poll()) elements.push(next);
    return elements;
  };
  return { subtask, input, output, takeOutput, alarms };
}
