/**
 * Streams as the author of a job sees them; what `keyBy`, `window`, `connect`, `broadcastInput` and the calls on changes return
 * is in the `*-types.ts` beside this file, by notion. The one implementation is `stream-builder.ts`. Types flow from source to
 * sink: no call needs a type argument except where the type appears nowhere in the code (`emits<Alert>()`,
 * `outputTag<Alert>('alerts')`).
 *
 * Every call throws EngineError `JOB_INVALID` when its arguments make no sense (a size of 0, a name with a line break)
 * and when it comes after the definition has returned.
 */
import type { Change, ChangeKind } from '../../core/changelog.ts';
import type { SinkLike } from '../../core/connector/index.ts';
import type {
  AsyncFunction,
  FilterFunction,
  FlatMapFunction,
  Key,
  MapFunction,
  OnError,
  OutputTag,
  PartitionFunction,
  ProcessFunction,
} from '../../core/operators.ts';
import type { OperatorStateDeclarations } from '../../core/state/operator-state.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import type { AsyncOptions } from './async-types.ts';
import type { ChangelogStream, CollectOptions, ToChangelogOptions } from './changelog-types.ts';
import type { BroadcastConnectedStream, BroadcastStream, ConnectedStream } from './connected-types.ts';
import type { FunctionObject } from './function-types.ts';
import type { KeyedStream } from './keyed-types.ts';
import type { SideInputStream } from './side-input-types.ts';
import type { RecordType } from './tags.ts';
import type { TimestampOptions } from './watermarks.ts';
import type { WindowedStream } from './window-types.ts';

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
  /**
   * Hands the records to the client that waits for the job, under a name; for results that fit in memory. Each once within a
   * process, whatever restarts; at least once when the process itself was killed and goes on: the last delivery may come again.
   */
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

/** What `to`, `collect` and `print` return. */
export interface SinkHandle extends OperatorSettings {}
