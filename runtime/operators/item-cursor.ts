/**
 * The items that one record became (`flatMap`), pulled one by one: the iterator is the operator's cursor. Without room, or
 * after a turn's worth of items, the rest waits here and the subtask goes on with it before anything else: before the next
 * record, a watermark, a timer or a snapshot. So one record may become millions of items, or an endless generator, in flat
 * memory; a barrier waits behind it.
 *
 * A throw while pulling is a throw of this operator; what was emitted before stays. A failure downstream is not.
 */
import { isPromise } from './call-gate.ts';
import type { AnyOperatorContext } from './operator.ts';
import { handleUserError } from './user-code.ts';

/** Items handed on before other subtasks of the slot get their turn. */
const itemsPerTurnMax = 1024;

export class ItemCursor {
  readonly #context: AnyOperatorContext;
  /** The record whose items are pulled, for `onError`. */
  #record: unknown = null;
  #array: readonly unknown[] | null = null;
  #next = 0;
  #iterator: Iterator<unknown> | null = null;
  // Attributes of the record, inherited by all its items.
  #timestamp = Number.NaN;
  #splitWatermark = Number.NaN;
  #rowKind = 0;

  constructor(context: AnyOperatorContext) {
    this.#context = context;
  }

  /** True while items wait to be handed on. */
  get pending(): boolean {
    return this.#array !== null || this.#iterator !== null;
  }

  /** Hands on the items of a record, as many as there is room for. */
  start(record: unknown, items: Iterable<unknown>): void {
    // An upstream that emits several records at once cannot be paused: what it emitted first goes first, room or not.
    if (this.pending) this.#goOn(Number.POSITIVE_INFINITY);
    this.#record = record;
    if (Array.isArray(items)) {
      this.#pullArray(items, 0, itemsPerTurnMax);
      return;
    }
    let iterator: Iterator<unknown>;
    try {
      iterator = iteratorOf(items);
    } catch (error) {
      handleUserError(this.#context, record, error);
      return;
    }
    this.#pullIterator(iterator, itemsPerTurnMax);
  }

  /** Goes on with what waits. */
  resume(): void {
    this.#goOn(itemsPerTurnMax);
  }

  /** Lets a generator clean up after itself; its items are not wanted any more. */
  close(): void {
    const iterator = this.#iterator;
    this.#array = null;
    this.#iterator = null;
    iterator?.return?.();
  }

  #goOn(budget: number): void {
    const { scope } = this.#context;
    const { timestamp, splitWatermark, rowKind } = scope;
    scope.timestamp = this.#timestamp;
    scope.splitWatermark = this.#splitWatermark;
    scope.rowKind = this.#rowKind;
    const array = this.#array;
    const iterator = this.#iterator;
    this.#array = null;
    this.#iterator = null;
    if (array !== null) this.#pullArray(array, this.#next, budget);
    else if (iterator !== null) this.#pullIterator(iterator, budget);
    scope.timestamp = timestamp;
    scope.splitWatermark = splitWatermark;
    scope.rowKind = rowKind;
  }

  #pullArray(items: readonly unknown[], from: number, budget: number): void {
    const context = this.#context;
    const { output } = context;
    const end = Math.min(items.length, from + budget);
    for (let index = from; index < end; ) {
      output.emit(items[index++]);
      if (index < items.length && (index === end || this.#mustWait(budget))) {
        this.#array = items;
        this.#next = index;
        return this.#pause();
      }
    }
  }

  #pullIterator(iterator: Iterator<unknown>, budget: number): void {
    const context = this.#context;
    const { output } = context;
    for (let pulled = 0; pulled < budget; pulled++) {
      if (pulled > 0 && this.#mustWait(budget)) break;
      let step: IteratorResult<unknown>;
      try {
        step = iterator.next();
      } catch (error) {
        handleUserError(context, this.#record, error);
        return;
      }
      if (step.done === true) return;
      output.emit(step.value);
    }
    this.#iterator = iterator;
    this.#pause();
  }

  #mustWait(budget: number): boolean {
    return budget !== Number.POSITIVE_INFINITY && !this.#context.hasRoom();
  }

  /** The head stops before its next record; the subtask calls `resume` when there is room. */
  #pause(): void {
    const context = this.#context;
    const { scope } = context;
    this.#timestamp = scope.timestamp;
    this.#splitWatermark = scope.splitWatermark;
    this.#rowKind = scope.rowKind;
    if (!context.hasRoom()) return;
    context.blockOutput();
    context.wake();
  }
}

/** @throws TypeError that says what a function returned instead of items */
function iteratorOf(items: unknown): Iterator<unknown> {
  const create = (items as Partial<Iterable<unknown>> | null | undefined)?.[Symbol.iterator];
  if (typeof create === 'function') return create.call(items);
  const what = isPromise(items)
    ? 'a promise; make it synchronous, or use asyncFlatMap'
    : `${items === null ? 'null' : asyncOrType(items)}; return an array, or yield the items from a generator`;
  throw new TypeError(`a function of many results returned ${what}`);
}

function asyncOrType(items: unknown): string {
  const isAsync = typeof items === 'object' && items !== null && Symbol.asyncIterator in items;
  return isAsync ? 'an async generator' : typeof items;
}
