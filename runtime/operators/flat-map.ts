/**
 * `flatMap`: one record in, any number out. The function returns an iterable; it is pulled item by item. A throw while
 * pulling is handled as a throw of this operator; what was emitted before stays.
 */
import type { FlatMapFunction } from '../../core/operators.ts';
import type { AnyOperatorContext, Collector, OperatorContext } from './operator.ts';
import { StatelessOperator } from './stateless.ts';
import { handleUserError, UserCode } from './user-code.ts';

type Call = FlatMapFunction<unknown, unknown>;

export class FlatMapOperator extends StatelessOperator {
  readonly #context: OperatorContext<'flat-map'>;
  readonly #user: UserCode<Call>;
  readonly #call: Call;
  readonly #output: Collector;

  constructor(context: OperatorContext<'flat-map'>) {
    super();
    this.#context = context;
    this.#user = new UserCode<Call>(context.functions.flatMap as never, context);
    this.#call = this.#user.call;
    this.#output = context.output;
  }

  emit(value: unknown): void {
    let items: Iterable<unknown>;
    try {
      items = this.#call(value as never);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    emitAll(this.#context, this.#output, value, items);
  }

  override open(): Promise<void> {
    return this.#user.open();
  }

  override close(): Promise<void> {
    return this.#user.close();
  }
}

/** Emits every item; a throw of the iterable is a throw of the operator, a failure downstream is not. */
export function emitAll(context: AnyOperatorContext, output: Collector, record: unknown, items: Iterable<unknown>): void {
  if (Array.isArray(items)) {
    for (let index = 0; index < items.length; index++) output.emit(items[index]);
    return;
  }
  let iterator: Iterator<unknown>;
  try {
    iterator = items[Symbol.iterator]();
  } catch (error) {
    handleUserError(context, record, error);
    return;
  }
  for (;;) {
    let step: IteratorResult<unknown>;
    try {
      step = iterator.next();
    } catch (error) {
      handleUserError(context, record, error);
      return;
    }
    if (step.done === true) return;
    output.emit(step.value);
  }
}
