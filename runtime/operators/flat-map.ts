/**
 * `flatMap`: one record in, any number out. The function returns an iterable; it is pulled item by item as there is room
 * ({@link ItemCursor}).
 */
import type { FlatMapFunction } from '../../core/operators.ts';
import { ItemCursor } from './item-cursor.ts';
import type { OperatorContext } from './operator.ts';
import { unpaired } from './row-kinds.ts';
import { StatelessOperator } from './stateless.ts';
import { handleUserError, UserCode } from './user-code.ts';

type Call = FlatMapFunction<unknown, unknown>;

export class FlatMapOperator extends StatelessOperator {
  readonly #context: OperatorContext<'flat-map'>;
  readonly #user: UserCode<Call>;
  readonly #call: Call;
  readonly #items: ItemCursor;

  constructor(context: OperatorContext<'flat-map'>) {
    super();
    this.#context = context;
    this.#user = new UserCode<Call>(context.functions.flatMap as never, context);
    this.#call = this.#user.call;
    this.#items = new ItemCursor(context);
  }

  emit(value: unknown): void {
    let items: Iterable<unknown>;
    try {
      items = this.#call(value as never);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    const { scope } = this.#context;
    const { rowKind } = scope;
    // The halves of an update may become different numbers of rows: each is a change of its own.
    scope.rowKind = unpaired(rowKind);
    this.#items.start(value, items);
    scope.rowKind = rowKind;
  }

  get pending(): boolean {
    return this.#items.pending;
  }

  resume(): void {
    this.#items.resume();
  }

  override open(): Promise<void> {
    return this.#user.open();
  }

  override close(): Promise<void> {
    this.#items.close();
    return this.#user.close();
  }
}
