/**
 * `asyncMap` and `asyncFlatMap`: calls a function that answers later, for many records at a time. Always the head of its
 * chain: an answer comes outside of any record, and only a head can emit then without cutting into the record of another.
 *
 * Records wait in a queue (`async-queue.ts`) together with the times of the input, which are handed on when everything before
 * them has been. A full queue stops the subtask from taking the next record; barriers, watermarks and answers pass. At a
 * barrier nothing is awaited: the inputs of all records that have not been handed on are in the checkpoint (`async-rows.ts`)
 * and are sent again after a restore, before new ones. So a call may be made more than once for one record; its result is
 * handed on exactly once.
 *
 * Time out and retries follow `context.nowMs()`. One timeout covers all calls for a record.
 *
 * @see Flink AsyncWaitOperator
 */
import { ownValue } from '../../core/codec/own.ts';
import { EngineError } from '../../core/errors.ts';
import type { AsyncFunction } from '../../core/operators.ts';
import { AsyncCall, CallContext } from './async-call.ts';
import { type AnswerQueue, type HeldTime, OrderedQueue, UnorderedQueue } from './async-queue.ts';
import { AsyncRows } from './async-rows.ts';
import { ItemCursor } from './item-cursor.ts';
import type { DeferringHead, Operator, OperatorContext, RestoredRow, SnapshotTask } from './operator.ts';
import { countMetric, handleUserError, UserCode } from './user-code.ts';

/** Config of the node: what decides the meaning of results. */
interface AsyncConfig {
  readonly order: 'ordered' | 'unordered';
  /** Answers are iterables of records. */
  readonly flat: boolean;
  readonly onTimeout: 'fail' | 'skip' | 'call' | { readonly sideOutput: string };
}

/** Tuning of the node. */
interface AsyncTuning {
  readonly capacity: number;
  readonly timeoutMs: number;
  readonly retry: RetryTuning | null;
}

interface RetryTuning {
  /** Calls for one record in all. */
  readonly attempts: number;
  readonly delayMs: number;
  readonly maxDelayMs: number | null;
  readonly backoff: number;
}

type Call = AsyncFunction<never, unknown>;

/** Answers handed on before siblings get their turn. */
const answersPerTurnMax = 256;

export class AsyncMapOperator implements Operator, DeferringHead {
  readonly #context: OperatorContext<'async-map'>;
  readonly #config: AsyncConfig;
  readonly #tuning: AsyncTuning;
  readonly #user: UserCode<Call>;
  readonly #call: Call;
  readonly #queue: AnswerQueue<AsyncCall>;
  readonly #rows: AsyncRows;
  readonly #items: ItemCursor;
  /** Everything not handed on, in the order of the input. */
  readonly #calls = new Set<AsyncCall>();
  /** Restored records beyond the capacity, which are called as places become free. */
  #waiting: AsyncCall[] = [];
  #closed = false;

  constructor(context: OperatorContext<'async-map'>) {
    this.#context = context;
    this.#config = context.node.config as unknown as AsyncConfig;
    this.#tuning = context.node.tuning as unknown as AsyncTuning;
    this.#user = new UserCode<Call>(context.functions.call as never, context);
    this.#call = this.#user.call;
    this.#queue = this.#config.order === 'ordered' ? new OrderedQueue() : new UnorderedQueue();
    this.#rows = new AsyncRows(context);
    this.#items = new ItemCursor(context);
  }

  emit(value: unknown): void {
    let own: unknown;
    try {
      own = ownValue(value);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    const call = new AsyncCall(own, this.#rows.next(), this.#context.scope);
    this.#calls.add(call);
    this.#queue.add(call);
    this.#start(call);
    // The record loop of the subtask ends here; whether it goes on is decided by `full`.
    if (this.full) this.#context.blockOutput();
  }

  get full(): boolean {
    return this.#calls.size >= this.#tuning.capacity;
  }

  get ready(): boolean {
    return this.#queue.due !== null;
  }

  get drained(): boolean {
    return this.#queue.isEmpty && !this.#items.pending;
  }

  takeTime(watermark: number, idle: boolean): void {
    this.#queue.addTime({ watermark, idle });
  }

  handOn(): HeldTime | null {
    const context = this.#context;
    for (let count = 0; count < answersPerTurnMax && context.hasRoom() && !this.#items.pending; count++) {
      const { due } = this.#queue;
      if (due === 'time') return this.#queue.takeTime();
      if (due === null) break;
      this.#deliver(this.#queue.takeCall());
    }
    this.#startWaiting();
    return null;
  }

  get pending(): boolean {
    return this.#items.pending;
  }

  resume(): void {
    this.#items.resume();
  }

  /** Time out what is due and make the retries that are. */
  advanceProcessingTime(nowMs: number): boolean {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const call of this.#calls) {
      if (call.state !== 'calling' && call.state !== 'pausing') continue;
      if (call.deadlineMs <= nowMs) this.#timedOut(call);
      else if (call.state === 'pausing' && call.retryAtMs <= nowMs) this.#send(call);
      if (!call.answered) nextMs = Math.min(nextMs, call.dueMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#context.wakeAt(nextMs);
    return true;
  }

  advanceWatermark(_watermark: number): boolean {
    return true;
  }

  restore(row: RestoredRow): void {
    this.#rows.restore(row);
  }

  async open(): Promise<void> {
    await this.#user.open();
    this.#context.signal.addEventListener('abort', this.#cancel);
    this.#waiting = this.#rows.takeRestored();
    for (const call of this.#waiting) {
      this.#calls.add(call);
      this.#queue.add(call);
    }
    this.#startWaiting();
  }

  freeze(checkpointId: number): SnapshotTask | null {
    return this.#rows.freeze(checkpointId, this.#calls);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }

  checkpointAborted(): void {}

  close(): Promise<void> {
    this.#cancel();
    this.#items.close();
    return this.#user.close();
  }

  readonly #cancel = (): void => {
    this.#closed = true;
    this.#context.signal.removeEventListener('abort', this.#cancel);
    const reason = new EngineError('CANCELED', `operator '${this.#context.node.id}' ends: nobody waits for the answer`);
    for (const call of this.#calls) if (!call.answered) call.abort(reason);
  };

  #startWaiting(): void {
    if (this.#waiting.length === 0) return;
    const room = this.#tuning.capacity - (this.#calls.size - this.#waiting.length);
    if (room <= 0) return;
    for (const call of this.#waiting.splice(0, room)) this.#start(call);
  }

  #start(call: AsyncCall): void {
    call.deadlineMs = this.#context.nowMs() + this.#tuning.timeoutMs;
    this.#context.wakeAt(call.deadlineMs);
    this.#send(call);
  }

  #send(call: AsyncCall): void {
    call.attempt++;
    call.state = 'calling';
    const { attempt } = call;
    let promise: PromiseLike<unknown>;
    try {
      promise = this.#call(call.value as never, new CallContext(call));
    } catch (error) {
      this.#rejected(call, attempt, error);
      return;
    }
    Promise.resolve(promise).then(
      (result) => this.#answered(call, attempt, result),
      (error: unknown) => this.#rejected(call, attempt, error),
    );
  }

  /** True when nobody waits for this answer any more: it came after the timeout or the end of the attempt. */
  #isLate(call: AsyncCall, attempt: number): boolean {
    return this.#closed || call.state !== 'calling' || call.attempt !== attempt;
  }

  #answered(call: AsyncCall, attempt: number, result: unknown): void {
    if (!this.#isLate(call, attempt)) this.#settle(call, 'value', result);
  }

  #rejected(call: AsyncCall, attempt: number, error: unknown): void {
    if (this.#isLate(call, attempt)) return;
    if (this.#mayRetry(call, error)) return this.#pause(call);
    // A failure fails at once; it need not wait for the answers before it.
    if ((this.#context.node.config['onError'] ?? 'fail') === 'fail')
      return handleUserError(this.#context, call.value, error);
    this.#settle(call, 'error', error);
  }

  #mayRetry(call: AsyncCall, error: unknown): boolean {
    const { retry } = this.#tuning;
    if (retry === null || call.attempt >= retry.attempts) return false;
    const { retryIf } = this.#context.functions;
    if (retryIf === undefined) return true;
    try {
      return retryIf(error);
    } catch (thrown) {
      this.#context.log('warn', `retry.if threw (${String(thrown)}); the call is not tried again`);
      return false;
    }
  }

  #pause(call: AsyncCall): void {
    const { delayMs, maxDelayMs, backoff } = this.#tuning.retry as RetryTuning;
    const delay = Math.min(delayMs * backoff ** (call.attempt - 1), maxDelayMs ?? Number.POSITIVE_INFINITY);
    countMetric(this.#context, 'asyncRetries', 1);
    call.state = 'pausing';
    call.retryAtMs = this.#context.nowMs() + Math.ceil(delay);
    this.#context.wakeAt(call.dueMs);
  }

  #timedOut(call: AsyncCall): void {
    countMetric(this.#context, 'asyncTimeouts', 1);
    const error = this.#timeoutError(call);
    call.abort(error);
    if (this.#config.onTimeout === 'fail') this.#context.fail(error);
    else this.#settle(call, 'timeout', error);
  }

  #settle(call: AsyncCall, answer: AsyncCall['answer'], result: unknown): void {
    call.settle(answer, result);
    this.#queue.answered(call);
    this.#context.wake();
  }

  /** Hands on what a record has become, with the time of that record. */
  #deliver(call: AsyncCall): void {
    const { scope } = this.#context;
    this.#calls.delete(call);
    this.#rows.done(call);
    scope.timestamp = call.timestamp;
    scope.splitWatermark = call.splitWatermark;
    scope.rowKind = call.rowKind;
    if (call.answer === 'value') this.#emitResult(call.value, call.result);
    else if (call.answer === 'error') handleUserError(this.#context, call.value, call.result);
    else this.#deliverTimeout(call);
  }

  #emitResult(record: unknown, result: unknown): void {
    if (this.#config.flat) this.#items.start(record, result as Iterable<unknown>);
    else this.#context.output.emit(result);
  }

  #deliverTimeout({ value, result }: AsyncCall): void {
    const { onTimeout } = this.#config;
    if (onTimeout === 'skip' || onTimeout === 'fail') return;
    if (onTimeout !== 'call') {
      const { message, stack } = result as EngineError;
      const failed = { record: value, operator: this.#context.node.id, message, stack: stack ?? message };
      this.#context.sideOutput(onTimeout.sideOutput).emit(failed);
      return;
    }
    let replacement: unknown;
    try {
      replacement = this.#context.functions.onTimeout?.(value as never);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    this.#emitResult(value, replacement);
  }

  #timeoutError({ attempt }: AsyncCall): EngineError {
    const { node, subtaskIndex } = this.#context;
    const calls = attempt === 1 ? '' : ` and ${attempt} calls`;
    const message = `operator '${node.id}' had no answer for a record within ${this.#tuning.timeoutMs} ms${calls} → raise timeout, or say what becomes of such records with onTimeout`;
    return new EngineError('USER_FUNCTION_FAILED', message, {
      domain: 'external',
      retry: 'backoff',
      ids: { operator: node.id, subtask: subtaskIndex },
    });
  }
}
