/** The three views of the event stream, and what several queries say of a bid. */
import type { Stream } from 'millrace';
import { type Auction, type Bid, isAuction, isBid, isPerson, type NexmarkEvent, type Person } from '../model.ts';

export const peopleOf = (events: Stream<NexmarkEvent>): Stream<Person> => events.filter(isPerson);
export const auctionsOf = (events: Stream<NexmarkEvent>): Stream<Auction> => events.filter(isAuction);
export const bidsOf = (events: Stream<NexmarkEvent>): Stream<Bid> => events.filter(isBid);

/** One stream, in the order of events: a union of two would bring most bids before their auction. */
export const auctionsAndBidsOf = (events: Stream<NexmarkEvent>): Stream<Auction | Bid> =>
  events.filter((event) => !isPerson(event)) as Stream<Auction | Bid>;

/** Bids below the first are cheap, below the second middling, others expensive: a third each. */
export const lowPrice = 10_000;
export const highPrice = 1_000_000;

const dayMs = 86_400_000;
const minuteMs = 60_000;
const hourMs = 3_600_000;

/** Number of a day since the epoch, UTC. */
export const dayOf = (timeMs: number): number => Math.floor(timeMs / dayMs);

/** Hour of the day, 0 to 23, UTC. */
export const hourOf = (timeMs: number): number => Math.floor((timeMs % dayMs) / hourMs);

/** Minute of the day, 0 to 1439, UTC. */
export const minuteOf = (timeMs: number): number => Math.floor((timeMs % dayMs) / minuteMs);

/** The texts of few numbers, asked for very often. */
function remembered(make: (value: number) => string): (value: number) => string {
  const texts = new Map<number, string>();
  return (value) => {
    let text = texts.get(value);
    if (text === undefined) {
      text = make(value);
      texts.set(value, text);
    }
    return text;
  };
}

/** `yyyy-MM-dd` of a day's number. */
export const dayText = remembered((day) => new Date(day * dayMs).toISOString().slice(0, 10));

/** `HH:mm` of a minute of the day. */
export const minuteText = remembered((minute) => new Date(minute * minuteMs).toISOString().slice(11, 16));
