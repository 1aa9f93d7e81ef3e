/** Keyed count, sum and maximum over many distinct keys; measures the memory of a key. */
import { count, defineJob, max, params, sum } from 'millrace';
import { generator } from 'millrace/generator';
import { keyOfIndex, priceOfIndex } from '../records.ts';
import { measuringSink } from './measuring-sink.ts';

interface Result {
  readonly key: number;
  readonly count: number;
  readonly sum: number;
  readonly max: number;
}

export default defineJob('large-state', (env) => {
  const { events, keys } = env.params({
    events: params.number({ default: 1_000_000 }),
    keys: params.number({ default: 2_000_000 }),
  });
  env
    .from(
      generator({
        count: events,
        splits: env.parallelism,
        make: (index) => ({ key: keyOfIndex(index, keys), value: priceOfIndex(index) }),
      }),
    )
    .keyBy((record) => record.key)
    .aggregate({ count: count(), sum: sum((record) => record.value), max: max((record) => record.value) })
    .to(
      measuringSink<Result>({
        keys,
        columns: 3,
        memory: true,
        keep: (columns, record) => {
          (columns[0] as Float64Array)[record.key] = record.count;
          (columns[1] as Float64Array)[record.key] = record.sum;
          (columns[2] as Float64Array)[record.key] = record.max;
        },
      }),
    );
});
