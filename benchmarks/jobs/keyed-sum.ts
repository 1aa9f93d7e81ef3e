/** Fresh seven-field bids, keyed by auction, rolling sum of prices. */
import { defineJob, params, sum } from 'millrace';
import { generator } from 'millrace/generator';
import { type Bid, bidOfIndex } from '../records.ts';
import { measuringSink } from './measuring-sink.ts';

export default defineJob('keyed-sum', (env) => {
  const { events, keys } = env.params({
    events: params.number({ default: 1_000_000 }),
    keys: params.number({ default: 100_000 }),
  });
  env
    .from(generator<Bid>({ count: events, splits: env.parallelism, make: (index) => bidOfIndex(index, keys) }))
    .keyBy((bid) => bid.auction)
    .aggregate({ price: sum((bid) => bid.price) })
    .to(
      measuringSink<{ key: number; price: number }>({
        keys,
        columns: 1,
        keep: (columns, record) => {
          (columns[0] as Float64Array)[record.key] = record.price;
        },
      }),
    );
});
