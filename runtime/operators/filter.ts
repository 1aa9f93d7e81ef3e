/** `filter`: passes the records for which the function is true. */
import type { FilterFunction } from '../../core/operators.ts';
import { isPromise, refusePromise } from './call-gate.ts';
import type { Collector, OperatorContext } from './operator.ts';
import { StatelessOperator } from './stateless.ts';
import { handleUserError, UserCode } from './user-code.ts';

type Call = FilterFunction<unknown>;

export class FilterOperator extends StatelessOperator {
  readonly #context: OperatorContext<'filter'>;
  readonly #user: UserCode<Call>;
  readonly #call: Call;
  readonly #output: Collector;

  constructor(context: OperatorContext<'filter'>) {
    super();
    this.#context = context;
    this.#user = new UserCode<Call>(context.functions.filter as never, context);
    this.#call = this.#user.call;
    this.#output = context.output;
  }

  emit(value: unknown): void {
    let passes: boolean;
    try {
      passes = this.#call(value as never);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    if (passes === true) this.#output.emit(value);
    else if (passes) this.#notABoolean(value, passes);
  }

  /** Truthy passes, as everywhere in JavaScript; but a promise is truthy whatever it will say. */
  #notABoolean(value: unknown, passes: unknown): void {
    if (isPromise(passes)) return refusePromise(this.#context, 'the function', passes);
    this.#output.emit(value);
  }

  override open(): Promise<void> {
    return this.#user.open();
  }

  override close(): Promise<void> {
    return this.#user.close();
  }
}
