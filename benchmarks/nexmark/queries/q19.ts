/**
 * q19, the ten highest bids of each auction with their ranks. Of equal prices the earlier bid is higher, which SQL leaves
 * open; bids have no number, so those of one millisecond are ordered by bidder and text.
 */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q19 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .keyBy((bid) => bid.auction)
    .topN(10, { by: (bid) => bid.price, ties: (bid) => [bid.dateTime, bid.bidder, bid.extra], emitBefore: false })
    .map(({ rank, record }) => ({
      auction: record.auction,
      bidder: record.bidder,
      price: record.price,
      channel: record.channel,
      url: record.url,
      dateTime: record.dateTime,
      extra: record.extra,
      rank,
    }));
