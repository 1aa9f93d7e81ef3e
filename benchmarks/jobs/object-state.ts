/** A user object per key as value state; measures the memory of a key. */
import { defineJob, emits, params, valueState } from 'millrace';
import { generator } from 'millrace/generator';
import { keyOfIndex, priceOfIndex } from '../records.ts';
import { measuringSink } from './measuring-sink.ts';

interface Totals {
  count: number;
  sum: number;
  max: number;
}

type Result = Totals & { readonly key: number };

export default defineJob('object-state', (env) => {
  const { events, keys } = env.params({
    events: params.number({ default: 1_000_000 }),
    keys: params.number({ default: 1_000_000 }),
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
    .process(emits<Result>(), {
      state: { totals: valueState<Totals>() },
      onRecord(record, context) {
        const { totals } = context.state;
        const now = totals.value() ?? { count: 0, sum: 0, max: Number.NEGATIVE_INFINITY };
        now.count++;
        now.sum += record.value;
        if (record.value > now.max) now.max = record.value;
        totals.update(now);
        context.emit({ key: record.key, count: now.count, sum: now.sum, max: now.max });
      },
    })
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
