/** q18, last bid of each bidder for each auction. A row replaces the one of the same two. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q18 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .keyBy((bid) => [bid.bidder, bid.auction] as const)
    .dedup({ keep: 'last', emitBefore: false });
