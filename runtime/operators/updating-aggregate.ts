/**
 * `keyBy(..).aggregate(set, { updating: true })`: one row per key, kept up to date. Each record that changes the result emits
 * the change: `insert` first, then `updateBefore` and `updateAfter`, `delete` when the last record of the key was taken back.
 * A record that changes nothing emits nothing.
 *
 * The input may take records back (`changelog: 'retract'`): counts and sums subtract, `min` and `max` keep all numbers. A record
 * taken back of a key that has none is dropped and counted (`retractionsWithoutRow`): its row was never here.
 *
 * State: one row per key, state name `accumulators`, marked once emitted. @see Flink GroupAggFunction
 */
import { takesBack } from '../../core/changelog.ts';
import type { Key } from '../../core/operators.ts';
import { rowKind } from '../../core/stream/batch.ts';
import { AggregateLayout } from '../state/aggregate-layout.ts';
import { UpdatingTable } from '../state/updating-table.ts';
import { ChangeOutput } from './change-output.ts';
import { OneTableOperator } from './one-table-operator.ts';
import type { Operator, OperatorContext } from './operator.ts';
import { countMetric } from './user-code.ts';

class UpdatingAggregateOperator extends OneTableOperator<'updating-aggregate'> {
  readonly #layout: AggregateLayout;
  readonly #table: UpdatingTable;
  readonly #changes: ChangeOutput;
  readonly #emitBefore: boolean;
  /** Result after the record at hand; null when there is nothing to tell. */
  #result: Record<string, unknown> | null = null;
  #before: Record<string, unknown> | null = null;

  constructor(context: OperatorContext<'updating-aggregate'>) {
    super(context, context.functions.keyOf);
    const { config } = context.node;
    this.#emitBefore = config['emitBefore'] !== false;
    this.#layout = new AggregateLayout(context.functions.aggregates, 1, config['changelog'] === 'retract');
    this.#table = this.keep(new UpdatingTable(this.owner, 'accumulators', this.#layout));
    this.#changes = new ChangeOutput(context);
  }

  emit(value: unknown): void {
    this.#result = null;
    this.#before = null;
    try {
      if (takesBack(this.context.scope.rowKind)) this.#takeBack(value);
      else this.#add(value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    this.#tell();
    this.shrinkCaches();
  }

  #add(value: unknown): void {
    const key = this.keyOf(value);
    this.#compare(this.#layout.add(this.#table, key, value), key);
  }

  #takeBack(value: unknown): void {
    const { retract, countPart } = this.#layout;
    const table = this.#table;
    const key = this.keyOf(value);
    if (retract === null || table.find(key) < 0) return countMetric(this.context, 'retractionsWithoutRow', 1);
    const slot = retract(table, key, value);
    if ((table.parts[slot * this.#layout.partKinds.length + countPart] as number) > 0) return this.#compare(slot, key);
    this.#before = table.resultBefore(key);
    table.deleteRow(slot);
  }

  #compare(slot: number, key: Key): void {
    const table = this.#table;
    const result = table.resultOf(slot, key);
    if (table.isFirst) {
      table.setFired(slot, true);
    } else {
      if (table.unchanged(slot, result)) return;
      this.#before = table.resultBefore(key);
    }
    this.#result = result;
  }

  /** Outside of the user's code: what throws downstream is not this operator's error. */
  #tell(): void {
    const before = this.#before;
    const result = this.#result;
    if (result === null) {
      if (before !== null) this.#changes.emit(rowKind.delete, before);
    } else if (before === null) {
      this.#changes.emit(rowKind.insert, result);
    } else {
      if (this.#emitBefore) this.#changes.emit(rowKind.updateBefore, before);
      this.#changes.emit(rowKind.updateAfter, result);
    }
  }
}

export function createUpdatingAggregateOperator(context: OperatorContext<'updating-aggregate'>): Operator {
  return new UpdatingAggregateOperator(context);
}
