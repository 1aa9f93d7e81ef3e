/**
 * What users write for windows beyond a set of aggregates: triggers (when a window fires), evictors (which records stay) and
 * window functions (what a firing emits). Each is data (`kind`, `options`, in the graph hash) and functions, which only slots
 * call. The semantics are Flink's, except lateness, see the guide.
 */
import type { FunctionContext, Key, OutputTag, TimerRegistry } from './operators.ts';
import type { JsonObject } from './plain-data.ts';
import type { StateDeclarations, StateHandles } from './state/declarations.ts';

/** A window: start inclusive, end exclusive, in ms. Global and count windows have -Infinity and Infinity. */
export interface WindowBounds {
  readonly start: number;
  readonly end: number;
}

/**
 * What a trigger wants: nothing, the window function called (`fire`), the records dropped (`purge`), or both in this order.
 * Purging drops the records of a window and nothing else: the trigger's state and timers stay.
 */
export type TriggerResult = 'continue' | 'fire' | 'purge' | 'fireAndPurge';

/** What a trigger is given: one window of one key. Valid only during the call. */
export interface TriggerContext<D extends StateDeclarations = StateDeclarations> {
  readonly key: Key;
  readonly window: WindowBounds;
  /** Event time of the record or timer in ms, NaN where there is none. */
  readonly timestamp: number;
  /** Merged watermark of this subtask, in ms. */
  readonly watermark: number;
  /** Processing time now, in ms. */
  readonly processingTimeMs: number;
  /** The trigger's state of this key and window; removed with the window. */
  readonly state: StateHandles<D>;
  /** The trigger's timers of this key and window. */
  readonly timers: TimerRegistry;
}

/** What `onMerge` is given: the window that several became, with empty state, and those. */
export interface TriggerMergeContext<D extends StateDeclarations = StateDeclarations> extends TriggerContext<D> {
  /** Calls back for each window that went into this one, with the trigger's state of it; that state is removed afterwards. */
  forEachMerged(call: (state: StateHandles<D>, window: WindowBounds) => void): void;
}

/** Says when a window fires. Stateless itself: what it remembers of a window is in declared state. */
export interface WindowTrigger<In, D extends StateDeclarations = StateDeclarations> {
  /** Name in the job graph; default `custom`. */
  readonly kind?: string;
  /** What decides its meaning besides its code; part of the graph hash. */
  readonly options?: JsonObject;
  /** State per key and window. */
  readonly state?: D;
  /**
   * In this time domain a timer for the last millisecond of the window is set with every record, so the engine needs no timer
   * of its own to remove the window. Only the engine's own triggers say so.
   */
  readonly timerAtEnd?: 'event' | 'processing';
  /** Called for each record, after it was added to the window. */
  onElement(value: Readonly<In>, context: TriggerContext<D>): TriggerResult;
  /** An event-time timer of this trigger is due. */
  onEventTime?(timeMs: number, context: TriggerContext<D>): TriggerResult;
  /** A processing-time timer of this trigger is due. */
  onProcessingTime?(timeMs: number, context: TriggerContext<D>): TriggerResult;
  /** Session windows became one: takes over state and sets the timers of the new window. Absent: refused on sessions. */
  onMerge?(context: TriggerMergeContext<D>): void;
  /** The window is removed, or has become part of another: takes back timers. Declared state is removed by the engine. */
  clear?(context: TriggerContext<D>): void;
}

/** A record of a window as evictors see it. */
export interface WindowElement<In> {
  readonly value: Readonly<In>;
  /** Event time in ms, NaN where the record has none. */
  readonly timestamp: number;
}

/** What an evictor is given. */
export interface EvictorContext {
  readonly key: Key;
  readonly window: WindowBounds;
  readonly watermark: number;
  readonly processingTimeMs: number;
}

/** Drops records of a window before or after it fires. Both functions return the elements that stay, in order. */
export interface WindowEvictor<In> {
  /** Name in the job graph; default `custom`. */
  readonly kind?: string;
  /** What decides its meaning besides its code; part of the graph hash. */
  readonly options?: JsonObject;
  /** Before the window function: it sees what is returned. */
  evictBefore?(elements: readonly WindowElement<In>[], context: EvictorContext): readonly WindowElement<In>[];
  /** After the window function: the next firing begins with what is returned. */
  evictAfter?(elements: readonly WindowElement<In>[], context: EvictorContext): readonly WindowElement<In>[];
}

/** What is known of the window that fires, without state and outputs. Valid only during the call. */
export interface WindowInfo<K> {
  readonly key: K;
  readonly window: WindowBounds;
  /** Time of what is emitted: `end - 1` of an event-time window; of a global or count window that of the record; else NaN. */
  readonly timestamp: number;
  /** Merged watermark of this subtask, in ms. */
  readonly watermark: number;
  /** Processing time now, in ms. */
  readonly processingTimeMs: number;
}

/** What a window function is given. Valid only during the call. */
export interface WindowContext<K, Out, D extends StateDeclarations, W extends StateDeclarations> extends WindowInfo<K> {
  /** State of the key, shared by its windows and kept when they end. */
  readonly state: StateHandles<D>;
  /** State of the key and window, removed with the window. */
  readonly windowState: StateHandles<W>;
  /** Sends a record to the main output. */
  emit(value: Out): void;
  /** Sends a record to a side output; dropped when nobody reads that. */
  output<T>(tag: OutputTag<T>, value: T): void;
}

/** Called each time a window fires, with what the window holds: its records, or what `reduce` or `aggregate` made of them. */
export interface WindowFunction<
  Contents,
  K,
  Out,
  D extends StateDeclarations = Record<never, never>,
  W extends StateDeclarations = Record<never, never>,
> {
  /** State per key. */
  readonly state?: D;
  /** State per key and window; not with sessions, whose windows become one. */
  readonly windowState?: W;
  /** Called once before the first record of an attempt. */
  open?(context: FunctionContext): void | Promise<void>;
  /** The window fires. */
  onWindow(contents: Contents, context: WindowContext<K, Out, D, W>): void;
  /** The window is removed; its state is removed afterwards. What is emitted here has the time of the firing. */
  onClear?(context: WindowContext<K, Out, D, W>): void;
  /** Called once after the last record, also after a failure. */
  close?(): void | Promise<void>;
}

/** What a window keeps: all records, one record that `reduce` made of them, or accumulators. */
export type WindowContentsKind = 'records' | 'reduce' | 'aggregate';

/** Which pairs a window join makes: as in SQL, within a window. */
export type WindowJoinType = 'inner' | 'left' | 'right' | 'full';

/** Makes results of the records of both streams in a window of a key; pulled as there is room. */
export type CoGroupFunction<A, B, K, Out> = (
  first: readonly Readonly<A>[],
  second: readonly Readonly<B>[],
  context: WindowInfo<K>,
) => Iterable<Out>;
