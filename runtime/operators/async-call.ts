/**
 * One record of an asynchronous operator, from its first call to its answer. `waiting` for a free place, `calling` while a
 * promise is open, `pausing` before a retry, then `answered`: with a value, with the error of the last call, or by timeout.
 */
import type { AsyncCallContext } from '../../core/operators.ts';
import type { QueuedCall } from './async-queue.ts';
import type { RecordScope } from './operator.ts';

export type Answer = 'value' | 'error' | 'timeout';

export class AsyncCall implements QueuedCall {
  /** In memory of its own. */
  readonly value: unknown;
  readonly timestamp: number;
  readonly splitWatermark: number;
  readonly rowKind: number;
  /** Place among the records of the subtask: address of its row, order after a restore. */
  readonly sequence: number;
  /** True when a checkpoint may have its row. */
  stored: boolean;
  state: 'waiting' | 'calling' | 'pausing' | 'answered' = 'waiting';
  /** Number of the call under way, 1 for the first. */
  attempt = 0;
  /** When it counts as timed out, ms since the epoch. */
  deadlineMs = Number.POSITIVE_INFINITY;
  /** While pausing: when it is called again. */
  retryAtMs = Number.POSITIVE_INFINITY;
  answer: Answer = 'value';
  /** The value, or what the last call was rejected with. */
  result: unknown = undefined;
  stretch: object | null = null;
  #controller: AbortController | null = null;
  #abortReason: { readonly reason: unknown } | null = null;

  constructor(value: unknown, sequence: number, scope: Readonly<RecordScope>, stored = false) {
    this.value = value;
    this.sequence = sequence;
    this.timestamp = scope.timestamp;
    this.splitWatermark = scope.splitWatermark;
    this.rowKind = scope.rowKind;
    this.stored = stored;
  }

  get answered(): boolean {
    return this.state === 'answered';
  }

  /** Made when somebody asks for it: most functions never do. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#abortReason !== null) this.#controller.abort(this.#abortReason.reason);
    }
    return this.#controller.signal;
  }

  /** Nobody waits for the answer any more. */
  abort(reason: unknown): void {
    this.#abortReason ??= { reason };
    this.#controller?.abort(reason);
  }

  settle(answer: Answer, result: unknown): void {
    this.state = 'answered';
    this.answer = answer;
    this.result = result;
  }

  /** When something has to happen without an answer. */
  get dueMs(): number {
    return this.state === 'pausing' ? Math.min(this.retryAtMs, this.deadlineMs) : this.deadlineMs;
  }
}

/** What the user's function is told about one call. */
export class CallContext implements AsyncCallContext {
  readonly attempt: number;
  readonly #call: AsyncCall;

  constructor(call: AsyncCall) {
    this.#call = call;
    this.attempt = call.attempt;
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }
}
