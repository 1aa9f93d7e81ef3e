/**
 * The address of what belongs to a window of a key: `[key, start, end]`. It is an ordinary key of state tables whose owner
 * says that only its first part decides the key group, so every kind of table works per window, and rows of a key stand
 * together, ordered by window.
 */
import type { Key } from '../../../../core/operators.ts';
import type { TableOwner } from '../../../state/row-table.ts';

/** Key, start and end of a window; of merging windows those of the window whose state it is. */
export type WindowId = readonly [key: Key, start: number, end: number];

/** Owner of tables whose keys are window ids, or begin like one. */
export function windowOwner(owner: TableOwner): TableOwner {
  return { ...owner, groupingKeyOf: (id) => (id as readonly Key[])[0] as Key };
}
