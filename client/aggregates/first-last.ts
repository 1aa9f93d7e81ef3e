/** The value of the first or last record of a group, in order of arrival at the operator. */
import type { Aggregate } from '../../core/aggregate.ts';
import { ownValue } from '../../core/codec/own.ts';
import { objectAggregate } from './aggregate-of.ts';

/** Empty, or the one value kept. */
type Kept<Out> = readonly Out[];

/**
 * What `select` gave for the first record that arrived. With several senders upstream, which arrives first is not fixed;
 * where that matters use `topN(1, (value) => value.time, { order: 'asc' })`.
 */
export function first<In, Out>(select: (value: In) => Out): Aggregate<In, Out> {
  return objectAggregate<In, Kept<Out>, Out>(
    {
      create: () => [],
      add: (kept, value) => (kept.length > 0 ? kept : [ownValue(select(value))]),
      merge: (left, right) => (left.length > 0 ? left : right),
      result: (kept) => kept[0] as Out,
    },
    { aggregate: 'first' },
    { select },
  );
}

/** What `select` gave for the last record that arrived; see {@link first} for what "last" means with several senders. */
export function last<In, Out>(select: (value: In) => Out): Aggregate<In, Out> {
  return objectAggregate<In, Kept<Out>, Out>(
    {
      create: () => [],
      add: (_kept, value) => [ownValue(select(value))],
      merge: (left, right) => (right.length > 0 ? right : left),
      result: (kept) => kept[0] as Out,
    },
    { aggregate: 'last' },
    { select },
  );
}
