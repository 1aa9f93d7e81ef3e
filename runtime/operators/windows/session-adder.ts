/**
 * Puts a record into the session it belongs to: opens one, extends one, or merges those that its own window `[start, end)`
 * touches. Touching counts, as in Flink: `[a, b)` and `[b, c)` are one session.
 *
 * It stands between the generated adder and the table: the adder has called the selectors, and adds numbers to the segment
 * that it is given here. User code that may throw runs before sessions are merged, so a record that is refused changes no
 * session's bounds.
 */
import type { Key } from '../../../core/operators.ts';
import type { AdderTable } from '../../state/aggregate-adder.ts';
import type { SegmentTable } from './segment-table.ts';

export class SessionAdder implements AdderTable {
  /** The record's own window, set before each record. */
  start = 0;
  end = 0;
  /** Row of the record that was added. */
  row = -1;
  /** True when the session of that record is new, was merged, or had fired: it may be due earlier than its key is armed for. */
  rearm = false;
  readonly #table: SegmentTable;

  constructor(table: SegmentTable) {
    this.#table = table;
  }

  get parts(): Float64Array {
    return this.#table.accumulators.parts;
  }

  upsert(key: Key): number {
    const row = this.#table.upsert(key);
    this.row = row;
    return this.#cover(row, -1);
  }

  addObjects(key: Key, value: unknown): number {
    const table = this.#table;
    const row = table.upsert(key);
    this.row = row;
    try {
      const only = this.#onlyTouched(row);
      if (only >= 0) {
        table.accumulators.addObjects(only, value);
        return this.#cover(row, -1);
      }
      return this.#cover(row, this.#fresh(value));
    } catch (error) {
      if ((table.heads[row] as number) < 0) table.deleteRow(row);
      throw error;
    }
  }

  /** A segment of the record alone. */
  #fresh(value: unknown): number {
    const fresh = this.#table.take(this.start, this.end);
    try {
      this.#table.accumulators.addObjects(fresh, value);
    } catch (error) {
      this.#table.release(fresh);
      throw error;
    }
    return fresh;
  }

  /** The session that the record's window touches, when it is exactly one; else -1. */
  #onlyTouched(row: number): number {
    const { starts, ends, olders, heads } = this.#table;
    let segment = heads[row] as number;
    while (segment >= 0 && (starts[segment] as number) > this.end) segment = olders[segment] as number;
    if (segment < 0 || (ends[segment] as number) < this.start) return -1;
    const older = olders[segment] as number;
    return older >= 0 && (ends[older] as number) >= this.start ? -1 : segment;
  }

  /** The session that covers the record's window, with `fresh` (-1: none) in it. */
  #cover(row: number, fresh: number): number {
    const table = this.#table;
    const { start, end } = this;
    let newer = -1;
    let segment = table.heads[row] as number;
    while (segment >= 0 && (table.starts[segment] as number) > end) {
      newer = segment;
      segment = table.olders[segment] as number;
    }
    if (segment < 0 || (table.ends[segment] as number) < start) {
      this.rearm = true;
      const opened = fresh >= 0 ? fresh : table.take(start, end);
      table.link(row, newer, opened);
      return opened;
    }
    this.rearm = table.marks[segment] !== 0;
    segment = this.#mergeOlder(row, newer, segment);
    if (fresh >= 0) this.#absorbFresh(segment, fresh);
    if (start < (table.starts[segment] as number)) table.starts[segment] = start;
    if (end > (table.ends[segment] as number)) table.ends[segment] = end;
    table.marks[segment] = 0;
    return segment;
  }

  /** Merges the older sessions that the window touches too; the oldest stays. */
  #mergeOlder(row: number, newer: number, newest: number): number {
    const table = this.#table;
    let segment = newest;
    for (;;) {
      const older = table.olders[segment] as number;
      if (older < 0 || (table.ends[older] as number) < this.start) return segment;
      table.accumulators.absorb(older, segment);
      table.ends[older] = table.ends[segment] as number;
      table.unlink(row, newer);
      table.release(segment);
      this.rearm = true;
      segment = older;
    }
  }

  #absorbFresh(segment: number, fresh: number): void {
    this.#table.accumulators.absorb(segment, fresh);
    this.#table.release(fresh);
  }
}
