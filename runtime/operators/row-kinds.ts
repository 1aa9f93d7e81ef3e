/**
 * What changes nothing but the row kind, without state: `toChangelog` (the record says its kind), `changes` (the kind becomes
 * a field), and the filter of a changelog.
 *
 * A filter may let one half of an update pass and not the other, and the halves may be in different batches. So on a stream
 * with both halves it makes each update two changes of their own: `updateBefore` becomes `delete`, `updateAfter` becomes
 * `insert`; what remains is right whichever of them pass. On an upsert stream a row that no longer passes is deleted.
 */
import { type ChangeKind, changeKinds } from '../../core/changelog.ts';
import { EngineError } from '../../core/errors.ts';
import type { FilterFunction } from '../../core/operators.ts';
import { rowKind, type RowKind } from '../../core/stream/batch.ts';
import { ChangeOutput } from './change-output.ts';
import type { OperatorContext } from './operator.ts';
import { StatelessOperator } from './stateless.ts';
import { handleUserError, UserCode } from './user-code.ts';

/** The kind of a row once update pairs are told as a delete and an insert. */
export function unpaired(kind: number): RowKind {
  if (kind === rowKind.updateBefore) return rowKind.delete;
  return kind === rowKind.updateAfter ? rowKind.insert : (kind as RowKind);
}

export class ToChangelogOperator extends StatelessOperator {
  readonly #context: OperatorContext<'to-changelog'>;
  readonly #kindOf: (value: unknown) => ChangeKind;
  readonly #changes: ChangeOutput;

  constructor(context: OperatorContext<'to-changelog'>) {
    super();
    this.#context = context;
    this.#kindOf = context.functions.kindOf as (value: unknown) => ChangeKind;
    this.#changes = new ChangeOutput(context);
  }

  emit(value: unknown): void {
    let kind: number;
    try {
      kind = codeOf(this.#kindOf(value));
    } catch (error) {
      return handleUserError(this.#context, value, error);
    }
    this.#changes.emit(kind as RowKind, value);
  }
}

function codeOf(kind: ChangeKind): number {
  const code = changeKinds.indexOf(kind);
  if (code >= 0) return code;
  throw new EngineError(
    'USER_FUNCTION_FAILED',
    `the function of toChangelog gave ${JSON.stringify(kind)}; give 'insert', 'updateBefore', 'updateAfter' or 'delete'`,
  );
}

export class ChangesOperator extends StatelessOperator {
  readonly #context: OperatorContext<'changes'>;
  readonly #changes: ChangeOutput;

  constructor(context: OperatorContext<'changes'>) {
    super();
    this.#context = context;
    this.#changes = new ChangeOutput(context);
  }

  emit(value: unknown): void {
    const kind = changeKinds[this.#context.scope.rowKind] as ChangeKind;
    this.#changes.emit(rowKind.insert, { kind, value });
  }
}

/** `filter` on a stream of changes. */
export class ChangelogFilterOperator extends StatelessOperator {
  readonly #context: OperatorContext<'filter'>;
  readonly #user: UserCode<FilterFunction<unknown>>;
  readonly #changes: ChangeOutput;
  readonly #upserts: boolean;

  constructor(context: OperatorContext<'filter'>) {
    super();
    this.#context = context;
    this.#user = new UserCode<FilterFunction<unknown>>(context.functions.filter as never, context);
    this.#changes = new ChangeOutput(context);
    this.#upserts = context.node.config['changelog'] === 'upsert';
  }

  emit(value: unknown): void {
    const kind = this.#context.scope.rowKind as RowKind;
    // A delete of an upsert stream tells the key; its other fields may be old or missing.
    if (this.#upserts && kind === rowKind.delete) return this.#changes.emit(kind, value);
    let passes: boolean;
    try {
      passes = this.#user.call(value as never);
    } catch (error) {
      return handleUserError(this.#context, value, error);
    }
    if (passes) this.#changes.emit(this.#upserts ? kind : unpaired(kind), value);
    else if (this.#upserts && kind === rowKind.updateAfter) this.#changes.emit(rowKind.delete, value);
  }

  override open(): Promise<void> {
    return this.#user.open();
  }

  override close(): Promise<void> {
    return this.#user.close();
  }
}
