/** q16, channel statistics: q15 for each channel and day, with the last minute. A row replaces the one of the same two. */
import { emits, mapState, type Stream, valueState } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { addBid, type BidStatistics, noBids } from './bid-statistics.ts';
import { bidsOf, dayOf, dayText, minuteOf, minuteText } from './views.ts';

type ChannelStatistics = { readonly channel: string; readonly day: string; readonly minute: string } & BidStatistics;

export const q16 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ auction, bidder, price, channel, dateTime }) => ({ auction, bidder, price, channel, dateTime }))
    .keyBy((bid) => [bid.channel, dayOf(bid.dateTime)] as const)
    .process(emits<ChannelStatistics>(), {
      state: {
        statistics: valueState<BidStatistics & { minute: number }>(),
        bidders: mapState<number, number>(),
        auctions: mapState<number, number>(),
      },
      onRecord(bid, { key: [channel, day], state, emit }) {
        const statistics = state.statistics.value() ?? { minute: 0, ...noBids() };
        addBid(statistics, bid, state);
        statistics.minute = Math.max(statistics.minute, minuteOf(bid.dateTime));
        state.statistics.update(statistics);
        emit({ ...statistics, channel, day: dayText(day), minute: minuteText(statistics.minute) });
      },
    });
