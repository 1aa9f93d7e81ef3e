/**
 * The exact number of different values. Keeps every value with how often it came, so that records can be taken back; about
 * 40 bytes a different value (and the value itself). For estimates in little memory use a sketch of your own (`aggregateOf`).
 */
import type { Aggregate } from '../../core/aggregate.ts';
import { encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import { ownString } from '../../core/codec/own.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { objectAggregate } from './aggregate-of.ts';

/** How often each value came: values that a Map tells apart as keys do, and all others by their encoded form. */
interface Occurrences {
  readonly plain: Map<string | number | bigint | boolean, number>;
  readonly encoded: Map<string, number>;
}

/**
 * Number of different values that `select` gives; null and undefined do not count, as in SQL.
 * @param select any key type
 * @throws EngineError JOB_INVALID when `select` is not a function
 */
export function countDistinct<In>(select: (value: In) => Key | null | undefined): Aggregate<In, number> {
  if (typeof select !== 'function') {
    throw new EngineError(
      'JOB_INVALID',
      `countDistinct(...) needs a function that gives the value of a record, got ${typeof select}`,
    );
  }
  const change = (occurrences: Occurrences, record: In, difference: 1 | -1): Occurrences => {
    const value = select(record);
    if (value === null || value === undefined) return occurrences;
    if (typeof value === 'object') changeCount(occurrences.encoded, encodedText(value), difference);
    else changeCount(occurrences.plain, value, difference);
    return occurrences;
  };
  return objectAggregate<In, Occurrences, number>(
    {
      create: () => ({ plain: new Map(), encoded: new Map() }),
      add: (occurrences, record) => change(occurrences, record, 1),
      retract: (occurrences, record) => change(occurrences, record, -1),
      merge: (left, right) => {
        for (const [value, count] of right.plain) changeCount(left.plain, value, count);
        for (const [text, count] of right.encoded) changeCount(left.encoded, text, count);
        return left;
      },
      result: ({ plain, encoded }) => plain.size + encoded.size,
      sizeOf: ({ plain, encoded }) => 200 + 40 * (plain.size + encoded.size),
    },
    { aggregate: 'countDistinct' },
    { select },
  );
}

function changeCount<K>(counts: Map<K, number>, key: K, difference: number): void {
  const known = counts.get(key);
  if (known !== undefined) {
    if (known + difference > 0) counts.set(key, known + difference);
    else counts.delete(key);
  } else if (difference > 0) {
    // Kept beyond the batch: a string must not hold the batch's memory.
    counts.set(typeof key === 'string' ? (ownString(key) as K) : key, difference);
  }
}

/** @throws EngineError KEY_NOT_SUPPORTED */
function encodedText(value: Key): string {
  return Buffer.from(encodeKeyToBytes(value)).toString('latin1');
}
