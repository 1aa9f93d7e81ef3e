/** q16, channel statistics: q15 for each channel and day, with the last minute. A row replaces the one of the same two. */
import { max, type Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidCounts, rowOf } from './bid-counts.ts';
import { bidsOf, dayOf, dayText, minuteOf, minuteText } from './views.ts';

export const q16 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ auction, bidder, price, channel, dateTime }) => ({ auction, bidder, price, channel, dateTime }))
    .keyBy((bid) => [bid.channel, dayOf(bid.dateTime)] as const)
    .aggregate({ ...bidCounts, minute: max((bid) => minuteOf(bid.dateTime)) }, { updating: true, emitBefore: false })
    .map((row) => rowOf({ channel: row.key[0], day: dayText(row.key[1]), minute: minuteText(row.minute) }, row));
