/**
 * q19, the ten highest bids of each auction with their ranks; of equal prices the earlier arrival is higher. A row replaces
 * the one of the same auction and rank, so a new bid is told with all that it pushed down.
 */
import { emits, type Stream, valueState } from 'millrace';
import type { Bid, NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

type Ranked = Omit<Bid, 'eventType'> & { readonly rank: number };

const ranks = 10;

export const q19 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .keyBy((bid) => bid.auction)
    .process(emits<Ranked>(), {
      state: { highest: valueState<Bid[]>() },
      onRecord(bid, { state: { highest }, emit }) {
        const bids = highest.value() ?? [];
        let place = bids.length;
        while (place > 0 && (bids[place - 1] as Bid).price < bid.price) place--;
        if (place >= ranks) return;
        bids.splice(place, 0, bid);
        if (bids.length > ranks) bids.pop();
        highest.update(bids);
        for (let at = place; at < bids.length; at++) emit(ranked(bids[at] as Bid, at + 1));
      },
    });

const ranked = ({ auction, bidder, price, channel, url, dateTime, extra }: Bid, rank: number): Ranked => ({
  auction,
  bidder,
  price,
  channel,
  url,
  dateTime,
  extra,
  rank,
});
