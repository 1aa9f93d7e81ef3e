/**
 * `keyBy(..).reduce(f)`: keeps one value per key and emits the running value with every record. The first record of a key
 * is its first value. State: one row per key, state name `value`.
 */
import { ObjectTable } from '../state/object-table.ts';
import { promiseError } from './call-gate.ts';
import { OneTableOperator } from './one-table-operator.ts';
import type { Operator, OperatorContext } from './operator.ts';
import { UserCode } from './user-code.ts';

type Reduce = (left: unknown, right: unknown) => unknown;

class ReduceOperator extends OneTableOperator<'reduce'> {
  readonly #values: ObjectTable;
  readonly #user: UserCode<Reduce>;
  readonly #reduce: Reduce;

  constructor(context: OperatorContext<'reduce'>) {
    super(context, context.functions.keyOf);
    this.#user = new UserCode<Reduce>(context.functions.reduce as never, context);
    this.#reduce = this.#user.call;
    this.#values = this.keep(new ObjectTable(this.owner, 'value'));
  }

  emit(value: unknown): void {
    let result: unknown;
    try {
      result = this.#reduced(value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    this.context.output.emit(result);
    this.shrinkCaches();
  }

  #reduced(value: unknown): unknown {
    const key = this.keyOf(value);
    const known = this.#values.find(key);
    if (known < 0) {
      this.#values.set(key, value);
      return value;
    }
    this.#values.beforeHandOut(known);
    const result = this.#reduce(this.#values.valueAt(known), value);
    if (result instanceof Promise) throw promiseError(this.context, 'the function');
    this.#values.setAt(known, result);
    return result;
  }

  override async open(): Promise<void> {
    await super.open();
    await this.#user.open();
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#user.close();
  }
}

export function createReduceOperator(context: OperatorContext<'reduce'>): Operator {
  return new ReduceOperator(context);
}
