/**
 * The records of one side of an interval join while partners may still come, by key and time. Records stand in stretches of
 * event time, one table a stretch: a record looks at the few stretches its interval touches, and a stretch that no partner can
 * reach any more is given up as a whole, without a timer a record.
 *
 * State: a row a key and stretch (its start is the namespace).
 */
import { ownValue } from '../../core/codec/own.ts';
import type { Key } from '../../core/operators.ts';
import { encodedText } from '../state/key-index.ts';
import { decodeNamespacedKey } from '../state/keyed-table.ts';
import { type LiveForm, LiveTable } from '../state/live-table.ts';
import type { Prefetch } from '../state/prefetch.ts';
import type { RowCache } from '../state/row-cache.ts';
import type { RowWrite, TableOwner } from '../state/row-table.ts';
import type { RestoredRow } from './operator.ts';

/** Records of a key and stretch in order of time, of equal times in order of arrival. */
export interface TimedRecords {
  readonly times: number[];
  readonly records: unknown[];
}

const timedForm: LiveForm<TimedRecords> = {
  create: () => ({ times: [], records: [] }),
  toPlain: ({ times, records }) => [Float64Array.from(times), records],
  fromPlain: (plain) => {
    const [times, records] = plain as [Float64Array, unknown[]];
    return { times: Array.from(times), records };
  },
};

interface Stretch {
  readonly start: number;
  readonly table: LiveTable<TimedRecords>;
  /** Keys with rows, beside a database, which cannot list them. */
  readonly keys: Map<string, Key> | null;
}

export class IntervalBuffer {
  readonly #owner: TableOwner;
  readonly #stateName: string;
  readonly #stretchMs: number;
  readonly #cache: RowCache;
  readonly #stretches = new Map<number, Stretch>();

  constructor(owner: TableOwner, stateName: string, stretchMs: number, cache: RowCache) {
    this.#owner = owner;
    this.#stateName = stateName;
    this.#stretchMs = stretchMs;
    this.#cache = cache;
  }

  get stretchMs(): number {
    return this.#stretchMs;
  }

  startOf(timestamp: number): number {
    // Adding 0 turns -0 into 0.
    return Math.floor(timestamp / this.#stretchMs) * this.#stretchMs + 0;
  }

  add(key: Key, timestamp: number, record: unknown): void {
    const stretch = this.#stretchAt(this.startOf(timestamp));
    const { times, records } = stretch.table.change(key);
    const at = firstAfter(times, timestamp);
    times.splice(at, 0, timestamp);
    records.splice(at, 0, ownValue(record));
    stretch.keys?.set(encodedText(key), key);
  }

  /** The records of a key in the stretch that starts there, undefined where there are none. */
  recordsOf(key: Key, start: number): TimedRecords | undefined {
    return this.#stretches.get(start)?.table.peek(key);
  }

  /** Announces the rows of the stretches that `[from, to]` touches. */
  need(prefetch: Prefetch, key: Key, from: number, to: number): void {
    for (const stretch of this.#stretches.values()) {
      if (stretch.start + this.#stretchMs > from && stretch.start <= to) prefetch.need(stretch.table, key);
    }
  }

  /** Gives up the stretches that end at or before `timestamp`. */
  purge(timestamp: number): void {
    for (const stretch of [...this.#stretches.values()]) {
      if (stretch.start + this.#stretchMs <= timestamp) this.#giveUp(stretch);
    }
  }

  restoreResident(row: RestoredRow): void {
    const { key, namespace } = decodeNamespacedKey(row.key);
    this.#stretchAt(namespace).table.restoreRow(key, row.keyGroup, row.value);
  }

  noteRestored(row: RestoredRow): void {
    const { key, namespace } = decodeNamespacedKey(row.key);
    const { keys } = this.#stretchAt(namespace);
    if (row.value === null) keys?.delete(encodedText(key));
    else keys?.set(encodedText(key), key);
  }

  #stretchAt(start: number): Stretch {
    const known = this.#stretches.get(start);
    if (known !== undefined) return known;
    const table = new LiveTable(this.#owner, this.#stateName, timedForm, { namespace: start });
    const stretch = { start, table, keys: table.resident ? null : new Map<string, Key>() };
    this.#stretches.set(start, stretch);
    this.#cache.add(table);
    return stretch;
  }

  #giveUp({ start, table, keys }: Stretch): void {
    this.#stretches.delete(start);
    if (keys === null) for (const slot of table.usedSlots()) table.retireRow(slot);
    else for (const key of keys.values()) table.deleteUnread(key);
    this.#cache.remove(table);
    if (keys !== null) {
      const writes: RowWrite[] = [];
      table.evictAll(writes);
      if (writes.length > 0) this.#owner.backend.write(writes);
    }
    table.retire();
  }
}

/** Index of the first time at or above `timestamp`. */
export function firstAtOrAfter(times: readonly number[], timestamp: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] as number) < timestamp) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the first time above `timestamp`. */
function firstAfter(times: readonly number[], timestamp: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] as number) <= timestamp) low = middle + 1;
    else high = middle;
  }
  return low;
}
