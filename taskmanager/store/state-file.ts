/**
 * Writes and reads state files in an object store. The layout is in state-file-format.ts. Writing streams: blocks of rows go in
 * as slots send them, sorted runs go out, and memory stays within two runs whatever the file's length.
 */
import type { ObjectStore, RandomAccessObject, StoredObject } from '../../storage/object-store.ts';
import { forEachRow, type RowBlock } from '../../runtime/checkpoint/row-block.ts';
import { RowSorter, type SortedBlock } from './row-sorter.ts';
import {
  checksumOf,
  decodeHeader,
  decodeIndex,
  decodeTrailer,
  encodeEnd,
  encodeHeader,
  headerBytes,
  trailerBytes,
  verifyBlock,
  type StateFileBlock,
  type StateFileIndex,
  type StateTable,
} from './state-file-format.ts';

/** Rows are sorted in runs of this much. */
export const runBytesMax = 16 * 1024 * 1024;

/** What a checkpoint's manifest says of a state file: `StateFile` of the control plane. */
export interface StateFile {
  readonly object: StoredObject;
  readonly rows: number;
  /** Smallest and largest key group of its rows; rows of the reserved key group 0xffff count as well. */
  readonly keyGroupFirst: number;
  readonly keyGroupLast: number;
}

/** Collects the index while blocks are written. */
class IndexBuilder {
  readonly tables: StateTable[] = [];
  readonly blocks: StateFileBlock[] = [];
  rows = 0;
  keyGroupFirst = 0xffff;
  keyGroupLast = 0;
  offset = headerBytes;
  readonly #numbers = new Map<string, number>();

  tableNumber(operatorId: string, stateName: string): number {
    const name = JSON.stringify([operatorId, stateName]);
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.tables.push({ operatorId, stateName }) - 1;
    this.#numbers.set(name, number);
    return number;
  }

  add({ table, keyGroupFirst, keyGroupLast, rows, bytes }: SortedBlock): void {
    this.blocks.push({
      table,
      keyGroupFirst,
      keyGroupLast,
      offset: this.offset,
      bytes: bytes.length,
      rows,
      checksum: checksumOf(bytes),
    });
    this.offset += bytes.length;
    this.rows += rows;
    this.keyGroupFirst = Math.min(this.keyGroupFirst, keyGroupFirst);
    this.keyGroupLast = Math.max(this.keyGroupLast, keyGroupLast);
  }
}

async function* encodeFile(
  blocks: AsyncIterable<RowBlock>,
  index: IndexBuilder,
  runBytes: number,
): AsyncGenerator<Uint8Array> {
  const sorter = new RowSorter();
  yield encodeHeader();
  for await (const block of blocks) {
    sorter.add(index.tableNumber(block.operatorId, block.stateName), block);
    if (sorter.bytes >= runBytes) yield* sortedRun(sorter, index);
  }
  yield* sortedRun(sorter, index);
  yield encodeEnd(index, index.offset);
}

function* sortedRun(sorter: RowSorter, index: IndexBuilder): Generator<Uint8Array> {
  const sorted = sorter.sort();
  for (const block of sorted) index.add(block);
  // Blocks of a run stand one after the other in the sorter's buffer: one write.
  const first = sorted[0];
  if (first === undefined) return;
  const bytes = sorted.reduce((sum, block) => sum + block.bytes.length, 0);
  yield new Uint8Array(first.bytes.buffer, first.bytes.byteOffset, bytes);
}

/**
 * Writes rows of any tables into a new state file. Durable when resolved. Rows apply in the order in which they come.
 * @param blocks at least one block; an error it throws is rethrown and leaves no file
 * @throws EngineError STORAGE_FULL, STORAGE_FAILED
 */
export async function writeStateFile(
  store: ObjectStore,
  name: string,
  blocks: AsyncIterable<RowBlock>,
  runBytes: number = runBytesMax,
): Promise<StateFile> {
  const index = new IndexBuilder();
  const object = await store.put(name, encodeFile(blocks, index, runBytes));
  const { rows, keyGroupFirst, keyGroupLast } = index;
  return rows === 0
    ? { object, rows, keyGroupFirst: 0, keyGroupLast: 0 }
    : { object, rows, keyGroupFirst, keyGroupLast };
}

/** An open state file. Whatever it returns was verified. */
export class StateFileReader {
  readonly index: StateFileIndex;
  readonly name: string;
  readonly #opened: RandomAccessObject;

  private constructor(opened: RandomAccessObject, name: string, index: StateFileIndex) {
    this.#opened = opened;
    this.name = name;
    this.index = index;
  }

  /** @throws EngineError CHECKPOINT_UNREADABLE naming file and part, STORAGE_FAILED */
  static async open(store: ObjectStore, object: StoredObject): Promise<StateFileReader> {
    const opened = await store.openRead(object);
    try {
      return new StateFileReader(opened, object.name, await readIndex(opened, object.name));
    } catch (error) {
      await opened.close();
      throw error;
    }
  }

  /** The rows of a block, in an ArrayBuffer of their own. @throws EngineError CHECKPOINT_UNREADABLE, STORAGE_FAILED */
  async read(block: StateFileBlock): Promise<Uint8Array> {
    const bytes = await this.#opened.read(block.offset, block.bytes);
    verifyBlock(bytes, block, this.name);
    return bytes;
  }

  tableOf(block: StateFileBlock): StateTable {
    return this.index.tables[block.table] as StateTable;
  }

  close(): Promise<void> {
    return this.#opened.close();
  }
}

async function readIndex(opened: RandomAccessObject, name: string): Promise<StateFileIndex> {
  const trailerOffset = Math.max(0, opened.bytes - trailerBytes);
  decodeHeader(await opened.read(0, Math.min(headerBytes, opened.bytes)), name);
  const trailer = decodeTrailer(await opened.read(trailerOffset, opened.bytes - trailerOffset), opened.bytes, name);
  return decodeIndex(await opened.read(trailer.indexOffset, trailer.indexBytes), trailer, name);
}

/** Calls `visit` for every row of a file, in the order in which they apply. For tools and tests. */
export async function forEachRowOfFile(
  store: ObjectStore,
  object: StoredObject,
  visit: (table: StateTable, keyGroup: number, key: Uint8Array, value: Uint8Array | null) => void,
): Promise<void> {
  const reader = await StateFileReader.open(store, object);
  try {
    for (const block of reader.index.blocks) {
      const table = reader.tableOf(block);
      forEachRow(await reader.read(block), (keyGroup, key, value) => visit(table, keyGroup, key, value));
    }
  } finally {
    await reader.close();
  }
}
