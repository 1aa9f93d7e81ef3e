/**
 * Calls into user code: opening and closing function objects, and what happens to a record whose function threw.
 */
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { FunctionContext, OnError, UserFunction } from '../../core/operators.ts';
import type { AnyOperatorContext } from './operator.ts';

interface Lifecycle {
  open?(context: FunctionContext): void | Promise<void>;
  close?(): void | Promise<void>;
}

/** The callable of a user function, with its open and close. */
export class UserCode<Call extends (...args: never[]) => unknown> {
  readonly call: Call;
  readonly #lifecycle: Lifecycle;
  readonly #context: AnyOperatorContext;

  constructor(fn: UserFunction<Call>, context: AnyOperatorContext) {
    this.#context = context;
    if (typeof fn === 'function') {
      this.call = fn as Call;
      this.#lifecycle = {};
    } else {
      this.call = fn.call.bind(fn) as unknown as Call;
      this.#lifecycle = fn;
    }
  }

  async open(): Promise<void> {
    await callUser(this.#context, 'open', () => this.#lifecycle.open?.(functionContext(this.#context)));
  }

  async close(): Promise<void> {
    await callUser(this.#context, 'close', () => this.#lifecycle.close?.());
  }
}

/** What user functions are told about their subtask. */
export function functionContext(context: AnyOperatorContext): FunctionContext {
  return {
    jobName: context.jobName,
    operatorId: context.node.id,
    subtaskIndex: context.subtaskIndex,
    parallelism: context.parallelism,
    attempt: context.attempt,
    signal: context.signal,
    logger: { info: (message) => context.log('info', message), warn: (message) => context.log('warn', message) },
    count: (name, amount = 1) => countMetric(context, name, amount),
  };
}

/** Names of counters of one operator; what is counted under further names is added up under `otherCounters`. */
export const counterNamesMax = 256;

/** Adds to a named counter of the operator. */
export function countMetric(context: AnyOperatorContext, counter: string, amount: number): void {
  const counters = context.metrics.counters;
  const name = counters.size < counterNamesMax || counters.has(counter) ? counter : 'otherCounters';
  counters.set(name, (counters.get(name) ?? 0) + amount);
}

/** Runs `open` or `close` of user code; a throw becomes an error that names operator and method. */
export async function callUser(
  context: AnyOperatorContext,
  method: string,
  call: () => void | Promise<void>,
): Promise<void> {
  try {
    await call();
  } catch (error) {
    throw userError(context, `${method} of operator '${context.node.id}' failed`, error);
  }
}

function errorName(cause: unknown): string {
  return cause instanceof Error && cause.name !== 'Error' ? ` ${cause.name}` : '';
}

/** Wraps what user code threw, engine errors too: the operator whose function threw is named first, the rest is the cause. */
export function userError(context: AnyOperatorContext, what: string, cause: unknown): EngineError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new EngineError('USER_FUNCTION_FAILED', `${what}: ${message}`, {
    retry: 'backoff',
    ids: { operator: context.node.id, subtask: context.subtaskIndex },
    cause,
  });
}

/**
 * A function threw on a record: by the operator's `onError` the attempt fails, the record is counted and dropped, or it
 * goes to a side output with error, operator and stack. What the function emitted before it threw stays.
 */
export function handleUserError(context: AnyOperatorContext, record: unknown, cause: unknown): void {
  const policy = (context.node.config['onError'] ?? 'fail') as OnError;
  if (policy === 'fail') {
    // What the engine refused on behalf of the function (a value it cannot store) has said what is wrong.
    if (isEngineError(cause)) context.fail(cause);
    else
      context.fail(userError(context, `the function of operator '${context.node.id}' threw${errorName(cause)}`, cause));
    return;
  }
  if (policy === 'skip') {
    countMetric(context, 'skipped', 1);
    return;
  }
  countMetric(context, 'sideOutputErrors', 1);
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const { rowKind } = context.scope;
  // A failure is a record of its own, whatever change it befell.
  context.scope.rowKind = 0;
  context.sideOutput(policy.sideOutput).emit({
    record,
    operator: context.node.id,
    message: error.message,
    stack: error.stack ?? error.message,
  });
  context.scope.rowKind = rowKind;
}
