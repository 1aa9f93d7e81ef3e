/**
 * What every operator implements. Operators of a chain call each other directly: `emit` of the upstream's collector is
 * `emit` of the next operator. Everything about the record that is not its value (timestamp, split watermark, row kind)
 * is in the {@link RecordScope} of the subtask, set by the head before each record and inherited by whatever is emitted
 * meanwhile; operators that give records another time (timers, windows) set it before they emit.
 *
 * Resumable: only the head of a chain may have unbounded work (batches, due timers, polls). It checks `context.hasRoom()`
 * before each record and each timer and keeps its cursor when there is none. A chained operator whose one record becomes
 * many (`flatMap`) may keep the remainder too (`pending`): the subtask goes on with it before anything else.
 */
import type { SecretLookup } from '../../core/security/secret.ts';
import type { KeyGroupRange } from '../../core/key-groups.ts';
import type { OperatorFunctions, OperatorKind } from '../../core/operators.ts';
import type { OperatorNode } from '../../core/graph/job-graph.ts';
import type { Batch } from '../../core/stream/batch.ts';
import type { RowBlockWriter } from '../checkpoint/row-block.ts';
import type { CallGate } from './call-gate.ts';
import type { StateBackend } from '../state/backend.ts';

/** Attributes of the record being processed, one object per subtask. */
export class RecordScope {
  /** Event time in ms, NaN where absent. */
  timestamp = Number.NaN;
  /** Watermark of the record's split where `timestamp <= split watermark`, else NaN. */
  splitWatermark = Number.NaN;
  /** Row kind of a changelog stream; 0 is insert. */
  rowKind = 0;
}

/** Takes records: the next operator of a chain, or the writer of an edge. */
export interface Collector {
  emit(value: unknown): void;
}

export interface OperatorMetrics {
  recordsIn: number;
  recordsOut: number;
  /** Records dropped or sent to the late output because their window is over. */
  lateRecords: number;
  /** User and connector counters, by name. */
  readonly counters: Map<string, number>;
}

export interface AnyOperatorContext {
  readonly jobName: string;
  readonly node: OperatorNode;
  readonly functions: OperatorFunctions;
  readonly subtaskIndex: number;
  readonly parallelism: number;
  readonly attempt: number;
  /** Checkpoint this attempt started from; null on a fresh start. */
  readonly restoredCheckpointId: number | null;
  readonly maxParallelism: number;
  /** Key groups this subtask owns. */
  readonly keyGroups: KeyGroupRange;
  readonly workingDirectory: string;
  readonly scope: RecordScope;
  /** Main output. */
  readonly output: Collector;
  /** A side output; records for a tag nobody reads are dropped. */
  sideOutput(tag: string): Collector;
  /** Keyed state of the slot. */
  readonly backend: StateBackend;
  readonly metrics: OperatorMetrics;
  readonly signal: AbortSignal;
  /** Processing time, ms since the epoch. */
  nowMs(): number;
  /** True when every output can take what one more record or timer emits, and the subtask has not failed. */
  hasRoom(): boolean;
  /** From now on there is no room (a sink's buffer is full); looked at again when the subtask is woken. */
  blockOutput(): void;
  /**
   * `bytes` were handed on although there was no room, by what one record became: counted against
   * `emitPerRecordMaxBytes`. False: too many, the attempt has failed; drop what follows.
   */
  overran(bytes: number): boolean;
  /** Asks the slot loop to run this subtask soon: an awaited thing has arrived. Callable from any callback. */
  wake(): void;
  /** Asks to be woken at a processing time (ms since the epoch); an earlier request wins. */
  wakeAt(timestampMs: number): void;
  /**
   * Fails the attempt. Does not throw: an operator reports its own failure here and returns, so that the failure never
   * surfaces in an upstream user function's `emit`. Nothing more is processed.
   */
  fail(error: unknown): void;
  log(level: 'info' | 'warn', message: string): void;
  /** Value of a secret of the machine. @throws EngineError CONFIG_INVALID when there is none */
  readonly secretOf: SecretLookup;
  deliver(channel: string, id: string, values: readonly unknown[]): void;
}

/** The context of an operator of a known kind. */
export interface OperatorContext<Kind extends OperatorKind> extends AnyOperatorContext {
  readonly functions: Extract<OperatorFunctions, { kind: Kind }>;
}

/** `more`: call again; `waiting`: nothing at hand, `wake` follows; `ended`: never anything again. */
export type PollResult = 'more' | 'waiting' | 'ended';

/** One table's row as read from a checkpoint. Byte arrays are valid only during the call. */
export interface RestoredRow {
  readonly stateName: string;
  readonly keyGroup: number;
  readonly key: Uint8Array;
  /** Null: a tombstone, the row does not exist (any more). */
  readonly value: Uint8Array | null;
}

/** Encodes what was frozen at a barrier, in slices. */
export interface SnapshotTask {
  /**
   * Writes frozen rows until `deadlineMs` (of `performance.now()`); true when all are written. Rows that user code is about
   * to change before they were written are written by the state tables themselves, first.
   */
  encode(writer: RowBlockWriter, deadlineMs: number): boolean;
}

export interface Operator extends Collector {
  /** Rows of the restored checkpoint, older files first (a later call for the same row replaces the earlier). Before `open`. */
  restore(row: RestoredRow): void;
  /** After all rows were restored and before the first record. */
  open(): Promise<void>;
  /** One record of the main input (input 0); its attributes are in the scope. */
  emit(value: unknown): void;
  /** Two-input heads (connect, joins): one record of input 1. Both inputs are read as records come; the scope as for `emit`. */
  emitSecond?(value: unknown): void;
  /**
   * Heads only: makes state for `batch` of input `input` from record `from` on resident. Returns how many records may be
   * processed now; 0: wait, `wake` follows.
   */
  prepare?(batch: Batch, from: number, input: number): number;
  /**
   * The merged watermark of the inputs is now `watermark`: fires what is due. Returns false when output room ran out before
   * all was fired (call again with the same watermark when there is room); then the watermark is not forwarded yet.
   */
  advanceWatermark(watermark: number): boolean;
  /** Processing time reached a time asked for by `wakeAt`. Same contract. */
  advanceProcessingTime?(nowMs: number): boolean;
  /** Heads that make their own records (sources): hands on records until `deadlineMs` (of `performance.now()`) or until there is no room. */
  poll?(deadlineMs: number): PollResult;
  /** True while a record is handled in part: nothing else is processed and no snapshot is taken before `resume` is done with it. Absent: never. */
  readonly pending?: boolean;
  /** Of the contexts it gives to user code: told when the attempt fails, and how much a call has emitted. Absent: none. */
  readonly gates?: readonly CallGate[];
  /** Goes on with the remainder until it is done or there is no room. */
  resume?(): void;
  /** False while a sink's buffer is full. Absent: always room. */
  readonly hasRoom?: boolean;
  /** Heads with a side input, which is read to its end first: one record of it. */
  emitSide?(value: unknown): void;
  /** Heads with a side input: it has ended; the main input is read from now on. */
  endSide?(): void;
  /** All inputs ended and the final watermark was handled: last work before the end is forwarded. */
  endInput?(): Promise<void>;
  /** False while something that must be done before the subtask may finish is under way (a commit). Absent: true. */
  readonly settled?: boolean;
  /** Before the snapshot: work that takes time (a sink makes its output durable). Only this subtask is suspended meanwhile. */
  prepareSnapshot?(checkpointId: number, afterEnd: boolean): Promise<void>;
  /** At the barrier, O(1): fixes what checkpoint `checkpointId` contains; null when nothing changed. */
  freeze(checkpointId: number): SnapshotTask | null;
  /** The checkpoint is durable and complete; rows frozen for it (and before) are clean. */
  checkpointCompleted(checkpointId: number): void;
  /** The checkpoint will never complete; rows frozen for it count as changed again. */
  checkpointAborted(checkpointId: number): void;
  close(): Promise<void>;
}

/**
 * A head whose output follows its input later (answers of asynchronous calls). The subtask gives it the time of its inputs
 * instead of handing it on, and hands on what comes out again. Answers are emitted in `handOn`, never in a callback.
 */
export interface DeferringHead {
  /** The merged watermark and idleness of the inputs have become these. */
  takeTime(watermark: number, idle: boolean): void;
  /** True when `handOn` has something to do. */
  readonly ready: boolean;
  /** True when it takes no further record for now; barriers and times are still taken. */
  readonly full: boolean;
  /** True when nothing waits: the end of the input may be handed on. */
  readonly drained: boolean;
  /** Emits what is due while there is room, up to a time that is due: that is returned, and handed on before the next call. */
  handOn(): { readonly watermark: number; readonly idle: boolean } | null;
}

/** Key group of rows that do not belong to a key (source positions, committables); every subtask reads them at restore. */
export const reservedKeyGroup = 0xffff;
