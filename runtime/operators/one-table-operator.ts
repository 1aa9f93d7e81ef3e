/** A keyed operator that keeps one row a key, in one table: rolling results, ranks, the first or last record of a key. */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { assert } from '../../core/errors.ts';
import type { Key, OperatorKind } from '../../core/operators.ts';
import type { KeyedTable } from '../state/keyed-table.ts';
import { KeyedOperator } from './keyed-operator.ts';
import type { RestoredRow } from './operator.ts';

export abstract class OneTableOperator<Kind extends OperatorKind> extends KeyedOperator<Kind> {
  /** Null until the constructor of the subclass has made it. */
  #table: KeyedTable | null = null;

  /** Rows do not depend on event time unless the operator says so. */
  advanceWatermark(_watermark: number): boolean {
    return true;
  }

  /** Makes the table the one that is bounded, restored and prefetched. */
  protected keep<Table extends KeyedTable>(table: Table): Table {
    this.#table = table;
    this.newCache().add(table);
    return table;
  }

  protected override restoreResident(row: RestoredRow): void {
    this.#kept.restoreRow(decodeKey(row.key).key, row.keyGroup, row.value);
  }

  protected override needRows(key: Key): void {
    this.prefetch.need(this.#kept, key);
  }

  get #kept(): KeyedTable {
    assert(this.#table !== null, `operator '${this.owner.operatorId}' has no table`);
    return this.#table;
  }
}
