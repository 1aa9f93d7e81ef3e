/**
 * Removes what has expired although nobody reads it again: little by little, a bounded number of rows after each record.
 *
 * In the memory backend a hand goes round the rows of the table. Beside a database rows are not in the slot, so a wheel of
 * row addresses says which to look at when: an address is in it once, from the first write on, and is put back for a later
 * time when its row turns out to have been renewed. So a write costs nothing here. The rows that are due are announced to
 * the prefetch with the records of a stretch. Like timers, the wheel is in the slot in every backend.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import { bytesOfText } from './key-index.ts';
import { rowFlag } from './row-table.ts';
import type { Ttl } from './ttl.ts';

/** Rows looked at after each record in the memory backend: more than a record adds, so that the hand catches up. */
export const sweptRowsPerRecord = 4;
/** Rows that are due looked at after each record beside a database. */
export const dueRowsPerRecord = 2;
/** Places of the wheel for one time to live: a row is looked at this fraction of it late at most. */
const wheelPlaces = 16;

/** The rows of one table, as the cleaner sees them. */
export interface ExpiringRows {
  readonly flags: Uint8Array;
  readonly slotCount: number;
  /**
   * Removes what has expired in the row of a slot that exists.
   * @returns when to look at it again; Infinity: never, nothing in it can expire
   */
  expireSlot(slot: number): number;
  /** The slot of the row with this address; -1 where there is no row (any more). Reads the database where need be. */
  slotOf(address: string): number;
}

export class ExpiryCleaner {
  readonly #ttl: Ttl;
  readonly #rows: ExpiringRows;
  /** True where rows that are written must be noted: beside a database. */
  readonly tracks: boolean;
  #hand = 0;
  readonly #known = new Set<string>();
  /** Addresses by the number of the wheel's place; its time is over at `place * width`. */
  readonly #places = new Map<number, string[]>();
  readonly #widthMs: number;
  #planned: string[] = [];

  constructor(ttl: Ttl, rows: ExpiringRows, resident: boolean) {
    this.#ttl = ttl;
    this.#rows = rows;
    this.tracks = !resident;
    this.#widthMs = Math.max(1, Math.ceil(ttl.durationMs / wheelPlaces));
  }

  /** A row came into being, or was restored. @param dueMs when it expires; NaN: look at it soon */
  noteRow(address: string, dueMs: number): void {
    if (!this.tracks || this.#known.has(address)) return;
    this.#known.add(address);
    this.#put(address, dueMs);
  }

  /** As `noteRow`, for a row written now. */
  noteWritten(address: string): void {
    this.noteRow(address, this.#ttl.now + this.#ttl.durationMs);
  }

  /** Beside a database: takes rows that are due into the next calls of `step`; `need` is called with the key of each. */
  plan(need: (key: Key) => void): void {
    if (this.#known.size === 0) return;
    for (let count = 0; count < dueRowsPerRecord; count++) {
      const address = this.#takeDue();
      if (address === null) return;
      this.#planned.push(address);
      need(decodeKey(bytesOfText(address)).key);
    }
  }

  /** Between records: looks at a few rows. */
  step(): void {
    if (!this.tracks) this.#sweep();
    else if (this.#planned.length > 0) this.#lookAtPlanned();
  }

  #sweep(): void {
    const { slotCount, flags } = this.#rows;
    const exists = rowFlag.used | rowFlag.deleted;
    for (let count = Math.min(sweptRowsPerRecord, slotCount); count > 0; count--) {
      this.#hand = this.#hand + 1 >= slotCount ? 0 : this.#hand + 1;
      if (((flags[this.#hand] as number) & exists) === rowFlag.used) this.#rows.expireSlot(this.#hand);
    }
  }

  #lookAtPlanned(): void {
    for (const address of this.#planned.splice(0, dueRowsPerRecord)) {
      const slot = this.#rows.slotOf(address);
      const dueMs = slot < 0 ? Number.POSITIVE_INFINITY : this.#rows.expireSlot(slot);
      if (dueMs === Number.POSITIVE_INFINITY) this.#known.delete(address);
      else this.#put(address, dueMs);
    }
  }

  #put(address: string, dueMs: number): void {
    const place = dueMs === dueMs ? Math.ceil(dueMs / this.#widthMs) : Number.NEGATIVE_INFINITY;
    const addresses = this.#places.get(place);
    if (addresses === undefined) this.#places.set(place, [address]);
    else addresses.push(address);
  }

  #takeDue(): string | null {
    const { now } = this.#ttl;
    if (now === Number.NEGATIVE_INFINITY) return null;
    for (const [place, addresses] of this.#places) {
      if (place * this.#widthMs > now) continue;
      const address = addresses.pop();
      if (addresses.length === 0) this.#places.delete(place);
      if (address !== undefined) return address;
    }
    return null;
  }
}
