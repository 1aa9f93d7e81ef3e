/** q10, log to files: every bid with its day and minute, by which the files are spread. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf, dayOf, dayText, minuteOf, minuteText } from './views.ts';

export const q10 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events).map(({ auction, bidder, price, dateTime, extra }) => ({
    auction,
    bidder,
    price,
    dateTime,
    extra,
    dt: dayText(dayOf(dateTime)),
    hm: minuteText(minuteOf(dateTime)),
  }));

/** Where a bid is written, as Hive names partitions. */
export const partitionOfBid = ({ dt, hm }: { readonly dt: string; readonly hm: string }): string => `dt=${dt}/hm=${hm}`;
