/** q15, bidding statistics of each day. A row replaces the one of the same day. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidCounts } from './bid-counts.ts';
import { bidsOf, dayOf, dayText } from './views.ts';

export const q15 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ auction, bidder, price, dateTime }) => ({ auction, bidder, price, dateTime }))
    .keyBy((bid) => dayOf(bid.dateTime))
    .aggregate(bidCounts, { updating: true, emitBefore: false })
    // Field by field: an object made by spreading another one costs more than all the counting.
    .map((row) => ({
      day: dayText(row.key),
      totalBids: row.totalBids,
      rank1Bids: row.rank1Bids,
      rank2Bids: row.rank2Bids,
      rank3Bids: row.rank3Bids,
      totalBidders: row.totalBidders,
      rank1Bidders: row.rank1Bidders,
      rank2Bidders: row.rank2Bidders,
      rank3Bidders: row.rank3Bidders,
      totalAuctions: row.totalAuctions,
      rank1Auctions: row.rank1Auctions,
      rank2Auctions: row.rank2Auctions,
      rank3Auctions: row.rank3Auctions,
    }));
