/**
 * The n greatest (or smallest) records of a group. Which records these are never depends on the order of arrival: ties are
 * broken by a second key where there is one, then by the stored form of the records.
 */
import type { Aggregate } from '../../core/aggregate.ts';
import { compareBytes, encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { checkChoice } from '../streams/checks.ts';
import { objectAggregate } from './aggregate-of.ts';

/** Options of {@link topN}. */
export interface TopNOptions<In> {
  /** Greatest first (`desc`, default), or smallest first. */
  readonly order?: 'asc' | 'desc';
  /** Among equals the smaller of these comes first, for example `(bid) => bid.time`. */
  readonly ties?: (value: In) => Key;
}

/** Records best first, with what they are ranked by beside them. */
interface Ranking<In> {
  readonly records: In[];
  readonly ranks: Key[];
}

/**
 * The n best records, best first.
 * @param n  1 or more
 * @param by what records are ranked by; any key type, in key order
 * @throws EngineError JOB_INVALID when n is not a whole number of 1 or more, or the order neither
 */
export function topN<In>(n: number, by: (value: In) => Key, options: TopNOptions<In> = {}): Aggregate<In, In[]> {
  if (!Number.isSafeInteger(n) || n < 1)
    throw new EngineError('JOB_INVALID', `topN: n is ${String(n)}; use a whole number of 1 or more`);
  const { order = 'desc', ties } = options;
  checkChoice(order, ['desc', 'asc'], 'topN: order');
  const before = (rank: Key, record: In, otherRank: Key, other: In): boolean => {
    const compared = compareKeys(rank, otherRank);
    if (compared !== 0) return order === 'desc' ? compared > 0 : compared < 0;
    const tie = ties === undefined ? 0 : compareKeys(ties(record), ties(other));
    return tie !== 0 ? tie < 0 : compareBytes(encodeValueToBytes(record), encodeValueToBytes(other)) < 0;
  };
  const insert = (ranking: Ranking<In>, rank: Key, record: In): void => {
    const { records, ranks } = ranking;
    let index = records.length;
    while (index > 0 && before(rank, record, ranks[index - 1] as Key, records[index - 1] as In)) index--;
    if (index >= n) return;
    // Kept beyond the batch: strings and bytes must not hold the batch's memory.
    records.splice(index, 0, ownValue(record));
    ranks.splice(index, 0, ownValue(rank));
    if (records.length > n) ranks.length = records.length = n;
  };
  const ranked = (records: readonly In[]): Ranking<In> => ({ records: [...records], ranks: records.map(by) });
  return objectAggregate<In, Ranking<In>, In[]>(
    {
      create: () => ({ records: [], ranks: [] }),
      add: (ranking, value) => {
        insert(ranking, by(value), value);
        return ranking;
      },
      merge: (left, right) => {
        for (const [index, record] of right.records.entries()) insert(left, right.ranks[index] as Key, record);
        return left;
      },
      result: ({ records }) => [...records],
      sizeOf: ({ records }) => 200 + 200 * records.length,
      codec: { toPlain: ({ records }) => records, fromPlain: (plain) => ranked(plain as In[]) },
    },
    { aggregate: 'topN', n, order, ties: ties !== undefined },
    { by, ties },
  );
}

/** Key order; the common kinds without encoding. */
function compareKeys(left: Key, right: Key): number {
  if (typeof left === 'number' && typeof right === 'number') {
    if (left < right) return -1;
    if (left > right) return 1;
    if (left === right) return 0;
  }
  return compareBytes(encodeKeyToBytes(left), encodeKeyToBytes(right));
}
