/** Types that calls on all kinds of streams use: functions with a life, and readable object types. */
import type { FunctionContext } from '../../core/operators.ts';

/** One object type instead of an intersection, for readable hints in the editor. */
export type Simplify<T> = { [Name in keyof T]: T[Name] } & {};

/**
 * A user function with a life: `open` before the first record of an attempt, `close` after the last. Taken wherever a plain
 * function is. (`apply?: never` because a function has a `call` too, which would fit anything and make every type `any`.)
 */
export interface FunctionObject<Call> {
  /** Called once before the first record of an attempt; a rejection fails the attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
  /** Called for each record. */
  call: Call;
  readonly apply?: never;
}

/**
 * A {@link ReduceFunction} with a life. Its `call` is a method and not a property, so that a stream of a narrower type is still
 * a stream of a wider one.
 */
export interface ReduceObject<T> {
  /** Called once before the first record of an attempt; a rejection fails the attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
  /** Called for each record but the first of a key. */
  call(left: Readonly<T>, right: Readonly<T>): T;
  readonly apply?: never;
}
