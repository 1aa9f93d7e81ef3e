/**
 * q7, highest bid: the bids with the highest price of each ten seconds. The query joins bids up to and including the end of a
 * window with the maximum of it, so a bid exactly at the end belongs to the next window and may match this one too.
 */
import { emits, mapState, type Stream } from 'millrace';
import type { Bid, NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

type HighestBid = Pick<Bid, 'auction' | 'price' | 'bidder' | 'dateTime' | 'extra'>;

const sizeMs = 10_000;

export function q7(events: Stream<NexmarkEvent>) {
  return bidsOf(events)
    .map(({ auction, price, bidder, dateTime, extra }): HighestBid => ({ auction, price, bidder, dateTime, extra }))
    .keyBy(() => 0)
    .process(emits<HighestBid>(), {
      // By end of window: the highest so far, and those exactly at the end.
      state: { highest: mapState<number, HighestBid[]>(), atEnd: mapState<number, HighestBid[]>() },
      onRecord(bid, { state: { highest, atEnd }, timers }) {
        const start = bid.dateTime - (bid.dateTime % sizeMs);
        const end = start + sizeMs;
        if (bid.dateTime === start) atEnd.set(start, [...(atEnd.get(start) ?? []), bid]);
        const before = highest.get(end);
        if (before === undefined) timers.registerEventTime(end);
        const price = before?.[0]?.price ?? Number.NEGATIVE_INFINITY;
        if (bid.price > price) highest.set(end, [bid]);
        else if (bid.price === price) highest.set(end, [...(before ?? []), bid]);
      },
      onTimer(end, { state: { highest, atEnd }, emit }) {
        const best = highest.get(end) ?? [];
        for (const bid of best) emit(bid);
        for (const bid of atEnd.get(end) ?? []) if (bid.price === best[0]?.price) emit(bid);
        highest.delete(end);
        atEnd.delete(end);
      },
    });
}
