/**
 * When a row of a table in memory is an object, and when it is in stored form. A row is an object from the moment it is made
 * or asked for, until so many others were that it is the one nobody asked for longest: then it *rests*, encoded once, in a log
 * outside of the heap. A checkpoint copies the bytes of a resting row; whoever asks for it decodes it.
 *
 * Most keys of a large state are over: auctions that ended, sessions of people who left. As objects they are what the
 * collector marks again and again; as bytes they cost it nothing. Where keys do come back, objects are kept longer: each time
 * more than a quarter of the rows that went to rest were asked for again, twice as many objects stay.
 *
 * A row may be both: one that was only looked at keeps its bytes, so that it need not be encoded again.
 */
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { RowLog } from './row-log.ts';

/** Objects that stay at least, unless the backend says otherwise. */
const objectsMinDefault = 1024;
/** One in so many that is asked for again is too many. */
const wokenShare = 4;

/** The table whose rows rest. */
export interface RestingTable {
  /** True while the slot has an object. */
  hasObject(slot: number): boolean;
  /** Writes the row value from the object. */
  encodeObject(slot: number, sink: ByteSink): void;
  dropObject(slot: number): void;
}

const mark = { queued: 1, asked: 2 } as const;

export class RestingRows {
  readonly #table: RestingTable;
  readonly #log = new RowLog();
  readonly #objects = new SlotQueue();
  /** By slot: whether it is queued, and asked for since it was. */
  #marks = new Uint8Array(8);
  #objectsMax: number;
  #rested = 0;
  #woken = 0;

  constructor(table: RestingTable, objectsMin: number = objectsMinDefault) {
    this.#table = table;
    this.#objectsMax = objectsMin;
  }

  /** True when the row is in stored form, as it is now. */
  has(slot: number): boolean {
    return this.#log.has(slot);
  }

  /** The stored form of a row that has one: a view, good until the next call. */
  bytesOf(slot: number): Uint8Array {
    return this.#log.bytesOf(slot);
  }

  /** A row is an object now. */
  made(slot: number): void {
    if (slot >= this.#marks.length) this.#growMarks(slot);
    if (((this.#marks[slot] as number) & mark.queued) !== 0) return;
    this.#marks[slot] = mark.queued;
    this.#objects.push(slot);
  }

  /** A resting row was decoded because it was asked for. */
  woken(slot: number): void {
    this.#woken++;
    this.made(slot);
  }

  /** A row that is an object was asked for. */
  asked(slot: number): void {
    this.#marks[slot] = (this.#marks[slot] as number) | mark.asked;
  }

  /** The stored form is not that of the row any more. */
  forget(slot: number): void {
    this.#log.drop(slot);
  }

  /** Takes the stored form of a row that has no object. */
  adopt(slot: number, bytes: Uint8Array): void {
    this.#log.drop(slot);
    this.#log.beginRow(slot);
    this.#log.writeBytes(bytes);
    this.#log.endRow();
  }

  /** To be called between records, when nobody holds an object: as many rows go to rest as became objects. */
  rest(records: number): void {
    for (let left = 2 * records; left > 0 && this.#objects.length > this.#objectsMax; left--) {
      const slot = this.#objects.shift();
      if (((this.#marks[slot] as number) & mark.asked) !== 0) {
        this.#marks[slot] = mark.queued;
        this.#objects.push(slot);
      } else {
        this.#marks[slot] = 0;
        if (this.#table.hasObject(slot)) this.#restRow(slot);
      }
    }
    this.#log.clean();
  }

  #restRow(slot: number): void {
    if (!this.#log.has(slot) && !this.#encode(slot)) return;
    this.#table.dropObject(slot);
    if (++this.#rested < this.#objectsMax) return;
    if (this.#woken * wokenShare > this.#rested) this.#objectsMax *= 2;
    this.#rested = 0;
    this.#woken = 0;
  }

  /** False when the object cannot be stored: it stays one, and the next checkpoint says why. */
  #encode(slot: number): boolean {
    this.#log.beginRow(slot);
    try {
      this.#table.encodeObject(slot, this.#log);
    } catch {
      return false;
    }
    this.#log.endRow();
    return true;
  }

  #growMarks(slot: number): void {
    const grown = new Uint8Array(Math.max(this.#marks.length * 2, slot + 1));
    grown.set(this.#marks);
    this.#marks = grown;
  }
}

/** First in, first out; a ring that grows. */
class SlotQueue {
  length = 0;
  #ring = new Int32Array(64);
  #first = 0;

  push(slot: number): void {
    if (this.length === this.#ring.length) this.#grow();
    this.#ring[(this.#first + this.length++) & (this.#ring.length - 1)] = slot;
  }

  /** The oldest; there must be one. */
  shift(): number {
    const slot = this.#ring[this.#first] as number;
    this.#first = (this.#first + 1) & (this.#ring.length - 1);
    this.length--;
    return slot;
  }

  #grow(): void {
    const grown = new Int32Array(this.#ring.length * 2);
    grown.set(this.#ring.subarray(this.#first));
    grown.set(this.#ring.subarray(0, this.#first), this.#ring.length - this.#first);
    this.#ring = grown;
    this.#first = 0;
  }
}
