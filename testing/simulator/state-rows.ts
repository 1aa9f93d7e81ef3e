/** State files of the simulated world: row blocks behind a small header, and what restore and merge do with them. */
import type { JsonValue } from '../../core/plain-data.ts';
import { forEachRow, type RowBlock, RowBlockWriter } from '../../runtime/checkpoint/row-block.ts';

export type RowValue = JsonValue;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** `u16 length of vertex id | u32 length of rows | vertex id | rows`, once per block. */
export function encodeStateFile(blocks: readonly RowBlock[]): Uint8Array {
  const parts = blocks.map((block) => ({ id: encoder.encode(block.operatorId), rows: block.bytes }));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 6 + part.id.length + part.rows.length, 0));
  const view = new DataView(bytes.buffer);
  let position = 0;
  for (const { id, rows } of parts) {
    view.setUint16(position, id.length);
    view.setUint32(position + 2, rows.length);
    bytes.set(id, position + 6);
    bytes.set(rows, position + 6 + id.length);
    position += 6 + id.length + rows.length;
  }
  return bytes;
}

export function forEachStateRow(
  file: Uint8Array,
  visit: (vertexId: string, keyGroup: number, key: string, value: RowValue | null) => void,
): void {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let position = 0; position < file.length; ) {
    const idEnd = position + 6 + view.getUint16(position);
    const end = idEnd + view.getUint32(position + 2);
    const vertexId = decoder.decode(file.subarray(position + 6, idEnd));
    forEachRow(file.subarray(idEnd, end), (keyGroup, key, value) => {
      visit(
        vertexId,
        keyGroup,
        decoder.decode(key),
        value === null ? null : (JSON.parse(decoder.decode(value)) as RowValue),
      );
    });
    position = end;
  }
}

/** One base from files in the order in which they apply: the last row wins, tombstones go. */
export function mergeStateFiles(files: readonly Uint8Array[]): Uint8Array {
  const tables = new Map<string, Map<string, { keyGroup: number; value: RowValue | null }>>();
  for (const file of files) {
    forEachStateRow(file, (vertexId, keyGroup, key, value) => {
      const table = tables.get(vertexId) ?? new Map<string, { keyGroup: number; value: RowValue | null }>();
      tables.set(vertexId, table);
      table.set(`${keyGroup}|${key}`, { keyGroup, value });
    });
  }
  const blocks: RowBlock[] = [];
  const writer = new RowBlockWriter((block) => blocks.push(block), 4096);
  for (const [vertexId, rows] of tables) {
    writer.startTable(vertexId, 'rows');
    for (const [name, { keyGroup, value }] of rows) {
      if (value === null) continue;
      writer.writeRow(
        keyGroup,
        encoder.encode(name.slice(name.indexOf('|') + 1)),
        encoder.encode(JSON.stringify(value)),
      );
    }
  }
  writer.flush();
  return encodeStateFile(blocks);
}
