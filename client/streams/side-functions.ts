/**
 * The functions of `broadcastInput(...)` as the one form its operator runs: any number of records for each. Open and close
 * of a function object stay.
 */
import type { FunctionContext, UserFunction } from '../../core/operators.ts';
import { printedAs } from './printed-as.ts';

/** A function of a record and the side object. */
export type SideMap<T, Side, Result> = (value: Readonly<T>, side: Side) => Result;

const nothing: readonly never[] = Object.freeze([]);

export function sideMap<T, Side, Out>(
  map: UserFunction<SideMap<T, Side, Out>>,
): UserFunction<SideMap<T, Side, Iterable<Out>>> {
  return wrapped(map, (call) => (value, side) => [call(value, side)]);
}

export function sideFilter<T, Side>(
  predicate: UserFunction<SideMap<T, Side, boolean>>,
): UserFunction<SideMap<T, Side, Iterable<T>>> {
  return wrapped(predicate, (call) => (value, side) => (call(value, side) ? [value as T] : nothing));
}

function wrapped<T, Side, In, Out>(
  user: UserFunction<SideMap<T, Side, In>>,
  wrap: (call: SideMap<T, Side, In>) => SideMap<T, Side, Out>,
): UserFunction<SideMap<T, Side, Out>> {
  if (typeof user === 'function') return printedAs(user, wrap(user as SideMap<T, Side, In>));
  const object = user;
  const { call } = object;
  return {
    call: printedAs(call, wrap(call.bind(object) as SideMap<T, Side, In>)),
    ...(object.open === undefined
      ? {}
      : { open: printedAs(object.open, (context: FunctionContext) => object.open?.(context)) }),
    ...(object.close === undefined ? {} : { close: printedAs(object.close, () => object.close?.()) }),
  };
}
