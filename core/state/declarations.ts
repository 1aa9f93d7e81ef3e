/**
 * Declared state of keyed functions. Declarations are data (they are compared at restore and shown by tools) plus types
 * for inference.
 */

/** Declares one value per key; made by {@link valueState}. */
export interface ValueStateDeclaration<T> {
  readonly kind: 'value';
  readonly valueType?: T;
}

/** Declares a map per key; made by {@link mapState}. */
export interface MapStateDeclaration<K, V> {
  readonly kind: 'map';
  readonly keyType?: K;
  readonly valueType?: V;
}

/** What a state is, as data. */
export type StateDeclaration = ValueStateDeclaration<unknown> | MapStateDeclaration<unknown, unknown>;
/** The states of a process function by name. A name is the identity of its state. */
export type StateDeclarations = { readonly [name: string]: StateDeclaration };

/** One value per key. */
export interface ValueState<T> {
  /** The value of the current key, or undefined when there is none. */
  value(): T | undefined;
  /**
   * Sets the value of the current key. Plain data. It belongs to the state from then on: an object may be changed in place only
   * between `value()` and `update()` of one call.
   */
  update(value: T): void;
  /** Removes the value of the current key. */
  clear(): void;
}

/** A map per key. Iteration follows the encoded order of the map keys, the same in every backend. */
export interface MapState<K, V> {
  /** The value at `key`, or undefined when there is none. */
  get(key: K): V | undefined;
  /** Whether there is an entry at `key`. */
  has(key: K): boolean;
  /** Sets the value at `key`. */
  set(key: K, value: V): void;
  /** Removes the entry at `key`; nothing happens when there is none. */
  delete(key: K): void;
  /** All entries of the current key, in the encoded order of their keys. */
  entries(): IterableIterator<[K, V]>;
  /** Removes all entries of the current key. */
  clear(): void;
}

/** The handles that belong to a set of declarations. */
export type StateHandles<D extends StateDeclarations> = {
  readonly [Name in keyof D]: D[Name] extends MapStateDeclaration<infer K, infer V>
    ? MapState<K, V>
    : D[Name] extends ValueStateDeclaration<infer T>
      ? ValueState<T>
      : never;
};

/** Declares one value per key. */
export const valueState = <T>(): ValueStateDeclaration<T> => ({ kind: 'value' });
/** Declares a map per key. Map keys are of the key types: string, number, bigint, boolean, Date, bytes and tuples of these. */
export const mapState = <K, V>(): MapStateDeclaration<K, V> => ({ kind: 'map' });
