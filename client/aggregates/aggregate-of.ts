/**
 * Aggregates with an object accumulator: the user's own, and the base of those in this folder.
 */
import type { Aggregate, ObjectAggregate } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import { userFunctionsOf } from '../../core/graph/functions-fingerprint.ts';
import type { JsonObject } from '../../core/plain-data.ts';

/** An aggregate of the user's own; the laws below are what makes results independent of how records are grouped. */
export interface AggregateDefinition<In, Accumulator, Out> {
  /** Part of the graph hash, with `options`: change it when old accumulators mean nothing to the new code. Default `custom`. */
  readonly name?: string;
  /** What decides the meaning of the accumulator, part of the graph hash. */
  readonly options?: JsonObject;
  /** A new accumulator without records. */
  create(): Accumulator;
  /** Adds one record; may change and return the same accumulator. */
  add(accumulator: Accumulator, value: In): Accumulator;
  /**
   * Takes back one record that `add` took before: what an aggregation over a changelog needs. May change and return the same
   * accumulator. Without it the aggregate is refused there.
   */
  retract?(accumulator: Accumulator, value: In): Accumulator;
  /** `merge(add*(create(), xs), add*(create(), ys))` is `add*(create(), xs ++ ys)`; may change and return `left`. */
  merge(left: Accumulator, right: Accumulator): Accumulator;
  /** Must not change the accumulator: it is called again after later records. */
  result(accumulator: Accumulator): Out;
  /** Approximate bytes of an accumulator. Default: 100. */
  sizeOf?(accumulator: Accumulator): number;
  /** Needed when an accumulator is not plain data (objects, arrays, Map, Set, Date, typed arrays, primitives). */
  readonly codec?: {
    /** Plain data of an accumulator. */
    toPlain(accumulator: Accumulator): unknown;
    /** The accumulator of plain data that `toPlain` gave, now or in an earlier release of the job. */
    fromPlain(plain: unknown): Accumulator;
  };
}

/**
 * An aggregate from its four functions.
 * @throws EngineError JOB_INVALID when one of them is missing
 */
export function aggregateOf<In, Accumulator, Out>(
  definition: AggregateDefinition<In, Accumulator, Out>,
): Aggregate<In, Out> {
  for (const name of ['create', 'add', 'merge', 'result'] as const) {
    if (typeof definition[name] !== 'function')
      throw new EngineError('JOB_INVALID', `aggregateOf({ ... }) lacks the function '${name}'`);
  }
  const { create, add, retract, merge, result } = definition;
  return objectAggregate(
    definition,
    { ...definition.options, aggregate: definition.name ?? 'custom' },
    { create, add, merge, result, ...(retract === undefined ? {} : { retract }) },
  );
}

/**
 * The aggregate of a definition.
 * @param options   what the graph hash sees; `aggregate` names it
 * @param functions what the user gave, for the fingerprint of functions
 */
export function objectAggregate<In, Accumulator, Out>(
  definition: AggregateDefinition<In, Accumulator, Out>,
  options: JsonObject,
  functions: object,
): Aggregate<In, Out> {
  const { sizeOf, codec, retract } = definition;
  const aggregate: ObjectAggregate<In, Accumulator, Out> = {
    kind: 'object',
    options,
    create: () => definition.create(),
    add: (accumulator, value) => definition.add(accumulator, value as In),
    ...(retract === undefined
      ? {}
      : { retract: (accumulator, value) => retract.call(definition, accumulator, value as In) }),
    merge: (left, right) => definition.merge(left, right),
    result: (accumulator) => definition.result(accumulator),
    sizeOf: sizeOf === undefined ? null : (accumulator) => sizeOf.call(definition, accumulator),
    codec: codec ?? null,
  };
  // The accumulator type is known to nobody outside: whoever calls `add` passes what `create` or `add` returned.
  return Object.freeze(Object.assign(aggregate, { [userFunctionsOf]: functions })) as unknown as Aggregate<In, Out>;
}
