/**
 * Sorts rows of one run by table and key group, and cuts them into blocks. Checkpoints pass through here every second, so
 * rows are moved, never decoded: a stable counting sort over row offsets inside one buffer, no object per row. Incoming rows
 * fill the front of the buffer, sorted ones its back; `copyWithin` moves rows between them without allocating views.
 *
 * Stable, because a row may be written twice for one checkpoint (evicted, fetched again and changed): the later must win.
 */
import { assert } from '../../core/errors.ts';
import { rowHeaderBytes, type RowBlock } from '../../runtime/checkpoint/row-block.ts';

const keyGroupCount = 0x1_0000;
/** A block of a state file is closed when it holds this much. */
export const fileBlockBytes = 128 * 1024;

/** A block ready to be written. `bytes` is a view that is valid until rows are added again. */
export interface SortedBlock {
  readonly table: number;
  readonly keyGroupFirst: number;
  readonly keyGroupLast: number;
  readonly rows: number;
  readonly bytes: Uint8Array;
}

/** Bytes `start..end` at the front of the buffer are rows of `table`. */
interface Segment {
  readonly table: number;
  readonly start: number;
  readonly end: number;
}

export class RowSorter {
  #buffer: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#buffer.buffer);
  #used = 0;
  #segments: Segment[] = [];
  /** Bytes of each key group of the table being sorted; then where its next row goes. */
  readonly #places = new Uint32Array(keyGroupCount);

  /** Bytes of rows added since the last {@link sort}. */
  get bytes(): number {
    return this.#used;
  }

  /** Adds rows; they are copied. @throws EngineError INTERNAL when the block is not made of whole rows */
  add(table: number, block: RowBlock): void {
    this.#ensure(this.#used + block.bytes.length);
    this.#buffer.set(block.bytes, this.#used);
    const segment = { table, start: this.#used, end: this.#used + block.bytes.length };
    this.#checkRows(segment, block);
    this.#segments.push(segment);
    this.#used = segment.end;
  }

  /** The rows added so far as blocks, tables in order of their number; then the sorter is empty again. */
  sort(): SortedBlock[] {
    const total = this.#used;
    this.#ensure(total * 2);
    const blocks: SortedBlock[] = [];
    const tables = [...new Set(this.#segments.map((segment) => segment.table))].sort((left, right) => left - right);
    let position = total;
    for (const table of tables) {
      const segments = this.#segments.filter((segment) => segment.table === table);
      const end = this.#sortTable(segments, position);
      this.#cut(table, position, end, blocks);
      position = end;
    }
    this.#segments = [];
    this.#used = 0;
    return blocks;
  }

  /** Moves the rows of one table, by key group, to `target` and on; returns where they end. */
  #sortTable(segments: readonly Segment[], target: number): number {
    const view = this.#view;
    const places = this.#places.fill(0);
    for (const { start, end } of segments) {
      for (let row = start; row < end; ) {
        const next = this.#endOfRow(row);
        const group = view.getUint16(row, false);
        places[group] = (places[group] as number) + next - row;
        row = next;
      }
    }
    let place = target;
    for (let group = 0; group < keyGroupCount; group++) {
      const bytes = places[group] as number;
      places[group] = place;
      place += bytes;
    }
    for (const segment of segments) this.#moveRows(segment);
    return place;
  }

  /** Rows of one key group that stand one after the other are moved together. */
  #moveRows({ start, end }: Segment): void {
    const places = this.#places;
    let from = start;
    while (from < end) {
      const group = this.#view.getUint16(from, false);
      let to = this.#endOfRow(from);
      while (to < end && this.#view.getUint16(to, false) === group) to = this.#endOfRow(to);
      const place = places[group] as number;
      this.#buffer.copyWithin(place, from, to);
      places[group] = place + to - from;
      from = to;
    }
  }

  #cut(table: number, start: number, end: number, blocks: SortedBlock[]): void {
    let from = start;
    while (from < end) {
      const keyGroupFirst = this.#view.getUint16(from, false);
      let keyGroupLast = keyGroupFirst;
      let to = from;
      let rows = 0;
      while (to < end && to - from < fileBlockBytes) {
        keyGroupLast = this.#view.getUint16(to, false);
        to = this.#endOfRow(to);
        rows++;
      }
      blocks.push({ table, keyGroupFirst, keyGroupLast, rows, bytes: this.#buffer.subarray(from, to) });
      from = to;
    }
  }

  #checkRows({ start, end }: Segment, block: RowBlock): void {
    let row = start;
    let rows = 0;
    while (row + rowHeaderBytes <= end) {
      assert((this.#view.getUint8(row + 2) & 0xfe) === 0, 'a row is put or deleted');
      row = this.#endOfRow(row);
      rows++;
    }
    assert(
      row === end && rows === block.rowCount,
      `a block of ${block.operatorId}/${block.stateName} consists of ${block.rowCount} whole rows`,
    );
  }

  #endOfRow(row: number): number {
    return row + rowHeaderBytes + this.#view.getUint32(row + 3, true) + this.#view.getUint32(row + 7, true);
  }

  #ensure(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    // Slow: a buffer of its own. Unsafe: every byte is written before it is read, and zeroing 32 MiB a second costs time.
    const grown = new Uint8Array(Buffer.allocUnsafeSlow(Math.max(bytes, this.#buffer.length * 2)).buffer);
    grown.set(this.#buffer.subarray(0, this.#used));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}
