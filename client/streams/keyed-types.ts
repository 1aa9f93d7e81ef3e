/** What `keyBy` returns; the implementation is `keyed-builder.ts`. */
import type { AggregateResults, AggregateSet } from '../../core/aggregate.ts';
import type { IntervalJoinContext, Key, KeyedProcessFunction, ReduceFunction } from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { CoGroupFunction, WindowJoinType } from '../../core/window-functions.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import type {
  ChangelogStream,
  DedupOptions,
  IntervalJoinOptions,
  IntervalJoinStream,
  JoinedFirst,
  JoinedSecond,
  JoinOptions,
  JoinType,
  RankedRecord,
  UpdatingAggregateOptions,
  UpdatingTopNOptions,
} from './changelog-types.ts';
import type { BroadcastStream, KeyedBroadcastConnectedStream, KeyedConnectedStream } from './connected-types.ts';
import type { ReduceObject, Simplify } from './function-types.ts';
import type { OperatorStream } from './stream-types.ts';
import type { RecordType } from './tags.ts';
import type { CoGroupedStream, WindowedStream, WindowJoinOptions } from './window-types.ts';

/** What `keyBy(...).aggregate(...)` emits. */
export type KeyedResult<K, Set> = Simplify<{ key: K } & AggregateResults<Set>>;

/** Records grouped by key. */
export interface KeyedStream<T, K extends Key> {
  /** Combines all records of a key so far into one and emits it each time. */
  reduce(reduce: ReduceFunction<T>): OperatorStream<T>;
  /** The same with an object that has `open` and `close`. */
  reduce(reduce: ReduceObject<T>): OperatorStream<T>;
  /** Rolling aggregates: emits `{ key, ...results }` for each record. */
  aggregate<const Set extends AggregateSet<Readonly<T>>>(aggregates: Set): OperatorStream<KeyedResult<K, Set>>;
  /** One row `{ key, ...results }` a key, kept up to date: emits its changes. Takes streams of changes too. */
  aggregate<const Set extends AggregateSet<Readonly<T>>>(
    aggregates: Set,
    options: UpdatingAggregateOptions,
  ): ChangelogStream<KeyedResult<K, Set>>;
  /** The n best records of each key, kept up to date: emits which leaves and which enters. Takes streams of changes too. */
  topN(n: number, options: UpdatingTopNOptions<T> & { readonly rank: false }): ChangelogStream<T>;
  /** The same with the place of each: emits every row that moves as `{ rank, record }`. */
  topN(n: number, options: UpdatingTopNOptions<T> & { readonly rank?: true }): ChangelogStream<RankedRecord<T>>;
  /** One record a key: the first, as a stream of new records. */
  dedup(options: DedupOptions & { readonly keep: 'first' }): OperatorStream<T>;
  /** One record a key: the last, as a stream of changes. */
  dedup(options: DedupOptions): ChangelogStream<T>;
  /**
   * Joins with all rows of the same key of another stream, without a bound in time: both sides are kept. Takes streams of
   * changes too; the result is a stream of changes, but for an inner join of new records. `join` must be pure.
   */
  join<B, Out, const Type extends JoinType>(
    other: KeyedStream<B, K>,
    options: JoinOptions<Type>,
    join: (first: JoinedFirst<T, Type>, second: JoinedSecond<B, Type>) => Out,
  ): ChangelogStream<Out>;
  /**
   * Joins with the records of the same key of another stream whose event time is in `[time + lower, time + upper]`. The result has
   * the later of the two times.
   */
  intervalJoin<B, Out>(
    other: KeyedStream<B, K>,
    options: IntervalJoinOptions,
    join: (first: Readonly<T>, second: Readonly<B>, context: IntervalJoinContext) => Out,
  ): IntervalJoinStream<Out, T, B>;
  /** Groups by window as well. */
  window(window: WindowDefinition<T>): WindowedStream<T, K>;
  /**
   * Joins with another stream of the same keys: `join` makes a record of every pair of records that are in one window. An outer
   * join also takes records whose window has none of the other stream, with null for those.
   */
  windowJoin<B, Out, Type extends WindowJoinType = 'inner'>(
    other: KeyedStream<B, K>,
    window: WindowDefinition<NoInfer<T | B>>,
    options: WindowJoinOptions<NoInfer<T | B>, Type>,
    join: (
      first: Readonly<T> | (Type extends 'right' | 'full' ? null : never),
      second: Readonly<B> | (Type extends 'left' | 'full' ? null : never),
    ) => Out,
  ): CoGroupedStream<Out, T, B>;
  /** Makes results of the records that both streams have in a window; one of the two lists may be empty. */
  coGroup<B, Out>(
    other: KeyedStream<B, K>,
    window: WindowDefinition<NoInfer<T | B>>,
    coGroup: CoGroupFunction<T, B, K, Out>,
    options?: Omit<WindowJoinOptions<NoInfer<T | B>>, 'type'>,
  ): CoGroupedStream<Out, T, B>;
  /** Declared state, timers and side outputs per key. The output type is that of `context.emit`, here `never`: nothing on the main output. */
  process<D extends StateDeclarations = Record<never, never>, Out = never>(
    process: KeyedProcessFunction<T, K, Out, D>,
  ): OperatorStream<Out>;
  /** The same with the type of the main output said first: `process(emits<Alert>(), { onRecord ... })`. */
  process<Out, D extends StateDeclarations = Record<never, never>>(
    out: RecordType<Out>,
    process: KeyedProcessFunction<T, K, Out, D>,
  ): OperatorStream<Out>;
  /** Keyed state and timers beside a broadcast stream: `keyed.connect(rules.broadcast()).process({...})`. */
  connect<Broadcast>(other: BroadcastStream<Broadcast>): KeyedBroadcastConnectedStream<T, Broadcast, K>;
  /** Reads two keyed streams by one operator: one state and one set of timers per key. */
  connect<Second>(other: KeyedStream<Second, K>): KeyedConnectedStream<T, Second, K>;
}
