/** q14, calculation: bids in a range of prices, with the time of day and how many c's they contain. */
import type { Stream } from 'millrace';
import type { NexmarkEvent } from '../model.ts';
import { bidsOf, hourOf } from './views.ts';

const letter = 'c'.charCodeAt(0);

export const timeOfDay = (hour: number): string =>
  hour >= 8 && hour <= 18 ? 'dayTime' : hour <= 6 || hour >= 20 ? 'nightTime' : 'otherTime';

function countOfC(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) === letter) count++;
  return count;
}

export const q14 = (events: Stream<NexmarkEvent>) =>
  bidsOf(events)
    // 0.908 * price > 1,000,000 and < 50,000,000, in thousandths: no rounding decides.
    .filter((bid) => bid.price * 908 > 1_000_000_000 && bid.price * 908 < 50_000_000_000)
    .map(({ auction, bidder, price, dateTime, extra }) => ({
      auction,
      bidder,
      price: (price * 908) / 1000,
      timeOfDay: timeOfDay(hourOf(dateTime)),
      dateTime,
      extra,
      cCount: countOfC(extra),
    }));
