/**
 * State of functions without a key: lists that belong to a subtask and are given out anew when the number of subtasks
 * changes. @see Flink CheckpointedFunction: `getListState` (split) and `getUnionListState` (union)
 */

/** Declares a list of the subtask; made by {@link operatorListState}. */
export interface OperatorListStateDeclaration<T> {
  readonly kind: 'operator-list';
  readonly elementType?: T;
  readonly mode: OperatorStateMode;
}

/**
 * What a subtask has after a restore. `split`: with another parallelism the elements of all subtasks, in order, cut into
 * even parts; else its own. `union`: the elements of all subtasks, always; keep what this subtask needs and `update`.
 */
export type OperatorStateMode = 'split' | 'union';

/** The states of a function without a key, by name. A name is the identity of its state. */
export type OperatorStateDeclarations = { readonly [name: string]: OperatorListStateDeclaration<unknown> };

/**
 * A list of the subtask. Small: it is in memory, and read by every subtask at a restore. Elements are plain data and must
 * not be changed in place.
 */
export interface OperatorListState<T> extends Iterable<Readonly<T>> {
  /** Number of elements. */
  readonly size: number;
  /** Adds an element at the end. */
  add(value: T): void;
  /** Adds elements at the end, in order. */
  addAll(values: Iterable<T>): void;
  /** The elements as they are now. */
  get(): readonly Readonly<T>[];
  /** Replaces the whole list. */
  update(values: Iterable<T>): void;
  /** Removes all elements. */
  clear(): void;
}

/** The handles that belong to a set of declarations. */
export type OperatorStateHandles<D extends OperatorStateDeclarations> = {
  readonly [Name in keyof D]: D[Name] extends OperatorListStateDeclaration<infer T> ? OperatorListState<T> : never;
};

/**
 * Declares a list of the subtask, for `process` of a stream without key.
 * @param options `mode`: what a subtask is given after a restore; default `split`
 */
export const operatorListState = <T>(options: { mode?: OperatorStateMode } = {}): OperatorListStateDeclaration<T> => ({
  kind: 'operator-list',
  mode: options.mode ?? 'split',
});
