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
    .map(({ key: [channel, day], minute, ...counts }) => ({
      channel,
      day: dayText(day),
      minute: minuteText(minute),
      ...counts,
    }));
