/** q12, processing-time windows: bids of each bidder in ten seconds of the clock. */
import { count, seconds, type Stream, tumbling } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q12 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ bidder }) => ({ bidder }))
    .keyBy((bid) => bid.bidder)
    .window(tumbling(seconds(10), { time: 'processing' }))
    .aggregate({ bids: count() })
    .map(({ key, windowStart, windowEnd, bids }) => ({ bidder: key, bids, windowStart, windowEnd }));
