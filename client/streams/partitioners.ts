/** What `rebalance`, `rescale`, `forward` and the others do to the ends of a stream. */
import { EngineError } from '../../core/errors.ts';
import type { CustomPartition, PartitionFunction } from '../../core/operators.ts';
import type { RequestedPartitioner, StreamEnd } from '../plan/logical-graph.ts';
import { checkFunction } from './checks.ts';

type Spread = Exclude<RequestedPartitioner, 'auto' | 'hash'>;

const callOf = (partitioner: string): string =>
  partitioner === 'custom' ? 'partitionCustom(...)' : `${partitioner}()`;

/**
 * The ends with a partitioner.
 * @throws EngineError JOB_INVALID when they have one already: only the last would count
 */
export function spreadEnds(ends: readonly StreamEnd[], partitioner: Spread, custom?: CustomPartition): StreamEnd[] {
  refusePartitioned(ends, `${callOf(partitioner)} decides where records go`);
  return ends.map((end) => ({ ...end, partitioner, ...(custom === undefined ? {} : { custom }) }));
}

/** The ends for `keyBy`. @throws EngineError JOB_INVALID when they have a partitioner already */
export function keyedEnds(ends: readonly StreamEnd[]): StreamEnd[] {
  refusePartitioned(ends, 'keyBy decides where records go');
  return ends.map((end) => ({ ...end, partitioner: 'hash' }));
}

/** The functions of `partitionCustom`, checked. The record types are those of the stream; the runtime gives no others. */
export function customPartition<T, K>(
  partition: PartitionFunction<K>,
  keyOf: (value: Readonly<T>) => K,
): CustomPartition {
  checkFunction(partition, 'partitionCustom: first argument');
  checkFunction(keyOf, 'partitionCustom: second argument');
  return { keyOf: keyOf as (value: never) => unknown, partition: partition as PartitionFunction<never> };
}

function refusePartitioned(ends: readonly StreamEnd[], why: string): void {
  const other = ends.find((end) => end.partitioner !== 'auto');
  if (other === undefined) return;
  throw new EngineError('JOB_INVALID', `${why}; remove ${callOf(other.partitioner)} before it`);
}
