/**
 * Nexmark as a job: `millrace run benchmarks/nexmark/job.ts -- --query q5 --events 1000000`. Left out are q6, which the Flink
 * port cannot run either, and q23 and the pattern queries, which are not in its table.
 */
import { defineJob, EngineError, minutes, params, seconds, type Stream } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';
import { bidsDirectory, firstEventTimeMs } from './defaults.ts';
import type { NexmarkEvent } from './model.ts';
import { q0 } from './queries/q0.ts';
import { q1 } from './queries/q1.ts';
import { partitionOfBid, q10 } from './queries/q10.ts';
import { q11 } from './queries/q11.ts';
import { q12 } from './queries/q12.ts';
import { q13, type SideRow, sideRows } from './queries/q13.ts';
import { q14 } from './queries/q14.ts';
import { q15 } from './queries/q15.ts';
import { q16 } from './queries/q16.ts';
import { q17 } from './queries/q17.ts';
import { q18 } from './queries/q18.ts';
import { q19 } from './queries/q19.ts';
import { q2 } from './queries/q2.ts';
import { q20 } from './queries/q20.ts';
import { q21 } from './queries/q21.ts';
import { q22 } from './queries/q22.ts';
import { q3 } from './queries/q3.ts';
import { q4 } from './queries/q4.ts';
import { q5 } from './queries/q5.ts';
import { q7 } from './queries/q7.ts';
import { q8 } from './queries/q8.ts';
import { q9 } from './queries/q9.ts';
import { resultSink } from './result-sink.ts';
import { nexmarkSource } from './source.ts';

type Query = (events: Stream<NexmarkEvent>, side: () => Stream<SideRow>) => Stream<object>;

const queries: Readonly<Record<string, Query>> = {
  q0,
  q1,
  q2,
  q3,
  q4,
  q5,
  q7,
  q8,
  q9,
  q10,
  q11,
  q12,
  q13: (events, side) => q13(events, side()),
  q14,
  q15,
  q16,
  q17,
  q18,
  q19,
  q20,
  q21,
  q22,
};

export default defineJob('nexmark', (env) => {
  const { query, events, rate, seed, capture, durationMs, baseTimeMs, output } = env.params({
    query: params.string({ default: 'q0', description: 'q0 to q22, without q6' }),
    events: params.number({ default: 0, description: 'how many events; 0 for no end' }),
    rate: params.number({ default: 100_000, description: 'events in a second of event time' }),
    seed: params.number({ default: 1 }),
    capture: params.number({ default: 0, description: '1: the rows go to the benchmark' }),
    durationMs: params.number({ default: 0, description: 'end after so long; 0 for never' }),
    baseTimeMs: params.number({ default: firstEventTimeMs }),
    output: params.string({ default: bidsDirectory, description: 'directory of the files of q10' }),
  });
  const make = queries[query];
  if (make === undefined) {
    throw new EngineError('PARAMETER_INVALID', `there is no query ${query}; take one of ${Object.keys(queries)}`);
  }
  const stream = env
    .from(
      nexmarkSource({
        events: events === 0 ? Number.POSITIVE_INFINITY : events,
        eventsPerSecond: rate,
        baseTimeMs,
        seed,
        splits: env.parallelism,
        durationMs: durationMs === 0 ? Number.POSITIVE_INFINITY : durationMs,
      }),
    )
    // The table definition of the Flink port: WATERMARK FOR dateTime AS dateTime - INTERVAL '4' SECOND.
    .withTimestamps((event) => event.dateTime, { outOfOrderness: seconds(4) });
  const side = () => env.from(generator({ count: sideRows, make: (key): SideRow => ({ key, value: String(key) }) }));
  if (query === 'q10') {
    const rolling = { maxAgeMs: minutes(1), onCheckpoint: false };
    q10(stream).to(files.csv(output, { partitionBy: partitionOfBid, successFile: true, rolling }));
  } else {
    make(stream, side).to(resultSink(capture === 1));
  }
});
