/**
 * Streams of changes as the author of a job sees them, and the options of what makes them: updating aggregates, top-n,
 * deduplication, joins. The table of which operator takes which stream is in docs/guide/changelog.md.
 */
import type { ChangelogMode } from '../../core/changelog.ts';
import type { FilterFunction, FlatMapFunction, Key, MapFunction } from '../../core/operators.ts';
import type { Duration } from '../durations.ts';
import type { FunctionObject } from './function-types.ts';
import type { OperatorStream, Stream } from './stream-types.ts';

/**
 * A stream of changes of a table. `map`, `filter` and `flatMap` keep what kind of change each record is; operators that take new
 * records only are refused when the job is planned.
 */
export interface ChangelogStream<T> extends OperatorStream<T> {
  /** One row out for each row in, of the same kind of change. `map` must be pure: a row taken back is mapped again. */
  map<Out>(map: MapFunction<T, Out>): ChangelogStream<Out>;
  /** The same with an object that has `open` and `close`. */
  map<Out>(map: FunctionObject<MapFunction<T, Out>>): ChangelogStream<Out>;
  /** Keeps the rows the predicate holds for; a row that no longer passes is deleted. */
  filter<Kept extends T>(guard: (value: Readonly<T>) => value is Readonly<Kept>): ChangelogStream<Kept>;
  /** Keeps the rows the predicate holds for; a row that no longer passes is deleted. */
  filter(predicate: FilterFunction<T>): ChangelogStream<T>;
  /** The same with an object that has `open` and `close`. */
  filter(predicate: FunctionObject<FilterFunction<T>>): ChangelogStream<T>;
  /** Any number of rows out for each row in; pure, as for `map`. */
  flatMap<Out>(flatMap: FlatMapFunction<T, Out>): ChangelogStream<Out>;
  /** The same with an object that has `open` and `close`. */
  flatMap<Out>(flatMap: FunctionObject<FlatMapFunction<T, Out>>): ChangelogStream<Out>;
}

/** Options of {@link Stream.toChangelog}. */
export interface ToChangelogOptions {
  /**
   * `retract` (default): every row that is replaced or deleted is told as it was. `upsert`: only new rows and deletes by key
   * are told.
   */
  readonly mode?: Exclude<ChangelogMode, 'append'>;
}

/** Options of an updating `aggregate`. */
export interface UpdatingAggregateOptions {
  /** One row per key, whose changes are emitted. */
  readonly updating: true;
  /** False: only the new row is told, not the one it replaces. Cheaper; enough for tables by key. Default true. */
  readonly emitBefore?: boolean;
}

/** A row of `topN` with its place, 1 for the best. */
export interface RankedRecord<T> {
  readonly rank: number;
  readonly record: T;
}

/** Options of `keyBy(...).topN(n, ...)`. */
export interface UpdatingTopNOptions<T> {
  /** The number rows are ranked by. */
  readonly by: (value: Readonly<T>) => number;
  /** Greatest first (`desc`, default), or smallest first. */
  readonly order?: 'asc' | 'desc';
  /** Among equals the smaller of these comes first; after that the stored form of the rows decides. */
  readonly ties?: (value: Readonly<T>) => Key;
  /**
   * A later record with the same of these replaces the earlier one, wherever that ranked. All rows of a key are kept then, not
   * the best n.
   */
  readonly uniqueBy?: (value: Readonly<T>) => Key;
  /**
   * False: of a place only the new row is told, not the one it replaces: upserts by key and rank. Half the records; enough for
   * tables by key. Only with ranks. Default true.
   */
  readonly emitBefore?: boolean;
}

/** Options of `keyBy(...).dedup(...)`. */
export interface DedupOptions {
  /**
   * `first`: one record per key, for ever; the stream stays one of new records. `last`: the newest record, an update each time
   * it is replaced.
   */
  readonly keep: 'first' | 'last';
  /**
   * What first and last mean: event `time` (default; the result is the same in every replay; the first record is handed on when
   * the watermark reaches its time) or `arrival`.
   */
  readonly by?: 'time' | 'arrival';
  /**
   * False, with `keep: 'last'`: only the new record is told, not the one it replaces: upserts by key. Half the records, and the
   * replaced one is never read; enough for tables by key. Default true.
   */
  readonly emitBefore?: boolean;
  /** A key is forgotten when nothing of it was kept for this long, in processing time. Default: never. */
  readonly ttl?: Duration;
}

/** What a join does with rows without a partner: `left` and `full` keep those of the first stream, `right` and `full` of the second. */
export type JoinType = 'inner' | 'left' | 'right' | 'full';

/** Options of `keyed.join(other, ...)`. */
export interface JoinOptions<Type extends JoinType = JoinType> {
  readonly type: Type;
  /**
   * The rows of a key, of both sides, are forgotten when none came for this long, in processing time: a bound of state, silent in
   * the output. Default: never.
   */
  readonly ttl?: Duration;
}

/** The first side of a join's function: null where the type lets rows of the second stream come without a partner. */
export type JoinedFirst<T, Type extends JoinType> = Type extends 'right' | 'full' ? Readonly<T> | null : Readonly<T>;
/** The second side of a join's function: null where the type lets rows of the first stream come without a partner. */
export type JoinedSecond<T, Type extends JoinType> = Type extends 'left' | 'full' ? Readonly<T> | null : Readonly<T>;

/** Options of `keyed.intervalJoin(other, ...)`: the time of the second record minus that of the first is in these bounds. */
export interface IntervalJoinOptions {
  /** Least difference in ms, may be negative. */
  readonly lower: Duration;
  /** Greatest difference in ms, not below `lower`. */
  readonly upper: Duration;
  /** `lower` itself is outside. Default false. */
  readonly lowerExclusive?: boolean;
  /** `upper` itself is outside. Default false. */
  readonly upperExclusive?: boolean;
}

/** Results of an interval join. */
export interface IntervalJoinStream<T, A, B> extends OperatorStream<T> {
  /** Records of the first stream that came late and were not joined; without this call they are dropped and counted. */
  lateFirst(): Stream<A>;
  /** Records of the second stream that came late and were not joined; without this call they are dropped and counted. */
  lateSecond(): Stream<B>;
}

/** Options of {@link Stream.collect}. */
export interface CollectOptions<T> {
  /** The key of a row: what is collected is the current table, a row a key, instead of a list of records. */
  readonly key?: (value: Readonly<T>) => Key;
}
