/**
 * Windows with triggers: what the window operator of one stream and the co-group of two share. A record is put into its
 * windows (sessions are merged first), the trigger is asked, and what it wants is done; timers of a window ask it again or
 * remove the window. What a window keeps and what a firing emits is the subclasses'.
 *
 * Lateness as everywhere (design section 3): a record is late for a window when `end - 1 + allowedLateness` is at or before
 * the watermark of its own split; of a session the record's own window counts, before merging. A record that is late for all
 * its windows goes to the late output. On time, but with a window that is gone because its split was idle: the same, counted
 * as `lateAfterIdle`.
 *
 * A window is removed at `end - 1 + allowedLateness` (event time) or after `end - 1` (clock); global and count windows never.
 *
 * @see Flink WindowOperator
 */
import type { Key, OperatorKind } from '../../../../core/operators.ts';
import { maxWatermark } from '../../../../core/stream/batch.ts';
import type { TriggerResult } from '../../../../core/window-functions.ts';
import type { TimeDomain, Timer, TimerService } from '../../../time/timer-service.ts';
import { DueTimers } from '../../due-timers.ts';
import { LateRecords } from '../../late-records.ts';
import type { OperatorContext } from '../../operator.ts';
import { canHold, outOfTime, timestampMissing } from '../window-operator.ts';
import { type Session, type SessionSets, stateIdOf } from './session-sets.ts';
import type { AnyTrigger } from './trigger-runner.ts';
import { allowedLatenessMs } from './window-config.ts';
import type { WindowContents } from './window-contents.ts';
import type { WindowId } from './window-id.ts';
import { type WindowFunctions, type WindowOfKey, WindowRowsOperator } from './window-rows.ts';
import { windowOfTimer } from './window-timers.ts';

export abstract class WindowOperatorBase<Kind extends OperatorKind> extends WindowRowsOperator<Kind> {
  /** Merged watermark, also while it is being handled. */
  protected watermark = Number.NEGATIVE_INFINITY;
  readonly #allowedLatenessMs: number;
  readonly #late: LateRecords;
  readonly #dueEvent: DueTimers;
  readonly #dueProcessing: DueTimers;
  /** True: a timer of the trigger stands at the time of the removal of every window, so none of our own is needed. */
  readonly #triggerRemoves: boolean;

  constructor(context: OperatorContext<Kind>, functions: WindowFunctions) {
    super(context, functions);
    this.#allowedLatenessMs = allowedLatenessMs(context);
    this.#late = new LateRecords(context);
    this.#dueEvent = this.#dueTimers(this.timers.event, 'event');
    this.#dueProcessing = this.#dueTimers(this.timers.processing, 'processing');
    const { timerAtEnd } = functions.trigger as AnyTrigger;
    this.#triggerRemoves = this.time !== null && timerAtEnd === this.time && this.#allowedLatenessMs === 0;
  }

  /** Emits what the window has, which is something; the scope is set. */
  protected abstract fire(window: WindowOfKey): void;
  /** The window is removed; contents and the trigger's state are gone already. */
  protected abstract removed(window: WindowOfKey): void;
  /** False while what a firing emits waits for room. */
  protected get emitted(): boolean {
    return true;
  }

  emit(value: unknown): void {
    this.#take(value, 0);
  }

  emitSecond(value: unknown): void {
    this.#take(value, 1);
  }

  advanceWatermark(watermark: number): boolean {
    if (watermark > this.watermark) {
      this.watermark = watermark;
      this.trigger.watermark = watermark;
    }
    if (!this.#dueEvent.advance(watermark)) return false;
    // At the end of all input the clock will not come to windows that wait for it: their results would be lost.
    if (watermark < maxWatermark || this.time !== 'processing') return true;
    return this.#dueProcessing.advance(Number.POSITIVE_INFINITY);
  }

  advanceProcessingTime(nowMs: number): boolean {
    // A timer fires when its millisecond is over: records of the same millisecond still belong before it.
    const done = this.#dueProcessing.advance(nowMs - 1);
    if (done) this.#askToBeWoken();
    return done;
  }

  override async open(): Promise<void> {
    await super.open();
    this.#askToBeWoken();
  }

  #take(value: unknown, input: number): void {
    const { timestamp } = this.context.scope;
    const { nowMs, node } = this.context;
    if (this.time === 'event' && timestamp !== timestamp) return this.context.fail(timestampMissing(node.id));
    if (this.time === 'event' && !canHold(timestamp)) return this.userFailed(value, outOfTime(timestamp));
    let key: Key;
    try {
      key = input === 0 ? this.keyOf(value) : this.keyOfSecond(value);
      this.assigner.assign(this.time === 'processing' ? nowMs() : timestamp, value);
      if (this.sessions === null) this.#takeInto(key, value, input);
      else this.#takeIntoSession(this.sessions, key, value, input);
    } catch (error) {
      this.userFailed(value, error);
    }
    this.#afterCall();
  }

  #takeInto(key: Key, value: unknown, input: number): void {
    const { starts, ends, count } = this.assigner;
    let lateness: Lateness = 'late';
    for (let index = 0; index < count; index++) {
      const start = starts[index] as number;
      const end = ends[index] as number;
      const windowLateness = this.#latenessOf(end);
      if (windowLateness !== 'on-time') {
        if (lateness === 'late') lateness = windowLateness;
        continue;
      }
      lateness = 'on-time';
      this.#add({ key, start, end, stateId: [key, start, end] }, value, input);
    }
    if (lateness !== 'on-time') this.#late.take(value, input, lateness === 'late-after-idle');
  }

  #takeIntoSession(sessions: SessionSets, key: Key, value: unknown, input: number): void {
    const start = this.assigner.starts[0] as number;
    const end = this.assigner.ends[0] as number;
    const lateness = this.#latenessOf(end);
    if (lateness !== 'on-time') return this.#late.take(value, input, lateness === 'late-after-idle');
    const { session, merged } = sessions.add(key, start, end);
    const window = { key, start: session.start, end: session.end, stateId: stateIdOf(key, session) };
    if (merged.length > 0) this.#merge(window, merged);
    this.#add(window, value, input);
  }

  #merge(window: WindowOfKey, merged: readonly Session[]): void {
    const { key, stateId } = window;
    const gone = merged.filter((session) => session.start !== window.start || session.end !== window.end);
    if (!this.#triggerRemoves) this.#setRemoval(window);
    this.#enter(window);
    this.trigger.onMerge(gone);
    for (const session of gone) {
      this.trigger.enter(key, session.start, session.end, this.context.scope.timestamp);
      this.trigger.clear();
      if (!this.#triggerRemoves && this.time !== null)
        this.timers.deleteRemoval(this.time, this.#removalTime(session.end), key, session.start, session.end);
    }
    for (const session of merged.slice(1))
      for (const contents of this.contents) this.#move(contents, stateIdOf(key, session), stateId);
  }

  #move(contents: WindowContents, from: WindowId, to: WindowId): void {
    if (!contents.has(from)) return;
    try {
      contents.move(from, to);
    } catch (error) {
      // No session has it any more, so nobody would remove it.
      contents.clear(from);
      throw error;
    }
  }

  #add(window: WindowOfKey, value: unknown, input: number): void {
    const contents = this.contents[input] as WindowContents;
    if (!this.#triggerRemoves) this.#setRemoval(window);
    let result: TriggerResult;
    try {
      contents.add(window.stateId, value, this.context.scope.timestamp);
      this.#enter(window);
      result = this.trigger.onElement(value);
    } catch (error) {
      // Nobody has asked the trigger, which would have set the timer that removes the window.
      if (this.#triggerRemoves && !this.#hasContents(window.stateId)) this.#setRemoval(window);
      throw error;
    }
    this.#act(result, window);
  }

  #act(result: TriggerResult, window: WindowOfKey): void {
    if (result === 'continue') return;
    if (result !== 'purge' && this.#hasContents(window.stateId)) this.#fire(window);
    if (result !== 'fire') for (const contents of this.contents) contents.clear(window.stateId);
  }

  /** Emits with the time of the window; what is emitted after it has the time it had. */
  #fire(window: WindowOfKey): void {
    const { scope } = this.context;
    const { timestamp, splitWatermark, rowKind } = scope;
    if (this.time !== null) {
      scope.timestamp = this.time === 'event' ? window.end - 1 : Number.NaN;
      scope.splitWatermark = Number.NaN;
    }
    scope.rowKind = 0;
    this.fire(window);
    scope.timestamp = timestamp;
    scope.splitWatermark = splitWatermark;
    scope.rowKind = rowKind;
  }

  #remove(window: WindowOfKey): void {
    for (const contents of this.contents) contents.clear(window.stateId);
    this.#enter(window);
    try {
      this.trigger.clear();
      this.removed(window);
    } finally {
      this.sessions?.remove(window.key, {
        start: window.start,
        end: window.end,
        stateStart: window.stateId[1],
        stateEnd: window.stateId[2],
      });
    }
  }

  #dueTimers(timers: TimerService, domain: TimeDomain): DueTimers {
    return new DueTimers(this.context, this.staged, timers, {
      needRowsOfTimer: (_key, timer, stage) => this.needTimer(timer, stage),
      fire: (timer) => this.#fireTimer(timer, domain),
      emitted: () => this.emitted,
    });
  }

  #fireTimer(timer: Timer, domain: TimeDomain): void {
    const { scope } = this.context;
    scope.timestamp = domain === 'event' ? timer.time : Number.NaN;
    scope.splitWatermark = Number.NaN;
    scope.rowKind = 0;
    const { start, end, isRemoval } = windowOfTimer(timer);
    const window = this.#windowOf(timer.key, start, end);
    if (window === null) return;
    const removes = isRemoval || (this.#triggerRemoves && domain === this.time && timer.time === end - 1);
    try {
      if (!isRemoval && !this.#isOver(timer.time, domain, end)) {
        this.#enter(window);
        this.#act(this.trigger.onTimer(timer.time, domain), window);
      }
      if (removes) this.#remove(window);
    } catch (error) {
      this.userFailed({ key: timer.key, windowStart: start, windowEnd: end, timer: timer.time }, error);
    }
    this.#afterCall();
  }

  /** Null when the session of the timer has become part of another. */
  #windowOf(key: Key, start: number, end: number): WindowOfKey | null {
    if (this.sessions === null) return { key, start, end, stateId: [key, start, end] };
    const session = this.sessions.find(key, start, end);
    return session === undefined ? null : { key, start, end, stateId: stateIdOf(key, session) };
  }

  /** A timer that a trigger has left behind: its window has been removed. */
  #isOver(timeMs: number, domain: TimeDomain, end: number): boolean {
    if (this.time === null) return false;
    const removal = this.#removalTime(end);
    if (domain === this.time) return timeMs > removal;
    return removal <= (this.time === 'event' ? this.watermark : this.context.nowMs() - 1);
  }

  #latenessOf(end: number): Lateness {
    if (this.time !== 'event') return 'on-time';
    const removal = this.#removalTime(end);
    if (removal <= this.context.scope.splitWatermark) return 'late';
    return removal <= this.watermark ? 'late-after-idle' : 'on-time';
  }

  #enter(window: WindowOfKey): void {
    this.trigger.enter(window.key, window.start, window.end, this.context.scope.timestamp);
  }

  #hasContents(id: WindowId): boolean {
    for (const contents of this.contents) if (contents.has(id)) return true;
    return false;
  }

  #removalTime(end: number): number {
    return end - 1 + this.#allowedLatenessMs;
  }

  #setRemoval({ key, start, end }: WindowOfKey): void {
    if (this.time !== null) this.timers.setRemoval(this.time, this.#removalTime(end), key, start, end);
  }

  #afterCall(): void {
    if (this.timers.processingChanged) this.#askToBeWoken();
    this.shrinkCaches();
  }

  #askToBeWoken(): void {
    this.timers.processingChanged = false;
    const { earliest } = this.timers.processing;
    if (earliest < Number.POSITIVE_INFINITY) this.context.wakeAt(earliest + 1);
  }
}

/** What a record is for a window. */
type Lateness = 'on-time' | 'late' | 'late-after-idle';
