/**
 * Lists of a subtask (state of functions without a key), as reserved rows: chunks of elements addressed by subtask and
 * number, each with the parallelism it was written under. At a restore every subtask reads the rows of all and takes its
 * share; where that is not what it had, its rows are written anew and those of subtasks that are gone are deleted.
 * @see docs/formats/state-rows.md
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
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

/** What handles ask before they are used: whether user code may use them now. */
export interface UseGate {
  /** @throws EngineError when it may not */
  check(used: string): void;
}

export const alwaysUsable: UseGate = { check: () => undefined };

/** What user code is given; the list itself is nobody's but the operator's. */
class ListView implements OperatorListState<object> {
  readonly #list: ListHandle;
  readonly #gate: UseGate;
  readonly #what: string;

  constructor(list: ListHandle, gate: UseGate, name: string) {
    this.#list = list;
    this.#gate = gate;
    this.#what = `state '${name}'`;
  }

  get size(): number {
    return this.#used.elements.length;
  }

  add(value: unknown): void {
    this.#used.add(value);
  }

  addAll(values: Iterable<unknown>): void {
    for (const value of [...values]) this.add(value);
  }

  get(): readonly object[] {
    return this.#used.elements.slice() as object[];
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
    this.#used.clear();
  }

  get #used(): ListHandle {
    this.#gate.check(this.#what);
    return this.#list;
  }
}

class ListHandle {
  elements: unknown[] = [];
  /** Rows before this one are as they were written last. */
  dirtyFrom = 0;
  /** Rows written. */
  rowCount = 0;

  add(value: unknown): void {
    this.#changedFrom(this.elements.length);
    this.elements.push(ownValue(value));
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

  constructor(declarations: OperatorStateDeclarations, place: SubtaskPlace, gate: UseGate = alwaysUsable) {
    this.#place = place;
    this.#declarations = declarations;
    this.#rows = new ReservedRows(place.operatorId);
    for (const name of Object.keys(declarations)) this.#lists.set(name, new ListHandle());
    const views = [...this.#lists].map(([name, list]) => [name, new ListView(list, gate, name)] as const);
    this.handles = Object.fromEntries(views);
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
      this.#rows.put(name, [subtaskIndex, number], { parallelism, elements });
    }
    for (let number = rowCount; number < list.rowCount; number++) this.#rows.delete(name, [subtaskIndex, number]);
    list.rowCount = rowCount;
    // The last row may grow.
    list.dirtyFrom = rowCount;
  }
}

function elementsOf(chunks: ReadonlyMap<number, StoredChunk> | undefined): unknown[] {
  if (chunks === undefined) return [];
  const numbers = [...chunks.keys()].sort((left, right) => left - right);
  return numbers.flatMap((number) => chunks.get(number)?.elements ?? []);
}
