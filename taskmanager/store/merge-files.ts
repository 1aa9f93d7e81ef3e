/**
 * Merges state files into one base: what is left when they are applied in order. The last row of a table and key wins, and rows
 * whose last version is a tombstone are left out, for nothing older remains that they would have to hide.
 *
 * Streams by table and key group: only the rows of one key group of one table are held, besides the blocks of the inputs that
 * straddle it.
 */
import { rowHeaderBytes, RowBlockWriter, type RowBlock } from '../../runtime/checkpoint/row-block.ts';
import type { ObjectStore, StoredObject } from '../../storage/object-store.ts';
import type { StateFileBlock, StateTable } from './state-file-format.ts';
import { StateFileReader, writeStateFile, type StateFile } from './state-file.ts';

const keyGroupCount = 0x1_0000;

/**
 * Writes the base of `inputs` (in the order in which they apply) under `name`. Durable when resolved.
 * @throws EngineError CHECKPOINT_UNREADABLE, STORAGE_FULL, STORAGE_FAILED
 */
export async function mergeStateFiles(
  store: ObjectStore,
  inputs: readonly StoredObject[],
  name: string,
): Promise<StateFile> {
  const readers: StateFileReader[] = [];
  try {
    for (const object of inputs) readers.push(await StateFileReader.open(store, object));
    return await writeStateFile(store, name, mergedBlocks(readers));
  } finally {
    for (const reader of readers) await reader.close();
  }
}

async function* mergedBlocks(readers: readonly StateFileReader[]): AsyncGenerator<RowBlock> {
  const full: RowBlock[] = [];
  const writer = new RowBlockWriter((block) => full.push(block));
  for (const table of tablesOf(readers)) {
    writer.startTable(table.operatorId, table.stateName);
    const cursor = new TableCursor(readers, table);
    for (let group = cursor.nextKeyGroup(0); group !== null; group = cursor.nextKeyGroup(group + 1)) {
      writeRows(writer, group, await cursor.lastRows(group));
      yield* full.splice(0);
    }
    writer.flush();
    yield* full.splice(0);
  }
}

/** Every table of the inputs once, in order of appearance. */
function tablesOf(readers: readonly StateFileReader[]): StateTable[] {
  const tables = new Map<string, StateTable>();
  for (const { index } of readers) {
    for (const table of index.tables) tables.set(JSON.stringify([table.operatorId, table.stateName]), table);
  }
  return [...tables.values()];
}

/** The last version of a row: a view into a block that was read. */
interface LastRow {
  readonly bytes: Uint8Array;
  readonly keyEnd: number;
  readonly start: number;
  readonly end: number;
}

interface InputBlock {
  readonly reader: StateFileReader;
  readonly entry: StateFileBlock;
  /** Rows while key groups of this block are being merged, else null. */
  bytes: Uint8Array | null;
  /** Rows before this position were merged. */
  position: number;
}

/** All blocks of one table, walked by ascending key group. */
class TableCursor {
  /** In the order in which they apply. */
  readonly #blocks: InputBlock[] = [];
  /** Marks the first key group of every block, and all key groups of blocks that were read. */
  readonly #present = new Uint8Array(keyGroupCount);

  constructor(readers: readonly StateFileReader[], table: StateTable) {
    for (const reader of readers) {
      for (const entry of reader.index.blocks) {
        const { operatorId, stateName } = reader.tableOf(entry);
        if (operatorId !== table.operatorId || stateName !== table.stateName) continue;
        this.#blocks.push({ reader, entry, bytes: null, position: 0 });
        this.#present[entry.keyGroupFirst] = 1;
      }
    }
  }

  /** The first key group from `from` on that has rows, or null. */
  nextKeyGroup(from: number): number | null {
    const group = this.#present.indexOf(1, from);
    return group === -1 ? null : group;
  }

  /** The last version of every row of a key group; to be called with ascending groups. */
  async lastRows(group: number): Promise<Map<string, LastRow>> {
    const rows = new Map<string, LastRow>();
    for (const block of this.#blocks) {
      const { entry } = block;
      if (entry.keyGroupFirst > group || entry.keyGroupLast < group) {
        block.bytes = null;
        continue;
      }
      if (block.bytes === null) {
        block.bytes = await block.reader.read(entry);
        this.#markKeyGroups(block.bytes);
      }
      block.position = applyRows(block.bytes, block.position, group, rows);
    }
    return rows;
  }

  #markKeyGroups(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let row = 0; row < bytes.length; ) {
      this.#present[view.getUint16(row, false)] = 1;
      row += rowHeaderBytes + view.getUint32(row + 3, true) + view.getUint32(row + 7, true);
    }
  }
}

/** Applies the rows of `group` from `position` on (rows of a block stand in order of their key groups); returns where they end. */
function applyRows(bytes: Uint8Array, position: number, group: number, rows: Map<string, LastRow>): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = position;
  while (start < bytes.length && view.getUint16(start, false) === group) {
    const keyEnd = start + rowHeaderBytes + view.getUint32(start + 3, true);
    const end = keyEnd + view.getUint32(start + 7, true);
    const key = buffer.toString('latin1', start + rowHeaderBytes, keyEnd);
    if (view.getUint8(start + 2) === 1) rows.delete(key);
    else rows.set(key, { bytes, start, keyEnd, end });
    start = end;
  }
  return start;
}

function writeRows(writer: RowBlockWriter, group: number, rows: ReadonlyMap<string, LastRow>): void {
  for (const { bytes, start, keyEnd, end } of rows.values()) {
    writer.writeRow(group, bytes.subarray(start + rowHeaderBytes, keyEnd), bytes.subarray(keyEnd, end));
  }
}
