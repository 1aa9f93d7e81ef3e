/**
 * Process functions of streams without a key: with one input, two, or a main and a broadcast one. State belongs to the
 * subtask (operator lists) or to all subtasks alike (broadcast maps), and is in reserved rows. There are no timers: they
 * belong to a key.
 */
import type {
  BroadcastProcessFunction,
  CoProcessFunction,
  FunctionContext,
  OperatorKind,
  ProcessFunction,
} from '../../core/operators.ts';
import { BroadcastMaps } from '../state/broadcast-maps.ts';
import { OperatorLists, type SubtaskPlace } from '../state/operator-lists.ts';
import { CallGate, refusePromise } from './call-gate.ts';
import { RecordCall } from './emitting-call.ts';
import { unknownState } from './keyed-process.ts';
import type { AnyOperatorContext, Operator, OperatorContext, RestoredRow, SnapshotTask } from './operator.ts';
import { callUser, functionContext, handleUserError } from './user-code.ts';

interface Lifecycle {
  open?(context: FunctionContext): void | Promise<void>;
  close?(): void | Promise<void>;
}

/** State in reserved rows; lists or maps. */
interface ReservedState {
  has(name: string): boolean;
  restore(row: RestoredRow): void;
  restored?(): void;
  freeze(checkpointId: number): SnapshotTask | null;
  checkpointCompleted(checkpointId: number): void;
}

/** What functions are given; one object, set before each call. */
class PlainCall extends RecordCall {
  readonly state: object;
  readonly broadcastState: object;
  readonly gate: CallGate;

  constructor(context: AnyOperatorContext, gate: CallGate, state: object, broadcastState: object) {
    super(context, gate);
    this.gate = gate;
    this.state = state;
    this.broadcastState = broadcastState;
  }
}

type Handler = (value: never, call: never) => unknown;

class PlainProcessOperator<Kind extends OperatorKind> implements Operator {
  readonly #context: OperatorContext<Kind>;
  readonly #function: Lifecycle;
  readonly #state: ReservedState;
  readonly #first: Handler;
  readonly #firstCall: PlainCall;
  readonly gates: readonly CallGate[];

  constructor(
    context: OperatorContext<Kind>,
    process: Lifecycle,
    state: ReservedState,
    first: { handler: Handler; call: PlainCall },
  ) {
    this.#context = context;
    this.#function = process;
    this.#state = state;
    this.#first = first.handler;
    this.#firstCall = first.call;
    this.gates = [first.call.gate];
  }

  emit(value: unknown): void {
    this.handle(value, this.#first, this.#firstCall);
  }

  protected handle(value: unknown, handler: Handler, call: PlainCall): void {
    call.timestamp = this.#context.scope.timestamp;
    call.gate.enter();
    try {
      const result = handler(value as never, call as never);
      if (result !== undefined) refusePromise(this.#context, 'the function', result);
    } catch (error) {
      handleUserError(this.#context, value, error);
    }
    call.gate.leave();
  }

  restore(row: RestoredRow): void {
    if (!this.#state.has(row.stateName)) throw unknownState(this.#context.node.id, row.stateName);
    this.#state.restore(row);
  }

  async open(): Promise<void> {
    this.#state.restored?.();
    await callUser(this.#context, 'open', () => this.#function.open?.(functionContext(this.#context)));
  }

  advanceWatermark(watermark: number): boolean {
    this.#firstCall.watermark = watermark;
    return true;
  }

  freeze(checkpointId: number): SnapshotTask | null {
    return this.#state.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#state.checkpointCompleted(checkpointId);
  }

  /** Reserved rows repeat what no completed checkpoint has. */
  checkpointAborted(_checkpointId: number): void {}

  async close(): Promise<void> {
    await callUser(this.#context, 'close', () => this.#function.close?.());
  }
}

class TwoInputPlainOperator<Kind extends OperatorKind> extends PlainProcessOperator<Kind> {
  readonly #second: { readonly handler: Handler; readonly call: PlainCall };

  constructor(
    context: OperatorContext<Kind>,
    process: Lifecycle,
    state: ReservedState,
    inputs: readonly [{ handler: Handler; call: PlainCall }, { handler: Handler; call: PlainCall }],
  ) {
    super(context, process, state, inputs[0]);
    this.#second = inputs[1];
  }

  emitSecond(value: unknown): void {
    this.handle(value, this.#second.handler, this.#second.call);
  }

  override advanceWatermark(watermark: number): boolean {
    this.#second.call.watermark = watermark;
    return super.advanceWatermark(watermark);
  }
}

/** Which subtask an operator is. */
export function placeOf({ node, subtaskIndex, parallelism }: AnyOperatorContext): SubtaskPlace {
  return { operatorId: node.id, subtaskIndex, parallelism };
}

/** `stream.process({ state, onRecord })` */
export function createPlainProcessOperator(context: OperatorContext<'plain-process'>): Operator {
  const process = context.functions.process as unknown as ProcessFunction<unknown, unknown, Record<never, never>>;
  const gate = new CallGate(context);
  const lists = new OperatorLists(process.state ?? {}, placeOf(context), gate);
  const call = new PlainCall(context, gate, lists.handles, {});
  const handler: Handler = (value, given) => process.onRecord(value, given);
  return new PlainProcessOperator(context, process, lists, { handler, call });
}

/** `first.connect(second).process({ state, onFirst, onSecond })` */
export function createPlainCoProcessOperator(context: OperatorContext<'plain-co-process'>): Operator {
  const process = context.functions.process as unknown as CoProcessFunction<
    unknown,
    unknown,
    unknown,
    Record<never, never>
  >;
  const gate = new CallGate(context);
  const lists = new OperatorLists(process.state ?? {}, placeOf(context), gate);
  const call = new PlainCall(context, gate, lists.handles, {});
  return new TwoInputPlainOperator(context, process, lists, [
    { handler: (value, given) => process.onFirst(value, given), call },
    { handler: (value, given) => process.onSecond(value, given), call },
  ]);
}

/** `stream.connect(rules.broadcast()).process({ broadcastState, onRecord, onBroadcast })` */
export function createPlainBroadcastOperator(context: OperatorContext<'plain-broadcast-process'>): Operator {
  const process = context.functions.process as unknown as BroadcastProcessFunction<
    unknown,
    unknown,
    unknown,
    Record<never, never>
  >;
  const gate = new CallGate(context);
  const maps = new BroadcastMaps(process.broadcastState, placeOf(context), gate);
  return new TwoInputPlainOperator(context, process, maps, [
    {
      handler: (value, given) => process.onRecord(value, given),
      call: new PlainCall(context, gate, {}, maps.readonlyHandles),
    },
    {
      handler: (value, given) => process.onBroadcast(value, given),
      call: new PlainCall(context, gate, {}, maps.handles),
    },
  ]);
}
