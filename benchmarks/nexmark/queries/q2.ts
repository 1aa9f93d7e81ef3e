/** q2, selection: bids for some auctions. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q2 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    .filter((bid) => bid.auction % 123 === 0)
    .map(({ auction, price }) => ({ auction, price }));
