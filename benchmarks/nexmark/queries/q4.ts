/** q4, average price by category: the mean of the best bids of its auctions, anew whenever one of them changes. */
import { emits, type Stream, valueState } from 'millrace';
import { type Auction, type Bid, isBid, type NexmarkEvent } from '../model.ts';
import { bestBids } from './best-bids.ts';
import { auctionsAndBidsOf } from './views.ts';

type SlimAuction = Pick<Auction, 'id' | 'category' | 'dateTime' | 'expires'>;
type SlimBid = Pick<Bid, 'auction' | 'price' | 'dateTime'>;

interface CategoryPrice {
  readonly category: number;
  readonly average: number;
}

export function q4(events: Stream<NexmarkEvent>) {
  const auctionsAndBids = auctionsAndBidsOf(events).map((event): SlimAuction | SlimBid =>
    isBid(event)
      ? { auction: event.auction, price: event.price, dateTime: event.dateTime }
      : { id: event.id, category: event.category, dateTime: event.dateTime, expires: event.expires },
  );
  return bestBids<SlimAuction, SlimBid>(auctionsAndBids)
    .filter(({ bid, priceBefore }) => bid.price !== priceBefore)
    .map(({ auction, bid, priceBefore }) => ({
      category: auction.category,
      auctions: priceBefore === null ? 1 : 0,
      price: bid.price - (priceBefore ?? 0),
    }))
    .keyBy((change) => change.category)
    .process(emits<CategoryPrice>(), {
      state: { totals: valueState<{ auctions: number; price: number }>() },
      onRecord(change, { key, state, emit }) {
        const totals = state.totals.value() ?? { auctions: 0, price: 0 };
        totals.auctions += change.auctions;
        totals.price += change.price;
        state.totals.update(totals);
        emit({ category: key, average: totals.price / totals.auctions });
      },
    });
}
