/**
 * `keyBy(..).process({ state, onRecord, onTimer })`: a keyed function with declared state and timers.
 *
 * State: each declared state under its own name, timers under `timers-event` and `timers-processing`. The context object is
 * one per operator; it is valid only during a call.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { type ChangeKind, changeKinds } from '../../core/changelog.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key, KeyedProcessFunction, OutputTag, TimerContext, TimerRegistry } from '../../core/operators.ts';
import type { StateDeclarations, StateHandles } from '../../core/state/declarations.ts';
import { createStateHandles, type KeyScope, type StateTables } from '../state/state-handles.ts';
import { type TimeDomain, type Timer, TimerService, timerStateName } from '../time/timer-service.ts';
import { KeyedOperator } from './keyed-operator.ts';
import type { Operator, OperatorContext, RestoredRow } from './operator.ts';
import { callUser, functionContext } from './user-code.ts';

type AnyProcessFunction = KeyedProcessFunction<unknown, Key, unknown, StateDeclarations>;

/** Timers fired before other subtasks of the slot get their turn. */
const firedPerTurnMax = 1024;

class ProcessOperator extends KeyedOperator<'process'> {
  readonly #function: AnyProcessFunction;
  readonly #states: StateTables;
  readonly #scope: KeyScope = { key: 0 };
  readonly #eventTimers: TimerService;
  readonly #processingTimers: TimerService;
  readonly #call: CallContext;

  constructor(context: OperatorContext<'process'>) {
    super(context, context.functions.keyOf);
    this.#function = context.functions.process as unknown as AnyProcessFunction;
    refuseReservedNames(context.node.id, this.#function.state ?? {});
    const created = createStateHandles(this.#function.state ?? {}, this.owner, this.#scope, () => this.newCache());
    this.#states = created.tables;
    this.#eventTimers = new TimerService(this.owner, 'event');
    this.#processingTimers = new TimerService(this.owner, 'processing');
    this.#call = new CallContext(context, this.#scope, created.handles, this.#eventTimers, this.#processingTimers);
  }

  override restore(row: RestoredRow): void {
    // Timers are in the slot in every backend.
    if (row.stateName === this.#eventTimers.stateName)
      return this.#eventTimers.restoreRow(row.key, row.keyGroup, row.value);
    if (row.stateName === this.#processingTimers.stateName)
      return this.#processingTimers.restoreRow(row.key, row.keyGroup, row.value);
    if (!this.#states.has(row.stateName)) throw unknownState(this.context.node.id, row.stateName);
    super.restore(row);
  }

  override async open(): Promise<void> {
    await super.open();
    this.#states.restored();
    this.#askToBeWoken();
    const { context } = this;
    await callUser(context, 'open', () => this.#function.open?.(functionContext(context)));
  }

  override async close(): Promise<void> {
    await super.close();
    await callUser(this.context, 'close', () => this.#function.close?.());
  }

  emit(value: unknown): void {
    const { scope } = this.context;
    const call = this.#call;
    try {
      this.#scope.key = this.keyOf(value);
      call.timestamp = scope.timestamp;
      call.rowKind = changeKinds[scope.rowKind] as ChangeKind;
      // What a function emits are records of its own.
      scope.rowKind = 0;
      this.#function.onRecord(value as Readonly<unknown>, call);
    } catch (error) {
      this.userFailed(value, error);
    }
    this.#afterCall();
  }

  advanceWatermark(watermark: number): boolean {
    if (watermark > this.#call.watermark) this.#call.watermark = watermark;
    return this.#fireDue(this.#eventTimers, 'event', watermark);
  }

  advanceProcessingTime(nowMs: number): boolean {
    const done = this.#fireDue(this.#processingTimers, 'processing', nowMs);
    if (done) this.#askToBeWoken();
    return done;
  }

  #fireDue(timers: TimerService, domain: TimeDomain, target: number): boolean {
    let budget = firedPerTurnMax;
    for (;;) {
      const resident = this.#prepareTimers(timers, target, budget);
      if (resident === 0) return false;
      for (let fired = 0; fired < resident; fired++) {
        if (!this.context.hasRoom()) return false;
        const timer = timers.takeDue(target);
        if (timer === null) return true;
        this.#fire(timer, domain);
      }
      budget -= resident;
      if (budget <= 0) {
        this.context.wake();
        return false;
      }
    }
  }

  /** How many due timers have their rows in the slot; 0 while they are being fetched. */
  #prepareTimers(timers: TimerService, target: number, budget: number): number {
    const { backend } = this.context;
    if (backend.resident) return budget;
    if (timers.earliest > target) return 1;
    const keys = timers.dueKeys(target, Math.min(budget, backend.cachedRowsMax));
    if (keys.length === 0) return 1;
    const count = this.prefetch.prepare(timers, 0, keys.length, (index) => this.needRows(keys[index] as Key));
    // What is resident now is used up at once: the next stretch is planned anew.
    if (count > 0) this.prefetch.forgetStretch();
    return count;
  }

  #fire(timer: Timer, domain: TimeDomain): void {
    const { scope } = this.context;
    const call = this.#call;
    this.#scope.key = timer.key;
    scope.timestamp = domain === 'event' ? timer.time : Number.NaN;
    scope.splitWatermark = Number.NaN;
    scope.rowKind = 0;
    call.rowKind = 'insert';
    call.timestamp = scope.timestamp;
    call.timeDomain = domain;
    try {
      this.#function.onTimer?.(timer.time, call);
    } catch (error) {
      this.userFailed({ key: timer.key, timer: timer.time, timeDomain: domain }, error);
    }
    this.#afterCall();
  }

  #afterCall(): void {
    if (this.#call.processingTimersChanged) this.#askToBeWoken();
    this.shrinkCaches();
  }

  #askToBeWoken(): void {
    this.#call.processingTimersChanged = false;
    const { earliest } = this.#processingTimers;
    if (earliest < Number.POSITIVE_INFINITY) this.context.wakeAt(earliest);
  }

  protected override restoreResident(row: RestoredRow): void {
    this.#states.restoreRow(row.stateName, row.key, row.keyGroup, row.value);
  }

  protected override noteRestored(row: RestoredRow): void {
    // Rows are addressed by key first; a damaged address is noticed now, not at a read much later.
    decodeKey(row.key);
  }

  protected override needRows(key: Key): void {
    for (const table of this.#states.keyedTables) this.prefetch.need(table, key);
  }
}

/** What `onRecord` and `onTimer` are given; one object, set before each call. */
class CallContext implements TimerContext<Key, unknown, StateDeclarations> {
  timestamp = Number.NaN;
  watermark = Number.NEGATIVE_INFINITY;
  rowKind: ChangeKind = 'insert';
  timeDomain: TimeDomain = 'event';
  processingTimersChanged = false;
  readonly state: StateHandles<StateDeclarations>;
  readonly timers: TimerRegistry;
  readonly #context: OperatorContext<'process'>;
  readonly #scope: KeyScope;

  constructor(
    context: OperatorContext<'process'>,
    scope: KeyScope,
    state: StateHandles<StateDeclarations>,
    eventTimers: TimerService,
    processingTimers: TimerService,
  ) {
    this.#context = context;
    this.#scope = scope;
    this.state = state;
    this.timers = {
      registerEventTime: (timestampMs) => eventTimers.register(timestampMs, scope.key),
      deleteEventTime: (timestampMs) => eventTimers.delete(timestampMs, scope.key),
      registerProcessingTime: (timestampMs) => {
        this.processingTimersChanged = true;
        processingTimers.register(timestampMs, scope.key);
      },
      deleteProcessingTime: (timestampMs) => processingTimers.delete(timestampMs, scope.key),
    };
  }

  get key(): Key {
    return this.#scope.key;
  }

  get processingTimeMs(): number {
    return this.#context.nowMs();
  }

  // Fields, so that functions may take them out of the context (`({ emit }) => ...`).
  readonly emit = (value: unknown): void => this.#context.output.emit(value);
  readonly output = <T>(tag: OutputTag<T>, value: T): void => this.#context.sideOutput(tag.tag).emit(value);
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

function unknownState(operatorId: string, stateName: string): EngineError {
  const message = `the checkpoint has state '${stateName}' of operator '${operatorId}', but the job no longer declares it: declare it again, or start the job fresh`;
  return new EngineError('GRAPH_CHANGED', message, { ids: { operator: operatorId, state: stateName } });
}

export function createProcessOperator(context: OperatorContext<'process'>): Operator {
  return new ProcessOperator(context);
}
