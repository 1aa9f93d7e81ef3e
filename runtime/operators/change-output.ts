/**
 * Emits rows with a row kind and leaves the scope as it was: siblings in the chain and later records of the upstream see
 * their own kind.
 */
import { rowKind, type RowKind } from '../../core/stream/batch.ts';
import type { AnyOperatorContext, Collector, RecordScope } from './operator.ts';

export class ChangeOutput {
  readonly #scope: RecordScope;
  readonly #output: Collector;

  constructor(context: AnyOperatorContext) {
    this.#scope = context.scope;
    this.#output = context.output;
  }

  emit(kind: RowKind, row: unknown): void {
    const scope = this.#scope;
    const before = scope.rowKind;
    scope.rowKind = kind;
    this.#output.emit(row);
    scope.rowKind = before;
  }

  /** The row was `before` and is `after`. */
  update(before: unknown, after: unknown): void {
    this.emit(rowKind.updateBefore, before);
    this.emit(rowKind.updateAfter, after);
  }
}
