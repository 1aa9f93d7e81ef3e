/** `keyBy(..).process({ state, onRecord, onTimer })`: a keyed function with declared state and timers. */
import type { Key, KeyedProcessFunction } from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import { refusePromise } from './call-gate.ts';
import { KeyedProcessOperator } from './keyed-process.ts';
import type { Operator, OperatorContext } from './operator.ts';

type AnyProcessFunction = KeyedProcessFunction<unknown, Key, unknown, StateDeclarations>;

class ProcessOperator extends KeyedProcessOperator<'process'> {
  readonly #function: AnyProcessFunction;

  constructor(context: OperatorContext<'process'>) {
    const process = context.functions.process as unknown as AnyProcessFunction;
    super(context, process, context.functions.keyOf);
    this.#function = process;
  }

  emit(value: unknown): void {
    const { call } = this;
    try {
      this.keyScope.key = this.keyOf(value);
      this.beginRecord();
      const result: unknown = this.#function.onRecord(value as Readonly<unknown>, call);
      if (result !== undefined) refusePromise(this.context, 'onRecord', result);
    } catch (error) {
      this.userFailed(value, error);
    }
    this.afterCall();
  }
}

export function createProcessOperator(context: OperatorContext<'process'>): Operator {
  return new ProcessOperator(context);
}
