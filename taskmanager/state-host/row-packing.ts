/**
 * Rows and values on their way between a slot and the state host, packed into one buffer a message: cloning a view would clone
 * the whole buffer below it, and an object a row costs more than the row.
 *
 *   rows     per row: u16 table | u16 key group | u32 key length | u32 value length, or 0xffffffff for none | key | value
 *   values   per value: u32 length, or 0xffffffff for none | value
 *
 * All numbers are little-endian. Private to one process: no version, and what does not fit is a broken invariant.
 */
import { assert } from '../../core/errors.ts';
import type { RowAddress } from '../../runtime/state/backend.ts';

const rowHeaderBytes = 12;
const none = 0xffff_ffff;

/** Packed rows; `tables` are operator id and state name by table number. */
export interface PackedRows {
  readonly tables: readonly (readonly [operatorId: string, stateName: string])[];
  /** A whole ArrayBuffer of its own. */
  readonly bytes: Uint8Array;
}

/** Packs rows; `valueFor` null or undefined packs no value (a delete, or an address to be read). */
export function packRows<T>(
  items: readonly T[],
  rowFor: (item: T) => RowAddress,
  valueFor: (item: T) => Uint8Array | null,
): PackedRows {
  let total = 0;
  for (const item of items) total += rowHeaderBytes + rowFor(item).key.length + (valueFor(item)?.length ?? 0);
  const bytes = Buffer.allocUnsafeSlow(total);
  const tables: [string, string][] = [];
  let table = -1;
  let position = 0;
  for (const item of items) {
    const row = rowFor(item);
    const value = valueFor(item);
    if (!isTable(tables[table], row)) table = tableNumber(tables, row);
    position = bytes.writeUInt16LE(table, position);
    position = bytes.writeUInt16LE(row.keyGroup, position);
    position = bytes.writeUInt32LE(row.key.length, position);
    position = bytes.writeUInt32LE(value === null ? none : value.length, position);
    bytes.set(row.key, position);
    position += row.key.length;
    if (value === null) continue;
    bytes.set(value, position);
    position += value.length;
  }
  return { tables, bytes: new Uint8Array(bytes.buffer) };
}

const isTable = (table: readonly [string, string] | undefined, row: RowAddress): boolean =>
  table !== undefined && table[0] === row.operatorId && table[1] === row.stateName;

function tableNumber(tables: [string, string][], row: RowAddress): number {
  const known = tables.findIndex((table) => isTable(table, row));
  return known === -1 ? tables.push([row.operatorId, row.stateName]) - 1 : known;
}

/** Calls `visit` for every packed row, in order. Bytes are views into the message. */
export function forEachPackedRow(
  { tables, bytes }: PackedRows,
  visit: (operatorId: string, stateName: string, keyGroup: number, key: Uint8Array, value: Uint8Array | null) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  while (position < bytes.length) {
    assert(position + rowHeaderBytes <= bytes.length, 'packed rows end inside a row');
    const table = tables[view.getUint16(position, true)];
    const keyStart = position + rowHeaderBytes;
    const keyEnd = keyStart + view.getUint32(position + 4, true);
    const valueLength = view.getUint32(position + 8, true);
    const end = valueLength === none ? keyEnd : keyEnd + valueLength;
    assert(table !== undefined && end <= bytes.length, 'packed rows end inside a row');
    const value = valueLength === none ? null : bytes.subarray(keyEnd, end);
    visit(table[0], table[1], view.getUint16(position + 2, true), bytes.subarray(keyStart, keyEnd), value);
    position = end;
  }
}

/** Packs values into one buffer of their own; undefined is absent. */
export function packValues(values: readonly (Uint8Array | undefined)[]): Uint8Array {
  let total = 0;
  for (const value of values) total += 4 + (value?.length ?? 0);
  const bytes = Buffer.allocUnsafeSlow(total);
  let position = 0;
  for (const value of values) {
    position = bytes.writeUInt32LE(value === undefined ? none : value.length, position);
    if (value === undefined) continue;
    bytes.set(value, position);
    position += value.length;
  }
  return new Uint8Array(bytes.buffer);
}

/** The values of {@link packValues}, each a copy: one that is kept must not keep its neighbours. */
export function unpackValues(bytes: Uint8Array): (Uint8Array | undefined)[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: (Uint8Array | undefined)[] = [];
  let position = 0;
  while (position < bytes.length) {
    const length = view.getUint32(position, true);
    position += 4;
    if (length === none) {
      values.push(undefined);
      continue;
    }
    values.push(bytes.slice(position, position + length));
    position += length;
  }
  assert(position === bytes.length, 'packed values end inside a value');
  return values;
}
