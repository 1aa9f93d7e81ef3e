/** Runs an object aggregate by hand, as the runtime does: add, merge, through a checkpoint and back. */
import type { Aggregate } from '../../core/aggregate.ts';
import { decodeValue } from '../../core/codec/value-decoder.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';

export interface Driver<In, Out> {
  /** Result over all values in this order. */
  over(values: readonly In[]): Out;
  /** Result of groups accumulated apart and merged left to right. */
  merged(groups: readonly (readonly In[])[]): Out;
  /** Result when the accumulator is stored and restored after each value. */
  throughCheckpoints(values: readonly In[]): Out;
}

interface Opened {
  create(): unknown;
  add(accumulator: unknown, value: unknown): unknown;
  merge(left: unknown, right: unknown): unknown;
  result(accumulator: unknown): unknown;
  readonly codec: { toPlain(accumulator: unknown): unknown; fromPlain(plain: unknown): unknown } | null;
}

export function drive<In, Out>(aggregate: Aggregate<In, Out>): Driver<In, Out> {
  if (aggregate.kind !== 'object') throw new Error('only object aggregates are driven');
  const opened = aggregate as unknown as Opened;
  const accumulate = (values: readonly In[]): unknown =>
    values.reduce((accumulator, value) => opened.add(accumulator, value), opened.create());
  const restored = (accumulator: unknown): unknown => {
    const plain = opened.codec === null ? accumulator : opened.codec.toPlain(accumulator);
    const decoded = decodeValue(encodeValueToBytes(plain));
    return opened.codec === null ? decoded : opened.codec.fromPlain(decoded);
  };
  const resultOf = (accumulator: unknown): Out => {
    // Asked twice: a result must not change what it is taken from.
    opened.result(accumulator);
    return opened.result(accumulator) as Out;
  };
  return {
    over: (values) => resultOf(accumulate(values)),
    merged: (groups) =>
      resultOf(groups.reduce((left, group) => opened.merge(left, accumulate(group)), opened.create())),
    throughCheckpoints: (values) =>
      resultOf(
        values.reduce((accumulator, value) => restored(opened.add(accumulator, value)), restored(opened.create())),
      ),
  };
}
