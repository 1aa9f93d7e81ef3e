/**
 * The records of the operators job, pure functions of split and number. All times are multiples of 10 ms and all gaps of
 * sessions are not, so that no two sessions merely touch: whether such ones are merged depends on when the watermark came.
 */
export interface Item {
  /** `split.seq`, unique. */
  id: string;
  split: number;
  seq: number;
  /** Records of a key are all of one split, so their order is that of the split. */
  key: string;
  /** Shared by all splits and both streams. */
  group: number;
  time: number;
  amount: number;
  late: boolean;
}

/** Splits of the first stream are 0..3, of the second 4 and 5. */
export const itemSplits = 4;
export const markSplits = 2;
export const outOfOrdernessMs = 2_000;

const startMs = Date.UTC(2024, 0, 1);
const stepMs = 100;
const jitterMs = 2_000;
const lateEvery = 97;
const lateByMs = 30_000;
const keysPerSplit = 8;
const groupCount = 200;

/** Up to 2 s out of order, which is on time; every 97th is 30 s late once the stream is older than a minute. */
export function itemOf(split: number, seq: number): Item {
  const mixed = Math.imul(seq + 1, 2_654_435_761) ^ Math.imul(split + 11, 40_503);
  const chance = (Math.imul(mixed ^ (mixed >>> 15), 2_246_822_519) >>> 3) >>> 0;
  const late = seq % lateEvery === lateEvery - 1 && seq * stepMs > 2 * lateByMs;
  const jitter = Math.floor((chance % jitterMs) / 10) * 10;
  return {
    id: `${split}.${seq}`,
    split,
    seq,
    key: `${split}-${chance % keysPerSplit}`,
    group: (chance >>> 5) % groupCount,
    time: startMs + seq * stepMs - jitter - (late ? lateByMs : 0),
    amount: 1 + ((chance >>> 9) % 100),
    late,
  };
}

/** Gap of the sessions whose gap is that of the record. */
export function gapOf({ amount }: Pick<Item, 'amount'>): number {
  return amount % 2 === 0 ? 1_005 : 2_505;
}

/** A rule of the broadcast stream: more than `limit` in all. */
export interface Rule {
  rule: number;
  limit: number;
}

export const ruleCount = 6;
export function ruleOf(rule: number): Rule {
  return { rule, limit: 500 + rule * 900 };
}
