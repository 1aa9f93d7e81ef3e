/**
 * The rows of windows with triggers: which states there are, which of their rows a record or a timer needs, and how they are
 * restored. What is done with them is {@link WindowOperatorBase}.
 *
 * State of a window, by window id: its contents, the trigger's state, the function's window state; `sessions` per key; timers
 * with the window as namespace.
 */
import { decodeKey } from '../../../../core/codec/key-codec.ts';
import type { Key, OperatorKind } from '../../../../core/operators.ts';
import type { Batch } from '../../../../core/stream/batch.ts';
import type { WindowDefinition } from '../../../../core/windows.ts';
import type { TimeDomain, Timer } from '../../../time/timer-service.ts';
import { KeyedOperator } from '../../keyed-operator.ts';
import { unknownState } from '../../keyed-process.ts';
import type { OperatorContext, RestoredRow } from '../../operator.ts';
import { canHold } from '../window-operator.ts';
import { WindowAssigner } from './assign-windows.ts';
import { SessionSets, stateIdOf } from './session-sets.ts';
import { StagedPrefetch } from './staged-prefetch.ts';
import { type AnyTrigger, TriggerRunner } from './trigger-runner.ts';
import { windowTime } from './window-config.ts';
import type { WindowContents } from './window-contents.ts';
import type { WindowId } from './window-id.ts';
import type { ScopedState } from './window-state.ts';
import { windowOfTimer, WindowTimers } from './window-timers.ts';

/** A window of a key, and whose state it has. */
export interface WindowOfKey {
  readonly key: Key;
  readonly start: number;
  readonly end: number;
  readonly stateId: WindowId;
}

export interface WindowFunctions {
  readonly window: WindowDefinition<never>;
  readonly trigger: unknown;
  readonly keyOf: (value: never) => Key;
  readonly keyOfSecond?: (value: never) => Key;
}

export abstract class WindowRowsOperator<Kind extends OperatorKind> extends KeyedOperator<Kind> {
  /** Null: windows never end. */
  protected readonly time: TimeDomain | null;
  protected readonly assigner: WindowAssigner;
  protected readonly sessions: SessionSets | null;
  protected readonly timers: WindowTimers;
  protected readonly trigger: TriggerRunner;
  protected readonly staged: StagedPrefetch;

  constructor(context: OperatorContext<Kind>, { window, trigger, keyOf, keyOfSecond }: WindowFunctions) {
    super(context, keyOf, keyOfSecond ?? keyOf);
    const newCache = () => this.newCache();
    this.time = windowTime(window);
    this.assigner = new WindowAssigner(window);
    this.sessions = this.assigner.merges ? new SessionSets(this.owner, newCache) : null;
    this.timers = new WindowTimers(this.owner);
    this.trigger = new TriggerRunner(trigger as AnyTrigger, this.owner, this.timers, context, newCache);
    this.staged = new StagedPrefetch(this.prefetch);
  }

  /** What windows keep, by input. */
  protected abstract readonly contents: readonly WindowContents[];
  /** Declared state of the function that a firing calls. */
  protected abstract readonly functionStates: readonly ScopedState[];
  /** Announces the rows of the function's state. */
  protected abstract needFunctionRows(window: WindowOfKey): void;

  override async open(): Promise<void> {
    await super.open();
    this.trigger.state.restored();
    for (const state of this.functionStates) state.restored();
  }

  override prepare(batch: Batch, from: number, input: number): number {
    if (this.context.backend.resident) return batch.length - from;
    const need = (index: number, stage: number): void => {
      this.#needRecord(batch.values[index], batch.timestamps?.[index] ?? Number.NaN, input, stage);
    };
    if (this.sessions === null) return this.prefetch.prepare(batch, from, batch.length, (index) => need(index, 1));
    return this.staged.prepare(batch, from, batch.length, need);
  }

  protected override needRows(): void {
    // Which rows a record needs depends on the record itself: see `prepare`.
  }

  /** Announces what a timer needs; `stage` as for {@link StagedPrefetch}. */
  protected needTimer(timer: Timer, stage: number | undefined): void {
    const { key } = timer;
    const { start, end } = windowOfTimer(timer);
    this.sessions?.need(this.prefetch, key);
    const session = this.sessions?.findKnown(key, start, end);
    if (this.sessions !== null && session === undefined) return;
    const stateId = session === undefined ? ([key, start, end] as const) : stateIdOf(key, session);
    this.trigger.state.need(this.prefetch, [key, start, end]);
    for (const contents of this.contents) contents.need(this.prefetch, stateId, stage === 1);
    this.needFunctionRows({ key, start, end, stateId });
  }

  #needRecord(value: unknown, timestamp: number, input: number, stage: number): void {
    const key = input === 0 ? this.keyOf(value) : this.keyOfSecond(value);
    this.sessions?.need(this.prefetch, key);
    if (stage === 0 || (this.time === 'event' && !canHold(timestamp))) return;
    this.assigner.assign(this.time === 'processing' ? this.context.nowMs() : timestamp, value);
    const { starts, ends, count } = this.assigner;
    for (let index = 0; index < count; index++) {
      const start = starts[index] as number;
      const end = ends[index] as number;
      if (this.sessions === null) this.#needWindow({ key, start, end, stateId: [key, start, end] });
      else
        for (const session of this.sessions.knownTouching(key, start, end))
          this.#needWindow({ key, start: session.start, end: session.end, stateId: stateIdOf(key, session) });
    }
  }

  #needWindow(window: WindowOfKey): void {
    for (const contents of this.contents) contents.need(this.prefetch, window.stateId, this.time === null);
    this.trigger.state.need(this.prefetch, [window.key, window.start, window.end]);
    if (this.time === null) this.needFunctionRows(window);
  }

  override restore(row: RestoredRow): void {
    // Timers are in the slot in every backend.
    for (const timers of [this.timers.event, this.timers.processing])
      if (row.stateName === timers.stateName) return timers.restoreRow(row.key, row.keyGroup, row.value);
    if (!this.#knowsState(row.stateName)) throw unknownState(this.context.node.id, row.stateName);
    super.restore(row);
  }

  protected override restoreResident({ stateName, key, keyGroup, value }: RestoredRow): void {
    if (stateName === this.sessions?.stateName) return this.sessions.restoreRow(key, keyGroup, value);
    const contents = this.contents.find((candidate) => candidate.stateNames.includes(stateName));
    if (contents !== undefined) return contents.restoreRow(stateName, key, keyGroup, value);
    const state = [this.trigger.state, ...this.functionStates].find((candidate) => candidate.has(stateName));
    state?.restoreRow(stateName, key, keyGroup, value);
  }

  protected override noteRestored(row: RestoredRow): void {
    // Rows are addressed by key first; a damaged address is noticed now, not at a read much later.
    decodeKey(row.key);
  }

  #knowsState(stateName: string): boolean {
    if (stateName === this.sessions?.stateName) return true;
    if (this.contents.some((contents) => contents.stateNames.includes(stateName))) return true;
    return [this.trigger.state, ...this.functionStates].some((state) => state.has(stateName));
  }
}
