/**
 * Stored rows of one table outside of the heap: bytes one after the other in large segments, found by slot. The collector
 * sees a few buffers, however many rows there are, where objects would be marked, moved and kept apart one by one.
 *
 * A row is written once and never changed. One that is dropped leaves a gap; when gaps outweigh rows, the rows that are left in
 * the emptiest segment are written again at the end, so memory stays below twice the rows and some segments.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { assert } from '../../core/errors.ts';

/** Large enough that few are needed, small enough that emptying one is no pause. A row that needs more has one to itself. */
const segmentBytes = 1024 * 1024;
/** Before each row: its slot and its length, `u32` each. */
const headerBytes = 8;
/** Empty segments kept for what is written next. */
const sparesMax = 4;
/** Segments emptied at once. */
const cleanedMax = 4;

interface LogSegment {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the last row ends. */
  end: number;
  /** Bytes of rows that are not dropped, with their headers. */
  liveBytes: number;
}

export class RowLog implements ByteSink {
  buffer: Uint8Array;
  view: DataView;
  position = 0;
  #segments: (LogSegment | null)[] = [];
  #freeNumbers: number[] = [];
  #spares: LogSegment[] = [];
  #current = 0;
  /** Start of the row being written, behind its header. */
  #rowStart = 0;
  #liveBytes = 0;
  #usedBytes = 0;
  /** By slot: number of the segment times its size, and the start of the row in it; 0: no row, for a header comes first. */
  #places = new Float64Array(8);

  constructor() {
    const first = newSegment(segmentBytes);
    this.#segments.push(first);
    this.buffer = first.bytes;
    this.view = first.view;
  }

  has(slot: number): boolean {
    return slot < this.#places.length && this.#places[slot] !== 0;
  }

  /** Begins the row of a slot, which has none; what is written until `endRow` is the row. */
  beginRow(slot: number): void {
    const { end } = this.#segments[this.#current] as LogSegment;
    this.position = end;
    // A row begins within the size of a segment, also in a larger one: else its place would be that of another.
    if (end + headerBytes >= segmentBytes) this.#continueIn(this.#openSegment(0));
    this.view.setUint32(this.position, slot, true);
    this.position += headerBytes;
    this.#rowStart = this.position;
  }

  endRow(): void {
    const start = this.#rowStart;
    const slot = this.view.getUint32(start - headerBytes, true);
    this.view.setUint32(start - headerBytes + 4, this.position - start, true);
    const segment = this.#segments[this.#current] as LogSegment;
    const bytes = this.position - segment.end;
    segment.end = this.position;
    segment.liveBytes += bytes;
    this.#liveBytes += bytes;
    this.#usedBytes += bytes;
    if (slot >= this.#places.length) this.#growPlaces(slot);
    this.#places[slot] = this.#current * segmentBytes + start;
  }

  /** Makes room in the segment, or takes what was written of the row to the next one. */
  ensure(bytes: number): void {
    if (this.position + bytes <= this.buffer.length) return;
    const { end } = this.#segments[this.#current] as LogSegment;
    const begun = this.buffer.subarray(end, this.position);
    const next = this.#openSegment((begun.length + bytes) * 2);
    next.bytes.set(begun);
    this.#continueIn(next);
    this.position = begun.length;
    this.#rowStart = headerBytes;
  }

  /** Bytes of all segments. */
  get memoryBytes(): number {
    const inUse = this.#segments.reduce((sum, segment) => sum + (segment?.bytes.length ?? 0), 0);
    return inUse + this.#spares.length * segmentBytes;
  }

  writeBytes(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** Forgets the row of a slot, if it has one. */
  drop(slot: number): void {
    if (!this.has(slot)) return;
    const place = this.#places[slot] as number;
    const number = Math.floor(place / segmentBytes);
    const segment = this.#segments[number] as LogSegment;
    const bytes = headerBytes + lengthAt(segment, place % segmentBytes);
    this.#places[slot] = 0;
    segment.liveBytes -= bytes;
    this.#liveBytes -= bytes;
    if (segment.liveBytes === 0 && number !== this.#current) this.#release(number);
  }

  /** The row of a slot that has one: a view that is good until the next write. */
  bytesOf(slot: number): Uint8Array {
    const place = this.#places[slot] as number;
    const segment = this.#segments[Math.floor(place / segmentBytes)] as LogSegment;
    const start = place % segmentBytes;
    return segment.bytes.subarray(start, start + lengthAt(segment, start));
  }

  /** Empties segments that are mostly gaps, a few at once: to be called again and again. */
  clean(): void {
    for (let count = 0; count < cleanedMax; count++) {
      if (this.#usedBytes - this.#liveBytes <= this.#liveBytes + segmentBytes) return;
      const emptiest = this.#emptiest();
      if (emptiest < 0) return;
      this.#empty(emptiest);
    }
  }

  #emptiest(): number {
    let found = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let number = 0; number < this.#segments.length; number++) {
      const segment = this.#segments[number] ?? null;
      if (segment === null || number === this.#current || segment.liveBytes >= least) continue;
      found = number;
      least = segment.liveBytes;
    }
    return found;
  }

  /** Writes the rows that are left in a segment again; the last one of them gives it back. */
  #empty(number: number): void {
    const segment = this.#segments[number] as LogSegment;
    for (let at = 0; at < segment.end; ) {
      const start = at + headerBytes;
      at = start + lengthAt(segment, start);
      const slot = segment.view.getUint32(start - headerBytes, true);
      if (this.#places[slot] !== number * segmentBytes + start) continue;
      const row = segment.bytes.subarray(start, at);
      this.beginRow(slot);
      this.writeBytes(row);
      // Not before: the last one gives the segment back, and its memory is used again.
      this.drop(slot);
      this.endRow();
    }
    assert(this.#segments[number] !== segment, 'a segment whose rows have gone is given back');
  }

  /** The segment that is written from now on. One that is left empty is given back. */
  #openSegment(bytes: number): LogSegment {
    const left = this.#current;
    const spare = bytes <= segmentBytes ? this.#spares.pop() : undefined;
    const segment = spare ?? newSegment(Math.max(bytes, segmentBytes));
    this.#current = this.#freeNumbers.pop() ?? this.#segments.length;
    this.#segments[this.#current] = segment;
    if ((this.#segments[left] as LogSegment).liveBytes === 0) this.#release(left);
    return segment;
  }

  #continueIn(segment: LogSegment): void {
    this.buffer = segment.bytes;
    this.view = segment.view;
    this.position = 0;
  }

  #release(number: number): void {
    const segment = this.#segments[number] as LogSegment;
    this.#usedBytes -= segment.end;
    this.#segments[number] = null;
    this.#freeNumbers.push(number);
    segment.end = 0;
    if (segment.bytes.length === segmentBytes && this.#spares.length < sparesMax) this.#spares.push(segment);
  }

  #growPlaces(slot: number): void {
    const grown = new Float64Array(Math.max(this.#places.length * 2, slot + 1));
    grown.set(this.#places);
    this.#places = grown;
  }
}

function newSegment(length: number): LogSegment {
  const bytes = new Uint8Array(new ArrayBuffer(length));
  return { bytes, view: new DataView(bytes.buffer), end: 0, liveBytes: 0 };
}

function lengthAt(segment: LogSegment, start: number): number {
  return segment.view.getUint32(start - headerBytes + 4, true);
}
