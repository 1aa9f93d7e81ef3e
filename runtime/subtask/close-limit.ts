/**
 * Closing has a limit: a `close()` of user code or of a connector that never resolves would keep a job from ending, without
 * a word. What does not come back in time is given up, and the attempt fails naming the operator.
 */
import { EngineError } from '../../core/errors.ts';

/** Longest that one operator may take to close at a regular end, in ms. A cancelled attempt has its own limit. */
export const closeTimeoutMs = 30_000;

/** Calls back after a time unless taken back by the function it returns. */
export type Alarm = (delayMs: number, then: () => void) => () => void;

/** Waits for `work`, but not longer than the limit. @throws EngineError USER_FUNCTION_STUCK when it is over */
export function withinCloseLimit(
  work: Promise<void>,
  operatorId: string,
  limitMs: number,
  alarm: Alarm,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const disarm = alarm(limitMs, () => reject(closeStuck(operatorId, limitMs)));
    work.then(resolve, reject).finally(disarm);
  });
}

function closeStuck(operatorId: string, limitMs: number): EngineError {
  const message = `close() of operator '${operatorId}' has not resolved for ${limitMs / 1000} s → look there for a promise that never settles (a connection that is not ended, a lock that is not released)`;
  return new EngineError('USER_FUNCTION_STUCK', message, { retry: 'backoff', ids: { operator: operatorId } });
}
