/**
 * The accumulators of one window, merged from its panes: all keys at once while everything is in the slot, so that firing a
 * window is a few passes over arrays.
 */
import type { Key } from '../../../core/operators.ts';
import { Accumulators } from '../../state/accumulators.ts';
import type { AggregateLayout } from '../../state/aggregate-layout.ts';
import type { ColumnTable } from '../../state/column-table.ts';
import { KeyIndex } from '../../state/key-index.ts';
import { sortedKeys } from '../../state/key-order.ts';
import { rowFlag } from '../../state/row-table.ts';

const initialCapacity = 64;
const presence = rowFlag.used | rowFlag.deleted;

export class MergedWindow {
  readonly index = new KeyIndex(initialCapacity);
  readonly accumulators: Accumulators;
  /** What the user's `merge` threw, by slot: the window of that key has no result. */
  readonly failures = new Map<number, unknown>();
  #capacity = initialCapacity;

  constructor(layout: AggregateLayout) {
    this.accumulators = new Accumulators(layout, initialCapacity);
  }

  /** Merges the rows of a pane, which is later than those before. */
  addPane(table: ColumnTable): void {
    const { index, flags } = table;
    for (let row = 0; row < index.slotCount; row++) {
      if (((flags[row] as number) & presence) === rowFlag.used) this.#merge(index.keyAt(row), table, row);
    }
  }

  sortedKeys(): Key[] {
    return sortedKeys(
      this.index,
      Array.from({ length: this.index.slotCount }, (_, slot) => slot),
    );
  }

  #merge(key: Key, table: ColumnTable, row: number): void {
    let slot = this.index.find(key);
    const isNew = slot < 0;
    if (isNew) slot = this.#insert(key);
    try {
      if (isNew) this.accumulators.copy(slot, table.accumulators, row);
      else this.accumulators.merge(slot, table.accumulators, row);
    } catch (error) {
      this.failures.set(slot, error);
    }
  }

  #insert(key: Key): number {
    const slot = this.index.insert(key);
    if (slot >= this.#capacity) {
      this.#capacity *= 2;
      this.accumulators.grow(this.#capacity);
    }
    return slot;
  }
}
