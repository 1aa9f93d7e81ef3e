/**
 * Lists of a subtask (state of functions without a key), as reserved rows: chunks of elements addressed by subtask and
 * number, each with the parallelism it was written under. At a restore every subtask reads the rows of all and takes its
 * share; where that is not what it had, its rows are written anew and those of subtasks that are gone are deleted.
 * @see docs/formats/state-rows.md
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { OperatorListState, OperatorStateDeclarations } from '../../core/state/operator-state.ts';
import type { RestoredRow, SnapshotTask } from '../operators/operator.ts';
import { ReservedRows } from './reserved-rows.ts';

/** Elements of a row. */
export const listRowElementsMax = 64;

interface StoredChunk {
  /** Parallelism of the operator when it was written. */
  readonly parallelism: number;
  readonly elements: readonly unknown[];
}

/** Which subtask of how many. */
export interface SubtaskPlace {
  readonly operatorId: string;
  readonly subtaskIndex: number;
  readonly parallelism: number;
}

class ListHandle implements OperatorListState<object> {
  elements: unknown[] = [];
  /** Rows before this one are as they were written last. */
  dirtyFrom = 0;
  /** Rows written. */
  rowCount = 0;

  get size(): number {
    return this.elements.length;
  }

  add(value: unknown): void {
    this.#changedFrom(this.elements.length);
    this.elements.push(ownValue(value));
  }

  addAll(values: Iterable<unknown>): void {
    for (const value of [...values]) this.add(value);
  }

  get(): readonly object[] {
    return this.elements.slice() as object[];
  }

  [Symbol.iterator](): Iterator<object> {
    return this.get()[Symbol.iterator]();
  }

  update(values: Iterable<unknown>): void {
    const replacement = [...values];
    this.clear();
    this.addAll(replacement);
  }

  clear(): void {
    this.#changedFrom(0);
    this.elements = [];
  }

  #changedFrom(index: number): void {
    this.dirtyFrom = Math.min(this.dirtyFrom, Math.floor(index / listRowElementsMax));
  }
}

export class OperatorLists {
  readonly handles: Readonly<Record<string, OperatorListState<object>>>;
  readonly #place: SubtaskPlace;
  readonly #rows: ReservedRows;
  readonly #declarations: OperatorStateDeclarations;
  readonly #lists = new Map<string, ListHandle>();
  /** Restored chunks by state, subtask and number. */
  readonly #restored = new Map<string, Map<number, Map<number, StoredChunk>>>();

  constructor(declarations: OperatorStateDeclarations, place: SubtaskPlace) {
    this.#place = place;
    this.#declarations = declarations;
    this.#rows = new ReservedRows(place.operatorId);
    for (const name of Object.keys(declarations)) this.#lists.set(name, new ListHandle());
    this.handles = Object.fromEntries(this.#lists);
  }

  has(name: string): boolean {
    return this.#lists.has(name);
  }

  restore(row: RestoredRow): void {
    const [subtask, number] = decodeKey(row.key).key as [number, number];
    const ofState = this.#restored.get(row.stateName) ?? new Map<number, Map<number, StoredChunk>>();
    this.#restored.set(row.stateName, ofState);
    const chunks = ofState.get(subtask) ?? new Map<number, StoredChunk>();
    ofState.set(subtask, chunks);
    if (row.value === null) chunks.delete(number);
    else chunks.set(number, decodeValue(row.value) as StoredChunk);
  }

  /** All rows were restored: takes the share of this subtask. */
  restored(): void {
    for (const [name, ofState] of this.#restored) this.#takeShare(name, ofState);
    this.#restored.clear();
  }

  freeze(checkpointId: number): SnapshotTask | null {
    for (const [name, list] of this.#lists) this.#write(name, list);
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }

  #takeShare(name: string, ofState: ReadonlyMap<number, ReadonlyMap<number, StoredChunk>>): void {
    const { subtaskIndex, parallelism } = this.#place;
    const list = this.#lists.get(name) as ListHandle;
    const subtasks = [...ofState.keys()].sort((left, right) => left - right);
    const elementsBySubtask = subtasks.map((subtask) => elementsOf(ofState.get(subtask)));
    const own = ofState.get(subtaskIndex);
    list.rowCount = own === undefined ? 0 : Math.max(0, ...[...own.keys()].map((number) => number + 1));
    const before = [...ofState.values()].flatMap((chunks) => [...chunks.values()]).at(0)?.parallelism;
    if (this.#declarations[name]?.mode === 'split' && before === parallelism) {
      list.elements = elementsOf(own);
      list.dirtyFrom = list.rowCount;
      return;
    }
    const all = elementsBySubtask.flat();
    const from = Math.floor((all.length * subtaskIndex) / parallelism);
    const to = Math.floor((all.length * (subtaskIndex + 1)) / parallelism);
    list.elements = this.#declarations[name]?.mode === 'union' ? all : all.slice(from, to);
    list.dirtyFrom = 0;
    for (const subtask of subtasks) {
      if (subtask < parallelism || subtask % parallelism !== subtaskIndex) continue;
      for (const number of ofState.get(subtask)?.keys() ?? []) this.#rows.delete(name, [subtask, number]);
    }
  }

  #write(name: string, list: ListHandle): void {
    const { subtaskIndex, parallelism } = this.#place;
    const rowCount = Math.ceil(list.elements.length / listRowElementsMax);
    for (let number = list.dirtyFrom; number < rowCount; number++) {
      const first = number * listRowElementsMax;
      const elements = list.elements.slice(first, first + listRowElementsMax);
      this.#put(name, [subtaskIndex, number], { parallelism, elements });
    }
    for (let number = rowCount; number < list.rowCount; number++) this.#rows.delete(name, [subtaskIndex, number]);
    list.rowCount = rowCount;
    // The last row may grow.
    list.dirtyFrom = rowCount;
  }

  #put(name: string, key: readonly [number, number], chunk: StoredChunk): void {
    try {
      this.#rows.put(name, key, chunk);
    } catch (error) {
      throw notStored(error, this.#place.operatorId, name);
    }
  }
}

function elementsOf(chunks: ReadonlyMap<number, StoredChunk> | undefined): unknown[] {
  if (chunks === undefined) return [];
  const numbers = [...chunks.keys()].sort((left, right) => left - right);
  return numbers.flatMap((number) => chunks.get(number)?.elements ?? []);
}

/** Names the state in the refusal of a value. */
export function notStored(error: unknown, operatorId: string, stateName: string): unknown {
  if (!isEngineError(error) || error.code !== 'VALUE_NOT_ENCODABLE') return error;
  const ids = { operator: operatorId, state: stateName };
  const message = `state '${stateName}' of operator '${operatorId}': ${error.message}`;
  return new EngineError('VALUE_NOT_ENCODABLE', message, { cause: error, ids });
}
