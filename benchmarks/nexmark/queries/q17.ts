/** q17, auction statistics of each day. A row replaces the one of the same auction and day. */
import { avg, count, max, min, type Stream, sum } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf, dayOf, dayText, highPrice, lowPrice } from './views.ts';

export const q17 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ auction, price, dateTime }) => ({ auction, price, dateTime }))
    .keyBy((bid) => [bid.auction, dayOf(bid.dateTime)] as const)
    .aggregate({
      totalBids: count(),
      rank1Bids: sum((bid) => (bid.price < lowPrice ? 1 : 0)),
      rank2Bids: sum((bid) => (bid.price >= lowPrice && bid.price < highPrice ? 1 : 0)),
      rank3Bids: sum((bid) => (bid.price >= highPrice ? 1 : 0)),
      minPrice: min((bid) => bid.price),
      maxPrice: max((bid) => bid.price),
      avgPrice: avg((bid) => bid.price),
      sumPrice: sum((bid) => bid.price),
    })
    .map((row) => ({
      auction: row.key[0],
      day: dayText(row.key[1]),
      totalBids: row.totalBids,
      rank1Bids: row.rank1Bids,
      rank2Bids: row.rank2Bids,
      rank3Bids: row.rank3Bids,
      minPrice: row.minPrice,
      maxPrice: row.maxPrice,
      avgPrice: row.avgPrice,
      sumPrice: row.sumPrice,
    }));
