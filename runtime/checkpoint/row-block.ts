/**
 * Rows on their way from a slot to the store thread and back: blocks of rows of one table (operator, state).
 *
 * Layout of a row: `u16 BE key group | u8 kind (0 put, 1 delete) | u32 LE key length | u32 LE value length | key | value`.
 * The same layout stands inside state files, so the store thread moves rows without decoding them.
 */
import { assert } from '../../core/errors.ts';

export const rowHeaderBytes = 11;
/** A block is handed on when it holds this much. */
export const rowBlockBytes = 256 * 1024;
/** A writer begins with this much and grows to a block: most checkpoints of a small job are a few rows. */
const firstBufferBytes = 4096;
/** Room for the row that fills a block. */
const slackBytes = 4096;

/** Rows of one table. `bytes` is a whole ArrayBuffer of its own, so it can be transferred between threads. */
export interface RowBlock {
  readonly operatorId: string;
  readonly stateName: string;
  readonly rowCount: number;
  readonly bytes: Uint8Array;
}

/**
 * Writes rows into blocks. Encoders write key and value straight into `buffer` from `position` on:
 * `beginRow` → write the key, advance `position` → `endKey` → write the value, advance `position` → `endRow`.
 */
export class RowBlockWriter {
  /** Grows by `ensure`; always re-read after it. */
  buffer: Uint8Array;
  view: DataView;
  position = 0;
  /** Rows and bytes written since creation. */
  rowsWritten = 0;
  bytesWritten = 0;
  #operatorId = '';
  #stateName = '';
  #rowCount = 0;
  #rowStart = 0;
  #keyEnd = 0;
  readonly #emit: (block: RowBlock) => void;
  readonly #blockBytes: number;

  constructor(emit: (block: RowBlock) => void, blockBytes: number = rowBlockBytes) {
    this.#emit = emit;
    this.#blockBytes = blockBytes;
    this.buffer = new Uint8Array(new ArrayBuffer(Math.min(firstBufferBytes, blockBytes + slackBytes)));
    this.view = new DataView(this.buffer.buffer);
  }

  /** Following rows belong to this table. */
  startTable(operatorId: string, stateName: string): void {
    if (operatorId === this.#operatorId && stateName === this.#stateName) return;
    this.flush();
    this.#operatorId = operatorId;
    this.#stateName = stateName;
  }

  /** Makes room for `bytes` more at `position`. */
  ensure(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const whole = this.#blockBytes + slackBytes;
    const doubled = this.buffer.length * 2;
    // Not beyond a block and its last row as long as that is enough.
    const wanted = this.buffer.length < whole ? Math.min(doubled, whole) : doubled;
    const grown = new Uint8Array(new ArrayBuffer(Math.max(needed, wanted)));
    grown.set(this.buffer.subarray(0, this.position));
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }

  beginRow(keyGroup: number): void {
    this.ensure(rowHeaderBytes);
    this.#rowStart = this.position;
    this.view.setUint16(this.position, keyGroup, false);
    this.position += rowHeaderBytes;
  }

  endKey(): void {
    this.#keyEnd = this.position;
  }

  /** Ends a row that was put; the value is what was written since `endKey`. */
  endRow(): void {
    this.#finishRow(0);
  }

  /** Ends a row that was deleted; nothing is written after `endKey`. */
  endTombstone(): void {
    assert(this.position === this.#keyEnd, 'a tombstone has no value');
    this.#finishRow(1);
  }

  /** Writes a whole row from bytes; `value` null is a tombstone. */
  writeRow(keyGroup: number, key: Uint8Array, value: Uint8Array | null): void {
    this.beginRow(keyGroup);
    this.writeBytes(key);
    this.endKey();
    if (value === null) return this.endTombstone();
    this.writeBytes(value);
    this.endRow();
  }

  writeBytes(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** Counts rows that reach the same place another way. */
  countElsewhere(rows: number, bytes: number): void {
    this.rowsWritten += rows;
    this.bytesWritten += bytes;
  }

  /** Hands on what is there. */
  flush(): void {
    if (this.#rowCount === 0) return;
    const bytes = this.buffer.slice(0, this.position);
    this.#emit({ operatorId: this.#operatorId, stateName: this.#stateName, rowCount: this.#rowCount, bytes });
    this.position = 0;
    this.#rowCount = 0;
  }

  #finishRow(kind: 0 | 1): void {
    const start = this.#rowStart;
    this.view.setUint8(start + 2, kind);
    this.view.setUint32(start + 3, this.#keyEnd - start - rowHeaderBytes, true);
    this.view.setUint32(start + 7, this.position - this.#keyEnd, true);
    this.#rowCount++;
    this.rowsWritten++;
    this.bytesWritten += this.position - start;
    if (this.position >= this.#blockBytes) this.flush();
  }
}

/** Calls `visit` for every row of a block. Byte arrays are views into the block. @throws EngineError on a short row */
export function forEachRow(
  bytes: Uint8Array,
  visit: (keyGroup: number, key: Uint8Array, value: Uint8Array | null, start: number, end: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  while (position < bytes.length) {
    assert(position + rowHeaderBytes <= bytes.length, 'a row block ends inside a row header');
    const kind = bytes[position + 2];
    const keyStart = position + rowHeaderBytes;
    const keyEnd = keyStart + view.getUint32(position + 3, true);
    const end = keyEnd + view.getUint32(position + 7, true);
    assert(end <= bytes.length && (kind === 0 || kind === 1), 'a row block ends inside a row');
    const value = kind === 1 ? null : bytes.subarray(keyEnd, end);
    visit(view.getUint16(position, false), bytes.subarray(keyStart, keyEnd), value, position, end);
    position = end;
  }
}
