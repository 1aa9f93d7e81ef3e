/** q9, winning bids: each auction with its best bid so far. A row replaces the one of the same auction. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bestBids } from './best-bids.ts';
import { auctionsOf, bidsOf } from './views.ts';

export function q9(events: Stream<NexmarkEvent>) {
  const bids = bidsOf(events).map(({ auction, bidder, price, dateTime, extra }) => ({
    auction,
    bidder,
    price,
    dateTime,
    extra,
  }));
  return bestBids(auctionsOf(events), bids).map(({ auction, bid }) => ({
    id: auction.id,
    itemName: auction.itemName,
    description: auction.description,
    initialBid: auction.initialBid,
    reserve: auction.reserve,
    dateTime: auction.dateTime,
    expires: auction.expires,
    seller: auction.seller,
    category: auction.category,
    extra: auction.extra,
    auction: bid.auction,
    bidder: bid.bidder,
    price: bid.price,
    bidDateTime: bid.dateTime,
    bidExtra: bid.extra,
  }));
}
