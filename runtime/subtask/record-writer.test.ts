/** Record writers: how a batch becomes full, where a record without a key goes, and what a channel that throws does. */
import { describe, expect, it } from 'vitest';
import type { StreamElement } from '../../core/stream/batch.ts';
import { keyGroupOf } from '../../core/codec/key-hash.ts';
import { subtaskOfKeyGroup } from '../../core/key-groups.ts';
import type { ChannelWriter } from '../exchange/channel.ts';
import { RecordScope } from '../operators/operator.ts';
import { batchFullBytes, createRecordWriter, type RecordWriter } from './record-writer.ts';

class ListChannel implements ChannelWriter {
  readonly hasRoom = true;
  readonly values: unknown[] = [];
  readonly batchLengths: number[] = [];

  write(element: StreamElement): void {
    if (element.kind !== 'batch') return;
    this.values.push(...element.batch.values);
    this.batchLengths.push(element.batch.length);
  }
}

function writerTo(
  channels: readonly ChannelWriter[],
  keyOf: ((value: never) => number) | null,
): { writer: RecordWriter; failures: unknown[] } {
  const failures: unknown[] = [];
  const host = {
    scope: new RecordScope(),
    metrics: { recordsIn: 0, recordsOut: 0, lateRecords: 0, counters: new Map<string, number>() },
    blockOutput: () => {},
    overran: () => {},
    fail: (error: unknown) => void failures.push(error),
    get failed() {
      return failures.length > 0;
    },
  };
  const partitioner = keyOf === null ? 'forward' : 'hash';
  return {
    writer: createRecordWriter(host, { partitioner, context: { maxParallelism: 128 }, keyOf, channels }),
    failures,
  };
}

describe('RecordWriter', () => {
  it('hands a batch on by bytes when its records are large, and by number when they are small', () => {
    const channel = new ListChannel();
    const { writer } = writerTo([channel], null);
    for (let index = 0; index < 2_000; index++) writer.emit({ text: 'small' });
    expect(channel.batchLengths).toEqual([512, 512, 512]);
    writer.flush();
    const large = { text: 'x'.repeat(50_000) };
    for (let index = 0; index < 100; index++) writer.emit(large);
    const largest = Math.max(...channel.batchLengths.slice(4));
    expect(channel.batchLengths.length).toBeGreaterThan(15);
    expect(largest * 50_000).toBeLessThan(batchFullBytes * 2);
    const huge = new ListChannel();
    const ofHuge = writerTo([huge], null).writer;
    for (let index = 0; index < 3; index++) ofHuge.emit('x'.repeat(batchFullBytes));
    expect(huge.batchLengths).toEqual([1, 1, 1]);
  });

  it('sends a record whose key selector throws to the first subtask of the keyed operator and the others by key', () => {
    const channels = [new ListChannel(), new ListChannel(), new ListChannel()];
    const { writer, failures } = writerTo(channels, (value: number) => {
      if (value < 0) throw new Error('no key');
      return value;
    });
    for (const value of [5, -1, 6, 7, -2]) writer.emit(value);
    writer.flush();
    const expected: number[][] = [[], [], []];
    for (const value of [5, -1, 6, 7, -2]) {
      expected[value < 0 ? 0 : subtaskOfKeyGroup(128, 3, keyGroupOf(value, 128))].push(value);
    }
    expect(channels.map((channel) => channel.values)).toEqual(expected);
    expect(failures).toEqual([]);
  });

  it('reports what a channel throws and throws nothing itself', () => {
    const error = new Error('not encodable');
    const channel: ChannelWriter = {
      hasRoom: true,
      write: () => {
        throw error;
      },
    };
    const { writer, failures } = writerTo([channel], null);
    for (let index = 0; index < 2_000; index++) writer.emit(index);
    writer.flush();
    expect(failures).toEqual([error]);
  });
});
