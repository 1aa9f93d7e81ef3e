/**
 * The records of the end-to-end benchmarks and what must come out of them. Record `index` is arithmetic on its number, so
 * the benchmark can work out the right result of every key by itself after the run and compare.
 */

/** Seven fields, as in Nexmark's bids. */
export interface Bid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  readonly dateTime: number;
  readonly extra: string;
}

const poolSize = 10_000;
const channels = pool((index) => `channel-${index}`);
const urls = pool((index) => `https://www.nexmark.com/item.htm?query=1&channel_id=${index * 7919}`);
const extras = pool((index) => `extra-${index}-`.padEnd(10 + (index % 20), 'x'));

function pool(make: (index: number) => string): readonly string[] {
  return Array.from({ length: poolSize }, (_, index) => make(index));
}

/** Spreads consecutive numbers over 0 .. 2^32 - 1. */
function spread(index: number): number {
  return Math.imul(index + 1, 0x9e3779b1) >>> 0;
}

/** Key of record `index`, an integer below `keys`. */
export function keyOfIndex(index: number, keys: number): number {
  return spread(index) % keys;
}

/** An integer, so that sums are exact in whatever order they are made. */
export function priceOfIndex(index: number): number {
  return 100 + (index % 9_973);
}

/** A fresh bid; its auction is the key. */
export function bidOfIndex(index: number, keys: number): Bid {
  const drawn = spread(index);
  return {
    auction: drawn % keys,
    bidder: 1000 + (index & 0xffff),
    price: priceOfIndex(index),
    channel: channels[drawn % poolSize] as string,
    url: urls[index % poolSize] as string,
    dateTime: 1_700_000_000_000 + index,
    extra: extras[(drawn >>> 8) % poolSize] as string,
  };
}

/** Right results by key: how many records, their sum and the largest. */
export interface ExpectedByKey {
  readonly counts: Float64Array;
  readonly sums: Float64Array;
  readonly maxima: Float64Array;
  /** Keys that occur. */
  readonly distinctKeys: number;
}

export function expectedByKey(events: number, keys: number): ExpectedByKey {
  const counts = new Float64Array(keys);
  const sums = new Float64Array(keys);
  const maxima = new Float64Array(keys).fill(Number.NEGATIVE_INFINITY);
  for (let index = 0; index < events; index++) {
    const key = keyOfIndex(index, keys);
    const price = priceOfIndex(index);
    counts[key] = (counts[key] as number) + 1;
    sums[key] = (sums[key] as number) + price;
    if (price > (maxima[key] as number)) maxima[key] = price;
  }
  return { counts, sums, maxima, distinctKeys: counts.reduce((sum, count) => sum + Math.min(count, 1), 0) };
}
