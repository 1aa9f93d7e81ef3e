/** `map`: one record in, one record out. */
import type { MapFunction } from '../../core/operators.ts';
import { refusePromise } from './call-gate.ts';
import type { Collector, OperatorContext } from './operator.ts';
import { StatelessOperator } from './stateless.ts';
import { handleUserError, UserCode } from './user-code.ts';

type Call = MapFunction<unknown, unknown>;

export class MapOperator extends StatelessOperator {
  readonly #context: OperatorContext<'map'>;
  readonly #user: UserCode<Call>;
  readonly #call: Call;
  readonly #output: Collector;

  constructor(context: OperatorContext<'map'>) {
    super();
    this.#context = context;
    this.#user = new UserCode<Call>(context.functions.map as never, context);
    this.#call = this.#user.call;
    this.#output = context.output;
  }

  emit(value: unknown): void {
    let mapped: unknown;
    try {
      mapped = this.#call(value as never);
      if (mapped instanceof Promise) return refusePromise(this.#context, 'the function', mapped);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    this.#output.emit(mapped);
  }

  override open(): Promise<void> {
    return this.#user.open();
  }

  override close(): Promise<void> {
    return this.#user.close();
  }
}
