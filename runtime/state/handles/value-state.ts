/** Value and reducing state: one kept object per key, in the same rows. */
import { decodeKey } from '../../../core/codec/key-codec.ts';
import { ownValue } from '../../../core/codec/own.ts';
import { assert } from '../../../core/errors.ts';
import type { Key } from '../../../core/operators.ts';
import type { ReducingState, ValueState } from '../../../core/state/declarations.ts';
import { type ExpiringRows, ExpiryCleaner } from '../expiry.ts';
import { bytesOfText, textOfBytes } from '../key-index.ts';
import { ObjectTable } from '../object-table.ts';
import { plainLayout, readTime, rowVersion, type Timed, timedLayout } from '../row-layout.ts';
import type { Ttl } from '../ttl.ts';
import type { DeclaredState, KeyScope, StateParts } from './state-kind.ts';

/** Reads and writes the value of a key; the two differ in how a value is kept. */
interface ValueAccess {
  get(key: Key): unknown;
  set(key: Key, value: unknown): void;
  delete(key: Key): void;
}

/** Values with the time of their last access. */
class TimedValues implements ValueAccess {
  readonly #table: ObjectTable;
  readonly #ttl: Ttl;
  readonly #cleaner: ExpiryCleaner;

  constructor(table: ObjectTable, ttl: Ttl, cleaner: ExpiryCleaner) {
    this.#table = table;
    this.#ttl = ttl;
    this.#cleaner = cleaner;
  }

  get(key: Key): unknown {
    const slot = this.#table.find(key);
    if (slot < 0) return undefined;
    const kept = this.#table.valueAt(slot) as Timed;
    if (this.#ttl.isExpired(kept.at)) {
      this.#table.deleteRow(slot);
      return undefined;
    }
    this.#table.beforeHandOut(slot);
    if (this.#ttl.renewedByReading) {
      this.#table.beforeChange(slot);
      kept.at = this.#ttl.stamp();
    }
    return kept.value;
  }

  set(key: Key, value: unknown): void {
    const slot = this.#table.find(key);
    if (slot < 0) {
      this.#table.set(key, { at: this.#ttl.stamp(), value });
      if (this.#cleaner.tracks) this.#cleaner.noteWritten(textOfBytes(this.#table.keyBytes(key)));
      return;
    }
    const owned = ownValue(value);
    this.#table.beforeChange(slot);
    const kept = this.#table.valueAt(slot) as Timed;
    kept.at = this.#ttl.stamp();
    kept.value = owned;
  }

  delete(key: Key): void {
    this.#table.delete(key);
  }
}

/** The rows of timed values, for the cleaner. */
class ExpiringValues implements ExpiringRows {
  readonly #table: ObjectTable;
  readonly #ttl: Ttl;

  constructor(table: ObjectTable, ttl: Ttl) {
    this.#table = table;
    this.#ttl = ttl;
  }

  get flags(): Uint8Array {
    return this.#table.flags;
  }

  get slotCount(): number {
    return this.#table.index.slotCount;
  }

  expireSlot(slot: number): number {
    const kept = this.#table.valueAt(slot) as Timed;
    if (this.#ttl.isExpired(kept.at)) {
      this.#table.deleteRow(slot);
      return Number.POSITIVE_INFINITY;
    }
    if (kept.at !== kept.at) {
      this.#table.beforeChange(slot);
      kept.at = this.#ttl.stamp();
    }
    return kept.at + this.#ttl.durationMs;
  }

  slotOf(address: string): number {
    return this.#table.find(decodeKey(bytesOfText(address)).key);
  }
}

class ValueHandle implements ValueState<unknown> {
  readonly #values: ValueAccess;
  readonly #scope: KeyScope;

  constructor(values: ValueAccess, scope: KeyScope) {
    this.#values = values;
    this.#scope = scope;
  }

  value(): unknown {
    return this.#values.get(this.#scope.key);
  }

  /** `update(undefined)` is `clear()`: undefined means "no value". */
  update(value: unknown): void {
    if (value === undefined) this.#values.delete(this.#scope.key);
    else this.#values.set(this.#scope.key, value);
  }

  clear(): void {
    this.#values.delete(this.#scope.key);
  }
}

class ReducingHandle implements ReducingState<unknown> {
  readonly #values: ValueAccess;
  readonly #scope: KeyScope;
  readonly #reduce: (left: unknown, right: unknown) => unknown;

  constructor(values: ValueAccess, scope: KeyScope, reduce: (left: unknown, right: unknown) => unknown) {
    this.#values = values;
    this.#scope = scope;
    this.#reduce = reduce;
  }

  add(value: unknown): void {
    const { key } = this.#scope;
    const before = this.#values.get(key);
    this.#values.set(key, before === undefined ? value : this.#reduce(before, value));
  }

  value(): unknown {
    return this.#values.get(this.#scope.key);
  }

  clear(): void {
    this.#values.delete(this.#scope.key);
  }
}

/** @param reduce null for value state */
export function createValueState(
  parts: StateParts,
  reduce: ((left: unknown, right: unknown) => unknown) | null,
): DeclaredState {
  const { owner, name, scope, ttl } = parts;
  const table = new ObjectTable(owner, name, ttl === null ? plainLayout : timedLayout);
  const cleaner = ttl === null ? null : new ExpiryCleaner(ttl, new ExpiringValues(table, ttl), owner.backend.resident);
  const values = ttl === null || cleaner === null ? table : new TimedValues(table, ttl, cleaner);
  return {
    handle: reduce === null ? new ValueHandle(values, scope) : new ReducingHandle(values, scope, reduce),
    rowKind: 'value',
    keyedTable: table,
    evictable: table,
    cleaners: cleaner === null ? [] : [cleaner],
    restoreRow(key, keyGroup, value) {
      const decoded = decodeKey(key);
      assert(decoded.end === key.length, `rows of value state '${name}' are addressed by their key alone`);
      table.restoreRow(decoded.key, keyGroup, value);
    },
    noteStored(key, value) {
      const at = value[0] === rowVersion.timed ? readTime(value) : Number.NaN;
      if (ttl !== null) cleaner?.noteRow(textOfBytes(key), at + ttl.durationMs);
    },
    restored() {},
  };
}
