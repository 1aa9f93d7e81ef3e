/**
 * `connect(..).map(f, g)` and `.flatMap(f, g)`: two streams, a function each, one output. Without state; items are pulled as
 * there is room ({@link ItemCursor}).
 */
import type { FlatMapFunction } from '../../core/operators.ts';
import { ItemCursor } from './item-cursor.ts';
import type { OperatorContext } from './operator.ts';
import { StatelessOperator } from './stateless.ts';
import { handleUserError, UserCode } from './user-code.ts';

type Call = FlatMapFunction<unknown, unknown>;

export class CoFlatMapOperator extends StatelessOperator {
  readonly #context: OperatorContext<'co-flat-map'>;
  readonly #first: UserCode<Call>;
  readonly #second: UserCode<Call>;
  readonly #items: ItemCursor;

  constructor(context: OperatorContext<'co-flat-map'>) {
    super();
    this.#context = context;
    this.#first = new UserCode<Call>(context.functions.flatMap as never, context);
    this.#second = new UserCode<Call>(context.functions.flatMapSecond as never, context);
    this.#items = new ItemCursor(context);
  }

  emit(value: unknown): void {
    this.#start(value, this.#first.call);
  }

  emitSecond(value: unknown): void {
    this.#start(value, this.#second.call);
  }

  get pending(): boolean {
    return this.#items.pending;
  }

  resume(): void {
    this.#items.resume();
  }

  override async open(): Promise<void> {
    await this.#first.open();
    await this.#second.open();
  }

  override async close(): Promise<void> {
    this.#items.close();
    try {
      await this.#first.close();
    } finally {
      await this.#second.close();
    }
  }

  #start(value: unknown, call: Call): void {
    let items: Iterable<unknown>;
    try {
      items = call(value as never);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    this.#items.start(value, items);
  }
}
