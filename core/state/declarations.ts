/**
 * Declared state of keyed functions. Declarations are data (they are compared at restore and shown by tools) plus types
 * for inference.
 */
import type { Aggregate } from '../aggregate.ts';

/**
 * Time to live of a state. What has expired is never returned and is removed little by little while records are processed.
 * @see Flink StateTtlConfig: `onWrite` is OnCreateAndWrite, `onRead` is OnReadAndWrite; visibility is NeverReturnExpired
 */
export interface StateOptions {
  /** How long what was written lives, in ms: a value, an entry of a map, an element of a list. Default: for ever. */
  readonly ttl?: number;
  /** What renews it: writing (default), or reading too. */
  readonly ttlUpdate?: 'onWrite' | 'onRead';
  /**
   * Whose time: the clock (default), or event time. With `event` a write counts from the time of its record and expires when
   * the merged watermark has come to the end of the time to live, so that a replay forgets what the first run forgot.
   */
  readonly time?: 'processing' | 'event';
}

/** Declares one value per key; made by {@link valueState}. */
export interface ValueStateDeclaration<T> {
  readonly kind: 'value';
  readonly valueType?: T;
  readonly options?: StateOptions;
}

/** Declares a map per key; made by {@link mapState}. */
export interface MapStateDeclaration<K, V> {
  readonly kind: 'map';
  readonly keyType?: K;
  readonly valueType?: V;
  readonly options?: StateOptions;
}

/** Declares a list per key; made by {@link listState}. */
export interface ListStateDeclaration<T> {
  readonly kind: 'list';
  readonly elementType?: T;
  readonly options?: StateOptions;
}

/** Declares one value per key that added values are combined into; made by {@link reducingState}. */
export interface ReducingStateDeclaration<T> {
  readonly kind: 'reducing';
  readonly valueType?: T;
  readonly reduce: (left: never, right: never) => unknown;
  readonly options?: StateOptions;
}

/** Declares an aggregate per key; made by {@link aggregatingState}. */
export interface AggregatingStateDeclaration<In, Out> {
  readonly kind: 'aggregating';
  readonly inputType?: In;
  readonly outType?: Out;
  readonly aggregate: Aggregate<never, unknown>;
  readonly options?: StateOptions;
}

/** What a state is, as data. */
export type StateDeclaration =
  | ValueStateDeclaration<unknown>
  | MapStateDeclaration<unknown, unknown>
  | ListStateDeclaration<unknown>
  | ReducingStateDeclaration<unknown>
  | AggregatingStateDeclaration<unknown, unknown>;
/** Kinds of state there are. */
export type StateKind = StateDeclaration['kind'];
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

/**
 * A list per key, in the order of adding. Adding never reads what is there, however long the list. Elements are plain data
 * and belong to the state: they must not be changed in place, `update` replaces them.
 */
export interface ListState<T> extends Iterable<Readonly<T>> {
  /** Adds an element at the end. */
  add(value: T): void;
  /** Adds elements at the end, in order. */
  addAll(values: Iterable<T>): void;
  /**
   * The elements of the current key, read as they are asked for. What is added meanwhile is not visited; the iteration ends
   * when the list is cleared or replaced meanwhile.
   */
  get(): IterableIterator<Readonly<T>>;
  /** Replaces the whole list; none clears it. */
  update(values: Iterable<T>): void;
  /** Removes all elements of the current key. */
  clear(): void;
}

/** One value per key that everything added is combined into. */
export interface ReducingState<T> {
  /** Combines the value with what there is; the first one is taken as it is. */
  add(value: T): void;
  /** What was added since the key was new or cleared, combined; undefined when nothing was. */
  value(): T | undefined;
  /** Forgets what was added for the current key. */
  clear(): void;
}

/** An aggregate per key. */
export interface AggregatingState<In, Out> {
  /** Adds a value to the aggregate of the current key. */
  add(value: In): void;
  /** The result for the current key; undefined when nothing was added. */
  value(): Out | undefined;
  /** Forgets what was added for the current key. */
  clear(): void;
}

/** The handle that belongs to one declaration. */
export type StateHandle<Declaration> =
  Declaration extends MapStateDeclaration<infer K, infer V>
    ? MapState<K, V>
    : Declaration extends ValueStateDeclaration<infer T>
      ? ValueState<T>
      : Declaration extends ListStateDeclaration<infer T>
        ? ListState<T>
        : Declaration extends ReducingStateDeclaration<infer T>
          ? ReducingState<T>
          : Declaration extends AggregatingStateDeclaration<infer In, infer Out>
            ? AggregatingState<In, Out>
            : never;

/** The handles that belong to a set of declarations. */
export type StateHandles<D extends StateDeclarations> = { readonly [Name in keyof D]: StateHandle<D[Name]> };

const optional = (options: StateOptions | undefined): { options?: StateOptions } =>
  options === undefined ? {} : { options };

/** Declares one value per key. */
export const valueState = <T>(options?: StateOptions): ValueStateDeclaration<T> => ({
  kind: 'value',
  ...optional(options),
});
/**
 * Declares a map per key. Map keys are of the key types: string, number, bigint, boolean, Date, bytes and tuples of these.
 * A time to live is that of each entry.
 */
export const mapState = <K, V>(options?: StateOptions): MapStateDeclaration<K, V> => ({
  kind: 'map',
  ...optional(options),
});
/** Declares a list per key. A time to live is that of each element. */
export const listState = <T>(options?: StateOptions): ListStateDeclaration<T> => ({
  kind: 'list',
  ...optional(options),
});
/**
 * Declares one value per key that added values are combined into.
 * @param reduce combines what there is with the next value; must not change either
 */
export const reducingState = <T>(
  reduce: (left: Readonly<T>, right: Readonly<T>) => T,
  options?: StateOptions,
): ReducingStateDeclaration<T> => ({ kind: 'reducing', reduce, ...optional(options) });
/**
 * Declares an aggregate per key: `aggregatingState(avg((payment: Payment) => payment.cents))`.
 * @param aggregate `count()`, `sum(...)` or any other of millrace, or `aggregateOf({...})`
 */
export const aggregatingState = <In, Out>(
  aggregate: Aggregate<In, Out>,
  options?: StateOptions,
): AggregatingStateDeclaration<In, Out> => ({
  kind: 'aggregating',
  aggregate: aggregate as unknown as Aggregate<never, unknown>,
  ...optional(options),
});
