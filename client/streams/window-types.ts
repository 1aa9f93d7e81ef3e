/** What `window` and `windowAll` return, and joins of two streams in windows; the implementation is `windowed-builder.ts`. */
import type { AggregateResults, AggregateSet } from '../../core/aggregate.ts';
import type { Key, ReduceFunction } from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type {
  WindowEvictor,
  WindowFunction,
  WindowInfo,
  WindowJoinType,
  WindowTrigger,
} from '../../core/window-functions.ts';
import type { Duration } from '../durations.ts';
import type { Simplify } from './function-types.ts';
import type { OperatorStream, Stream } from './stream-types.ts';
import type { RecordType } from './tags.ts';

/** What `keyBy(...).window(...).aggregate(...)` emits; start inclusive, end exclusive, in ms since the epoch. */
export type WindowResult<K, Set> = Simplify<{ key: K; windowStart: number; windowEnd: number } & AggregateResults<Set>>;

/** Records grouped by key and window. */
export interface WindowedStream<T, K extends Key> extends GeneralWindowedStream<T, K> {
  /** Keeps windows this long after the watermark has passed their end; each later record fires the window again. Default 0. */
  allowedLateness(duration: Duration): WindowedStream<T, K>;
  /** Emits `{ key, windowStart, windowEnd, ...results }` when the watermark passes the end of the window. */
  aggregate<const Set extends AggregateSet<Readonly<T>>>(aggregates: Set): WindowStream<WindowResult<K, Set>, T>;
  /** The same, and emits what `result` makes of it. */
  aggregate<const Set extends AggregateSet<Readonly<T>>, Out>(
    aggregates: Set,
    result: (results: WindowResult<K, Set>, context: WindowInfo<K>) => Out,
  ): WindowStream<Out, T>;
  /** The same with a window function: state, any number of results, side outputs. */
  aggregate<
    const Set extends AggregateSet<Readonly<T>>,
    Out,
    D extends StateDeclarations = Record<never, never>,
    W extends StateDeclarations = Record<never, never>,
  >(
    aggregates: Set,
    out: RecordType<Out>,
    windowFunction: WindowFunction<WindowResult<K, Set>, K, Out, D, W>,
  ): WindowStream<Out, T>;
}

/** Results of windows. */
export interface WindowStream<T, In> extends OperatorStream<T> {
  /** The records that came after their window was over; without this call they are dropped and counted. */
  late(): Stream<In>;
}

/** The part of {@link WindowedStream} for windows that are more than aggregates. */
export interface GeneralWindowedStream<T, K extends Key> {
  /** When windows fire. Default: event-time windows at their end, processing-time windows likewise by the clock. */
  trigger<D extends StateDeclarations>(trigger: WindowTrigger<T, D>): WindowedStream<T, K>;
  /** Which records a firing sees and which stay. The windows keep their records then, also for `reduce` and `aggregate`. */
  evictor(evictor: WindowEvictor<T>): WindowedStream<T, K>;
  /** Combines the records of a window into one and emits that. */
  reduce(reduce: ReduceFunction<T>): WindowStream<T, T>;
  /** The same, and emits what `result` makes of it. */
  reduce<Out>(
    reduce: ReduceFunction<T>,
    result: (value: Readonly<T>, context: WindowInfo<K>) => Out,
  ): WindowStream<Out, T>;
  /** The same with a window function: state, any number of results, side outputs. */
  reduce<Out, D extends StateDeclarations = Record<never, never>, W extends StateDeclarations = Record<never, never>>(
    reduce: ReduceFunction<T>,
    out: RecordType<Out>,
    windowFunction: WindowFunction<Readonly<T>, K, Out, D, W>,
  ): WindowStream<Out, T>;
  /** Gives all records of a window, in order of arrival, to a function. `Out` is `never` here: nothing on the main output. */
  process<
    D extends StateDeclarations = Record<never, never>,
    W extends StateDeclarations = Record<never, never>,
    Out = never,
  >(windowFunction: WindowFunction<readonly Readonly<T>[], K, Out, D, W>): WindowStream<Out, T>;
  /** The same with the type of the main output said first: `process(emits<Alert>(), { onWindow ... })`. */
  process<Out, D extends StateDeclarations = Record<never, never>, W extends StateDeclarations = Record<never, never>>(
    out: RecordType<Out>,
    windowFunction: WindowFunction<readonly Readonly<T>[], K, Out, D, W>,
  ): WindowStream<Out, T>;
}

/** Options of {@link KeyedStream.windowJoin} and, without `type`, of {@link KeyedStream.coGroup}. */
export interface WindowJoinOptions<In, Type extends WindowJoinType = WindowJoinType> {
  /** `inner` (default): only pairs. `left`, `right`, `full`: also records without a partner of the first, second, both streams. */
  readonly type?: Type;
  /** Keeps windows this long after the watermark has passed their end; each later record fires the window again. Default 0. */
  readonly allowedLateness?: Duration;
  /** When windows fire; it is asked for the records of both streams. Default: at their end. */
  readonly trigger?: WindowTrigger<In>;
}

/** Results of two streams in windows. */
export interface CoGroupedStream<T, A, B> extends OperatorStream<T> {
  /** Records of the first stream that came after their window was over; without this call they are dropped and counted. */
  lateFirst(): Stream<A>;
  /** The same for the second stream. */
  lateSecond(): Stream<B>;
}
