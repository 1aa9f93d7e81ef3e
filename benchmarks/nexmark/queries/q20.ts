/**
 * q20, bids with their auction, for category 10. A join without an end. Ids of auctions are unique, which SQL does not know:
 * a bid is kept only until its auction is known, and of auctions in other categories only that they are.
 */
import { emits, listState, type Stream, valueState } from 'millrace';
import { type Auction, auctionType, type Bid, type NexmarkEvent } from '../model.ts';
import { auctionsAndBidsOf } from './views.ts';

const category = 10;

export const q20 = (events: Stream<NexmarkEvent>) =>
  auctionsAndBidsOf(events)
    .keyBy((one) => (one.eventType === auctionType ? one.id : one.auction))
    .process(emits<ReturnType<typeof expanded>>(), {
      state: { auction: valueState<Auction>(), other: valueState<boolean>(), early: listState<Bid>() },
      onRecord(one, { state, emit }) {
        if (one.eventType === auctionType) {
          if (one.category === category) {
            state.auction.update(one);
            for (const bid of state.early.get()) emit(expanded(bid, one));
          } else {
            state.other.update(true);
          }
          state.early.clear();
          return;
        }
        const auction = state.auction.value();
        if (auction !== undefined) emit(expanded(one, auction));
        else if (state.other.value() !== true) state.early.add(one);
      },
    });

const expanded = (bid: Bid, auction: Auction) => ({
  auction: bid.auction,
  bidder: bid.bidder,
  price: bid.price,
  channel: bid.channel,
  url: bid.url,
  bidDateTime: bid.dateTime,
  bidExtra: bid.extra,
  itemName: auction.itemName,
  description: auction.description,
  initialBid: auction.initialBid,
  reserve: auction.reserve,
  auctionDateTime: auction.dateTime,
  expires: auction.expires,
  seller: auction.seller,
  category: auction.category,
  auctionExtra: auction.extra,
});
