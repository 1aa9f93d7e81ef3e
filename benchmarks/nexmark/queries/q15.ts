/** q15, bidding statistics of each day. A row replaces the one of the same day. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidCounts, rowOf } from './bid-counts.ts';
import { bidsOf, dayOf, dayText } from './views.ts';

export const q15 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ auction, bidder, price, dateTime }) => ({ auction, bidder, price, dateTime }))
    .keyBy((bid) => dayOf(bid.dateTime))
    .aggregate(bidCounts, { updating: true, emitBefore: false })
    .map((row) => rowOf({ day: dayText(row.key) }, row));
