/** Checks the options of an asynchronous operator and lays them out as config, tuning and functions of its node. */
import { EngineError } from '../../core/errors.ts';
import type { AsyncFunction, UserFunction } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { AsyncOptions, AsyncRetry } from './async-types.ts';
import type { NodeParts } from './build-site.ts';
import { checkCount, checkDuration, checkFunction, checkUserFunction } from './checks.ts';
import { printedAs } from './printed-as.ts';

export const asyncCapacityDefault = 100;
/** More records in flight than this are a queue, not calls. */
export const asyncCapacityMax = 100_000;
export const asyncTimeoutMsDefault = 10_000;

/**
 * What `asyncMap` (or `asyncFlatMap`, when `flat`) adds to the graph.
 * @throws EngineError JOB_INVALID for an option that makes no sense
 */
export function asyncParts<T, Result>(
  call: UserFunction<AsyncFunction<T, Result>>,
  options: AsyncOptions<T, Result>,
  flat: boolean,
): NodeParts {
  const what = flat ? 'asyncFlatMap' : 'asyncMap';
  checkUserFunction(call, what);
  if (typeof options !== 'object' || options === null)
    throw new EngineError('JOB_INVALID', `${what}: options are ${String(options)}; use an object`);
  checkNames(options, ['order', 'capacity', 'timeout', 'onTimeout', 'retry'], `${what}: option`);
  const { order = 'ordered', onTimeout = 'fail', retry } = options;
  if (order !== 'ordered' && order !== 'unordered')
    throw new EngineError(
      'JOB_INVALID',
      `${what}: order is ${JSON.stringify(order)}; use 'ordered' (default) or 'unordered'`,
    );
  const capacity = checkCount(options.capacity ?? asyncCapacityDefault, `${what}: capacity`);
  if (capacity > asyncCapacityMax)
    throw new EngineError('JOB_INVALID', `${what}: capacity is ${capacity}; use at most ${asyncCapacityMax}`);
  const timeoutMs = checkDuration(options.timeout ?? asyncTimeoutMsDefault, 1, `${what}: timeout`);
  return {
    functions: {
      kind: 'async-map',
      call: call as UserFunction<AsyncFunction<never, unknown>>,
      ...(typeof onTimeout === 'function' ? { onTimeout: onTimeout as (value: never) => unknown } : {}),
      ...(retry?.if === undefined ? {} : { retryIf: retryCondition(retry, what) }),
    },
    config: { order, flat, onTimeout: timeoutConfig(onTimeout, what) },
    tuning: { capacity, timeoutMs, retry: retry === undefined ? null : retryTuning(retry, what) },
  };
}

function timeoutConfig(onTimeout: AsyncOptions<never, unknown>['onTimeout'], what: string): JsonObject[string] {
  if (typeof onTimeout === 'function') return 'call';
  if (onTimeout === 'fail' || onTimeout === 'skip') return onTimeout;
  if (typeof onTimeout === 'object' && typeof onTimeout?.sideOutput === 'string')
    return { sideOutput: onTimeout.sideOutput };
  throw new EngineError('JOB_INVALID', `${what}: onTimeout takes 'fail', 'skip', sideOutput(tag) or a function`);
}

function retryTuning(retry: AsyncRetry, what: string): JsonObject {
  if (typeof retry !== 'object' || retry === null)
    throw new EngineError('JOB_INVALID', `${what}: retry takes { attempts, delay }`);
  checkNames(retry, ['attempts', 'delay', 'backoff', 'maxDelay', 'if'], `${what}: retry option`);
  const { attempts, delay, backoff = 1, maxDelay } = retry;
  if (!Number.isSafeInteger(attempts) || attempts < 2)
    throw new EngineError(
      'JOB_INVALID',
      `${what}: retry.attempts is ${String(attempts)}; it counts the first call too, so use a whole number of 2 or more, or leave retry out`,
    );
  if (!Number.isFinite(backoff) || backoff < 1)
    throw new EngineError('JOB_INVALID', `${what}: retry.backoff is ${String(backoff)}; use a number of 1 or more`);
  return {
    attempts,
    delayMs: checkDuration(delay, 0, `${what}: retry.delay`),
    maxDelayMs: maxDelay === undefined ? null : checkDuration(maxDelay, 0, `${what}: retry.maxDelay`),
    backoff,
  };
}

/** An option that is misspelt would have no effect and nobody would notice. */
function checkNames(given: object, known: readonly string[], what: string): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  throw new EngineError('JOB_INVALID', `${what} '${unknown}' is unknown; there are ${known.join(', ')}`);
}

/** As a function of its own, with the options as `this`. */
function retryCondition(retry: AsyncRetry, what: string): (error: unknown) => boolean {
  const condition = checkFunction(retry.if, `${what}: retry.if`) as (error: unknown) => boolean;
  return printedAs(condition, condition.bind(retry));
}
