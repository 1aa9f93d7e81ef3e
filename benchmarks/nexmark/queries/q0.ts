/** q0, pass through: every bid, without what nobody asked for. What the engine itself costs. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf } from './views.ts';

export const q0 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events).map(({ auction, bidder, price, dateTime, extra }) => ({ auction, bidder, price, dateTime, extra }));
