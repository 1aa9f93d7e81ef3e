/**
 * Reads back what a slot needs of the state files of a checkpoint: rows of the wanted operators whose key group the slot owns,
 * and always the rows of the reserved key group, which every subtask reads. Only blocks that hold such rows are read.
 */
import type { KeyGroupRange } from '../../core/key-groups.ts';
import { rowHeaderBytes, type RowBlock } from '../../runtime/checkpoint/row-block.ts';
import { reservedKeyGroup } from '../../runtime/operators/operator.ts';
import type { ObjectStore, StoredObject } from '../../storage/object-store.ts';
import { StateFileReader } from './state-file.ts';

/** Key groups of one operator that are to be restored. */
export interface WantedRows {
  readonly operatorId: string;
  readonly keyGroups: readonly KeyGroupRange[];
}

/**
 * Blocks of wanted rows: files in the given order, within a file in the order in which rows apply. Every block has an ArrayBuffer of its own.
 * @throws EngineError CHECKPOINT_UNREADABLE naming file and part, STORAGE_FAILED
 */
export async function* readWantedRows(
  store: ObjectStore,
  files: readonly { readonly object: StoredObject }[],
  wanted: readonly WantedRows[],
): AsyncGenerator<{ block: RowBlock; fileIndex: number }> {
  const ranges = new Map<string, KeyGroupRange[]>();
  for (const { operatorId, keyGroups } of wanted)
    ranges.set(operatorId, [...(ranges.get(operatorId) ?? []), ...keyGroups]);
  for (const [fileIndex, { object }] of files.entries()) {
    const reader = await StateFileReader.open(store, object);
    try {
      for await (const block of wantedBlocks(reader, ranges)) yield { block, fileIndex };
    } finally {
      await reader.close();
    }
  }
}

async function* wantedBlocks(
  reader: StateFileReader,
  ranges: ReadonlyMap<string, readonly KeyGroupRange[]>,
): AsyncGenerator<RowBlock> {
  for (const entry of reader.index.blocks) {
    const { operatorId, stateName } = reader.tableOf(entry);
    const owned = ranges.get(operatorId);
    if (owned === undefined || !mayHoldWanted(owned, entry.keyGroupFirst, entry.keyGroupLast)) continue;
    const bytes = await reader.read(entry);
    const allWanted = owned.some(({ first, last }) => first <= entry.keyGroupFirst && last >= entry.keyGroupLast);
    const block = allWanted
      ? { operatorId, stateName, rowCount: entry.rows, bytes }
      : { operatorId, stateName, ...filterRows(bytes, owned) };
    if (block.rowCount > 0) yield block;
  }
}

function mayHoldWanted(owned: readonly KeyGroupRange[], first: number, last: number): boolean {
  return last === reservedKeyGroup || owned.some((range) => range.first <= last && range.last >= first);
}

function isWanted(owned: readonly KeyGroupRange[], group: number): boolean {
  if (group === reservedKeyGroup) return true;
  for (const { first, last } of owned) if (group >= first && group <= last) return true;
  return false;
}

/** The wanted rows of a verified block, in a buffer of their own. Rows are moved to the front of the block, then cut off. */
function filterRows(bytes: Uint8Array, owned: readonly KeyGroupRange[]): { rowCount: number; bytes: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let kept = 0;
  let rowCount = 0;
  for (let row = 0; row < bytes.length; ) {
    const end = row + rowHeaderBytes + view.getUint32(row + 3, true) + view.getUint32(row + 7, true);
    if (isWanted(owned, view.getUint16(row, false))) {
      bytes.copyWithin(kept, row, end);
      kept += end - row;
      rowCount++;
    }
    row = end;
  }
  return { rowCount, bytes: kept === bytes.length ? bytes : bytes.slice(0, kept) };
}
