/**
 * One row per key with all its *segments*: stretches `[start, end)` of time (sessions) or of records (count windows) that do
 * not overlap, each with accumulators. Nearly every key has one or two, so a row is a list through columns, newest first:
 * a record that comes in order looks at one entry.
 *
 * One row, not one per session: merging sessions then changes a row instead of moving several, and what a record needs is one
 * read beside a database. A key with very many open segments has a large row.
 *
 * Row value: `u8 version | u32 LE count | per segment, newest first: u8 marks, f64 LE start, f64 LE end | per segment:
 * accumulators` (see `Accumulators.encode`).
 */
import type { ByteSink } from '../../../core/codec/byte-sink.ts';
import { assert } from '../../../core/errors.ts';
import { Accumulators } from '../../state/accumulators.ts';
import type { AggregateLayout } from '../../state/aggregate-layout.ts';
import { KeyedTable } from '../../state/keyed-table.ts';
import { checkRowVersion, rowValueVersion } from '../../state/object-table.ts';
import type { TableOwner } from '../../state/row-table.ts';

const initialCapacity = 8;
const headerBytes = 5;
const segmentBytes = 17;
/** Mark of a segment whose present contents were emitted. */
export const firedMark = 1;

/** Start, end and marks of a segment in a stored row. */
export interface StoredSegment {
  readonly start: number;
  readonly end: number;
  readonly fired: boolean;
}

/** The segments of a stored row, without their accumulators. */
export function segmentsOfRow(bytes: Uint8Array, stateName: string): StoredSegment[] {
  checkRowVersion(bytes, stateName);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(1, true);
  assert(bytes.length >= headerBytes + count * segmentBytes, `a row of state '${stateName}' has ${count} segments`);
  return Array.from({ length: count }, (_, index) => {
    const at = headerBytes + index * segmentBytes;
    return {
      fired: ((bytes[at] as number) & firedMark) !== 0,
      start: view.getFloat64(at + 1, true),
      end: view.getFloat64(at + 9, true),
    };
  });
}

export class SegmentTable extends KeyedTable {
  /** Accumulators by segment. */
  readonly accumulators: Accumulators;
  /** By segment. */
  starts = new Float64Array(initialCapacity);
  ends = new Float64Array(initialCapacity);
  marks = new Uint8Array(initialCapacity);
  /** The next older segment of the key; -1: none. */
  olders = new Int32Array(initialCapacity);
  /** The newest segment by row; -1: none. */
  heads = new Int32Array(initialCapacity).fill(-1);
  #segmentCount = 0;
  readonly #free: number[] = [];

  constructor(owner: TableOwner, stateName: string, layout: AggregateLayout) {
    super(owner, stateName, null);
    this.accumulators = new Accumulators(layout, initialCapacity);
  }

  /** A segment that belongs to no row yet. @throws what the user's `create` throws */
  take(start: number, end: number): number {
    const segment = this.#takeId(start, end);
    try {
      this.accumulators.create(segment);
    } catch (error) {
      this.release(segment);
      throw error;
    }
    return segment;
  }

  /** Gives a segment back that belongs to no row (any more). */
  release(segment: number): void {
    this.accumulators.drop(segment);
    this.#free.push(segment);
  }

  /** Puts a segment behind `newer` (-1: first) in the row's list. */
  link(row: number, newer: number, segment: number): void {
    this.olders[segment] = this.#next(row, newer);
    this.#setNext(row, newer, segment);
  }

  /** Takes the segment behind `newer` (-1: the first) out of the row's list. */
  unlink(row: number, newer: number): void {
    const segment = this.#next(row, newer);
    this.#setNext(row, newer, this.olders[segment] as number);
  }

  /** Segments of a row. */
  countOf(row: number): number {
    let count = 0;
    for (let segment = this.heads[row] as number; segment >= 0; segment = this.olders[segment] as number) count++;
    return count;
  }

  protected override growRows(): void {
    super.growRows();
    const heads = new Int32Array(this.capacity).fill(-1);
    heads.set(this.heads);
    this.heads = heads;
  }

  protected override createValue(row: number): void {
    this.heads[row] = -1;
  }

  protected override dropValue(row: number): void {
    let segment = this.heads[row] as number;
    while (segment >= 0) {
      const older = this.olders[segment] as number;
      this.release(segment);
      segment = older;
    }
    this.heads[row] = -1;
  }

  protected override encodeRowValue(row: number, sink: ByteSink): void {
    const count = this.countOf(row);
    sink.ensure(headerBytes + count * segmentBytes);
    sink.buffer[sink.position] = rowValueVersion;
    sink.view.setUint32(sink.position + 1, count, true);
    sink.position += headerBytes;
    for (let segment = this.heads[row] as number; segment >= 0; segment = this.olders[segment] as number) {
      sink.buffer[sink.position] = this.marks[segment] as number;
      sink.view.setFloat64(sink.position + 1, this.starts[segment] as number, true);
      sink.view.setFloat64(sink.position + 9, this.ends[segment] as number, true);
      sink.position += segmentBytes;
    }
    for (let segment = this.heads[row] as number; segment >= 0; segment = this.olders[segment] as number)
      this.accumulators.encode(segment, sink);
  }

  protected override decodeRowValue(row: number, bytes: Uint8Array): void {
    const stored = segmentsOfRow(bytes, this.stateName);
    this.dropValue(row);
    let position = headerBytes + stored.length * segmentBytes;
    let newer = -1;
    for (const { start, end, fired } of stored) {
      const segment = this.#takeId(start, end);
      this.marks[segment] = fired ? firedMark : 0;
      position = this.accumulators.decode(segment, bytes, position, this.stateName);
      this.link(row, newer, segment);
      newer = segment;
    }
    assert(position === bytes.length, `a row of state '${this.stateName}' has nothing after its accumulators`);
  }

  #takeId(start: number, end: number): number {
    const segment = this.#free.pop() ?? this.#segmentCount++;
    if (segment >= this.starts.length) this.#growSegments();
    this.starts[segment] = start;
    this.ends[segment] = end;
    this.marks[segment] = 0;
    this.olders[segment] = -1;
    return segment;
  }

  #growSegments(): void {
    const capacity = this.starts.length * 2;
    const starts = new Float64Array(capacity);
    starts.set(this.starts);
    this.starts = starts;
    const ends = new Float64Array(capacity);
    ends.set(this.ends);
    this.ends = ends;
    const marks = new Uint8Array(capacity);
    marks.set(this.marks);
    this.marks = marks;
    const olders = new Int32Array(capacity);
    olders.set(this.olders);
    this.olders = olders;
    this.accumulators.grow(capacity);
  }

  #next(row: number, newer: number): number {
    return (newer < 0 ? this.heads[row] : this.olders[newer]) as number;
  }

  #setNext(row: number, newer: number, segment: number): void {
    if (newer < 0) this.heads[row] = segment;
    else this.olders[newer] = segment;
  }
}
