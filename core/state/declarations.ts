/**
 * Declared state of keyed functions. Declarations are data (they are compared at restore and shown by tools) plus types
 * for inference.
 */

export interface ValueStateDeclaration<T> {
  readonly kind: 'value';
  readonly valueType?: T;
}

export interface MapStateDeclaration<K, V> {
  readonly kind: 'map';
  readonly keyType?: K;
  readonly valueType?: V;
}

export type StateDeclaration = ValueStateDeclaration<unknown> | MapStateDeclaration<unknown, unknown>;
export type StateDeclarations = { readonly [name: string]: StateDeclaration };

/** One value per key. */
export interface ValueState<T> {
  /** The value of the current key, or undefined when there is none. */
  value(): T | undefined;
  update(value: T): void;
  clear(): void;
}

/** A map per key. Iteration follows the encoded order of the map keys, the same in every backend. */
export interface MapState<K, V> {
  get(key: K): V | undefined;
  has(key: K): boolean;
  set(key: K, value: V): void;
  delete(key: K): void;
  entries(): IterableIterator<[K, V]>;
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
