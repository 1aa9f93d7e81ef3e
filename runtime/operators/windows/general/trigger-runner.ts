/** Calls a trigger for one window of one key at a time, with the state and timers of that window. */
import type { Key } from '../../../../core/operators.ts';
import type { StateDeclarations, StateHandles } from '../../../../core/state/declarations.ts';
import type {
  TriggerContext,
  TriggerMergeContext,
  TriggerResult,
  WindowBounds,
  WindowTrigger,
} from '../../../../core/window-functions.ts';
import type { RowCache } from '../../../state/row-cache.ts';
import type { TableOwner } from '../../../state/row-table.ts';
import type { KeyScope } from '../../../state/state-handles.ts';
import { CallGate } from '../../call-gate.ts';
import type { AnyOperatorContext } from '../../operator.ts';
import { windowOwner } from './window-id.ts';
import { ScopedState, statePrefix } from './window-state.ts';
import { TriggerTimers, type WindowTimers } from './window-timers.ts';

export type AnyTrigger = WindowTrigger<unknown, StateDeclarations>;

const results: ReadonlySet<unknown> = new Set<TriggerResult>(['continue', 'fire', 'purge', 'fireAndPurge']);

export class TriggerRunner {
  readonly state: ScopedState;
  readonly gate: CallGate;
  readonly #trigger: AnyTrigger;
  readonly #call: TriggerCall;

  constructor(
    trigger: AnyTrigger,
    owner: TableOwner,
    timers: WindowTimers,
    context: AnyOperatorContext,
    newCache: () => RowCache,
  ) {
    this.#trigger = trigger;
    this.gate = new CallGate(context);
    this.state = new ScopedState(statePrefix.trigger, trigger.state ?? {}, windowOwner(owner), newCache, this.gate);
    this.#call = new TriggerCall(this.state, new TriggerTimers(timers, this.gate), () => context.nowMs());
  }

  set watermark(watermark: number) {
    this.#call.watermark = watermark;
  }

  /** The window that the next calls are about. */
  enter(key: Key, start: number, end: number, timestamp: number): void {
    this.#call.enter(key, start, end, timestamp);
  }

  onElement(value: unknown): TriggerResult {
    this.gate.enter();
    try {
      return checked(this.#trigger.onElement(value as Readonly<unknown>, this.#call));
    } finally {
      this.gate.leave();
    }
  }

  onTimer(timeMs: number, domain: 'event' | 'processing'): TriggerResult {
    const { onEventTime, onProcessingTime } = this.#trigger;
    const onTimer = domain === 'event' ? onEventTime : onProcessingTime;
    if (onTimer === undefined) return 'continue';
    this.gate.enter();
    try {
      return checked(onTimer.call(this.#trigger, timeMs, this.#call));
    } finally {
      this.gate.leave();
    }
  }

  /** The entered window is what these windows became. */
  onMerge(merged: readonly WindowBounds[]): void {
    this.#call.merged = merged;
    this.gate.enter();
    try {
      this.#trigger.onMerge?.(this.#call);
    } finally {
      this.gate.leave();
    }
  }

  /** The entered window is gone. */
  clear(): void {
    this.gate.enter();
    try {
      this.#trigger.clear?.(this.#call);
    } finally {
      this.gate.leave();
    }
    this.state.clear();
  }
}

class TriggerCall implements TriggerContext, TriggerMergeContext {
  key: Key = 0;
  window: WindowBounds = { start: 0, end: 0 };
  timestamp = Number.NaN;
  watermark = Number.NEGATIVE_INFINITY;
  merged: readonly WindowBounds[] = [];
  readonly timers: TriggerTimers;
  readonly #state: ScopedState;
  readonly #nowMs: () => number;
  readonly #mergedScope: KeyScope = { key: 0 };
  #mergedHandles: StateHandles<StateDeclarations> | null = null;

  constructor(state: ScopedState, timers: TriggerTimers, nowMs: () => number) {
    this.#state = state;
    this.timers = timers;
    this.#nowMs = nowMs;
  }

  enter(key: Key, start: number, end: number, timestamp: number): void {
    this.key = key;
    this.window = { start, end };
    this.timestamp = timestamp;
    this.timers.key = key;
    this.timers.namespace = [start, end];
    this.#state.scopeTo([key, start, end]);
  }

  get state(): StateHandles<StateDeclarations> {
    return this.#state.handles;
  }

  get processingTimeMs(): number {
    return this.#nowMs();
  }

  forEachMerged(call: (state: StateHandles<StateDeclarations>, window: WindowBounds) => void): void {
    this.#mergedHandles ??= this.#state.handlesOf(this.#mergedScope);
    for (const window of this.merged) {
      this.#mergedScope.key = [this.key, window.start, window.end];
      call(this.#mergedHandles, window);
    }
  }
}

function checked(result: TriggerResult): TriggerResult {
  if (results.has(result)) return result;
  throw new TypeError(`a trigger returned ${String(result)}; return 'continue', 'fire', 'purge' or 'fireAndPurge'`);
}
