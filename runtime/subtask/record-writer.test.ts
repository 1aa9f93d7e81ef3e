/** Record writers: how a batch becomes full, where a record without a key goes, and what a channel that throws does. */
import { describe, expect, it } from 'vitest';
import type { StreamElement } from '../../core/stream/batch.ts';
import { keyGroupOf } from '../../core/codec/key-hash.ts';
import { subtaskOfKeyGroup } from '../../core/key-groups.ts';
import type { ChannelWriter } from '../exchange/channel.ts';
import { RecordScope } from '../operators/operator.ts';
import { batchFullBytes, createRecordWriter, type RecordWriter, type RecordWriterOptions } from './record-writer.ts';

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
  options: Partial<RecordWriterOptions> = {},
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
    writer: createRecordWriter(host, { partitioner, context: { maxParallelism: 128 }, keyOf, channels, ...options }),
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

  it('sends everything to the first subtask when it is global', () => {
    const channels = [new ListChannel(), new ListChannel()];
    const { writer } = writerTo(channels, null, { partitioner: 'global' });
    for (let value = 0; value < 5; value++) writer.emit(value);
    writer.flush();
    expect(channels.map((channel) => channel.values)).toEqual([[0, 1, 2, 3, 4], []]);
  });

  it('sends in turn to its share when it rescales', () => {
    const channels = [new ListChannel(), new ListChannel()];
    const { writer } = writerTo(channels, null, { partitioner: 'rescale' });
    for (let value = 0; value < 5; value++) writer.emit(value);
    writer.flush();
    expect(channels.map((channel) => channel.values)).toEqual([
      [0, 2, 4],
      [1, 3],
    ]);
  });

  it('shuffles evenly, the same way each time, and in another way in another subtask', () => {
    const shuffled = (subtaskIndex: number): number[][] => {
      const channels = [new ListChannel(), new ListChannel(), new ListChannel()];
      const context = { maxParallelism: 128, subtaskIndex };
      const { writer } = writerTo(channels, null, { partitioner: 'shuffle', context });
      for (let value = 0; value < 9_000; value++) writer.emit(value);
      writer.flush();
      return channels.map((channel) => channel.values as number[]);
    };
    const first = shuffled(0);
    expect(shuffled(0)).toEqual(first);
    expect(shuffled(1)).not.toEqual(first);
    // Three standard deviations of a fair choice are 134.
    for (const values of first) expect(Math.abs(values.length - 3_000)).toBeLessThan(134);
    const inTurn = first[0].filter((value, place) => place > 0 && value - first[0][place - 1] === 3).length;
    expect(inTurn).toBeLessThan(first[0].length / 3);
  });

  it('asks a custom partitioner with the key and the number of subtasks', () => {
    const channels = [new ListChannel(), new ListChannel(), new ListChannel()];
    const custom = {
      keyOf: (value: number) => `key ${value}`,
      partition: (key: string, partitionCount: number) => Number(key.slice(4)) % (partitionCount - 1),
      targetOperator: 'next',
    };
    const { writer, failures } = writerTo(channels, null, { partitioner: 'custom', custom });
    for (let value = 0; value < 5; value++) writer.emit(value);
    writer.flush();
    expect(channels.map((channel) => channel.values)).toEqual([[0, 2, 4], [1, 3], []]);
    expect(failures).toEqual([]);
  });

  it.each([[-1], [2], [0.5], [Number.NaN], ['1'], [undefined]])(
    'fails naming the operator when a custom partitioner returns %s',
    (index) => {
      const custom = { keyOf: () => 0, partition: () => index as number, targetOperator: 'next' };
      const channels = [new ListChannel(), new ListChannel()];
      const { writer, failures } = writerTo(channels, null, { partitioner: 'custom', custom });
      writer.emit(1);
      expect(failures).toMatchObject([
        {
          code: 'USER_FUNCTION_FAILED',
          ids: { operator: 'next' },
          message: expect.stringMatching(
            new RegExp(`before operator 'next' returned ${index} → return a whole number of 0 to 1`),
          ),
        },
      ]);
    },
  );

  it('fails naming the operator when a custom partitioner throws, with one subtask too', () => {
    const custom = {
      keyOf: () => {
        throw new TypeError('no key');
      },
      partition: () => 0,
      targetOperator: 'next',
    };
    const { writer, failures } = writerTo([new ListChannel()], null, { partitioner: 'custom', custom });
    writer.emit(1);
    expect(failures).toMatchObject([
      { code: 'USER_FUNCTION_FAILED', message: expect.stringMatching(/'next' threw: no key/) },
    ]);
  });
});
