/**
 * Rows that belong to no key (source positions, committables, sink writer state): they live in the reserved key group and
 * every subtask reads them at restore. Few and small, so each checkpoint holds the encoded rows changed since the last
 * one that completed.
 */
import { encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import type { RowBlockWriter } from '../checkpoint/row-block.ts';
import { reservedKeyGroup, type SnapshotTask } from '../operators/operator.ts';

interface Row {
  readonly stateName: string;
  readonly key: Uint8Array;
  /** Null: deleted. `later`: not encoded yet. */
  value: Uint8Array | null | typeof later;
  /** What `value` is encoded from when its checkpoint is written. */
  source?: unknown;
}

const later = Symbol('encoded later');
/** Rows written between two looks at the clock. */
const rowsPerClockRead = 16;

type Rows = Map<string, Row>;

export class ReservedRows {
  readonly #operatorId: string;
  /** Changed since the last freeze. */
  #changed: Rows = new Map();
  /** Frozen for checkpoints that have not completed, oldest first. */
  #unconfirmed: { checkpointId: number; rows: Rows }[] = [];

  constructor(operatorId: string) {
    this.#operatorId = operatorId;
  }

  /** @throws EngineError VALUE_NOT_ENCODABLE naming operator, state and the place in the value */
  put(stateName: string, key: Key, value: unknown): void {
    this.#set(stateName, key, this.#encoded(stateName, value));
  }

  #encoded(stateName: string, value: unknown): Uint8Array {
    try {
      return encodeValueToBytes(value);
    } catch (error) {
      throw notStored(error, this.#operatorId, stateName);
    }
  }

  /** As `put`, for a value that nobody changes any more: encoded when its checkpoint is written, not now. */
  putLater(stateName: string, key: Key, value: unknown): void {
    this.#set(stateName, key, later, value);
  }

  delete(stateName: string, key: Key): void {
    this.#set(stateName, key, null);
  }

  /** Fixes the rows of a checkpoint: everything changed since the newest completed one. */
  freeze(checkpointId: number): SnapshotTask | null {
    const rows: Rows = new Map();
    for (const interval of this.#unconfirmed) for (const [id, row] of interval.rows) rows.set(id, row);
    for (const [id, row] of this.#changed) rows.set(id, row);
    this.#changed = new Map();
    if (rows.size === 0) return null;
    this.#unconfirmed = [{ checkpointId, rows }];
    const left = rows.values();
    return { encode: (writer, deadlineMs) => this.#encode(writer, left, deadlineMs) };
  }

  checkpointCompleted(checkpointId: number): void {
    this.#unconfirmed = this.#unconfirmed.filter((interval) => interval.checkpointId > checkpointId);
  }

  #set(stateName: string, key: Key, value: Row['value'], source?: unknown): void {
    const bytes = encodeKeyToBytes(key);
    const id = `${stateName}\u0000${Buffer.from(bytes).toString('latin1')}`;
    this.#changed.set(id, { stateName, key: bytes, value, source });
  }

  #encode(writer: RowBlockWriter, left: Iterator<Row>, deadlineMs: number): boolean {
    for (let written = 1; ; written++) {
      const { value: row, done } = left.next();
      if (done === true) return true;
      if (row.value === later) {
        row.value = this.#encoded(row.stateName, row.source);
        row.source = undefined;
      }
      writer.startTable(this.#operatorId, row.stateName);
      writer.writeRow(reservedKeyGroup, row.key, row.value);
      if (written % rowsPerClockRead === 0 && performance.now() >= deadlineMs) return false;
    }
  }
}

/** Names the state in the refusal of a value. */
function notStored(error: unknown, operatorId: string, stateName: string): unknown {
  if (!isEngineError(error) || error.code !== 'VALUE_NOT_ENCODABLE') return error;
  const ids = { operator: operatorId, state: stateName };
  const message = `state '${stateName}' of operator '${operatorId}': ${error.message}`;
  return new EngineError('VALUE_NOT_ENCODABLE', message, { cause: error, ids });
}
