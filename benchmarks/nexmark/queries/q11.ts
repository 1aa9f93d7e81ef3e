/** q11, user sessions: how often each bidder bid until ten quiet seconds. */
import { count, seconds, session, type Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q11 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .map(({ bidder }) => ({ bidder }))
    .keyBy((bid) => bid.bidder)
    .window(session(seconds(10)))
    .aggregate({ bids: count() })
    .map(({ key, windowStart, windowEnd, bids }) => ({ bidder: key, bids, windowStart, windowEnd }));
