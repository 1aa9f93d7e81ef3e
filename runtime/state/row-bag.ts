/**
 * Rows of a key as a bag: how often each row is there, found again by its contents in one step however many there are. Kept
 * as map state (small bags are one row of state, large ones a row an entry), addressed by a hash of the stored form of the
 * row; rows of one hash stand side by side. Iteration follows the hash: the same in every backend.
 */
import { compareBytes } from '../../core/codec/key-codec.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';
import { MapTable } from './map-table.ts';
import type { TableOwner } from './row-table.ts';

/** A row and how often it is there. Plain data: it is stored as it is. */
export type BagItem = [row: unknown, count: number];

export class RowBag {
  readonly table: MapTable;

  constructor(owner: TableOwner, stateName: string) {
    this.table = new MapTable(owner, stateName);
  }

  add(key: Key, row: unknown): void {
    const bytes = encodeValueToBytes(row);
    const hash = hashOf(bytes);
    const items = (this.table.get(key, hash) as BagItem[] | undefined) ?? [];
    const known = placeOf(items, bytes);
    if (known < 0) items.push([row, 1]);
    else (items[known] as BagItem)[1]++;
    this.table.set(key, hash, items);
  }

  /** False when the row is not there. */
  remove(key: Key, row: unknown): boolean {
    const bytes = encodeValueToBytes(row);
    const hash = hashOf(bytes);
    const items = this.table.get(key, hash) as BagItem[] | undefined;
    const known = items === undefined ? -1 : placeOf(items, bytes);
    if (items === undefined || known < 0) return false;
    const item = items[known] as BagItem;
    item[1]--;
    if (item[1] === 0) items.splice(known, 1);
    if (items.length === 0) this.table.delete(key, hash);
    else this.table.set(key, hash, items);
    return true;
  }

  /** All rows of a key. */
  *rows(key: Key): IterableIterator<BagItem> {
    for (const [, items] of this.table.entries(key)) yield* items as BagItem[];
  }
}

function placeOf(items: readonly BagItem[], bytes: Uint8Array): number {
  return items.findIndex(([row]) => compareBytes(encodeValueToBytes(row), bytes) === 0);
}

/** 53 bits, so that it is a number; for telling rows apart, not against people who search for equal ones. */
function hashOf(bytes: Uint8Array): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] as number;
    high = Math.imul(high ^ byte, 2654435761);
    low = Math.imul(low ^ byte, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}
