/**
 * `broadcastInput`: a main stream with a bounded side stream that is read to its end before the first main record. The
 * side records are kept as state, so a restore needs no second reading of the side input; every subtask holds them all,
 * subtask 0 writes them.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import { ReservedRows } from '../state/reserved-rows.ts';
import { ItemCursor } from './item-cursor.ts';
import type { Operator, OperatorContext, RestoredRow, SnapshotTask } from './operator.ts';
import type { SideFlatMapFunction } from '../../core/operators.ts';
import { handleUserError, UserCode, userError } from './user-code.ts';
import { unpaired } from './row-kinds.ts';

const stateName = 'side';

export class BroadcastInputOperator implements Operator {
  readonly #context: OperatorContext<'broadcast-input'>;
  readonly #rows: ReservedRows;
  readonly #items: ItemCursor;
  readonly #user: UserCode<SideFlatMapFunction>;
  readonly #call: SideFlatMapFunction;
  #records: unknown[] = [];
  readonly #restored = new Map<number, unknown>();
  #side: unknown = undefined;

  constructor(context: OperatorContext<'broadcast-input'>) {
    this.#context = context;
    this.#rows = new ReservedRows(context.node.id);
    this.#items = new ItemCursor(context);
    this.#user = new UserCode(context.functions.flatMap, context);
    this.#call = this.#user.call;
  }

  emitSide(value: unknown): void {
    if (this.#context.subtaskIndex === 0) this.#rows.put(stateName, this.#records.length, value);
    // Kept for the life of the attempt: it must not hold on to the batch it was decoded from.
    this.#records.push(ownValue(value));
  }

  /** The side has ended: builds the object that the user's functions see. */
  endSide(): void {
    try {
      this.#side = this.#context.functions.build(this.#records as unknown as readonly never[]);
    } catch (error) {
      this.#context.fail(
        userError(this.#context, `building the side input of operator '${this.#context.node.id}' failed`, error),
      );
    }
    this.#records = [];
  }

  emit(value: unknown): void {
    let items: Iterable<unknown>;
    try {
      items = this.#call(value as never, this.#side as never);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    const { scope } = this.#context;
    // The halves of an update may become different numbers of rows: each is a change of its own.
    scope.rowKind = unpaired(scope.rowKind);
    this.#items.start(value, items);
  }

  get pending(): boolean {
    return this.#items.pending;
  }

  resume(): void {
    this.#items.resume();
  }

  restore(row: RestoredRow): void {
    const position = decodeKey(row.key).key as number;
    if (row.value !== null) this.#restored.set(position, decodeValue(row.value));
  }

  open(): Promise<void> {
    const positions = [...this.#restored.keys()].sort((left, right) => left - right);
    this.#records = positions.map((position) => this.#restored.get(position));
    this.#restored.clear();
    return this.#user.open();
  }

  advanceWatermark(): boolean {
    return true;
  }

  freeze(checkpointId: number): SnapshotTask | null {
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }

  checkpointAborted(): void {}

  close(): Promise<void> {
    this.#items.close();
    return this.#user.close();
  }
}
