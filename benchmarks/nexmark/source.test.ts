import { describe, expect, it } from 'vitest';
import { drainSource, planAll } from '../../connectors/testing/drain.ts';
import { recordedContext } from '../../connectors/testing/connector-context.ts';
import { expectExactResume } from '../../connectors/testing/resume.ts';
import { EventMaker, lastAuction, lastPerson } from './event-maker.ts';
import { type Auction, type Bid, isAuction, isBid, isPerson, type NexmarkEvent, type Person } from './model.ts';
import { type NexmarkOptions, nexmarkSource } from './source.ts';

const options: NexmarkOptions = {
  events: 200_000,
  eventsPerSecond: 100_000,
  baseTimeMs: 1_000_000,
  seed: 1,
  splits: 1,
  durationMs: Number.POSITIVE_INFINITY,
};

const maker = new EventMaker({ seed: 1, baseTimeMs: 1_000_000, interEventDelayUs: 10, firstEventId: 0 });
const events: readonly NexmarkEvent[] = Array.from({ length: options.events }, (_, number) => maker.make(number));
const people: readonly Person[] = events.filter(isPerson);
const auctions: readonly Auction[] = events.filter(isAuction);
const bids: readonly Bid[] = events.filter(isBid);

/** Part of the items a predicate holds for. */
const share = <T>(items: readonly T[], holds: (item: T) => boolean): number =>
  items.filter(holds).length / items.length;

describe('the events of Nexmark', () => {
  it('are one person, three auctions and 46 bids when any fifty in a row are taken', () => {
    const types = events.slice(0, 50).map((event) => event.eventType);
    expect(types).toEqual([0, 1, 1, 1, ...new Array(46).fill(2)]);
    expect([people.length, auctions.length, bids.length]).toEqual([4_000, 12_000, 184_000]);
  });

  it('have the ids that follow from their number when people and auctions are numbered', () => {
    expect(people.map(({ id }) => id)).toEqual(people.map((_, index) => 1000 + index));
    expect(auctions.map(({ id }) => id)).toEqual(auctions.map((_, index) => 1000 + index));
    expect([0, 1, 3, 4, 49, 50, 51].map(lastAuction)).toEqual([-1, 0, 2, 2, 2, 2, 3]);
    expect([0, 49, 50].map(lastPerson)).toEqual([0, 0, 1]);
  });

  it('have the times of the rate when it is 100,000 a second', () => {
    expect(events.every((event, number) => event.dateTime === 1_000_000 + Math.floor(number / 100))).toBe(true);
  });

  it('refer to what is there, or is at most ten ids ahead, when they name people and auctions', () => {
    const wrong = bids.filter((bid, index) => {
      const eventId = Math.floor(index / 46) * 50 + 4 + (index % 46);
      const auction = bid.auction - 1000;
      const last = lastAuction(eventId);
      const hot = auction === Math.floor(last / 100) * 100;
      // The Flink port puts bidders a thousand above people (nexmark#30), except hot ones.
      const person = lastPerson(eventId);
      const hotBidder = bid.bidder - 1000 === Math.floor(person / 100) * 100 + 1;
      const bidder = bid.bidder - 2000;
      const known = hot || (auction >= Math.max(last - 100, 0) && auction <= last + 10);
      return !known || !(hotBidder || (bidder >= Math.max(person - 999, 0) && bidder <= person + 10));
    });
    expect(wrong).toEqual([]);
    expect(auctions.every(({ seller }, index) => seller >= 1000 && seller - 1000 <= index / 3 + 10)).toBe(true);
  });

  it('meet hot ones as often as they should when ids are counted', () => {
    const atHundred = share(bids.slice(46_000), ({ auction }) => (auction - 1000) % 100 === 0);
    expect(atHundred).toBeGreaterThan(0.49);
    expect(atHundred).toBeLessThan(0.52);
    const hotBidders = share(bids.slice(46_000), ({ bidder }) => (bidder - 1000) % 100 === 1);
    expect(hotBidders).toBeGreaterThan(0.74);
    expect(hotBidders).toBeLessThan(0.77);
    const hotSellers = share(auctions.slice(3_000), ({ seller }) => (seller - 1000) % 100 === 0);
    expect(hotSellers).toBeGreaterThan(0.73);
    expect(hotSellers).toBeLessThan(0.78);
  });

  it('have prices whose bands are a third each when they are cut at 100 and 10,000', () => {
    expect(share(bids, ({ price }) => price < 10_000)).toBeCloseTo(1 / 3, 2);
    expect(share(bids, ({ price }) => price >= 1_000_000)).toBeCloseTo(1 / 3, 2);
    const prices = bids.map(({ price }) => price);
    expect(prices.reduce((least, price) => Math.min(least, price))).toBeGreaterThanOrEqual(100);
    expect(prices.reduce((most, price) => Math.max(most, price))).toBeLessThanOrEqual(100_000_000);
    expect(auctions.every(({ initialBid, reserve }) => reserve > initialBid)).toBe(true);
  });

  it('pass the filters of q2, q3, q14 and q21 as often as they should when counted', () => {
    // Hot auctions make the first one jump about its mean.
    const q2 = share(bids, ({ auction }) => auction % 123 === 0);
    expect(q2).toBeGreaterThan(0.5 / 123);
    expect(q2).toBeLessThan(1.5 / 123);
    expect(share(bids, ({ price }) => price * 0.908 > 1e6 && price * 0.908 < 5e7)).toBeCloseTo(0.283, 2);
    const withId = share(bids, ({ channel, url }) => !channel.startsWith('channel-') || url.includes('&channel_id='));
    expect(withId).toBeCloseTo(0.95, 2);
    expect(share(bids, ({ channel }) => !channel.startsWith('channel-'))).toBeCloseTo(0.5, 2);
    expect(share(auctions, ({ category }) => category === 10)).toBeCloseTo(0.2, 1);
    expect(share(people, ({ state }) => ['OR', 'ID', 'CA'].includes(state))).toBeCloseTo(0.5, 1);
  });

  it('have texts of the lengths and letters that are asked for when looked at', () => {
    expect(bids.every(({ extra }) => extra.length >= 54 && extra.length <= 81 && /^[a-z]+$/.test(extra))).toBe(true);
    expect(
      bids.every(({ url }) => /^https:\/\/www\.nexmark\.com\/([a-z_]{3,4}\/){3}item\.htm\?query=1/.test(url)),
    ).toBe(true);
    expect(people.every(({ creditCard }) => /^\d{4} \d{4} \d{4} \d{4}$/.test(creditCard))).toBe(true);
    expect(people.every(({ emailAddress }) => emailAddress.endsWith('.com'))).toBe(true);
    expect(auctions.every(({ description }) => description.length < 100 && description.trim() === description)).toBe(
      true,
    );
    expect(new Set(auctions.map(({ description }) => description)).size).toBeGreaterThan(11_000);
  });

  it('let auctions end within twice the time in which a hundred come when nothing else is said', () => {
    const lengths = auctions.map(({ dateTime, expires }) => expires - dateTime);
    // 1,666 events are 16 or 17 ms.
    expect(lengths.every((ms) => ms >= 1 && ms <= 34)).toBe(true);
    expect(new Set(lengths).size).toBeGreaterThan(30);
  });
});

describe('the source of Nexmark', () => {
  it('continues with the very next event when opened at the position of any event', async () => {
    expect(await expectExactResume(nexmarkSource({ ...options, events: 101, splits: 2 }))).toHaveLength(101);
  });

  it('makes the events that the maker makes when read to its end', async () => {
    const { values } = await drainSource(nexmarkSource({ ...options, events: 1_000 }));
    expect(values).toEqual(events.slice(0, 1_000));
  });

  it('gives each split a range of ids and the same times when there are several', async () => {
    const source = nexmarkSource({ ...options, events: 1_003, splits: 3 });
    const { values } = await drainSource(source);
    expect(values).toHaveLength(1_003);
    const auctionIds = values.filter(isAuction).map(({ id }) => id);
    expect(new Set(auctionIds).size).toBe(auctionIds.length);
    expect(values[0]?.dateTime).toBe(values[334]?.dateTime);
    // A third of the rate each: 3 x 10 microseconds from event to event.
    expect(values[333]?.dateTime).toBe(1_000_000 + Math.floor((333 * 30) / 1000));
  });

  it('makes other events when the seed differs, of the same kinds and ids', async () => {
    const { values } = await drainSource(nexmarkSource({ ...options, events: 100, seed: 2 }));
    expect(values).not.toEqual(events.slice(0, 100));
    expect(values.map(({ eventType }) => eventType)).toEqual(events.slice(0, 100).map(({ eventType }) => eventType));
  });

  it('ends by the clock when it has a duration', async () => {
    const source = nexmarkSource({ ...options, events: Number.POSITIVE_INFINITY, durationMs: 1 });
    expect(source.boundedness).toBe('bounded');
    const [split] = await planAll(source, recordedContext());
    const cursor = await source.createReader(recordedContext()).openSplit(split as { split: number }, undefined);
    let polls = 0;
    while (!cursor.ended) {
      cursor.poll(1000);
      polls++;
    }
    expect(polls).toBeGreaterThan(1);
    expect(nexmarkSource({ ...options, events: Number.POSITIVE_INFINITY }).boundedness).toBe('unbounded');
  });

  it.each([{ events: -1 }, { events: 1.5 }, { eventsPerSecond: 0 }, { splits: 0 }, { durationMs: 0 }])(
    'refuses the options when they are %o',
    (wrong) => {
      expect(() => nexmarkSource({ ...options, ...wrong })).toThrow(RangeError);
    },
  );
});
