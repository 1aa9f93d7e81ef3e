/**
 * The context of a process or window function is valid during the call it is given to, and not after it. What a function does
 * with it later (in a promise, in a `setTimeout`, in `close`) would be about whichever record is processed then: emitted with
 * the time of another record, stored under the key of another, in no checkpoint. So it is refused, and it fails the attempt
 * whether or not somebody catches what is thrown there.
 *
 * A function that returns a promise has not finished when it returns: that is refused at once, before its later half does harm.
 */
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import type { KeyScope } from '../state/state-handles.ts';
import type { AnyOperatorContext } from './operator.ts';

/** Uses of a context after the failure of the attempt that do nothing, before they throw. */
const droppedSilentlyMax = 1_000;

/** Open while a function runs that was given the context, unless the attempt fails meanwhile. */
export class CallGate {
  isOpen = false;
  /** What the call in hand, or the last one, has emitted. */
  emitted = 0;
  #attemptFailed = false;
  #droppedCount = 0;
  readonly #context: AnyOperatorContext;

  constructor(context: AnyOperatorContext) {
    this.#context = context;
  }

  /** A call begins. */
  enter(): void {
    this.isOpen = !this.#attemptFailed;
    this.emitted = 0;
  }

  /** The function has returned. */
  leave(): void {
    this.isOpen = false;
  }

  /**
   * The attempt has failed: what the call in hand emits from now on is dropped. It is not told, since a failure elsewhere is not
   * its to catch; but one that goes on emitting in a loop is ended by what its context throws in the end.
   */
  attemptFailed(): void {
    this.#attemptFailed = true;
    this.isOpen = false;
  }

  /** To be called for each record. @throws EngineError as {@link check} does */
  emits(how: 'emit' | 'output'): void {
    if (!this.isOpen) this.#refuse(how);
    this.emitted++;
  }

  /** To be called with what is used of the context. @throws EngineError USER_FUNCTION_FAILED, which also fails the attempt */
  check(used: string): void {
    if (!this.isOpen) this.#refuse(used);
  }

  #refuse(used: string): void {
    if (this.#attemptFailed) return this.#dropped();
    const { node, subtaskIndex } = this.#context;
    const message = `operator '${node.id}' used ${used} of its context after the call it was given for: it belongs to that call and its record only → use it before the function returns; for calls that answer later put asyncMap(..) before the operator, for later times register a timer`;
    const error = new EngineError('USER_FUNCTION_FAILED', message, {
      ids: { operator: node.id, subtask: subtaskIndex },
    });
    this.#context.fail(error);
    throw error;
  }

  #dropped(): void {
    if (++this.#droppedCount <= droppedSilentlyMax) return;
    const { id } = this.#context.node;
    throw new EngineError('CANCELED', `the attempt of operator '${id}' has failed: what it emits is dropped`);
  }
}

/** The key of the call in hand; there is none between calls. */
export class GatedKeyScope implements KeyScope {
  #key: Key = 0;
  readonly #gate: CallGate;

  constructor(gate: CallGate) {
    this.#gate = gate;
  }

  get key(): Key {
    if (!this.#gate.isOpen) this.#gate.check('state, timers or key');
    return this.#key;
  }

  set key(key: Key) {
    this.#key = key;
  }
}

/**
 * Fails the attempt when a function that ends with its call returned a promise. `result` is undefined for almost all, so
 * callers look at that first.
 */
export function refusePromise(context: AnyOperatorContext, method: string, result: unknown): void {
  if (!isPromise(result)) return;
  // It fails as well at its next use of the context; what is wrong has been said.
  Promise.resolve(result).catch(() => undefined);
  context.fail(promiseError(context, method));
}

/** The error for a function that returned a promise where a value is needed. */
export function promiseError(context: AnyOperatorContext, method: string): EngineError {
  const { id } = context.node;
  const message = `${method} of operator '${id}' returned a promise, and records are processed one after the other without waiting: what comes after an 'await' would be in no checkpoint → make it synchronous, and put asyncMap(..) before it for calls that answer later`;
  return new EngineError('USER_FUNCTION_FAILED', message, {
    ids: { operator: id, subtask: context.subtaskIndex },
  });
}

/** True for promises and whatever else can be awaited. */
export function isPromise(result: unknown): result is PromiseLike<unknown> {
  if (typeof result !== 'object' || result === null) return false;
  return result instanceof Promise || typeof (result as { then?: unknown }).then === 'function';
}
