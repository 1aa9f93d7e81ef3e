/**
 * Seven-field bids counted by auction in sliding windows. A slide is a second with 100,000 bids of few auctions, so firing
 * costs little and what is measured is the cost of a record.
 */
import { count, defineJob, params, seconds, sliding, sum } from 'millrace';
import { generator } from 'millrace/generator';
import { type Bid, bidOfIndex } from '../records.ts';
import { measuringSink } from './measuring-sink.ts';

const bidsPerSlide = 100_000;
const slideMs = 1000;

export default defineJob('sliding-window', (env) => {
  const { events, keys, overlap } = env.params({
    events: params.number({ default: 1_000_000 }),
    keys: params.number({ default: 100 }),
    overlap: params.number({ default: 5, description: 'slides in a window' }),
  });
  env
    .from(generator<Bid>({ count: events, splits: env.parallelism, make: (index) => bidOfIndex(index, keys) }))
    .map(({ auction, price, dateTime }) => ({
      auction,
      price,
      time: Math.floor((dateTime - 1_700_000_000_000) / bidsPerSlide) * slideMs,
    }))
    .withTimestamps((bid) => bid.time, { outOfOrderness: seconds(0) })
    .keyBy((bid) => bid.auction)
    .window(sliding(seconds(overlap), seconds(1)))
    .aggregate({ bids: count(), price: sum((bid) => bid.price) })
    .to(
      measuringSink<{ key: number; windowEnd: number; bids: number }>({
        keys,
        columns: 1,
        keep: ([bids], { key, windowEnd, bids: counted }) => {
          // Of windows that overlap, those that stand side by side contain every bid once.
          if ((windowEnd / slideMs) % overlap !== 0) return;
          const before = (bids as Float64Array)[key] as number;
          (bids as Float64Array)[key] = (before === before ? before : 0) + counted;
        },
      }),
    );
});
