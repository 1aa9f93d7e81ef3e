/** What `broadcastInput` returns; the implementation is `side-input-builder.ts`. */
import type { FunctionObject } from './function-types.ts';
import type { OperatorStream } from './stream-types.ts';

/** A stream with a side object; see {@link Stream.broadcastInput}. */
export interface SideInputStream<T, Side> {
  /** One record out for each record in. */
  map<Out>(map: (value: Readonly<T>, side: Side) => Out): OperatorStream<Out>;
  /** The same with an object that has `open` and `close`. */
  map<Out>(map: FunctionObject<(value: Readonly<T>, side: Side) => Out>): OperatorStream<Out>;
  /** Keeps the records the predicate holds for. */
  filter(predicate: (value: Readonly<T>, side: Side) => boolean): OperatorStream<T>;
  /** The same with an object that has `open` and `close`. */
  filter(predicate: FunctionObject<(value: Readonly<T>, side: Side) => boolean>): OperatorStream<T>;
  /** Any number of records out for each record in. */
  flatMap<Out>(flatMap: (value: Readonly<T>, side: Side) => Iterable<Out>): OperatorStream<Out>;
  /** The same with an object that has `open` and `close`. */
  flatMap<Out>(flatMap: FunctionObject<(value: Readonly<T>, side: Side) => Iterable<Out>>): OperatorStream<Out>;
}
