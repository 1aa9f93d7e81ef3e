/**
 * `fromUpserts(keyOf)`: the table that upserts describe. Each record replaces the row of its key; the row it replaces is told
 * before it, so that what follows can subtract. A record equal to the row it replaces tells nothing.
 *
 * State: the last row per key, state name `rows`. @see Flink ChangelogNormalize
 */
import { takesBack } from '../../core/changelog.ts';
import { compareBytes } from '../../core/codec/key-codec.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';
import { rowKind } from '../../core/stream/batch.ts';
import { ObjectTable } from '../state/object-table.ts';
import { ChangeOutput } from './change-output.ts';
import { OneTableOperator } from './one-table-operator.ts';
import type { Operator, OperatorContext } from './operator.ts';
import { countMetric } from './user-code.ts';

class UpsertsOperator extends OneTableOperator<'upserts'> {
  readonly #rows: ObjectTable;
  readonly #isDelete: ((value: unknown) => boolean) | null;
  readonly #changes: ChangeOutput;

  constructor(context: OperatorContext<'upserts'>) {
    super(context, context.functions.keyOf);
    this.#isDelete = context.functions.isDelete as ((value: unknown) => boolean) | null;
    this.#rows = this.keep(new ObjectTable(this.owner, 'rows'));
    this.#changes = new ChangeOutput(context);
  }

  emit(value: unknown): void {
    const { scope } = this.context;
    // What an upsert replaces is known here; the sender's word for it is not needed.
    if (scope.rowKind === rowKind.updateBefore) return;
    let key: Key;
    let deletes: boolean;
    let before: unknown;
    try {
      key = this.keyOf(value);
      deletes = this.#isDelete === null ? takesBack(scope.rowKind) : this.#isDelete(value);
      const slot = this.#rows.find(key);
      before = slot < 0 ? undefined : this.#rows.valueAt(slot);
      if (before !== undefined && !deletes && isSame(before, value)) return;
      if (deletes) this.#rows.delete(key);
      else this.#rows.set(key, value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    this.#tell(before, value, deletes);
    this.shrinkCaches();
  }

  #tell(before: unknown, value: unknown, deletes: boolean): void {
    if (before === undefined) {
      if (deletes) countMetric(this.context, 'deletesWithoutRow', 1);
      else this.#changes.emit(rowKind.insert, value);
    } else if (deletes) {
      this.#changes.emit(rowKind.delete, before);
    } else {
      this.#changes.update(before, value);
    }
  }
}

function isSame(left: unknown, right: unknown): boolean {
  return left === right || compareBytes(encodeValueToBytes(left), encodeValueToBytes(right)) === 0;
}

export function createUpsertsOperator(context: OperatorContext<'upserts'>): Operator {
  return new UpsertsOperator(context);
}
