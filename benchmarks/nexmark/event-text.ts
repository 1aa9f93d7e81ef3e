/**
 * The texts of Nexmark's events. Long ones are slices of one random buffer, and channels with their URLs are made once:
 * strings are most of what an event costs.
 *
 * A slice keeps its parent alive. Here that is one buffer for the whole life of the process, so nothing is pinned that would
 * not stay anyway; what goes into state is copied there as any string is.
 */
import { EventRandom } from './event-random.ts';

const bufferChars = 1024 * 1024;
const stringMin = 3;
const letters = 26;
const codeOfA = 97;
const space = 32;
const underscore = 95;
/** One character in so many is the special one. */
const specialOneIn = 13;
const channelCount = 10_000;
/** Event ids that no event has, for what is made once. */
const bufferId = 2 ** 52;
const hotChannelId = bufferId + 1;
const channelId = hotChannelId + 16;

const firstNames = 'Peter Paul Luke John Saul Vicky Kate Julie Sarah Deiter Walter'.split(' ');
const lastNames = 'Shultz Abrams Spencer White Bartels Walton Smith Jones Noris'.split(' ');
const cities = [
  'Phoenix',
  'Los Angeles',
  'San Francisco',
  'Boise',
  'Portland',
  'Bend',
  'Redmond',
  'Seattle',
  'Kent',
  'Cheyenne',
];
const states = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY'];
const hotChannels = ['Google', 'Facebook', 'Baidu', 'Apple'];

export interface Channel {
  readonly name: string;
  readonly url: string;
}

/** `abs(bitreverse32(i))` as Java computes it: the smallest integer has no positive twin and stays negative. */
function reversedId(index: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed |= ((index >>> bit) & 1) << (31 - bit);
  return Math.abs(reversed) | 0;
}

export class EventText {
  readonly #seed: number;
  readonly #random: EventRandom;
  readonly #letters: string;
  readonly #scratch = Buffer.alloc(128);
  readonly #hotChannels: readonly Channel[];
  readonly #channels: (Channel | undefined)[] = new Array(channelCount).fill(undefined);

  /** @param random set to the event whose texts are asked for */
  constructor(seed: number, random: EventRandom) {
    this.#seed = seed;
    this.#random = random;
    this.#letters = randomLetters(seed);
    this.#hotChannels = hotChannels.map((name, index) => ({ name, url: this.#baseUrl(hotChannelId + index) }));
  }

  /** Random words of 3 to `max - 1` characters, without spaces at the ends (which may make it shorter). */
  string(max: number): string {
    return specialString(this.#random, this.#scratch, max, space).trim();
  }

  /** What fills an event up to its average size: about the missing bytes, 20 % more or less. */
  extra(current: number, average: number): string {
    if (current > average) return '';
    const missing = average - current;
    const delta = Math.round(0.2 * missing);
    const length = missing - delta + (delta === 0 ? 0 : this.#random.below(2 * delta));
    const from = this.#random.below(bufferChars - length);
    return this.#letters.substring(from, from + length);
  }

  personName(): string {
    return `${this.#pick(firstNames)} ${this.#pick(lastNames)}`;
  }

  emailAddress(): string {
    return `${this.string(7)}@${this.string(5)}.com`;
  }

  creditCard(): string {
    return `${this.#fourDigits()} ${this.#fourDigits()} ${this.#fourDigits()} ${this.#fourDigits()}`;
  }

  city(): string {
    return this.#pick(cities);
  }

  state(): string {
    return this.#pick(states);
  }

  /** Half of the bids come over four channels, the others over ten thousand. */
  channel(): Channel {
    if (this.#random.below(2) > 0) return this.#hotChannels[this.#random.below(hotChannels.length)] as Channel;
    const index = this.#random.below(channelCount);
    return this.#channels[index] ?? this.#makeChannel(index);
  }

  #makeChannel(index: number): Channel {
    const url = this.#baseUrl(channelId + index);
    const withId = new EventRandom(this.#seed);
    withId.seek(channelId + channelCount + index);
    const channel = {
      name: `channel-${index}`,
      url: withId.below(10) > 0 ? `${url}&channel_id=${reversedId(index)}` : url,
    };
    this.#channels[index] = channel;
    return channel;
  }

  /** Always the same for the same seed and number, whichever event asks first. */
  #baseUrl(number: number): string {
    const random = new EventRandom(this.#seed);
    random.seek(number);
    const part = (): string => specialString(random, this.#scratch, 5, underscore);
    return `https://www.nexmark.com/${part()}/${part()}/${part()}/item.htm?query=1`;
  }

  #fourDigits(): string {
    return String(this.#random.below(10_000)).padStart(4, '0');
  }

  #pick(items: readonly string[]): string {
    return items[this.#random.below(items.length)] as string;
  }
}

function specialString(random: EventRandom, scratch: Buffer, max: number, special: number): string {
  const length = stringMin + random.below(max - stringMin);
  for (let at = 0; at < length; at++) {
    // One draw a character: its halves decide independently.
    const bits = random.bits();
    scratch[at] =
      ((bits >>> 16) * specialOneIn) >>> 16 === 0 ? special : codeOfA + (((bits & 0xffff) * letters) >>> 16);
  }
  return scratch.toString('latin1', 0, length);
}

function randomLetters(seed: number): string {
  const random = new EventRandom(seed);
  random.seek(bufferId);
  const bytes = Buffer.alloc(bufferChars);
  for (let at = 0; at < bufferChars; at++) bytes[at] = codeOfA + random.below(letters);
  return bytes.toString('latin1');
}
