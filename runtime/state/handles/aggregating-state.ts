/** Aggregating state: any aggregate of ours per key, its accumulators in columns. */
import { decodeKey } from '../../../core/codec/key-codec.ts';
import { assert } from '../../../core/errors.ts';
import type { Aggregate } from '../../../core/aggregate.ts';
import type { AggregatingState } from '../../../core/state/declarations.ts';
import { AggregateLayout } from '../aggregate-layout.ts';
import { AggregateStateTable } from '../aggregate-state-table.ts';
import { type ExpiringRows, ExpiryCleaner } from '../expiry.ts';
import { bytesOfText, textOfBytes } from '../key-index.ts';
import { readTime, rowVersion } from '../row-layout.ts';
import type { Ttl } from '../ttl.ts';
import type { DeclaredState, KeyScope, StateParts } from './state-kind.ts';

class AggregatingHandle implements AggregatingState<unknown, unknown> {
  readonly #table: AggregateStateTable;
  readonly #scope: KeyScope;
  readonly #ttl: Ttl | null;
  readonly #cleaner: ExpiryCleaner | null;

  constructor(table: AggregateStateTable, scope: KeyScope, ttl: Ttl | null, cleaner: ExpiryCleaner | null) {
    this.#table = table;
    this.#scope = scope;
    this.#ttl = ttl;
    this.#cleaner = cleaner;
  }

  add(value: unknown): void {
    const { key } = this.#scope;
    if (this.#ttl === null) {
      this.#table.add(key, value);
      return;
    }
    this.#find(this.#ttl);
    const slot = this.#table.add(key, value);
    this.#table.setTime(slot, this.#ttl.stamp());
    if (this.#cleaner?.tracks === true) this.#cleaner.noteWritten(textOfBytes(this.#table.keyBytes(key)));
  }

  value(): unknown {
    const { key } = this.#scope;
    const slot = this.#ttl === null ? this.#table.find(key) : this.#find(this.#ttl);
    if (slot < 0) return undefined;
    if (this.#ttl?.renewedByReading === true) this.#table.setTime(slot, this.#ttl.stamp());
    this.#table.beforeHandOut(slot);
    return this.#table.valueAt(slot, key);
  }

  clear(): void {
    const slot = this.#table.find(this.#scope.key);
    if (slot >= 0) this.#table.deleteRow(slot);
  }

  /** The slot of the key's row unless it has expired, which removes it. */
  #find(ttl: Ttl): number {
    const slot = this.#table.find(this.#scope.key);
    if (slot < 0 || !ttl.isExpired(this.#table.timeAt(slot))) return slot;
    this.#table.deleteRow(slot);
    return -1;
  }
}

const rowsOf = (table: AggregateStateTable, ttl: Ttl): ExpiringRows => ({
  get flags() {
    return table.flags;
  },
  get slotCount() {
    return table.index.slotCount;
  },
  expireSlot(slot) {
    const at = table.timeAt(slot);
    if (ttl.isExpired(at)) {
      table.deleteRow(slot);
      return Number.POSITIVE_INFINITY;
    }
    if (at !== at) table.setTime(slot, ttl.stamp());
    return table.timeAt(slot) + ttl.durationMs;
  },
  slotOf: (address) => table.find(decodeKey(bytesOfText(address)).key),
});

export function createAggregatingState(parts: StateParts, aggregate: Aggregate<never, unknown>): DeclaredState {
  const { owner, name, scope, ttl } = parts;
  const layout = new AggregateLayout({ value: aggregate });
  const table = new AggregateStateTable(owner, name, layout, ttl !== null);
  const cleaner = ttl === null ? null : new ExpiryCleaner(ttl, rowsOf(table, ttl), owner.backend.resident);
  return {
    handle: new AggregatingHandle(table, scope, ttl, cleaner),
    rowKind: 'aggregating',
    keyedTable: table,
    evictable: table,
    cleaners: cleaner === null ? [] : [cleaner],
    restoreRow(key, keyGroup, value) {
      const decoded = decodeKey(key);
      assert(decoded.end === key.length, `rows of aggregating state '${name}' are addressed by their key alone`);
      table.restoreRow(decoded.key, keyGroup, value);
    },
    noteStored(key, value) {
      const at = value[0] === rowVersion.timedAggregate ? readTime(value) : Number.NaN;
      if (ttl !== null) cleaner?.noteRow(textOfBytes(key), at + ttl.durationMs);
    },
    restored() {},
  };
}
