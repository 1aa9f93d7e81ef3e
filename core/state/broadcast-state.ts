/**
 * Broadcast state: maps that every subtask has in full, written by the records of a broadcast stream and read by those of
 * the main one. Declared with `mapState`. @see Flink, the broadcast state pattern
 */
import type { MapStateDeclaration } from './declarations.ts';

/** The broadcast states of a function by name; each is a `mapState` without a time to live. */
export type BroadcastStateDeclarations = { readonly [name: string]: MapStateDeclaration<unknown, unknown> };

/** Broadcast state as the main stream sees it. */
export interface ReadonlyBroadcastState<K, V> {
  /** Number of entries. */
  readonly size: number;
  /** The value at `key`, or undefined when there is none. */
  get(key: K): Readonly<V> | undefined;
  /** Whether there is an entry at `key`. */
  has(key: K): boolean;
  /** All entries, in the encoded order of their keys. */
  entries(): IterableIterator<[K, Readonly<V>]>;
}

/** Broadcast state as the broadcast stream sees it. Values are plain data and must not be changed in place. */
export interface BroadcastState<K, V> extends ReadonlyBroadcastState<K, V> {
  /** Sets the value at `key`. */
  set(key: K, value: V): void;
  /** Removes the entry at `key`; nothing happens when there is none. */
  delete(key: K): void;
  /** Removes all entries. */
  clear(): void;
}

/** Handles for reading. */
export type ReadonlyBroadcastStates<B extends BroadcastStateDeclarations> = {
  readonly [Name in keyof B]: B[Name] extends MapStateDeclaration<infer K, infer V>
    ? ReadonlyBroadcastState<K, V>
    : never;
};

/** Handles for reading and writing. */
export type BroadcastStates<B extends BroadcastStateDeclarations> = {
  readonly [Name in keyof B]: B[Name] extends MapStateDeclaration<infer K, infer V> ? BroadcastState<K, V> : never;
};
