/**
 * Random numbers of the simulated world. Streams are split by purpose, so removing one fault does not reshuffle the rest.
 */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** Whole number of `min .. max`, both inclusive. */
  between(min: number, max: number): number;
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** Mixes text into a 32-bit hash (FNV-1a). */
export function mixText(hash: number, text: string): number {
  let mixed = hash;
  for (let index = 0; index < text.length; index++) mixed = Math.imul(mixed ^ text.charCodeAt(index), 0x01000193);
  return mixed >>> 0;
}

/** Mixes bytes into a 32-bit hash (FNV-1a). */
export function mixBytes(hash: number, bytes: Uint8Array): number {
  let mixed = hash;
  for (const byte of bytes) mixed = Math.imul(mixed ^ byte, 0x01000193);
  return mixed >>> 0;
}

export const hashStart = 0x811c9dc5;

/** The stream of a seed for one purpose (mulberry32). */
export function randomStream(seed: number, purpose: string): Random {
  let state = mixText(mixText(hashStart, `${seed}:`), purpose);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const between = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  return {
    next,
    between,
    chance: (probability) => next() < probability,
    pick: (list) => list[between(0, list.length - 1)] as (typeof list)[number],
  };
}
