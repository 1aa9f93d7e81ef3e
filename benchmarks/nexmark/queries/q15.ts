/** q15, bidding statistics of each day. A row replaces the one of the same day. */
import { emits, mapState, type Stream, valueState } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { addBid, type BidStatistics, noBids } from './bid-statistics.ts';
import { bidsOf, dayOf, dayText } from './views.ts';

type DayStatistics = { readonly day: string } & BidStatistics;

export const q15 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ auction, bidder, price, dateTime }) => ({ auction, bidder, price, dateTime }))
    .keyBy((bid) => dayOf(bid.dateTime))
    .process(emits<DayStatistics>(), {
      state: {
        statistics: valueState<BidStatistics>(),
        bidders: mapState<number, number>(),
        auctions: mapState<number, number>(),
      },
      onRecord(bid, { key, state, emit }) {
        const statistics = state.statistics.value() ?? noBids();
        addBid(statistics, bid, state);
        state.statistics.update(statistics);
        emit({ day: dayText(key), ...statistics });
      },
    });
