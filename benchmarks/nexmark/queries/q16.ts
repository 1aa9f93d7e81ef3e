/** q16, channel statistics: q15 for each channel and day, with the last minute. A row replaces the one of the same two. */
import { max, type Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidCounts } from './bid-counts.ts';
import { bidsOf, dayOf, dayText, minuteOf, minuteText } from './views.ts';

export const q16 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ auction, bidder, price, channel, dateTime }) => ({ auction, bidder, price, channel, dateTime }))
    .keyBy((bid) => [bid.channel, dayOf(bid.dateTime)] as const)
    .aggregate({ ...bidCounts, minute: max((bid) => minuteOf(bid.dateTime)) }, { updating: true, emitBefore: false })
    // Field by field: an object made by spreading another one costs more than all the counting.
    .map((row) => ({
      channel: row.key[0],
      day: dayText(row.key[1]),
      minute: minuteText(row.minute),
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
