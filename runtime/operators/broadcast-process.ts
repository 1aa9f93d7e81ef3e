/**
 * `keyed.connect(rules.broadcast()).process({ broadcastState, state, onRecord, onBroadcast, onTimer })`: a keyed function
 * beside a stream that every subtask gets in full. Input 0 is the keyed stream, input 1 the broadcast one. Keyed state is
 * as in `process`; broadcast state is in reserved rows, held by all and written by subtask 0.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key, KeyedBroadcastProcessFunction, KeyedBroadcastWriteContext } from '../../core/operators.ts';
import type { BroadcastStateDeclarations, BroadcastStates } from '../../core/state/broadcast-state.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { Batch } from '../../core/stream/batch.ts';
import { BroadcastMaps } from '../state/broadcast-maps.ts';
import { textOfBytes } from '../state/key-index.ts';
import type { KeyedTable } from '../state/keyed-table.ts';
import { type CallGate, refusePromise } from './call-gate.ts';
import { RecordCall } from './emitting-call.ts';
import { CallContext, type CallParts, KeyedProcessOperator } from './keyed-process.ts';
import {
  type AnyOperatorContext,
  type Operator,
  type OperatorContext,
  reservedKeyGroup,
  type RestoredRow,
  type SnapshotTask,
} from './operator.ts';
import { placeOf } from './plain-process.ts';

type AnyFunction = KeyedBroadcastProcessFunction<
  unknown,
  unknown,
  Key,
  unknown,
  StateDeclarations,
  BroadcastStateDeclarations
>;
type Apply = (key: Key, state: never) => void;

class BroadcastProcessOperator extends KeyedProcessOperator<'broadcast-process'> {
  readonly #function: AnyFunction;
  readonly #maps: BroadcastMaps;
  readonly #broadcastCall: WritingCall;

  constructor(context: OperatorContext<'broadcast-process'>) {
    const process = context.functions.process as unknown as AnyFunction;
    const { keyOf } = context.functions;
    const makeCall = (parts: CallParts): ReadingCall =>
      new ReadingCall(parts, new BroadcastMaps(process.broadcastState, placeOf(context), parts.gate));
    super(context, process, keyOf, keyOf, makeCall);
    const { maps } = this.call as ReadingCall;
    this.#function = process;
    this.#maps = maps;
    this.#broadcastCall = new WritingCall(context, this.gate, maps, (stateName, apply) =>
      this.#forEachKey(stateName, apply),
    );
  }

  emit(value: unknown): void {
    const { call } = this;
    try {
      this.keyScope.key = this.keyOf(value);
      this.beginRecord();
      const result: unknown = this.#function.onRecord(value as Readonly<unknown>, call as never);
      if (result !== undefined) refusePromise(this.context, 'onRecord', result);
    } catch (error) {
      this.userFailed(value, error);
    }
    this.afterCall();
  }

  emitSecond(value: unknown): void {
    const call = this.#broadcastCall;
    call.timestamp = this.context.scope.timestamp;
    call.watermark = this.call.watermark;
    this.gate.enter();
    try {
      const result: unknown = this.#function.onBroadcast(value as Readonly<unknown>, call as never);
      if (result !== undefined) refusePromise(this.context, 'onBroadcast', result);
    } catch (error) {
      this.userFailed(value, error);
    }
    this.afterCall();
  }

  /** Broadcast records have no key: they need no rows. */
  override prepare(batch: Batch, from: number, input: number): number {
    return input === 0 ? super.prepare(batch, from, input) : batch.length - from;
  }

  override restore(row: RestoredRow): void {
    if (row.keyGroup === reservedKeyGroup && this.#maps.has(row.stateName)) return this.#maps.restore(row);
    super.restore(row);
  }

  override freeze(checkpointId: number): SnapshotTask | null {
    return bothTasks(super.freeze(checkpointId), this.#maps.freeze(checkpointId));
  }

  override checkpointCompleted(checkpointId: number): void {
    super.checkpointCompleted(checkpointId);
    this.#maps.checkpointCompleted(checkpointId);
  }

  /** Keys in the order of key groups and encoded keys: the same in every backend and at every parallelism. */
  #forEachKey(stateName: string, apply: Apply): void {
    const table = this.states.tableOf(stateName);
    if (table === null) {
      const message = `operator '${this.context.node.id}': forEachKey of the state '${stateName}', which is not declared; declare it under 'state'`;
      throw new EngineError('JOB_INVALID', message, { ids: { operator: this.context.node.id, state: stateName } });
    }
    const handle = this.states.handleOf(stateName) as never;
    const inSlot = keysInSlot(table);
    const { first, last } = this.context.keyGroups;
    for (let keyGroup = first; keyGroup <= last; keyGroup++) {
      const keys = inSlot.get(keyGroup) ?? new Map<string, Key>();
      if (!this.context.backend.resident) this.#addStored(table, keyGroup, keys);
      for (const text of [...keys.keys()].sort()) {
        const key = keys.get(text) as Key;
        this.keyScope.key = key;
        apply(key, handle);
        this.shrinkCaches();
      }
    }
  }

  /** Keys of a key group that are in the database and not deleted in the slot. */
  #addStored(table: KeyedTable, keyGroup: number, keys: Map<string, Key>): void {
    for (const { key: bytes } of this.context.backend.scanBlocking(table.addressOf(keyGroup, new Uint8Array(0)))) {
      const { key, end } = decodeKey(bytes);
      if (end < bytes.length) continue;
      const slot = table.index.find(key);
      if (slot < 0 || table.isPresent(slot)) keys.set(textOfBytes(bytes), key);
    }
  }
}

/** Keys of the rows in the table by key group and encoded key. */
function keysInSlot(table: KeyedTable): Map<number, Map<string, Key>> {
  const groups = new Map<number, Map<string, Key>>();
  for (const slot of table.usedSlots()) {
    const keyGroup = table.keyGroups[slot] as number;
    let keys = groups.get(keyGroup);
    if (keys === undefined) {
      keys = new Map();
      groups.set(keyGroup, keys);
    }
    const key = table.index.keyAt(slot);
    keys.set(textOfBytes(table.keyBytes(key)), key);
  }
  return groups;
}

/** Context of `onRecord` and `onTimer`. */
class ReadingCall extends CallContext {
  readonly broadcastState: object;
  readonly maps: BroadcastMaps;

  constructor(parts: CallParts, maps: BroadcastMaps) {
    super(parts);
    this.broadcastState = maps.readonlyHandles;
    this.maps = maps;
  }
}

/** Context of `onBroadcast`. */
class WritingCall
  extends RecordCall
  implements KeyedBroadcastWriteContext<Key, unknown, StateDeclarations, BroadcastStateDeclarations>
{
  readonly broadcastState: BroadcastStates<BroadcastStateDeclarations>;
  readonly forEachKey: (stateName: string, apply: Apply) => void;

  constructor(
    context: AnyOperatorContext,
    gate: CallGate,
    maps: BroadcastMaps,
    forEachKey: (stateName: string, apply: Apply) => void,
  ) {
    super(context, gate);
    this.broadcastState = maps.handles as unknown as BroadcastStates<BroadcastStateDeclarations>;
    this.forEachKey = forEachKey;
  }
}

/** One snapshot of two parts. */
function bothTasks(first: SnapshotTask | null, second: SnapshotTask | null): SnapshotTask | null {
  if (first === null || second === null) return first ?? second;
  let firstDone = false;
  return {
    encode(writer, deadlineMs) {
      firstDone ||= first.encode(writer, deadlineMs);
      return firstDone && second.encode(writer, deadlineMs);
    },
  };
}

export function createBroadcastProcessOperator(context: OperatorContext<'broadcast-process'>): Operator {
  return new BroadcastProcessOperator(context);
}
