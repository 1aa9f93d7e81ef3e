/**
 * How far sliding windows have fired, as state. The panes of a window that fired stay for the windows after it, so nothing
 * else would tell a restored operator that it must not fire again what is left of an old window.
 *
 * A row per key group, because after a restore at another parallelism a subtask has key groups of subtasks that had fired
 * different windows. A snapshot in the middle of a firing also holds the last key that fired: keys fire in the order of their
 * bytes, so the rest is what follows it.
 *
 * State `fired`, row key: the key group as a number key. Value: `u8 version | f64 LE time | u8 0`, or `… | u8 1 | f64 LE last
 * millisecond of the window being fired | encoded key`. Written at the barrier; in the slot in every backend.
 */
import type { ByteSink } from '../../../core/codec/byte-sink.ts';
import { compareBytes, decodeKey, encodeKey, encodeKeyToBytes } from '../../../core/codec/key-codec.ts';
import { keyGroupOf } from '../../../core/codec/key-hash.ts';
import type { Key } from '../../../core/operators.ts';
import { memoryBackend } from '../../state/backend.ts';
import { checkRowVersion, rowValueVersion } from '../../state/object-table.ts';
import { RowTable, type TableOwner } from '../../state/row-table.ts';
import type { RestoredRow } from '../operator.ts';

export const firedStateName = 'fired';

/** A window that has fired for the keys up to `key`. */
export interface FiringPosition {
  readonly lastMs: number;
  readonly key: Key;
}

interface Position {
  /** All windows up to this last millisecond have fired. */
  readonly time: number;
  readonly firing: FiringPosition | null;
}

const headerBytes = 10;

class PositionTable extends RowTable {
  readonly positions: Position[] = [];

  put(slot: number, keyGroup: number, position: Position): void {
    while (slot >= this.capacity) this.growRows();
    this.putRow(slot, keyGroup);
    this.positions[slot] = position;
  }

  adopt(slot: number, keyGroup: number, position: Position): void {
    while (slot >= this.capacity) this.growRows();
    this.adoptRow(slot, keyGroup);
    this.positions[slot] = position;
  }

  forget(slot: number): void {
    if (slot < this.capacity) this.forgetRow(slot);
  }

  protected override encodeRowKey(slot: number, sink: ByteSink): void {
    encodeKey(this.keyGroups[slot] as number, sink);
  }

  protected override encodeRowValue(slot: number, sink: ByteSink): void {
    const { time, firing } = this.positions[slot] as Position;
    sink.ensure(headerBytes + 8);
    sink.buffer[sink.position] = rowValueVersion;
    sink.view.setFloat64(sink.position + 1, time, true);
    sink.buffer[sink.position + 9] = firing === null ? 0 : 1;
    sink.position += headerBytes;
    if (firing === null) return;
    sink.view.setFloat64(sink.position, firing.lastMs, true);
    sink.position += 8;
    encodeKey(firing.key, sink);
  }

  protected override dropValue(): void {}

  protected override dropKey(): void {}

  protected override describeKey(slot: number): string {
    return `of key group ${this.keyGroups[slot]}`;
  }
}

export class FiredPositions {
  readonly #owner: TableOwner;
  readonly #table: PositionTable;
  readonly #restored = new Map<number, Position>();
  /** What the rows say; null: there are none. */
  #written: Position | null = null;

  constructor(owner: TableOwner) {
    this.#owner = owner;
    this.#table = new PositionTable({ ...owner, backend: memoryBackend }, firedStateName);
  }

  restore(row: RestoredRow): void {
    const slot = row.keyGroup - this.#owner.keyGroups.first;
    if (row.value === null) {
      if (this.#restored.delete(row.keyGroup)) this.#table.forget(slot);
      return;
    }
    const position = decodePosition(row.value);
    this.#restored.set(row.keyGroup, position);
    this.#table.adopt(slot, row.keyGroup, position);
  }

  /** Windows up to here have fired for every key; -Infinity where nothing is known. */
  get earliest(): number {
    const { first, last } = this.#owner.keyGroups;
    if (this.#restored.size < last - first + 1) return Number.NEGATIVE_INFINITY;
    return Math.min(...[...this.#restored.values()].map(({ time }) => time));
  }

  /** Some window up to here has fired for some key. */
  get latest(): number {
    let latest = Number.NEGATIVE_INFINITY;
    for (const position of this.#restored.values()) latest = Math.max(latest, reachOf(position));
    return latest;
  }

  /** How far windows of the key had fired before the restore. */
  restoredTimeOf(key: Key): number {
    const position = this.#restored.get(keyGroupOf(key, this.#owner.maxParallelism));
    if (position === undefined) return Number.NEGATIVE_INFINITY;
    const { time, firing } = position;
    if (firing === null || compareBytes(encodeKeyToBytes(key), encodeKeyToBytes(firing.key)) > 0) return time;
    return firing.lastMs;
  }

  /** Time has passed all that was restored. */
  forgetRestored(): void {
    this.#restored.clear();
  }

  /** At the barrier: the rows say that windows up to `time` have fired, and part of `firing`. */
  save(time: number, firing: FiringPosition | null): void {
    const position = { time, firing };
    if (this.#written !== null && samePosition(this.#written, position) && this.#restored.size === 0) return;
    if (time === Number.NEGATIVE_INFINITY && firing === null && this.#restored.size === 0) return;
    this.#written = position;
    const { first, last } = this.#owner.keyGroups;
    for (let keyGroup = first; keyGroup <= last; keyGroup++) {
      this.#table.put(keyGroup - first, keyGroup, this.#later(keyGroup, position));
    }
  }

  /** What was restored counts until time has passed it. */
  #later(keyGroup: number, position: Position): Position {
    const restored = this.#restored.get(keyGroup);
    if (restored === undefined || position.time >= reachOf(restored)) return position;
    if (restored.time >= reachOf(position) || position.firing === null) return restored;
    if (restored.firing === null) return position;
    // Both are in one window.
    const order = compareBytes(encodeKeyToBytes(restored.firing.key), encodeKeyToBytes(position.firing.key));
    return order > 0 ? restored : position;
  }
}

function reachOf({ time, firing }: Position): number {
  return firing === null ? time : firing.lastMs;
}

function samePosition(left: Position, right: Position): boolean {
  if (left.time !== right.time) return false;
  if (left.firing === null || right.firing === null) return left.firing === right.firing;
  return left.firing.lastMs === right.firing.lastMs && left.firing.key === right.firing.key;
}

function decodePosition(bytes: Uint8Array): Position {
  checkRowVersion(bytes, firedStateName);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const time = view.getFloat64(1, true);
  if (bytes[9] === 0) return { time, firing: null };
  return { time, firing: { lastMs: view.getFloat64(headerBytes, true), key: decodeKey(bytes, headerBytes + 8).key } };
}
