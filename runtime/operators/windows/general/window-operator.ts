/**
 * `keyed.window(w)` with a trigger, an evictor, `reduce`, `process` or a window function: kind `window`. What is kept of a
 * window is the least that will do: accumulators or one reduced record, or with an evictor or `process` the records.
 */
import type { StateDeclarations } from '../../../../core/state/declarations.ts';
import type {
  EvictorContext,
  WindowElement,
  WindowEvictor,
  WindowFunction,
} from '../../../../core/window-functions.ts';
import type { Operator, OperatorContext } from '../../operator.ts';
import { refusePromise } from '../../call-gate.ts';
import { callUser, functionContext } from '../../user-code.ts';
import { CallGate } from '../../call-gate.ts';
import { FunctionCall } from './function-call.ts';
import { TransientAggregate } from './transient-aggregate.ts';
import { AggregateContents, RecordContents, ReduceContents, type WindowContents } from './window-contents.ts';
import { windowOwner } from './window-id.ts';
import { WindowOperatorBase } from './window-operator-base.ts';
import type { WindowOfKey } from './window-rows.ts';
import { ScopedState, statePrefix } from './window-state.ts';

type AnyFunction = WindowFunction<unknown, unknown, unknown, StateDeclarations, StateDeclarations>;
type AnyEvictor = WindowEvictor<unknown>;

/** Name of the state that holds what windows keep. */
const contentsState = 'contents';

class WindowOperator extends WindowOperatorBase<'window'> {
  protected override readonly contents: readonly WindowContents[];
  protected override readonly functionStates: readonly ScopedState[];
  /** With an evictor: the contents, which are records. */
  readonly #evictable: RecordContents | null;
  readonly #evictor: AnyEvictor | null;
  readonly #transient: TransientAggregate | null;
  readonly #function: AnyFunction | null;
  readonly #resultOf: ((contents: unknown, call: FunctionCall) => unknown) | null;
  readonly #state: ScopedState;
  readonly #windowState: ScopedState;
  readonly #call: FunctionCall;
  readonly gates: readonly CallGate[];

  constructor(context: OperatorContext<'window'>) {
    super(context, context.functions);
    const { evictor, aggregates, windowFunction, resultOf } = context.functions;
    const newCache = () => this.newCache();
    this.#evictor = evictor as unknown as AnyEvictor | null;
    this.#function = windowFunction as unknown as AnyFunction | null;
    this.#resultOf = resultOf as ((contents: unknown, call: FunctionCall) => unknown) | null;
    const gate = new CallGate(context);
    this.#state = new ScopedState(statePrefix.key, this.#function?.state ?? {}, this.owner, newCache, gate);
    const ofWindow = windowOwner(this.owner);
    const { windowState = {} } = this.#function ?? {};
    this.#windowState = new ScopedState(statePrefix.window, windowState, ofWindow, newCache, gate);
    this.functionStates = [this.#state, this.#windowState];
    this.#evictable =
      this.#evictor === null ? null : new RecordContents(this.owner, contentsState, true, () => this.newCache());
    this.contents = [this.#evictable ?? this.#newContents()];
    this.#transient = this.#evictor === null || aggregates === null ? null : new TransientAggregate(aggregates);
    this.#call = new FunctionCall(context, gate, this.#state, this.#windowState);
    this.gates = [gate, this.trigger.gate];
  }

  #newContents(): WindowContents {
    const { reduce, aggregates } = this.context.functions;
    const newCache = () => this.newCache();
    if (reduce !== null) return new ReduceContents(this.owner, contentsState, reduce, newCache);
    if (aggregates !== null) return new AggregateContents(this.owner, contentsState, aggregates, newCache);
    return new RecordContents(this.owner, contentsState, false, newCache);
  }

  override async open(): Promise<void> {
    await super.open();
    const { context } = this;
    await callUser(context, 'open', () => this.#function?.open?.(functionContext(context)));
  }

  override async close(): Promise<void> {
    await super.close();
    await callUser(this.context, 'close', () => this.#function?.close?.());
  }

  protected override fire(window: WindowOfKey): void {
    const { key, start, end } = window;
    try {
      this.#call.enter(key, start, end, this.watermark);
      if (this.#evictor !== null) this.#fireEvicting(window, this.#evictor, this.#evictable as RecordContents);
      else this.#emitResult((this.contents[0] as WindowContents).read(window.stateId, start, end));
    } catch (error) {
      this.userFailed({ key, windowStart: start, windowEnd: end }, error);
    }
    this.#call.leave();
  }

  protected override removed({ key, start, end }: WindowOfKey): void {
    this.#call.enter(key, start, end, this.watermark);
    try {
      const result: unknown = this.#function?.onClear?.(this.#call);
      if (result !== undefined) refusePromise(this.context, 'onClear', result);
    } finally {
      this.#call.leave();
      this.#windowState.clear();
    }
  }

  protected override needFunctionRows({ key, start, end }: WindowOfKey): void {
    this.#state.need(this.prefetch, key);
    this.#windowState.need(this.prefetch, [key, start, end]);
  }

  #fireEvicting(window: WindowOfKey, evictor: AnyEvictor, contents: RecordContents): void {
    const { key, start, end, stateId } = window;
    const context: EvictorContext = {
      key,
      window: { start, end },
      watermark: this.watermark,
      processingTimeMs: this.context.nowMs(),
    };
    const all = contents.elements(stateId);
    const seen = checkedElements('evictBefore', evictor.evictBefore?.(all, context) ?? all);
    if (seen.length > 0) this.#emitResult(this.#contentsOf(seen, window));
    const left = checkedElements('evictAfter', evictor.evictAfter?.(seen, context) ?? seen);
    if (left.length !== all.length) contents.list.replace(stateId, left);
  }

  /** What the records would have become, had they been put together as they came. */
  #contentsOf(elements: readonly WindowElement<unknown>[], { key, start, end }: WindowOfKey): unknown {
    const reduce = this.context.functions.reduce as unknown as ((left: unknown, right: unknown) => unknown) | null;
    const values = elements.map((element) => element.value as unknown);
    if (this.#transient !== null) return this.#transient.resultOf(values, key, start, end);
    return reduce === null ? values : values.reduce((left, right) => reduce(left, right));
  }

  #emitResult(contents: unknown): void {
    if (this.#function !== null) {
      const result: unknown = this.#function.onWindow(contents, this.#call);
      if (result !== undefined) refusePromise(this.context, 'onWindow', result);
    } else if (this.#resultOf !== null) this.context.output.emit(this.#resultOf(contents, this.#call));
    else this.context.output.emit(contents);
  }
}

/** What an evictor returned: elements, whichever. */
function checkedElements(method: string, elements: readonly WindowElement<unknown>[]): typeof elements {
  const wrong = Array.isArray(elements) ? elements.find((element: unknown) => !isElement(element)) : elements;
  if (wrong === undefined) return elements;
  const what = Array.isArray(elements) ? 'an array with' : '';
  throw new TypeError(
    `${method} of the evictor returned ${what} ${typeof wrong}; return an array of the elements that stay`,
  );
}

function isElement(element: unknown): boolean {
  if (typeof element !== 'object' || element === null || !('value' in element)) return false;
  return typeof (element as WindowElement<unknown>).timestamp === 'number';
}

export function createWindowOperator(context: OperatorContext<'window'>): Operator {
  return new WindowOperator(context);
}
