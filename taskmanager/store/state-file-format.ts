/**
 * Layout of a state file, as pure encoding and strict decoding.
 *
 *   header   8 B magic "MLRSTATE" | u32 version | u32 zero
 *   blocks   rows (layout of runtime/checkpoint/row-block.ts) of one table, in order of their key groups
 *   index    u32 tables  | per table: u16 length, operator id, u16 length, state name
 *            u32 blocks  | per block: u32 table, u16 first key group, u16 last key group, f64 offset, u32 bytes, u32 rows, u32 crc32
 *   trailer  f64 index offset | u32 index bytes | u32 crc32 of the index | 8 B magic "MLREND\r\n"
 *
 * All numbers are little-endian. Blocks apply in file order: a later row replaces an earlier one of the same table and key.
 * Writing needs bounded memory only, so a large file is several sorted runs one after the other, not one sorted whole;
 * the index tells which blocks hold rows of a key group.
 *
 * Every byte is covered: blocks and index by checksums, the rest by having one legal value (header, magic) or by having to
 * tile the file exactly (offsets, lengths). So a flipped or missing byte is refused by whoever reads that part.
 */
import { crc32 } from 'node:zlib';
import type { EngineError } from '../../core/errors.ts';
import { rowHeaderBytes } from '../../runtime/checkpoint/row-block.ts';
import { unreadable } from '../../storage/storage-errors.ts';

export const stateFileVersion = 1;
export const headerBytes = 16;
export const trailerBytes = 24;
const blockEntryBytes = 28;
const magic = Buffer.from('MLRSTATE', 'latin1');
const endMagic = Buffer.from('MLREND\r\n', 'latin1');

export interface StateTable {
  readonly operatorId: string;
  readonly stateName: string;
}

/** One block of rows: where it stands and what it holds. Key groups are inclusive. */
export interface StateFileBlock {
  readonly table: number;
  readonly keyGroupFirst: number;
  readonly keyGroupLast: number;
  readonly offset: number;
  readonly bytes: number;
  readonly rows: number;
  readonly checksum: number;
}

export interface StateFileIndex {
  readonly tables: readonly StateTable[];
  /** In file order: the order in which they apply. */
  readonly blocks: readonly StateFileBlock[];
}

/** Checksum of a block or an index. */
export const checksumOf = (bytes: Uint8Array): number => crc32(bytes);

export function encodeHeader(): Uint8Array {
  const bytes = Buffer.alloc(headerBytes);
  magic.copy(bytes);
  bytes.writeUInt32LE(stateFileVersion, 8);
  return bytes;
}

/** Index and trailer: all that follows the last block, which ends at `indexOffset`. */
export function encodeEnd(index: StateFileIndex, indexOffset: number): Uint8Array {
  const names = index.tables.map((table) => [Buffer.from(table.operatorId), Buffer.from(table.stateName)] as const);
  const namesBytes = names.reduce((sum, [operator, state]) => sum + 4 + operator.length + state.length, 0);
  const indexBytes = 8 + namesBytes + index.blocks.length * blockEntryBytes;
  const bytes = Buffer.alloc(indexBytes + trailerBytes);
  let position = bytes.writeUInt32LE(names.length, 0);
  for (const name of names.flat()) {
    position = bytes.writeUInt16LE(name.length, position);
    position += name.copy(bytes, position);
  }
  position = bytes.writeUInt32LE(index.blocks.length, position);
  for (const block of index.blocks) position = writeBlockEntry(bytes, position, block);
  position = bytes.writeDoubleLE(indexOffset, position);
  position = bytes.writeUInt32LE(indexBytes, position);
  position = bytes.writeUInt32LE(checksumOf(bytes.subarray(0, indexBytes)), position);
  endMagic.copy(bytes, position);
  return bytes;
}

function writeBlockEntry(bytes: Buffer, start: number, block: StateFileBlock): number {
  let position = bytes.writeUInt32LE(block.table, start);
  position = bytes.writeUInt16LE(block.keyGroupFirst, position);
  position = bytes.writeUInt16LE(block.keyGroupLast, position);
  position = bytes.writeDoubleLE(block.offset, position);
  position = bytes.writeUInt32LE(block.bytes, position);
  position = bytes.writeUInt32LE(block.rows, position);
  return bytes.writeUInt32LE(block.checksum, position);
}

/** @throws EngineError CHECKPOINT_UNREADABLE */
export function decodeHeader(bytes: Uint8Array, file: string): void {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (header.length !== headerBytes || !header.subarray(0, 8).equals(magic))
    throw damaged(file, 'header', 'the magic "MLRSTATE"', 'other bytes');
  const version = header.readUInt32LE(8);
  if (version !== stateFileVersion)
    throw damaged(file, 'header', `format version ${stateFileVersion}`, `version ${version}`);
  if (header.readUInt32LE(12) !== 0) throw damaged(file, 'header', 'zero in its last field', 'another number');
}

export interface StateFileTrailer {
  readonly indexOffset: number;
  readonly indexBytes: number;
  readonly indexChecksum: number;
}

/** @throws EngineError CHECKPOINT_UNREADABLE */
export function decodeTrailer(bytes: Uint8Array, fileBytes: number, file: string): StateFileTrailer {
  const trailer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (trailer.length !== trailerBytes || !trailer.subarray(16).equals(endMagic))
    throw damaged(file, 'trailer', 'the magic "MLREND"', 'other bytes');
  const indexOffset = trailer.readDoubleLE(0);
  const indexBytes = trailer.readUInt32LE(8);
  // Object.is: a flipped sign of an offset zero would otherwise compare equal.
  if (!Object.is(indexOffset, fileBytes - trailerBytes - indexBytes) || indexOffset < headerBytes) {
    throw damaged(
      file,
      'trailer',
      `an index that ends at ${fileBytes - trailerBytes}`,
      `offset ${indexOffset} and ${indexBytes} bytes`,
    );
  }
  return { indexOffset, indexBytes, indexChecksum: trailer.readUInt32LE(12) };
}

/** @throws EngineError CHECKPOINT_UNREADABLE */
export function decodeIndex(bytes: Uint8Array, trailer: StateFileTrailer, file: string): StateFileIndex {
  const checksum = checksumOf(bytes);
  if (checksum !== trailer.indexChecksum)
    throw damaged(file, 'index', `crc32 ${trailer.indexChecksum}`, `crc32 ${checksum}`);
  const reader = new IndexReader(bytes, file);
  const tables = reader.tables();
  const blocks = reader.blocks(tables.length);
  let offset = headerBytes;
  for (const [number, block] of blocks.entries()) {
    if (block.offset !== offset)
      throw damaged(file, `index entry of block ${number}`, `offset ${offset}`, `offset ${block.offset}`);
    offset += block.bytes;
  }
  if (offset !== trailer.indexOffset)
    throw damaged(file, 'index', `blocks that end at ${trailer.indexOffset}`, `an end at ${offset}`);
  return { tables, blocks };
}

/**
 * Verifies checksum and every row of a block that was read.
 * @throws EngineError CHECKPOINT_UNREADABLE
 */
export function verifyBlock(bytes: Uint8Array, block: StateFileBlock, file: string): void {
  const what = `block at ${block.offset}`;
  if (bytes.length !== block.bytes) throw damaged(file, what, `${block.bytes} bytes`, `${bytes.length} bytes`);
  const checksum = checksumOf(bytes);
  if (checksum !== block.checksum) throw damaged(file, what, `crc32 ${block.checksum}`, `crc32 ${checksum}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  let rows = 0;
  let lastGroup = 0;
  while (position < bytes.length) {
    if (position + rowHeaderBytes > bytes.length) throw damaged(file, what, 'whole rows', 'a row that is cut');
    const group = view.getUint16(position, false);
    if (group < lastGroup)
      throw damaged(file, what, 'rows in order of their key groups', `key group ${group} after ${lastGroup}`);
    lastGroup = group;
    if (group < block.keyGroupFirst || group > block.keyGroupLast) {
      throw damaged(file, what, `key groups ${block.keyGroupFirst} to ${block.keyGroupLast}`, `key group ${group}`);
    }
    if (view.getUint8(position + 2) > 1)
      throw damaged(file, what, 'row kind 0 or 1', `row kind ${view.getUint8(position + 2)}`);
    position += rowHeaderBytes + view.getUint32(position + 3, true) + view.getUint32(position + 7, true);
    rows++;
  }
  if (position !== bytes.length) throw damaged(file, what, 'whole rows', 'a row that is cut');
  if (rows !== block.rows) throw damaged(file, what, `${block.rows} rows`, `${rows} rows`);
}

/** Reads the index field by field; every read is checked against its end. */
class IndexReader {
  readonly #bytes: Buffer;
  readonly #file: string;
  #position = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  tables(): StateTable[] {
    const count = this.#bytes.readUInt32LE(this.#take(4));
    const tables: StateTable[] = [];
    for (let table = 0; table < count; table++) tables.push({ operatorId: this.#text(), stateName: this.#text() });
    return tables;
  }

  blocks(tableCount: number): StateFileBlock[] {
    const count = this.#bytes.readUInt32LE(this.#take(4));
    const left = this.#bytes.length - this.#position;
    if (left !== count * blockEntryBytes)
      throw damaged(this.#file, 'index', `${count} block entries`, `${left} bytes for them`);
    const blocks: StateFileBlock[] = [];
    for (let number = 0; number < count; number++) blocks.push(this.#block(number, tableCount));
    return blocks;
  }

  #block(number: number, tableCount: number): StateFileBlock {
    const start = this.#take(blockEntryBytes);
    const block = {
      table: this.#bytes.readUInt32LE(start),
      keyGroupFirst: this.#bytes.readUInt16LE(start + 4),
      keyGroupLast: this.#bytes.readUInt16LE(start + 6),
      offset: this.#bytes.readDoubleLE(start + 8),
      bytes: this.#bytes.readUInt32LE(start + 16),
      rows: this.#bytes.readUInt32LE(start + 20),
      checksum: this.#bytes.readUInt32LE(start + 24),
    };
    const legal =
      block.table < tableCount &&
      block.keyGroupFirst <= block.keyGroupLast &&
      block.rows > 0 &&
      block.rows * rowHeaderBytes <= block.bytes;
    if (!legal)
      throw damaged(
        this.#file,
        `index entry of block ${number}`,
        'a table of the file, ordered key groups and room for its rows',
        JSON.stringify(block),
      );
    return block;
  }

  #text(): string {
    const length = this.#bytes.readUInt16LE(this.#take(2));
    const start = this.#take(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  #take(bytes: number): number {
    const start = this.#position;
    this.#position += bytes;
    if (this.#position > this.#bytes.length)
      throw damaged(this.#file, 'index', 'whole entries', 'an entry that is cut');
    return start;
  }
}

function damaged(file: string, what: string, expected: string, found: string): EngineError {
  return unreadable(`the ${what} of state file ${file}`, expected, found);
}
