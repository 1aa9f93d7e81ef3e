/**
 * `keyBy(..).aggregate({..})`: rolling aggregates per key; emits `{ key, ...results }` with every record. State: one row of
 * accumulators per key, state name `accumulators`.
 */
import { AggregateLayout } from '../state/aggregate-layout.ts';
import { ColumnTable } from '../state/column-table.ts';
import { OneTableOperator } from './one-table-operator.ts';
import type { Operator, OperatorContext } from './operator.ts';

class AggregateOperator extends OneTableOperator<'aggregate'> {
  readonly #table: ColumnTable;

  constructor(context: OperatorContext<'aggregate'>) {
    super(context, context.functions.keyOf);
    this.#table = this.keep(
      new ColumnTable(this.owner, 'accumulators', new AggregateLayout(context.functions.aggregates)),
    );
  }

  emit(value: unknown): void {
    let result: Record<string, unknown>;
    try {
      result = this.#aggregated(value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    this.context.output.emit(result);
    this.shrinkCaches();
  }

  #aggregated(value: unknown): Record<string, unknown> {
    const key = this.keyOf(value);
    return this.#table.resultOf(this.#table.add(key, value), key);
  }
}

export function createAggregateOperator(context: OperatorContext<'aggregate'>): Operator {
  return new AggregateOperator(context);
}
