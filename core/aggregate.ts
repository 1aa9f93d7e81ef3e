/**
 * Aggregates as data plus the user's functions. The runtime keeps their accumulators in columns (`runtime/state`): numeric
 * parts in typed arrays, the rest in object columns. One definition serves rolling aggregation and windows.
 */
import type { JsonObject } from './plain-data.ts';

/** Aggregates the engine knows by name. */
export type NumericAggregateKind = 'count' | 'sum' | 'min' | 'max' | 'avg';

/** `count`, `sum`, `min`, `max`, `avg`: accumulators in float64 columns. */
export interface NumericAggregate<In> {
  readonly kind: NumericAggregateKind;
  readonly options: JsonObject;
  /** The number of one record; null for `count`. */
  readonly select: ((value: Readonly<In>) => number) | null;
  /** Records it takes at all; absent: every one. */
  readonly filter?: (value: Readonly<In>) => boolean;
}

/** Everything else: an object accumulator per key, encoded by the stored-value codec. */
export interface ObjectAggregate<In, Accumulator, Out> {
  readonly kind: 'object';
  /** Name of the aggregate and what decides its meaning (`quantile`, 0.95); part of the graph hash. */
  readonly options: JsonObject;
  /** A new accumulator without records. */
  create(): Accumulator;
  /** Adds one record; may change and return the same accumulator. */
  add(accumulator: Accumulator, value: Readonly<In>): Accumulator;
  /** Takes one record back that `add` took before; absent: the aggregate cannot forget, and its input must not either. */
  retract?(accumulator: Accumulator, value: Readonly<In>): Accumulator;
  /** Merges two accumulators (merging windows, two-phase aggregation). */
  merge(left: Accumulator, right: Accumulator): Accumulator;
  /** The result; must not change the accumulator. */
  result(accumulator: Accumulator): Out;
  /** Approximate bytes an accumulator holds, for the accountant; null for a constant 100. */
  readonly sizeOf: ((accumulator: Accumulator) => number) | null;
  /** Plain data of an accumulator for checkpoints, where it is not plain data itself; null when it is. */
  readonly codec: {
    /** Plain data of an accumulator. */
    toPlain(accumulator: Accumulator): unknown;
    /** The accumulator of what `toPlain` gave. */
    fromPlain(plain: unknown): Accumulator;
  } | null;
}

/** An aggregate of records of type `In` with a result of type `Out`. */
export type Aggregate<In, Out> = (
  | NumericAggregate<In>
  | ObjectAggregate<In, never, Out>
  | ObjectAggregate<In, unknown, Out>
) & {
  readonly outType?: Out;
};

/** A named set of aggregates over one input. */
export type AggregateSet<In> = { readonly [name: string]: Aggregate<In, unknown> };
/** The result object of a set. */
export type AggregateResults<Set> = {
  -readonly [Name in keyof Set]: Set[Name] extends { readonly outType?: infer Out } ? Out : never;
};
