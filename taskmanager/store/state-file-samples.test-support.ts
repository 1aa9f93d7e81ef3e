/** Rows, blocks and files that tests of this folder share. */
import fc from 'fast-check';
import { RowBlockWriter, type RowBlock } from '../../runtime/checkpoint/row-block.ts';
import type { ObjectStore, StoredObject } from '../../storage/object-store.ts';
import { forEachRowOfFile } from './state-file.ts';

export interface SampleRow {
  readonly operatorId: string;
  readonly stateName: string;
  readonly keyGroup: number;
  readonly key: string;
  /** Null: a tombstone. */
  readonly value: string | null;
}

/** Rows of few tables, keys and key groups, so that they meet; a row of the reserved key group now and then. */
export const sampleRows: fc.Arbitrary<SampleRow[]> = fc.array(
  fc.record({
    operatorId: fc.constantFrom('count', 'sum ü'),
    stateName: fc.constantFrom('rows', 'timers'),
    keyGroup: fc.constantFrom(0, 1, 2, 3, 127, 0xffff),
    key: fc.constantFrom('', 'a', 'b', 'c'),
    value: fc.option(fc.string({ maxLength: 12 }), { nil: null, freq: 3 }),
  }),
  { maxLength: 60 },
);

/** Rows in blocks of about `blockBytes`. */
export function blocksOf(rows: readonly SampleRow[], blockBytes = 64): RowBlock[] {
  const blocks: RowBlock[] = [];
  const writer = new RowBlockWriter((block) => blocks.push(block), blockBytes);
  for (const row of rows) {
    writer.startTable(row.operatorId, row.stateName);
    writer.writeRow(row.keyGroup, Buffer.from(row.key), row.value === null ? null : Buffer.from(row.value));
  }
  writer.flush();
  return blocks;
}

export async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** A row's identity, for models. */
export const rowId = (row: SampleRow): string => JSON.stringify([row.operatorId, row.stateName, row.keyGroup, row.key]);

/** What is left when rows are applied in order. */
export function applied(rows: readonly SampleRow[]): Map<string, string> {
  const model = new Map<string, string>();
  for (const row of rows) {
    if (row.value === null) model.delete(rowId(row));
    else model.set(rowId(row), row.value);
  }
  return model;
}

/** All rows of a file in file order. */
export async function rowsOfFile(store: ObjectStore, object: StoredObject): Promise<SampleRow[]> {
  const rows: SampleRow[] = [];
  await forEachRowOfFile(store, object, ({ operatorId, stateName }, keyGroup, key, value) => {
    rows.push({
      operatorId,
      stateName,
      keyGroup,
      key: Buffer.from(key).toString(),
      value: value === null ? null : Buffer.from(value).toString(),
    });
  });
  return rows;
}
