/**
 * The core of q4 and q9: the best bid of each auction so far, among those made while it ran. Auctions and bids may come in
 * either order. SQL joins without an end; here time bounds the state: an auction is forgotten when event time has passed its
 * end, and a bid whose auction is unknown when event time has passed the bid, since no auction that began before can come.
 */
import { emits, listState, type OperatorStream, type Stream, valueState } from 'millrace';

export interface AuctionLike {
  readonly id: number;
  readonly dateTime: number;
  readonly expires: number;
}

export interface BidLike {
  readonly auction: number;
  readonly price: number;
  readonly dateTime: number;
}

/** A bid that is better than those before it. */
export interface BestBid<A, B> {
  readonly auction: A;
  readonly bid: B;
  /** Price of the best bid until then. */
  readonly priceBefore: number | null;
}

/** The higher price, then the earlier bid, then the one that came first. */
const beats = (bid: BidLike, best: BidLike): boolean =>
  bid.price > best.price || (bid.price === best.price && bid.dateTime < best.dateTime);

const isAuction = <A extends AuctionLike, B extends BidLike>(one: Readonly<A | B>): one is Readonly<A> =>
  'expires' in one;

export function bestBids<A extends AuctionLike, B extends BidLike>(
  auctionsAndBids: Stream<A | B>,
): OperatorStream<BestBid<A, B>> {
  return auctionsAndBids
    .keyBy((one) => (isAuction<A, B>(one) ? one.id : one.auction))
    .process(emits<BestBid<A, B>>(), {
      state: { auction: valueState<A>(), best: valueState<B>(), early: listState<B>() },
      onRecord(one, { state, timers, emit }) {
        if (isAuction<A, B>(one)) {
          const auction = one as A;
          state.auction.update(auction);
          timers.registerEventTime(auction.expires);
          let best: B | null = null;
          for (const bid of state.early.get()) {
            if (bid.dateTime < auction.dateTime || bid.dateTime > auction.expires) continue;
            if (best !== null && !beats(bid, best)) continue;
            emit({ auction, bid, priceBefore: best?.price ?? null });
            best = bid;
          }
          state.early.clear();
          if (best !== null) state.best.update(best);
          return;
        }
        const bid = one as B;
        const auction = state.auction.value();
        if (auction === undefined) {
          state.early.add(bid);
          timers.registerEventTime(bid.dateTime);
          return;
        }
        if (bid.dateTime < auction.dateTime || bid.dateTime > auction.expires) return;
        const best = state.best.value();
        if (best !== undefined && !beats(bid, best)) return;
        emit({ auction, bid, priceBefore: best?.price ?? null });
        state.best.update(bid);
      },
      onTimer(timeMs, { state }) {
        const auction = state.auction.value();
        if (auction === undefined) {
          const left = [...state.early.get()].filter((bid) => bid.dateTime > timeMs);
          if (left.length > 0) state.early.update(left);
          else state.early.clear();
        } else if (auction.expires <= timeMs) {
          state.auction.clear();
          state.best.clear();
        }
      },
    });
}
