/** q1, currency: every bid in euros. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q1 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events).map(({ auction, bidder, price, dateTime, extra }) => ({
    auction,
    bidder,
    // 0.908 in thousandths: three decimals, exactly, as SQL's DECIMAL(23, 3).
    price: (price * 908) / 1000,
    dateTime,
    extra,
  }));
