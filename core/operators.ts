/**
 * What an operator is: its data (in the job graph) and its functions (only where user code runs). The client builds both
 * by running the job definition; a slot runs it again and takes the functions by operator id.
 */
import type { AggregateSet } from './aggregate.ts';
import type { ChangeKind } from './changelog.ts';
import type { Sink, Source } from './connector/index.ts';
import type { BroadcastStateDeclarations, BroadcastStates, ReadonlyBroadcastStates } from './state/broadcast-state.ts';
import type { StateDeclarations, StateHandle, StateHandles } from './state/declarations.ts';
import type { OperatorStateDeclarations, OperatorStateHandles } from './state/operator-state.ts';
import type { AlignmentSettings, WatermarkStrategy } from './watermarks.ts';
import type { CoGroupFunction, WindowEvictor, WindowFunction, WindowInfo, WindowTrigger } from './window-functions.ts';
import type { WindowDefinition } from './windows.ts';

/** Values that can be keys: order-preserving and canonical. -0 equals 0, there is one NaN. */
export type KeyPrimitive = string | number | bigint | boolean | Date | Uint8Array;
/** What records can be grouped by: a primitive, or a tuple of keys. */
export type Key = KeyPrimitive | readonly Key[];

/** Names a side output; the type of its records is carried for inference. */
export interface OutputTag<T> {
  readonly tag: string;
  readonly recordType?: T;
}

/** What a function knows of the subtask it runs in. */
export interface FunctionContext {
  readonly jobName: string;
  readonly operatorId: string;
  readonly subtaskIndex: number;
  readonly parallelism: number;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly logger: {
    /** Shown with `--verbose`. */
    info(message: string): void;
    /** Always shown. */
    warn(message: string): void;
  };
  /** Adds to a named counter of this operator. */
  count(name: string, amount?: number): void;
}

/** A user function: plain, or an object with `open` and `close`. */
export type UserFunction<Call> =
  | Call
  | ({ open?(context: FunctionContext): void | Promise<void>; close?(): void | Promise<void> } & { call: Call });

/** One record out for each record in. */
export type MapFunction<In, Out> = (value: Readonly<In>) => Out;
/** True for records that are kept. */
export type FilterFunction<In> = (value: Readonly<In>) => boolean;
/** Any number of records out for each record in. */
export type FlatMapFunction<In, Out> = (value: Readonly<In>) => Iterable<Out>;
/** The key of a record; pure, because it runs on both sides of an exchange. */
export type KeySelector<In, K extends Key = Key> = (value: Readonly<In>) => K;
/** Combines what a key had so far with the next record. */
export type ReduceFunction<T> = (left: Readonly<T>, right: Readonly<T>) => T;

/** What `broadcastInput(...)` calls for each record of the main stream. */
export type SideFlatMapFunction = (value: never, side: never) => Iterable<unknown>;

/** Timers of the current key. */
export interface TimerRegistry {
  /**
   * Fires `onTimer` when the watermark reaches `timestampMs`: a number at most 8.64e15 from the epoch. An infinite time is
   * taken as that bound, NaN and what is beyond throw. Registering twice is one timer; a time already passed fires when the
   * watermark next moves.
   */
  registerEventTime(timestampMs: number): void;
  /** Takes an event-time timer back; nothing happens when there is none. */
  deleteEventTime(timestampMs: number): void;
  /** Fires `onTimer` when the clock reaches `timestampMs`, of the same range. Registering twice is one timer. */
  registerProcessingTime(timestampMs: number): void;
  /** Takes a processing-time timer back; nothing happens when there is none. */
  deleteProcessingTime(timestampMs: number): void;
}

/** What a keyed process function is given with each record. Valid only during the call. */
export interface ProcessContext<K, Out, D extends StateDeclarations> {
  readonly key: K;
  /** Event time of the record in ms, or NaN where it has none. */
  readonly timestamp: number;
  /** What the record says of its row where the stream is a changelog; `insert` elsewhere, and in a timer. */
  readonly rowKind: ChangeKind;
  /**
   * True when the record came late: its time is at or before the watermark that its own split had before it. The same records
   * are late in every run, which does not hold for a comparison with `watermark`. False in a timer.
   */
  readonly isLate: boolean;
  /** Merged watermark of this subtask, in ms. */
  readonly watermark: number;
  /** Processing time now, in ms. */
  readonly processingTimeMs: number;
  readonly state: StateHandles<D>;
  readonly timers: TimerRegistry;
  /** Sends a record to the main output; it has the time of the record or timer being handled. */
  emit(value: Out): void;
  /** Sends a record to a side output; dropped when nobody reads that. */
  output<T>(tag: OutputTag<T>, value: T): void;
}

/** What `onTimer` is given. Valid only during the call. */
export interface TimerContext<K, Out, D extends StateDeclarations> extends ProcessContext<K, Out, D> {
  readonly timeDomain: 'event' | 'processing';
}

/** Keyed `process`: declared state, timers, main and side outputs. */
export interface KeyedProcessFunction<In, K, Out, D extends StateDeclarations> {
  readonly state?: D;
  /** Called once before the first record of an attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called for each record; state and timers are those of its key. */
  onRecord(value: Readonly<In>, context: ProcessContext<K, Out, D>): void;
  /** Called when a timer is due; state and timers are those of its key. */
  onTimer?(timestampMs: number, context: TimerContext<K, Out, D>): void;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
}

/** What the function of an interval join is told besides the two records. Valid only during the call. */
export interface IntervalJoinContext {
  /** Event time of the record of the first stream, in ms. */
  readonly firstTimestamp: number;
  /** Event time of the record of the second stream, in ms. */
  readonly secondTimestamp: number;
  /** Event time of the result in ms: the later of the two. */
  readonly timestamp: number;
}

/** Keyed function that reads two streams: one state and one set of timers per key, whichever input a record comes from. */
export interface KeyedCoProcessFunction<First, Second, K, Out, D extends StateDeclarations> {
  readonly state?: D;
  /** Called once before the first record of an attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called for each record of the first stream; state and timers are those of its key. */
  onFirst(value: Readonly<First>, context: ProcessContext<K, Out, D>): void;
  /** Called for each record of the second stream; state and timers are those of its key. */
  onSecond(value: Readonly<Second>, context: ProcessContext<K, Out, D>): void;
  /** Called when a timer is due; state and timers are those of its key. */
  onTimer?(timestampMs: number, context: TimerContext<K, Out, D>): void;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
}

/** What a function without a key is given with each record. Valid only during the call. */
export interface PlainProcessContext<Out, D extends OperatorStateDeclarations> {
  /** Event time of the record in ms, or NaN where it has none. */
  readonly timestamp: number;
  /**
   * True when the record came late: its time is at or before the watermark that its own split had before it. The same records
   * are late in every run, which does not hold for a comparison with `watermark`. False in a timer.
   */
  readonly isLate: boolean;
  /** Merged watermark of this subtask, in ms. */
  readonly watermark: number;
  /** Processing time now, in ms. */
  readonly processingTimeMs: number;
  /** State of this subtask. */
  readonly state: OperatorStateHandles<D>;
  /** Sends a record to the main output; it has the time of the record being handled. */
  emit(value: Out): void;
  /** Sends a record to a side output; dropped when nobody reads that. */
  output<T>(tag: OutputTag<T>, value: T): void;
}

/** `process` of a stream without key: state of the subtask, main and side outputs, no timers. */
export interface ProcessFunction<In, Out, D extends OperatorStateDeclarations> {
  readonly state?: D;
  /** Called once before the first record of an attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called for each record. */
  onRecord(value: Readonly<In>, context: PlainProcessContext<Out, D>): void;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
}

/** `process` of two connected streams without key. */
export interface CoProcessFunction<First, Second, Out, D extends OperatorStateDeclarations> {
  readonly state?: D;
  /** Called once before the first record of an attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called for each record of the first stream. */
  onFirst(value: Readonly<First>, context: PlainProcessContext<Out, D>): void;
  /** Called for each record of the second stream. */
  onSecond(value: Readonly<Second>, context: PlainProcessContext<Out, D>): void;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
}

/** A keyed function's context where there is broadcast state: it may be read, not written. */
export interface KeyedBroadcastContext<K, Out, D extends StateDeclarations, B extends BroadcastStateDeclarations>
  extends ProcessContext<K, Out, D> {
  readonly broadcastState: ReadonlyBroadcastStates<B>;
}

/** The same for timers. */
export interface KeyedBroadcastTimerContext<K, Out, D extends StateDeclarations, B extends BroadcastStateDeclarations>
  extends TimerContext<K, Out, D> {
  readonly broadcastState: ReadonlyBroadcastStates<B>;
}

/** What a function without a key is given with each record where there is broadcast state. */
export interface PlainBroadcastContext<Out, B extends BroadcastStateDeclarations>
  extends Omit<PlainProcessContext<Out, Record<never, never>>, 'state'> {
  readonly broadcastState: ReadonlyBroadcastStates<B>;
}

/** What `onBroadcast` is given: broadcast state that may be written. Valid only during the call. */
export interface BroadcastContext<Out, B extends BroadcastStateDeclarations>
  extends Omit<PlainBroadcastContext<Out, B>, 'broadcastState'> {
  readonly broadcastState: BroadcastStates<B>;
}

/** What `onBroadcast` of a keyed function is given. */
export interface KeyedBroadcastWriteContext<K, Out, D extends StateDeclarations, B extends BroadcastStateDeclarations>
  extends BroadcastContext<Out, B> {
  /**
   * Calls `apply` for every key of this subtask that has the state `stateName`, in the order of key groups and encoded keys.
   * Key and handle are valid only during the call.
   */
  forEachKey<Name extends keyof D & string>(
    stateName: Name,
    apply: (key: K, state: StateHandle<D[Name]>) => void,
  ): void;
}

/**
 * Keyed function beside a broadcast stream. Every subtask gets all records of that stream; what it keeps of them must depend
 * on nothing else, or the copies of the subtasks differ.
 */
export interface KeyedBroadcastProcessFunction<
  In,
  Broadcast,
  K,
  Out,
  D extends StateDeclarations,
  B extends BroadcastStateDeclarations,
> {
  readonly broadcastState: B;
  readonly state?: D;
  /** Called once before the first record of an attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called for each record of the keyed stream; state and timers are those of its key. */
  onRecord(value: Readonly<In>, context: KeyedBroadcastContext<K, Out, D, B>): void;
  /** Called in every subtask for each record of the broadcast stream. */
  onBroadcast(value: Readonly<Broadcast>, context: KeyedBroadcastWriteContext<K, Out, D, B>): void;
  /** Called when a timer is due; state and timers are those of its key. */
  onTimer?(timestampMs: number, context: KeyedBroadcastTimerContext<K, Out, D, B>): void;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
}

/** Function without a key beside a broadcast stream. */
export interface BroadcastProcessFunction<In, Broadcast, Out, B extends BroadcastStateDeclarations> {
  readonly broadcastState: B;
  /** Called once before the first record of an attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** Called for each record of the main stream. */
  onRecord(value: Readonly<In>, context: PlainBroadcastContext<Out, B>): void;
  /** Called in every subtask for each record of the broadcast stream. */
  onBroadcast(value: Readonly<Broadcast>, context: BroadcastContext<Out, B>): void;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
}

/** What happens to a record whose function threw. */
export type OnError = 'fail' | 'skip' | { readonly sideOutput: string };

/**
 * Says which of `partitionCount` subtasks a record of this key goes to: a whole number of 0 to `partitionCount - 1`. Pure.
 */
export type PartitionFunction<K> = (key: K, partitionCount: number) => number;

/** What `partitionCustom` was given; runs in the subtasks that send. */
export interface CustomPartition {
  readonly keyOf: (value: never) => unknown;
  readonly partition: PartitionFunction<never>;
}

/** What an asynchronous function is told about one call. */
export interface AsyncCallContext {
  /** Fires when nobody waits for the answer any more: at the timeout, and when the attempt ends. */
  readonly signal: AbortSignal;
  /** 1 for the first call for a record, 2 for its first retry, and so on. After a restart of the job it is 1 again. */
  readonly attempt: number;
}

/** One promise for each record; see `asyncMap`. */
export type AsyncFunction<In, Out> = (value: Readonly<In>, call: AsyncCallContext) => PromiseLike<Out>;

/**
 * The functions of one operator, by kind. `keyOf` runs on both sides of the exchange and must be pure. `partitions` belong
 * to the edges that feed the operator by `partitionCustom`.
 */
export type OperatorFunctions = KindFunctions & { readonly partitions?: readonly CustomPartition[] };

type KindFunctions =
  | { readonly kind: 'source-planner'; readonly source: Source<unknown> }
  | { readonly kind: 'source-reader'; readonly source: Source<unknown> }
  | {
      readonly kind: 'timestamps';
      readonly timestampOf: (value: never, sourceTimestampMs: number) => number;
      readonly watermarks: WatermarkStrategy<never>;
      readonly alignment: AlignmentSettings | null;
    }
  | { readonly kind: 'map'; readonly map: UserFunction<MapFunction<never, unknown>> }
  | { readonly kind: 'filter'; readonly filter: UserFunction<FilterFunction<never>> }
  | { readonly kind: 'flat-map'; readonly flatMap: UserFunction<FlatMapFunction<never, unknown>> }
  | {
      readonly kind: 'reduce';
      readonly keyOf: KeySelector<never>;
      readonly reduce: UserFunction<ReduceFunction<never>>;
    }
  | { readonly kind: 'aggregate'; readonly keyOf: KeySelector<never>; readonly aggregates: AggregateSet<never> }
  | {
      readonly kind: 'window-aggregate';
      readonly keyOf: KeySelector<never>;
      readonly aggregates: AggregateSet<never>;
      /** Gap of a session in ms, by its record; absent where it is in the config. */
      readonly gapOf?: (value: never) => number;
    }
  | {
      /** Windows with a trigger, an evictor or a window function. Without `reduce` and `aggregates` the records are kept. */
      readonly kind: 'window';
      readonly keyOf: KeySelector<never>;
      readonly window: WindowDefinition<never>;
      readonly trigger: WindowTrigger<never>;
      readonly evictor: WindowEvictor<never> | null;
      readonly reduce: ReduceFunction<never> | null;
      readonly aggregates: AggregateSet<never> | null;
      /** Null: what `reduce` or `aggregates` made is emitted, or what `resultOf` makes of it. */
      readonly windowFunction: WindowFunction<never, never, unknown, StateDeclarations, StateDeclarations> | null;
      readonly resultOf: ((contents: never, context: WindowInfo<never>) => unknown) | null;
    }
  | {
      /** The records of two streams in windows of a key; `input` 0 is the first stream. One of `coGroup`, `join` is null. */
      readonly kind: 'window-co-group';
      readonly keyOf: KeySelector<never>;
      readonly keyOfSecond: KeySelector<never>;
      readonly window: WindowDefinition<never>;
      readonly trigger: WindowTrigger<never>;
      readonly coGroup: CoGroupFunction<never, never, never, unknown> | null;
      readonly join: ((first: never, second: never) => unknown) | null;
    }
  | {
      readonly kind: 'process';
      readonly keyOf: KeySelector<never>;
      readonly process: KeyedProcessFunction<never, never, unknown, StateDeclarations>;
    }
  | {
      readonly kind: 'co-process';
      readonly keyOf: KeySelector<never>;
      readonly keyOfSecond: KeySelector<never>;
      readonly process: KeyedCoProcessFunction<never, never, never, unknown, StateDeclarations>;
    }
  | {
      readonly kind: 'plain-process';
      readonly process: ProcessFunction<never, unknown, OperatorStateDeclarations>;
    }
  | {
      readonly kind: 'plain-co-process';
      readonly process: CoProcessFunction<never, never, unknown, OperatorStateDeclarations>;
    }
  | {
      /** Two streams, each with its own function; `keyOf` and `keyOfSecond` where both are keyed. */
      readonly kind: 'co-flat-map';
      readonly flatMap: UserFunction<FlatMapFunction<never, unknown>>;
      readonly flatMapSecond: UserFunction<FlatMapFunction<never, unknown>>;
      readonly keyOf?: KeySelector<never>;
      readonly keyOfSecond?: KeySelector<never>;
    }
  | {
      /** Input 0 is the keyed stream, 1 the broadcast one. */
      readonly kind: 'broadcast-process';
      readonly keyOf: KeySelector<never>;
      readonly process: KeyedBroadcastProcessFunction<
        never,
        never,
        never,
        unknown,
        StateDeclarations,
        BroadcastStateDeclarations
      >;
    }
  | {
      /** Input 0 is the main stream, 1 the broadcast one. */
      readonly kind: 'plain-broadcast-process';
      readonly process: BroadcastProcessFunction<never, never, unknown, BroadcastStateDeclarations>;
    }
  | {
      /** Main stream with a bounded side stream read to its end first; `input` 0 is the main one, 1 the side. */
      readonly kind: 'broadcast-input';
      /** Builds the side object from all side records, once. */
      readonly build: (records: readonly never[]) => unknown;
      readonly flatMap: UserFunction<SideFlatMapFunction>;
    }
  | {
      readonly kind: 'async-map';
      readonly call: UserFunction<AsyncFunction<never, unknown>>;
      /** What takes the place of an answer that did not come in time; with `onTimeout: 'call'` of the config. */
      readonly onTimeout?: (value: never) => unknown;
      /** True for failures that are worth another try; absent: all. */
      readonly retryIf?: (error: unknown) => boolean;
    }
  /** Gives every record the row kind its function says: an append stream becomes a changelog. */
  | { readonly kind: 'to-changelog'; readonly kindOf: (value: never) => ChangeKind }
  /** Makes every change a record of its own: a changelog becomes an append stream. */
  | { readonly kind: 'changes' }
  /** The last row per key, from upserts: fills in what each upsert replaces. */
  | {
      readonly kind: 'upserts';
      readonly keyOf: KeySelector<never>;
      /** True for a record that deletes its row; null: the row kinds of the input say it. */
      readonly isDelete: ((value: never) => boolean) | null;
    }
  | {
      readonly kind: 'updating-aggregate';
      readonly keyOf: KeySelector<never>;
      readonly aggregates: AggregateSet<never>;
    }
  | {
      readonly kind: 'top-n';
      readonly keyOf: KeySelector<never>;
      readonly by: (value: never) => number;
      readonly ties: ((value: never) => Key) | null;
      readonly uniqueBy: ((value: never) => Key) | null;
    }
  | { readonly kind: 'dedup'; readonly keyOf: KeySelector<never> }
  /** Input 0 is the first stream, input 1 the second; a side without partner is null. */
  | {
      readonly kind: 'join';
      readonly keyOf: KeySelector<never>;
      readonly keyOfSecond: KeySelector<never>;
      readonly join: (first: never, second: never) => unknown;
    }
  | {
      readonly kind: 'interval-join';
      readonly keyOf: KeySelector<never>;
      readonly keyOfSecond: KeySelector<never>;
      readonly join: (first: never, second: never, context: IntervalJoinContext) => unknown;
    }
  | { readonly kind: 'sink-writer'; readonly sink: Sink<never> }
  | { readonly kind: 'sink-committer'; readonly sink: Sink<never> };

/** Kinds of operators there are. */
export type OperatorKind = OperatorFunctions['kind'];

/** The key selector of one input of an operator, by which its records are spread; null when that input has no key. */
export function keySelectorOf(functions: OperatorFunctions, input: number): KeySelector<never> | null {
  if (input === 0) return 'keyOf' in functions ? (functions.keyOf ?? null) : null;
  return 'keyOfSecond' in functions ? (functions.keyOfSecond ?? null) : null;
}
