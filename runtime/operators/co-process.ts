/**
 * `connect(..).keyBy(..).process({ state, onFirst, onSecond, onTimer })`: one keyed function that reads two streams. A key
 * has one state and one set of timers, whichever input its records come from; records of the two inputs are handled as they
 * come, in no promised order.
 */
import type { Key, KeyedCoProcessFunction } from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import { refusePromise } from './call-gate.ts';
import { KeyedProcessOperator } from './keyed-process.ts';
import type { Operator, OperatorContext } from './operator.ts';

type AnyCoProcessFunction = KeyedCoProcessFunction<unknown, unknown, Key, unknown, StateDeclarations>;

class CoProcessOperator extends KeyedProcessOperator<'co-process'> {
  readonly #function: AnyCoProcessFunction;

  constructor(context: OperatorContext<'co-process'>) {
    const process = context.functions.process as unknown as AnyCoProcessFunction;
    super(context, process, context.functions.keyOf, context.functions.keyOfSecond);
    this.#function = process;
  }

  emit(value: unknown): void {
    const { call } = this;
    try {
      this.keyScope.key = this.keyOf(value);
      this.beginRecord();
      const result: unknown = this.#function.onFirst(value as Readonly<unknown>, call);
      if (result !== undefined) refusePromise(this.context, 'onFirst', result);
    } catch (error) {
      this.userFailed(value, error);
    }
    this.afterCall();
  }

  emitSecond(value: unknown): void {
    const { call } = this;
    try {
      this.keyScope.key = this.keyOfSecond(value);
      this.beginRecord();
      const result: unknown = this.#function.onSecond(value as Readonly<unknown>, call);
      if (result !== undefined) refusePromise(this.context, 'onSecond', result);
    } catch (error) {
      this.userFailed(value, error);
    }
    this.afterCall();
  }
}

export function createCoProcessOperator(context: OperatorContext<'co-process'>): Operator {
  return new CoProcessOperator(context);
}
