/**
 * Records at a fixed rate through one exchange by key. Open loop: record `index` is due at start + index / rate whatever
 * happened before, and latency counts from when it was due, so a stall is seen by every record that it held up.
 */
import { performance } from 'node:perf_hooks';
import { defineJob, params } from 'millrace';
import { generator } from 'millrace/generator';
import { keyOfIndex } from '../records.ts';
import { measuringSink } from './measuring-sink.ts';

interface Tick {
  readonly key: number;
  /** ms since the epoch, with fractions. */
  readonly dueMs: number;
}

/** When this slot's part of the stream began; its first record is made at once when the split is opened. */
let beganMs = Number.NaN;

export default defineJob('latency', (env) => {
  const { events, keys, rate } = env.params({
    events: params.number({ default: 100_000 }),
    keys: params.number({ default: 100_000 }),
    rate: params.number({ default: 50_000 }),
  });
  const make = (index: number): Tick => {
    if (Number.isNaN(beganMs)) beganMs = performance.timeOrigin + performance.now() - (index * 1000) / rate;
    return { key: keyOfIndex(index, keys), dueMs: beganMs + (index * 1000) / rate };
  };
  env
    .from(generator({ count: events, splits: env.parallelism, ratePerSecond: rate, make }))
    .keyBy((tick) => tick.key)
    .reduce((_before, tick) => tick)
    .to(
      measuringSink<Tick>({
        keys,
        columns: 1,
        dueMsOf: (tick) => tick.dueMs,
        keep: ([seen], tick) => {
          (seen as Float64Array)[tick.key] = ((seen as Float64Array)[tick.key] || 0) + 1;
        },
      }),
    );
});
