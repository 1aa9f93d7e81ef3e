/**
 * Records at a fixed rate through one exchange by key. Open loop: record `index` is due at start + index / rate whatever
 * happened before, and latency counts from when it was due, so a stall is seen by every record that it held up.
 */
import { defineJob, params } from 'millrace';
import { generator } from 'millrace/generator';
import type { Source } from 'millrace/connector';
import { keyOfIndex } from '../records.ts';
import { measuringSink } from './measuring-sink.ts';

interface Tick {
  readonly key: number;
  /** ms since the epoch, with fractions. */
  readonly dueMs: number;
}

/** When the generator began in this slot: it takes the same clock in the same millisecond, when its split is opened. */
let beganMs = Number.NaN;

function notingTheStart<T, Split>(source: Source<T, Split>): Source<T, Split> {
  return {
    ...source,
    createReader: (context) => {
      const reader = source.createReader(context);
      return {
        openSplit: (split, position) => {
          beganMs = Date.now();
          return reader.openSplit(split, position);
        },
        close: () => reader.close(),
      };
    },
  };
}

export default defineJob('latency', (env) => {
  const { events, keys, rate } = env.params({
    events: params.number({ default: 100_000 }),
    keys: params.number({ default: 100_000 }),
    rate: params.number({ default: 50_000 }),
  });
  const make = (index: number): Tick => ({ key: keyOfIndex(index, keys), dueMs: beganMs + (index * 1000) / rate });
  env
    .from(notingTheStart(generator({ count: events, splits: env.parallelism, ratePerSecond: rate, make })))
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
