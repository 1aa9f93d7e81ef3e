/**
 * A job with what the flights job has not: CSV and compressed JSON lines and a paced generator in one union, a side input,
 * a process function with timers, late records, and sinks that roll over checkpoints. Every record says who it is, so that
 * a lost and a doubled one are told apart. Records and expectations are in chaos-records.ts.
 */
import { count, defineJob, emits, mapState, minutes, params, seconds, sum, tumbling } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';
import { type ChaosRecord, chaosRecord, generatorPartition } from './chaos-records.ts';

interface MinuteTotal {
  key: string;
  minute: number;
  count: number;
  amount: number;
}

const minuteMs = 60_000;
const columns = { partition: 'number', seq: 'number', time: 'number', amount: 'number', late: 'boolean' } as const;

export default defineJob('chaos', (env) => {
  const { input, output, generated, rate } = env.params({
    input: params.string({ description: 'directory that writeChaosInput filled' }),
    output: params.string({ description: 'directory of the results' }),
    generated: params.integer({ description: 'records of the generator' }),
    rate: params.integer({ description: 'records of the generator per second' }),
  });
  const time = (record: Readonly<ChaosRecord>): number => record.time;
  const order = { outOfOrderness: seconds(5) };
  const names = env.from(files.csv<{ key: string; name: string }>(`${input}/names.csv`), { uid: 'names', parallelism: 1 });
  const csv = env.from(files.csv<ChaosRecord>([`${input}/records-0.csv`, `${input}/records-1.csv`], { columns }), { uid: 'csv' });
  const jsonl = env.from(files.jsonl<ChaosRecord>(`${input}/records-2.jsonl.gz`), { uid: 'jsonl' });
  const paced = env.from(
    generator<ChaosRecord>({ count: generated, ratePerSecond: rate, splits: 1, make: (index) => chaosRecord(generatorPartition, index) }),
    { uid: 'paced' },
  );
  const all = csv
    .withTimestamps(time, order)
    .uid('csv-time')
    .union(jsonl.withTimestamps(time, order).uid('jsonl-time'), paced.withTimestamps(time, order).uid('paced-time'));

  all
    .broadcastInput(names, (rows) => new Map(rows.map((row) => [row.key, row.name])))
    .map((record, byKey) => ({ partition: record.partition, seq: record.seq, name: byKey.get(record.key) ?? 'unknown' }))
    .uid('named')
    .to(files.jsonl(`${output}/named`, { rolling: { maxBytes: 100_000, onCheckpoint: false } }))
    .uid('named-out');

  all
    .filter((record) => !record.late)
    .uid('on-time')
    .keyBy((record) => record.key)
    .process(emits<MinuteTotal>(), {
      state: { minutes: mapState<number, { count: number; amount: number }>() },
      onRecord(record, context) {
        const minute = Math.floor(record.time / minuteMs) * minuteMs;
        const before = context.state.minutes.get(minute) ?? { count: 0, amount: 0 };
        context.state.minutes.set(minute, { count: before.count + 1, amount: before.amount + record.amount });
        context.timers.registerEventTime(minute + minuteMs - 1);
      },
      onTimer(timestampMs, context) {
        const minute = timestampMs + 1 - minuteMs;
        const total = context.state.minutes.get(minute);
        if (total === undefined) return;
        context.emit({ key: context.key, minute, ...total });
        context.state.minutes.delete(minute);
      },
    })
    .uid('minutes')
    .to(files.csv<MinuteTotal>(`${output}/minutes`, { sinkColumns: ['key', 'minute', 'count', 'amount'] }))
    .uid('minutes-out');

  const windows = all
    .keyBy((record) => record.key)
    .window(tumbling(minutes(1)))
    .aggregate({ count: count(), amount: sum((record) => record.amount) })
    .uid('windows');
  windows
    .map((window) => ({ key: window.key, minute: window.windowStart, count: window.count, amount: window.amount }))
    .to(files.jsonl(`${output}/windows`))
    .uid('windows-out');
  windows
    .late()
    .map(({ partition, seq }) => ({ partition, seq }))
    .to(files.jsonl(`${output}/late`))
    .uid('late-out');
}, { checkpointsRetained: 1 });
