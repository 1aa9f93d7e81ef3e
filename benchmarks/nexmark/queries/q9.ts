/** q9, winning bids: each auction with its best bid so far. A row replaces the one of the same auction. */
import type { Stream } from 'millrace';
import { type Auction, type Bid, isBid, type NexmarkEvent } from '../model.ts';
import { bestBids } from './best-bids.ts';
import { auctionsAndBidsOf } from './views.ts';

type SlimBid = Pick<Bid, 'auction' | 'bidder' | 'price' | 'dateTime' | 'extra'>;

const slim = ({ auction, bidder, price, dateTime, extra }: Bid): SlimBid => ({
  auction,
  bidder,
  price,
  dateTime,
  extra,
});

export function q9(events: Stream<NexmarkEvent>) {
  const auctionsAndBids = auctionsAndBidsOf(events).map((event): Auction | SlimBid =>
    isBid(event) ? slim(event) : event,
  );
  return bestBids<Auction, SlimBid>(auctionsAndBids).map(({ auction, bid }) => ({
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
