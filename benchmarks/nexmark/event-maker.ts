/**
 * Makes the events of Nexmark, as the Flink port (nexmark/nexmark, class NexmarkGenerator) does in order: of 50 events in a
 * row one is a person, three are auctions, 46 are bids; ids follow from the event's number alone. Everything of an event is
 * a function of (seed, event id).
 */
import { EventRandom } from './event-random.ts';
import { EventText } from './event-text.ts';
import { type Auction, auctionType, type Bid, bidType, type NexmarkEvent, type Person, personType } from './model.ts';

export const proportions = { person: 1, auction: 3, bid: 46, total: 50 } as const;
export const firstPersonId = 1000;
export const firstAuctionId = 1000;
export const firstCategoryId = 10;
export const categoryCount = 5;
/** People and auctions may be referred to this many ids before they exist. */
export const personIdLead = 10;
export const auctionIdLead = 10;
export const inFlightAuctions = 100;
export const activePeople = 1000;
/** One in so many is not hot. */
export const hotAuctionRatio = 2;
export const hotBiddersRatio = 4;
export const hotSellersRatio = 4;
/** The hot one changes every so many ids. */
export const hotBatch = 100;
/** Prices span six powers of ten. */
const priceLogSpan = 6 * Math.LN10;
const averageBytes = { person: 200, auction: 500, bid: 100 } as const;

/** One generator of several that run side by side. */
export interface EventRange {
  readonly seed: number;
  /** Time of its first event, epoch ms. */
  readonly baseTimeMs: number;
  /** Between two of its events; may be a fraction. */
  readonly interEventDelayUs: number;
  readonly firstEventId: number;
}

export class EventMaker {
  readonly #range: EventRange;
  readonly #random: EventRandom;
  readonly #text: EventText;

  constructor(range: EventRange) {
    this.#range = range;
    this.#random = new EventRandom(range.seed);
    this.#text = new EventText(range.seed, this.#random);
  }

  /** Event `number` of this generator, from 0. */
  make(number: number): NexmarkEvent {
    const eventId = this.#range.firstEventId + number;
    this.#random.seek(eventId);
    const offset = eventId % proportions.total;
    const time = this.timestampOf(number);
    if (offset >= proportions.person + proportions.auction) return this.#bid(eventId, time);
    return offset < proportions.person ? this.#person(eventId, time) : this.#auction(eventId, number, time);
  }

  /** Time of event `number`, epoch ms. */
  timestampOf(number: number): number {
    return this.#range.baseTimeMs + Math.floor(Math.floor(number * this.#range.interEventDelayUs) / 1000);
  }

  #person(eventId: number, dateTime: number): Person {
    const text = this.#text;
    const name = text.personName();
    const emailAddress = text.emailAddress();
    const creditCard = text.creditCard();
    const city = text.city();
    const state = text.state();
    const current = 8 + name.length + emailAddress.length + creditCard.length + city.length + state.length;
    return {
      eventType: personType,
      id: lastPerson(eventId) + firstPersonId,
      name,
      emailAddress,
      creditCard,
      city,
      state,
      dateTime,
      extra: text.extra(current, averageBytes.person),
    };
  }

  #auction(eventId: number, number: number, dateTime: number): Auction {
    const random = this.#random;
    const initialBid = this.#price();
    const itemName = this.#text.string(20);
    const description = this.#text.string(100);
    const person = lastPerson(eventId);
    const hot = random.below(hotSellersRatio) > 0;
    const seller = hot ? Math.floor(person / hotBatch) * hotBatch : this.#anyPerson(person);
    return {
      eventType: auctionType,
      id: lastAuction(eventId) + firstAuctionId,
      itemName,
      description,
      initialBid,
      reserve: initialBid + this.#price(),
      dateTime,
      expires: dateTime + this.#auctionLengthMs(number, dateTime),
      seller: seller + firstPersonId,
      category: firstCategoryId + random.below(categoryCount),
      extra: this.#text.extra(8 + itemName.length + description.length + 5 * 8, averageBytes.auction),
    };
  }

  #bid(eventId: number, dateTime: number): Bid {
    const random = this.#random;
    const last = lastAuction(eventId);
    const hotAuction = random.below(hotAuctionRatio) > 0;
    const auction = hotAuction ? Math.floor(last / hotBatch) * hotBatch : this.#anyAuction(last);
    const person = lastPerson(eventId);
    const hotBidder = random.below(hotBiddersRatio) > 0;
    const bidder = hotBidder ? Math.floor(person / hotBatch) * hotBatch + 1 : this.#anyPerson(person) + firstPersonId;
    const price = this.#price();
    const channel = this.#text.channel();
    return {
      eventType: bidType,
      auction: auction + firstAuctionId,
      bidder: bidder + firstPersonId,
      price,
      channel: channel.name,
      url: channel.url,
      dateTime,
      extra: this.#text.extra(32, averageBytes.bid),
    };
  }

  /** Log-uniform, 100 to 100,000,000 cents; `exp` because `10 **` takes twice as long. */
  #price(): number {
    return Math.round(Math.exp(this.#random.next() * priceLogSpan) * 100);
  }

  /** One of the last thousand people, or one of the next ten. */
  #anyPerson(last: number): number {
    const people = last + 1;
    const active = Math.min(people, activePeople);
    return people - active + this.#random.below(active + personIdLead);
  }

  /** One of the last hundred auctions, or one of the next ten. */
  #anyAuction(last: number): number {
    const lowest = Math.max(last - inFlightAuctions, 0);
    return lowest + this.#random.below(last - lowest + 1 + auctionIdLead);
  }

  /** Up to twice the time in which the auctions in flight come anew. */
  #auctionLengthMs(number: number, dateTime: number): number {
    const ahead = Math.floor((inFlightAuctions * proportions.total) / proportions.auction);
    const horizon = this.timestampOf(number + ahead) - dateTime;
    return 1 + this.#random.below(Math.max(2 * horizon, 1));
  }
}

/** Number of the newest person at an event, from 0. */
export function lastPerson(eventId: number): number {
  return Math.floor(eventId / proportions.total);
}

/** Number of the newest auction at an event, from 0; -1 when there is none yet. */
export function lastAuction(eventId: number): number {
  const epoch = Math.floor(eventId / proportions.total);
  const offset = eventId % proportions.total;
  if (offset < proportions.person) return epoch * proportions.auction - 1;
  if (offset >= proportions.person + proportions.auction) return epoch * proportions.auction + proportions.auction - 1;
  return epoch * proportions.auction + offset - proportions.person;
}
