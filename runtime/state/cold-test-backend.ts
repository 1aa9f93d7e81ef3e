/**
 * The deliberately cold backend in one thread, for tests: a `Map` behind an asynchronous fetch, with a cache of a few rows
 * in the slot, so that every row leaves and comes back all the time. Same contract as the host-thread backend.
 */
import { compareBytes } from '../../core/codec/key-codec.ts';
import type { RowAddress, StateBackend } from './backend.ts';
import { forEachRow, type RowBlock, type RowBlockWriter } from '../checkpoint/row-block.ts';
import type { RowSpill, SpillShare } from './row-spill.ts';
import { bytesOfText, textOfBytes } from './key-index.ts';

export interface ColdTestBackend extends StateBackend {
  /** Reads that blocked the slot. */
  readonly blockingReads: number;
  readonly fetchedRows: number;
  readonly rowCount: number;
}

/** @param cachedRowsMax rows the slot may keep of one state */
export function createColdTestBackend(cachedRowsMax: number = 100): ColdTestBackend {
  return new MapBackend(cachedRowsMax);
}

class MapBackend implements ColdTestBackend {
  readonly resident = false;
  readonly cachedRowsMax: number;
  readonly spill = new MemorySpill();
  blockingReads = 0;
  fetchedRows = 0;
  readonly #tables = new Map<string, Map<string, Uint8Array>>();

  constructor(cachedRowsMax: number) {
    this.cachedRowsMax = cachedRowsMax;
  }

  get rowCount(): number {
    let count = 0;
    for (const table of this.#tables.values()) count += table.size;
    return count;
  }

  async fetch(rows: readonly RowAddress[]): Promise<(Uint8Array | undefined)[]> {
    const values = rows.map((row) => this.#get(row));
    this.fetchedRows += rows.length;
    await new Promise<void>((resolve) => setImmediate(resolve));
    return values;
  }

  readBlocking(row: RowAddress): Uint8Array | undefined {
    this.blockingReads++;
    return this.#get(row);
  }

  scanBlocking(prefix: RowAddress): { key: Uint8Array; value: Uint8Array }[] {
    this.blockingReads++;
    const text = textOfBytes(prefix.key);
    const found: { key: Uint8Array; value: Uint8Array }[] = [];
    for (const [key, value] of this.#table(prefix)) {
      if (key.startsWith(text)) found.push({ key: bytesOfText(key), value: value.slice() });
    }
    return found.sort((left, right) => compareBytes(left.key, right.key));
  }

  write(rows: readonly { row: RowAddress; value: Uint8Array | null }[]): void {
    for (const { row, value } of rows) {
      if (value === null) this.#table(row).delete(textOfBytes(row.key));
      else this.#table(row).set(textOfBytes(row.key), value.slice());
    }
  }

  close(): Promise<void> {
    this.#tables.clear();
    return Promise.resolve();
  }

  #get(row: RowAddress): Uint8Array | undefined {
    return this.#table(row).get(textOfBytes(row.key))?.slice();
  }

  #table(row: RowAddress): Map<string, Uint8Array> {
    const id = `${row.operatorId}\0${row.stateName}\0${row.keyGroup}`;
    let table = this.#tables.get(id);
    if (table === undefined) {
      table = new Map();
      this.#tables.set(id, table);
    }
    return table;
  }
}

/** Spilled rows in one thread, for tests. Same contract as the files of the store thread. */
export class MemorySpill implements RowSpill {
  #owners = 0;
  #blocks: { owner: number; epoch: number; block: RowBlock }[] = [];

  get hasRoom(): boolean {
    return true;
  }

  whenRoom(callback: () => void): void {
    callback();
  }

  newOwner(): number {
    return ++this.#owners;
  }

  put(owner: number, epoch: number, block: RowBlock): void {
    this.#blocks.push({ owner, epoch, block });
  }

  include({ owner, from, to }: SpillShare, writer: RowBlockWriter): void {
    for (const { owner: of, epoch, block } of this.#blocks) {
      if (of !== owner || epoch <= from || epoch > to) continue;
      writer.startTable(block.operatorId, block.stateName);
      forEachRow(block.bytes, (keyGroup, key, value) => writer.writeRow(keyGroup, key, value));
    }
  }

  drop(owner: number, epoch: number): void {
    this.#blocks = this.#blocks.filter((kept) => kept.owner !== owner || kept.epoch > epoch);
  }

  get blockCount(): number {
    return this.#blocks.length;
  }
}
