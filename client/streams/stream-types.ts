/**
 * Streams as the author of a job sees them. Interfaces in one file, because they name each other; the one implementation
 * is `stream-builder.ts`. Types flow from source to sink: no call needs a type argument except where the type appears
 * nowhere in the code (`emits<Alert>()`, `outputTag<Alert>('alerts')`).
 *
 * Every call throws EngineError `JOB_INVALID` when its arguments make no sense (a size of 0, a name with a line break)
 * and when it comes after the definition has returned.
 */
import type { AggregateResults, AggregateSet } from '../../core/aggregate.ts';
import type { Change, ChangeKind } from '../../core/changelog.ts';
import type { SinkLike } from '../../core/connector/index.ts';
import type {
  AsyncFunction,
  FilterFunction,
  FlatMapFunction,
  FunctionContext,
  IntervalJoinContext,
  Key,
  KeyedProcessFunction,
  MapFunction,
  OnError,
  OutputTag,
  PartitionFunction,
  ProcessFunction,
  ReduceFunction,
} from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { OperatorStateDeclarations } from '../../core/state/operator-state.ts';
import type { CoGroupFunction, WindowFunction, WindowInfo, WindowJoinType } from '../../core/window-functions.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import type { Duration } from '../durations.ts';
import type { AsyncOptions } from './async-types.ts';
import type { CoGroupedStream, GeneralWindowedStream, WindowJoinOptions } from './window-types.ts';
import type {
  ChangelogStream,
  CollectOptions,
  DedupOptions,
  IntervalJoinOptions,
  IntervalJoinStream,
  JoinedFirst,
  JoinedSecond,
  JoinOptions,
  JoinType,
  RankedRecord,
  ToChangelogOptions,
  UpdatingAggregateOptions,
  UpdatingTopNOptions,
} from './changelog-types.ts';
import type {
  BroadcastConnectedStream,
  BroadcastStream,
  ConnectedStream,
  KeyedBroadcastConnectedStream,
  KeyedConnectedStream,
} from './connected-types.ts';
import type { RecordType } from './tags.ts';
import type { TimestampOptions } from './watermarks.ts';

/** One object type instead of an intersection, for readable hints in the editor. */
export type Simplify<T> = { [Name in keyof T]: T[Name] } & {};

/** What `keyBy(...).aggregate(...)` emits. */
export type KeyedResult<K, Set> = Simplify<{ key: K } & AggregateResults<Set>>;
/** What `keyBy(...).window(...).aggregate(...)` emits; start inclusive, end exclusive, in ms since the epoch. */
export type WindowResult<K, Set> = Simplify<{ key: K; windowStart: number; windowEnd: number } & AggregateResults<Set>>;

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

/** Settings of the operator a call has made; each returns the same stream. */
export interface OperatorSettings {
  /**
   * The operator's id, for ever: state of a checkpoint is found by it. Letters, digits, `.`, `_` and `-`, at most 100.
   * Without it the id is derived from kind, name and ordinal, and changes when operators are added before this one.
   */
  uid(id: string): this;
  /** What it is called in progress, messages and plots. */
  name(name: string): this;
  /** Number of subtasks, 1..maxParallelism. Default: the job's. */
  parallelism(subtaskCount: number): this;
  /**
   * Operators of different groups never share a slot. Default: the group of the inputs where they agree, else `default`. The
   * job needs as many slots as the largest parallelisms of its groups together.
   */
  slotSharingGroup(group: string): this;
  /** This operator is the head of its chain; what follows may still be chained to it. */
  startNewChain(): this;
  /** This operator is chained neither to what is before it nor to what follows. */
  disableChaining(): this;
}

/** Records of type `T`. */
export interface Stream<T> {
  /** One record out for each record in. */
  map<Out>(map: MapFunction<T, Out>): OperatorStream<Out>;
  /** The same with an object that has `open` and `close`. */
  map<Out>(map: FunctionObject<MapFunction<T, Out>>): OperatorStream<Out>;
  /** Keeps the records the predicate holds for; a type guard narrows the type. */
  filter<Kept extends T>(guard: (value: Readonly<T>) => value is Readonly<Kept>): OperatorStream<Kept>;
  /** Keeps the records the predicate holds for. */
  filter(predicate: FilterFunction<T>): OperatorStream<T>;
  /** The same with an object that has `open` and `close`. */
  filter(predicate: FunctionObject<FilterFunction<T>>): OperatorStream<T>;
  /** Any number of records out for each record in; a generator is pulled as there is room. */
  flatMap<Out>(flatMap: FlatMapFunction<T, Out>): OperatorStream<Out>;
  /** The same with an object that has `open` and `close`. */
  flatMap<Out>(flatMap: FunctionObject<FlatMapFunction<T, Out>>): OperatorStream<Out>;
  /**
   * Groups by a key: string, number, bigint, boolean, Date, bytes or a tuple of these. `keyOf` must be pure, it runs on
   * both sides of the exchange.
   */
  keyBy<const K extends Key>(keyOf: (value: Readonly<T>) => K): KeyedStream<T, K>;
  /** Groups all records by window, without a key: the operator runs in one subtask, and `key` of results is 0. */
  windowAll(window: WindowDefinition<T>): WindowedStream<T, 0>;
  /**
   * Gives every record its event time (ms since the epoch) and starts watermarks, split by split. Only before the first
   * exchange or stateful operator, and on a stream that nobody else reads.
   * @param timestampOf given the record and the time its source gave it (a broker's timestamp; NaN where there is none)
   */
  withTimestamps(
    timestampOf: (value: Readonly<T>, sourceTimestampMs: number) => number,
    options: TimestampOptions<T>,
  ): OperatorStream<T>;
  /** The records of all these streams in one, in no particular order between them. */
  union(...others: readonly Stream<T>[]): Stream<T>;
  /**
   * Joins a bounded side stream that is read to its end before the first record of this one. Each subtask gets all side
   * records and builds its side object from them once. Refused when the side is unbounded or shares a source with this stream.
   */
  broadcastInput<S, Side>(side: Stream<S>, build: (records: readonly S[]) => Side): SideInputStream<T, Side>;
  /**
   * Calls a function that answers later, for up to `capacity` records at a time: lookups in databases and services. Records
   * in flight are in every checkpoint and are sent again after a restore, so a call may be made more than once for one
   * record; its result is handed on exactly once. A rejection is handled by `onError`.
   */
  asyncMap<Out>(call: AsyncFunction<T, Out>, options?: AsyncOptions<T, Out>): OperatorStream<Out>;
  /** The same with an object that has `open` and `close`. */
  asyncMap<Out>(call: FunctionObject<AsyncFunction<T, Out>>, options?: AsyncOptions<T, Out>): OperatorStream<Out>;
  /** The same with any number of records out for each answer. */
  asyncFlatMap<Out>(
    call: AsyncFunction<T, Iterable<Out>>,
    options?: AsyncOptions<T, Iterable<Out>>,
  ): OperatorStream<Out>;
  /** The same with an object that has `open` and `close`. */
  asyncFlatMap<Out>(
    call: FunctionObject<AsyncFunction<T, Iterable<Out>>>,
    options?: AsyncOptions<T, Iterable<Out>>,
  ): OperatorStream<Out>;
  /** Spreads the records evenly over the subtasks of what follows, in turn. */
  rebalance(): Stream<T>;
  /** As `rebalance`, but each subtask serves a share of the following ones (or several share one): fewer connections. */
  rescale(): Stream<T>;
  /** Spreads the records at random over the subtasks of what follows. */
  shuffle(): Stream<T>;
  /** Gives every record to every subtask of what follows. */
  broadcast(): BroadcastStream<T>;
  /** A function beside a broadcast stream, with broadcast state: `stream.connect(rules.broadcast()).process({...})`. */
  connect<Broadcast>(other: BroadcastStream<Broadcast>): BroadcastConnectedStream<T, Broadcast>;
  /** Reads two streams by one operator; `keyBy` or functions for each follow. Records are handled as they come. */
  connect<Second>(other: Stream<Second>): ConnectedStream<T, Second>;
  /** State of the subtask (`operatorListState`), side outputs, `open` and `close`. Timers and state per key need `keyBy`. */
  process<D extends OperatorStateDeclarations = Record<never, never>, Out = never>(
    process: ProcessFunction<T, Out, D>,
  ): OperatorStream<Out>;
  /** The same with the type of the main output said first: `process(emits<Alert>(), { onRecord ... })`. */
  process<Out, D extends OperatorStateDeclarations = Record<never, never>>(
    out: RecordType<Out>,
    process: ProcessFunction<T, Out, D>,
  ): OperatorStream<Out>;
  /** Gives every record to the first subtask of what follows. */
  global(): Stream<T>;
  /** Keeps each record in the subtask of the same index; refused where the parallelism differs. */
  forward(): Stream<T>;
  /**
   * Gives each record to the subtask that `partition(key, partitionCount)` says: a whole number of 0 to
   * `partitionCount - 1`. Both functions must be pure; what they throw or get wrong fails the attempt. This does not group by key: state needs `keyBy`.
   */
  partitionCustom<K>(keyOf: (value: Readonly<T>) => K, partition: PartitionFunction<K>): Stream<T>;
  /** Records that are changes become a stream of changes: `kindOf` says of each what it is. */
  toChangelog(kindOf: (value: Readonly<T>) => ChangeKind, options?: ToChangelogOptions): ChangelogStream<T>;
  /** Every change becomes a record `{ kind, value }` of its own: a stream of changes becomes one of new records. */
  changes(): OperatorStream<Change<T>>;
  /**
   * The table that these records describe, each the newest row of its key: a stream of changes that tells the rows they replace.
   * The last row of each key is kept as state.
   * @param isDelete true for a record that deletes its row; default: no record does, or the kinds of a stream of upserts say it
   */
  fromUpserts<K extends Key>(
    keyOf: (value: Readonly<T>) => K,
    isDelete?: (value: Readonly<T>) => boolean,
  ): ChangelogStream<T>;
  /** Writes to a sink. */
  to(sink: SinkLike<T>): SinkHandle;
  /** Hands the records to the client that waits for the job, under a name. Exactly once; for results that fit in memory. */
  collect(name: string, options?: CollectOptions<T>): SinkHandle;
  /** Writes each record as a line of JSON to standard output of the process that runs the subtask. At least once. */
  print(prefix?: string): SinkHandle;
}

/** A stream that is the main output of one operator. */
export interface OperatorStream<T> extends Stream<T>, OperatorSettings {
  /**
   * What happens to a record whose function threw: `fail` the attempt (default), `skip` and count it, or send a
   * {@link FailedRecord} to a side output: `sideOutput(tag)`.
   */
  onError(reaction: OnError): this;
  /** The records this operator sends to `tag`: from `context.output`, or of `onError`. */
  sideOutput<S>(tag: OutputTag<S>): Stream<S>;
}

/** What `env.from` returns: it has settings but no user function that could throw. */
export interface SourceStream<T> extends Stream<T>, OperatorSettings {}

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

/** What `to`, `collect` and `print` return. */
export interface SinkHandle extends OperatorSettings {}
