/**
 * Key group arithmetic: key → key group → subtask. Contiguous ranges, so that a checkpoint sorted by key group is read by
 * any parallelism in one sweep.
 * @see Flink KeyGroupRangeAssignment. `Math.floor` matters: Java truncates integers, JavaScript does not.
 */
import { assert } from './errors.ts';

/** Number of key groups of a job unless it says otherwise. */
export const maxParallelismDefault = 128;
/** Largest number of key groups. */
export const maxParallelismLimit = 32_768;

/** First and last key group owned by a subtask; both ends inclusive. Empty (`last < first`) never occurs. */
export interface KeyGroupRange {
  readonly first: number;
  readonly last: number;
}

/**
 * First and last key group owned by a subtask; both ends inclusive.
 * @param maxParallelism number of key groups, 1..32768, fixed for the life of the job's state
 * @param parallelism    subtasks now running, 1..maxParallelism
 * @param subtaskIndex   0..parallelism - 1
 * @throws EngineError INTERNAL when an argument is out of range (programmer error)
 */
export function keyGroupRange(maxParallelism: number, parallelism: number, subtaskIndex: number): KeyGroupRange {
  assert(maxParallelism >= 1 && maxParallelism <= maxParallelismLimit, `maxParallelism ${maxParallelism} in 1..32768`);
  assert(parallelism >= 1 && parallelism <= maxParallelism, `parallelism ${parallelism} in 1..${maxParallelism}`);
  assert(subtaskIndex >= 0 && subtaskIndex < parallelism, `subtaskIndex ${subtaskIndex} in 0..${parallelism - 1}`);
  const first = Math.floor((subtaskIndex * maxParallelism + parallelism - 1) / parallelism);
  const last = Math.floor(((subtaskIndex + 1) * maxParallelism - 1) / parallelism);
  return { first, last };
}

/** The subtask that owns a key group. Inverse of {@link keyGroupRange}. */
export function subtaskOfKeyGroup(maxParallelism: number, parallelism: number, group: number): number {
  return Math.floor((group * parallelism) / maxParallelism);
}
