/**
 * Random numbers of one event: a pure function of (seed, event id), so that a split goes on at any event without replaying
 * those before. Seeding mixes seed and both halves of the id; the sequence is mulberry32. (The Flink port uses one unseeded
 * generator and cannot repeat a run; Beam, like this, seeds by event id.)
 */
const twoTo32 = 4_294_967_296;

function mix(value: number): number {
  let mixed = value | 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return mixed ^ (mixed >>> 15);
}

export class EventRandom {
  readonly #seed: number;
  #state = 0;

  /** @param seed integer of at least 0 */
  constructor(seed: number) {
    this.#seed = mix(mix(seed | 0) + Math.floor(seed / twoTo32));
  }

  /** Begins the sequence of an event. */
  seek(eventId: number): void {
    const high = eventId < twoTo32 ? 0 : Math.floor(eventId / twoTo32);
    this.#state = mix(mix(this.#seed + Math.imul(high, 0x9e3779b9)) + Math.imul(eventId | 0, 0x9e3779b9));
  }

  /** 32 random bits as an integer of at least 0. */
  bits(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** In [0, 1). */
  next(): number {
    return this.bits() / twoTo32;
  }

  /** Integer in [0, bound). @param bound 1 .. 2^31 */
  below(bound: number): number {
    return ((this.bits() / twoTo32) * bound) | 0;
  }
}
