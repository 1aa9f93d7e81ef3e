/**
 * What keyed process functions share, with one input or two: declared state, timers, and the context of a call.
 *
 * State: each declared state under its own name, timers under `timers-event` and `timers-processing`. The context object is
 * one per operator; it is valid only during a call.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { type ChangeKind, changeKinds } from '../../core/changelog.ts';
import { EngineError } from '../../core/errors.ts';
import type { FunctionContext, Key, OperatorKind, TimerContext, TimerRegistry } from '../../core/operators.ts';
import type { StateDeclarations, StateHandles } from '../../core/state/declarations.ts';
import { createStateHandles, type StateTables } from '../state/state-handles.ts';
import type { RowCache } from '../state/row-cache.ts';
import { StateClock } from '../state/ttl.ts';
import {
  boundedTimerTime,
  timerTimeOf,
  type TimeDomain,
  type Timer,
  TimerService,
  timerStateName,
} from '../time/timer-service.ts';
import { CallGate, GatedKeyScope, refusePromise } from './call-gate.ts';
import { DueTimers } from './due-timers.ts';
import { RecordCall } from './emitting-call.ts';
import { KeyedOperator } from './keyed-operator.ts';
import type { AnyOperatorContext, OperatorContext, RestoredRow } from './operator.ts';
import { callUser, functionContext } from './user-code.ts';

/** The parts of a process function that do not depend on what it reads. */
export interface ProcessLifecycle {
  readonly state?: StateDeclarations;
  open?(context: FunctionContext): void | Promise<void>;
  onTimer?(timestampMs: number, context: never): void;
  close?(): void | Promise<void>;
}

export abstract class KeyedProcessOperator<Kind extends OperatorKind> extends KeyedOperator<Kind> {
  protected readonly states: StateTables;
  protected readonly gate: CallGate;
  readonly gates: readonly CallGate[];
  protected readonly keyScope: GatedKeyScope;
  protected readonly call: CallContext;
  readonly #function: ProcessLifecycle;
  readonly #clock: StateClock;
  readonly #eventTimers: TimerService;
  readonly #processingTimers: TimerService;
  readonly #dueEvent: DueTimers;
  readonly #dueProcessing: DueTimers;

  /** @param makeCall the context of calls, where functions are given more than usual */
  constructor(
    context: OperatorContext<Kind>,
    process: ProcessLifecycle,
    keyOf: (value: never) => Key,
    keyOfSecond: (value: never) => Key = keyOf,
    makeCall: (parts: CallParts) => CallContext = (parts) => new CallContext(parts),
  ) {
    super(context, keyOf, keyOfSecond);
    this.#function = process;
    this.gate = new CallGate(context);
    this.gates = [this.gate];
    this.keyScope = new GatedKeyScope(this.gate);
    refuseReservedNames(context.node.id, process.state ?? {});
    this.#clock = new StateClock(context.scope, () => context.nowMs());
    const newCache = (): RowCache => this.newCache();
    const created = createStateHandles(process.state ?? {}, this.owner, this.keyScope, newCache, this.#clock);
    this.states = created.tables;
    this.#eventTimers = new TimerService(this.owner, 'event');
    this.#processingTimers = new TimerService(this.owner, 'processing');
    this.#dueEvent = this.#dueTimers(this.#eventTimers, 'event');
    this.#dueProcessing = this.#dueTimers(this.#processingTimers, 'processing');
    this.call = makeCall({
      context,
      gate: this.gate,
      scope: this.keyScope,
      state: created.handles,
      eventTimers: this.#eventTimers,
      processingTimers: this.#processingTimers,
    });
  }

  override restore(row: RestoredRow): void {
    // Timers are in the slot in every backend.
    if (row.stateName === this.#eventTimers.stateName)
      return this.#eventTimers.restoreRow(row.key, row.keyGroup, row.value);
    if (row.stateName === this.#processingTimers.stateName)
      return this.#processingTimers.restoreRow(row.key, row.keyGroup, row.value);
    if (!this.states.has(row.stateName)) throw unknownState(this.context.node.id, row.stateName);
    super.restore(row);
  }

  override async open(): Promise<void> {
    await super.open();
    this.states.restored();
    this.#askToBeWoken();
    const { context } = this;
    await callUser(context, 'open', () => this.#function.open?.(functionContext(context)));
  }

  override async close(): Promise<void> {
    await super.close();
    await callUser(this.context, 'close', () => this.#function.close?.());
  }

  advanceWatermark(watermark: number): boolean {
    if (watermark > this.call.watermark) this.call.watermark = watermark;
    if (!this.#dueEvent.advance(watermark)) return false;
    this.#clock.advance(watermark);
    return true;
  }

  advanceProcessingTime(nowMs: number): boolean {
    const done = this.#dueProcessing.advance(nowMs);
    if (done) this.#askToBeWoken();
    return done;
  }

  #dueTimers(timers: TimerService, domain: TimeDomain): DueTimers {
    return new DueTimers(this.context, this.prefetch, timers, {
      needRowsOfTimer: (key) => this.needRows(key),
      fire: (timer) => this.#fire(timer, domain),
    });
  }

  #fire(timer: Timer, domain: TimeDomain): void {
    const { scope } = this.context;
    const { call } = this;
    if (domain === 'event') this.#clock.advance(timer.time);
    this.keyScope.key = timer.key;
    scope.timestamp = domain === 'event' ? timer.time : Number.NaN;
    scope.splitWatermark = Number.NaN;
    scope.rowKind = 0;
    call.rowKind = 'insert';
    call.timestamp = scope.timestamp;
    call.timeDomain = domain;
    this.gate.enter();
    try {
      const result: unknown = this.#function.onTimer?.(timer.time, call as never);
      if (result !== undefined) refusePromise(this.context, 'onTimer', result);
    } catch (error) {
      this.userFailed({ key: timer.key, timer: timer.time, timeDomain: domain }, error);
    }
    this.afterCall();
  }

  /** The next call is about the record in the scope; what its function emits are records of its own. */
  protected beginRecord(): void {
    const { scope } = this.context;
    this.call.timestamp = scope.timestamp;
    this.call.rowKind = changeKinds[scope.rowKind] as ChangeKind;
    scope.rowKind = 0;
    this.gate.enter();
  }

  /** After each call of user code. */
  protected afterCall(): void {
    this.gate.leave();
    if (this.call.processingTimersChanged) this.#askToBeWoken();
    this.states.expireSome();
    this.shrinkCaches();
  }

  #askToBeWoken(): void {
    this.call.processingTimersChanged = false;
    const { earliest } = this.#processingTimers;
    if (earliest < Number.POSITIVE_INFINITY) this.context.wakeAt(earliest);
  }

  protected override restoreResident(row: RestoredRow): void {
    this.states.restoreRow(row.stateName, row.key, row.keyGroup, row.value);
  }

  protected override noteRestored(row: RestoredRow): void {
    // Rows are addressed by key first; a damaged address is noticed now, not at a read much later.
    decodeKey(row.key);
    this.states.noteStored(row.stateName, row.key, row.value);
  }

  protected override needRows(key: Key): void {
    for (const table of this.states.keyedTables) this.prefetch.need(table, key);
    this.states.planExpiry((table, due) => this.prefetch.need(table, due));
  }
}

/** What a {@link CallContext} is made of. */
export interface CallParts {
  readonly context: AnyOperatorContext;
  readonly gate: CallGate;
  readonly scope: GatedKeyScope;
  readonly state: StateHandles<StateDeclarations>;
  readonly eventTimers: TimerService;
  readonly processingTimers: TimerService;
}

/** What user functions are given; one object, set before each call. */
export class CallContext extends RecordCall implements TimerContext<Key, unknown, StateDeclarations> {
  rowKind: ChangeKind = 'insert';
  timeDomain: TimeDomain = 'event';
  processingTimersChanged = false;
  readonly state: StateHandles<StateDeclarations>;
  readonly timers: TimerRegistry;
  readonly #scope: GatedKeyScope;

  constructor({ context, gate, scope, state, eventTimers, processingTimers }: CallParts) {
    super(context, gate);
    this.#scope = scope;
    this.state = state;
    this.timers = {
      registerEventTime: (timestampMs) => {
        const { key } = scope;
        const time = timerTimeOf(timestampMs, key);
        eventTimers.register(time, key);
      },
      deleteEventTime: (timestampMs) => eventTimers.delete(boundedTimerTime(timestampMs), scope.key),
      registerProcessingTime: (timestampMs) => {
        const { key } = scope;
        const time = timerTimeOf(timestampMs, key);
        this.processingTimersChanged = true;
        processingTimers.register(time, key);
      },
      deleteProcessingTime: (timestampMs) => processingTimers.delete(boundedTimerTime(timestampMs), scope.key),
    };
  }

  get key(): Key {
    return this.#scope.key;
  }
}

function refuseReservedNames(operatorId: string, declarations: StateDeclarations): void {
  for (const name of [timerStateName('event'), timerStateName('processing')]) {
    if (!(name in declarations)) continue;
    throw new EngineError(
      'JOB_INVALID',
      `operator '${operatorId}' declares a state '${name}': the name is taken by its timers, choose another`,
    );
  }
}

/** The refusal of rows of a state that is not declared (any more). */
export function unknownState(operatorId: string, stateName: string): EngineError {
  const message = `the checkpoint has state '${stateName}' of operator '${operatorId}', but the job no longer declares it: declare it again, or start the job fresh`;
  return new EngineError('GRAPH_CHANGED', message, { ids: { operator: operatorId, state: stateName } });
}
