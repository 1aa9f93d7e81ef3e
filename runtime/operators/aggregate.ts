/**
 * `keyBy(..).aggregate({..})`: rolling aggregates per key; emits `{ key, ...results }` with every record. State: one row of
 * accumulators per key, state name `accumulators`.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import { AggregateLayout } from '../state/aggregate-layout.ts';
import { ColumnTable } from '../state/column-table.ts';
import { KeyedOperator } from './keyed-operator.ts';
import type { Operator, OperatorContext, RestoredRow } from './operator.ts';

class AggregateOperator extends KeyedOperator<'aggregate'> {
  readonly #table: ColumnTable;

  constructor(context: OperatorContext<'aggregate'>) {
    super(context, context.functions.keyOf);
    this.#table = new ColumnTable(this.owner, 'accumulators', new AggregateLayout(context.functions.aggregates));
    this.newCache().add(this.#table);
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

  advanceWatermark(_watermark: number): boolean {
    return true;
  }

  protected override restoreResident(row: RestoredRow): void {
    this.#table.restoreRow(decodeKey(row.key).key, row.keyGroup, row.value);
  }

  protected override needRows(key: Key): void {
    this.prefetch.need(this.#table, key);
  }
}

export function createAggregateOperator(context: OperatorContext<'aggregate'>): Operator {
  return new AggregateOperator(context);
}
