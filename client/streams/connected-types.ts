/**
 * Two streams read by one operator, as the author of a job sees them: `connect`, and broadcast state. The implementation is
 * `connected-builder.ts`.
 */
import type {
  BroadcastProcessFunction,
  CoProcessFunction,
  FlatMapFunction,
  Key,
  KeyedBroadcastProcessFunction,
  KeyedCoProcessFunction,
  MapFunction,
} from '../../core/operators.ts';
import type { BroadcastStateDeclarations } from '../../core/state/broadcast-state.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { OperatorStateDeclarations } from '../../core/state/operator-state.ts';
import type { OperatorStream, Stream } from './stream-types.ts';
import type { RecordType } from './tags.ts';

/** No declared state. */
export type NoState = Record<never, never>;

/** A stream whose records go to every subtask of what follows. */
export interface BroadcastStream<T> extends Stream<T> {
  /** Tells a broadcast stream from others, for `connect`. */
  readonly broadcasts: true;
}

/** What two connected streams have in common, keyed or not. */
interface TwoFunctions<First, Second> {
  /** One record out for each record in, by the function of its stream. */
  map<Out>(first: MapFunction<First, Out>, second: MapFunction<Second, Out>): OperatorStream<Out>;
  /** Any number of records out for each record in, by the function of its stream; generators are pulled as there is room. */
  flatMap<Out>(first: FlatMapFunction<First, Out>, second: FlatMapFunction<Second, Out>): OperatorStream<Out>;
}

/** Two streams; see {@link Stream.connect}. */
export interface ConnectedStream<First, Second> extends TwoFunctions<First, Second> {
  /** Groups both by a key of one type: records of either stream with equal keys meet in the same state. */
  keyBy<const K extends Key>(
    keyOfFirst: (value: Readonly<First>) => K,
    keyOfSecond: (value: Readonly<Second>) => K,
  ): KeyedConnectedStream<First, Second, K>;
  /** State of the subtask and side outputs, without key. */
  process<D extends OperatorStateDeclarations = NoState, Out = never>(
    process: CoProcessFunction<First, Second, Out, D>,
  ): OperatorStream<Out>;
  /** The same with the type of the main output said first. */
  process<Out, D extends OperatorStateDeclarations = NoState>(
    out: RecordType<Out>,
    process: CoProcessFunction<First, Second, Out, D>,
  ): OperatorStream<Out>;
}

/** Two streams grouped by a common key. */
export interface KeyedConnectedStream<First, Second, K extends Key> extends TwoFunctions<First, Second> {
  /** One state and one set of timers per key, for the records of both streams. */
  process<D extends StateDeclarations = NoState, Out = never>(
    process: KeyedCoProcessFunction<First, Second, K, Out, D>,
  ): OperatorStream<Out>;
  /** The same with the type of the main output said first. */
  process<Out, D extends StateDeclarations = NoState>(
    out: RecordType<Out>,
    process: KeyedCoProcessFunction<First, Second, K, Out, D>,
  ): OperatorStream<Out>;
}

/** A stream beside a broadcast stream. */
export interface BroadcastConnectedStream<Main, Broadcast> {
  /** Broadcast state, written by `onBroadcast` and read by `onRecord`. */
  process<B extends BroadcastStateDeclarations, Out = never>(
    process: BroadcastProcessFunction<Main, Broadcast, Out, B>,
  ): OperatorStream<Out>;
  /** The same with the type of the main output said first. */
  process<Out, B extends BroadcastStateDeclarations>(
    out: RecordType<Out>,
    process: BroadcastProcessFunction<Main, Broadcast, Out, B>,
  ): OperatorStream<Out>;
}

/** A keyed stream beside a broadcast stream. */
export interface KeyedBroadcastConnectedStream<Main, Broadcast, K extends Key> {
  /** Keyed state and timers, and broadcast state: written by `onBroadcast`, read by `onRecord` and `onTimer`. */
  process<B extends BroadcastStateDeclarations, D extends StateDeclarations = NoState, Out = never>(
    process: KeyedBroadcastProcessFunction<Main, Broadcast, K, Out, D, B>,
  ): OperatorStream<Out>;
  /** The same with the type of the main output said first. */
  process<Out, B extends BroadcastStateDeclarations, D extends StateDeclarations = NoState>(
    out: RecordType<Out>,
    process: KeyedBroadcastProcessFunction<Main, Broadcast, K, Out, D, B>,
  ): OperatorStream<Out>;
}
