/** Options of `asyncMap` and `asyncFlatMap`. */
import type { OnError } from '../../core/operators.ts';
import type { Duration } from '../durations.ts';

/** When a call whose promise is rejected is made again. */
export interface AsyncRetry {
  /** Calls for one record in all, the first one too: 2 or more. */
  readonly attempts: number;
  /** Time between a rejection and the next call. */
  readonly delay: Duration;
  /** What `delay` is multiplied with after each retry. Default 1: always the same. */
  readonly backoff?: number;
  /** Longest time between two calls. Default: no bound but the timeout. */
  readonly maxDelay?: Duration;
  /** True for failures that are worth another call. Default: all. */
  if?(error: unknown): boolean;
}

/** Options of {@link Stream.asyncMap}; `Result` is what its function promises. */
export interface AsyncOptions<T, Result> {
  /**
   * `ordered` (default): results in the order of the records. `unordered`: as answers come; a result still never passes a
   * watermark, so event time means the same.
   */
  readonly order?: 'ordered' | 'unordered';
  /** Records in flight per subtask, answered ones that wait for their turn too. Default 100. Full is back pressure. */
  readonly capacity?: number;
  /** Longest time from a record's first call to its answer, over all retries. Default 10 s. */
  readonly timeout?: Duration;
  /**
   * What becomes of a record that is not answered in time: `fail` the attempt (default), `skip` and count it
   * (`asyncTimeouts`), send a {@link FailedRecord} to a side output (`sideOutput(tag)`), or what a function returns takes
   * the place of the answer.
   */
  readonly onTimeout?: OnError | ((value: Readonly<T>) => Result);
  /** Default: a rejection is handled by `onError` at once. */
  readonly retry?: AsyncRetry;
}
