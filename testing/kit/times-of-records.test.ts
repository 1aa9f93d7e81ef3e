/** What functions and side outputs are told of the times of records: none before `withTimestamps`, and who is late. */
import { describe, expect, test } from 'vitest';
import { collection } from '../../connectors/collection/index.ts';
import {
  defineJob,
  emits,
  type FailedRecord,
  type JobEnvironment,
  mapState,
  outputTag,
  sideOutput,
} from '../../client/index.ts';
import { checkpoint, crash, runJob } from './index.ts';

interface Reading {
  readonly id: string;
  readonly time: number;
}

const reading = (time: number, id = `at ${time}`): Reading => ({ id, time });
const timed = (env: JobEnvironment, uid: string) =>
  env
    .from(collection<Reading>([]), { uid })
    .withTimestamps((record) => record.time, { outOfOrderness: 10 })
    .uid(`${uid}-times`);

test('records that fail before withTimestamps go to a side output, without the time of the record before', async () => {
  const broken = outputTag<FailedRecord<string>>('broken');
  const job = defineJob('parsing', (env) => {
    const parsed = env
      .from(collection<string>([]), { uid: 'lines' })
      .map((line): Reading => JSON.parse(line))
      .uid('parse')
      .onError(sideOutput(broken));
    parsed
      .sideOutput(broken)
      .map((failed) => failed.record)
      .collect('broken');
    parsed.withTimestamps((record) => record.time, { outOfOrderness: 0 }).collect('parsed');
  });
  const lines = ['{"time":5}', 'no', checkpoint(), '{"time":7}', 'neither', crash(), '{"time":8}'];
  const result = await runJob(job, { inputs: { lines } });
  expect(result.records('parsed').map(({ timestampMs }) => timestampMs)).toEqual([5, 7, 8]);
  expect(result.records('broken')).toMatchObject([
    { value: 'no', timestampMs: null },
    { value: 'neither', timestampMs: null },
  ]);
});

describe('isLate', () => {
  // On time, late by 1 ms, the last time on time, and late by the watermark that the record before it made.
  const readings = [reading(100), reading(89), reading(90), reading(120), reading(109)];
  const expected = ['at 100', 'late at 89', 'at 90', 'at 120', 'late at 109'];
  const describeOf = ({ id }: Reading, { isLate }: { readonly isLate: boolean }): string =>
    isLate ? `late ${id}` : id;

  test('is true in a function with a key for records at or before the watermark of their split, and false in timers', async () => {
    const job = defineJob('keyed', (env) => {
      timed(env, 'readings')
        .keyBy(() => 0)
        .process(emits<string>(), {
          onRecord(record, context) {
            context.emit(describeOf(record, context));
            if (context.isLate) context.timers.registerEventTime(record.time);
          },
          onTimer: (time, context) => context.emit(`timer ${time} ${context.isLate}`),
        })
        .collect('out');
    });
    const result = await runJob(job, { inputs: { readings } });
    const found = result.outputs<string>('out');
    expect(found.filter((text) => !text.startsWith('timer'))).toEqual(expected);
    expect(found.filter((text) => text.startsWith('timer'))).toEqual(['timer 89 false', 'timer 109 false']);
  });

  test('is the same in a function without a key, and in both of two connected streams', async () => {
    const job = defineJob('others', (env) => {
      const stream = timed(env, 'readings');
      stream
        .process(emits<string>(), { onRecord: (record, context) => context.emit(describeOf(record, context)) })
        .collect('plain');
      const second = timed(env, 'second').keyBy(() => 0);
      stream
        .keyBy(() => 0)
        .connect(second)
        .process(emits<string>(), {
          onFirst: (record, context) => context.emit(`1 ${describeOf(record, context)}`),
          onSecond: (record, context) => context.emit(`2 ${describeOf(record, context)}`),
        })
        .collect('connected');
    });
    const result = await runJob(job, { inputs: { readings, second: readings } });
    expect(result.outputs('plain')).toEqual(expected);
    const connected = result.outputs<string>('connected');
    for (const input of ['1 ', '2 '])
      expect(connected.filter((text) => text.startsWith(input))).toEqual(expected.map((text) => input + text));
  });

  test('is the same beside a broadcast stream, and in what is broadcast', async () => {
    const job = defineJob('broadcast', (env) => {
      timed(env, 'readings')
        .keyBy(() => 0)
        .connect(timed(env, 'rules').broadcast())
        .process(emits<string>(), {
          broadcastState: { rules: mapState<string, number>() },
          onRecord: (record, context) => context.emit(describeOf(record, context)),
          onBroadcast: (rule, context) => context.emit(`rule ${describeOf(rule, context)}`),
        })
        .collect('out');
    });
    const result = await runJob(job, { inputs: { readings, rules: readings } });
    const found = result.outputs<string>('out');
    expect(found.filter((text) => !text.startsWith('rule '))).toEqual(expected);
    expect(found.filter((text) => text.startsWith('rule '))).toEqual(expected.map((text) => `rule ${text}`));
  });
});
