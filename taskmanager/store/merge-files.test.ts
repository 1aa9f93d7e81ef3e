import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { collectObjectNames } from '../../storage/object-store-samples.test-support.ts';
import { mergeStateFiles } from './merge-files.ts';
import { readWantedRows } from './restore-stream.ts';
import { writeStateFile } from './state-file.ts';
import {
  applied,
  blocksOf,
  rowId,
  rowsOfFile,
  sampleRows,
  streamOf,
  type SampleRow,
} from './state-file-samples.test-support.ts';
import { forEachRow } from '../../runtime/checkpoint/row-block.ts';

const newStore = (): LocalDirectoryStore => new LocalDirectoryStore('/state', new MemoryFileSystem());

test('a merged base holds exactly the rows that are left when its inputs are applied in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(sampleRows, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(50, 1_000_000),
      async (inputs, runBytes) => {
        const store = newStore();
        const objects = [];
        for (const [index, rows] of inputs.entries()) {
          objects.push((await writeStateFile(store, `${index}.rows`, streamOf(blocksOf(rows)), runBytes)).object);
        }
        const base = await mergeStateFiles(store, objects, 'base.rows');
        const found = await rowsOfFile(store, base.object);
        expect(found.every((row) => row.value !== null)).toBe(true);
        expect(new Set(found.map(rowId)).size).toBe(found.length);
        expect(applied(found)).toEqual(applied(inputs.flat()));
        expect(base.rows).toBe(found.length);
      },
    ),
    { numRuns: 100 },
  );
});

test('a merge leaves no file when one input is missing', async () => {
  const store = newStore();
  const rows: SampleRow[] = [{ operatorId: 'count', stateName: 'rows', keyGroup: 1, key: 'a', value: '1' }];
  const { object } = await writeStateFile(store, '1.rows', streamOf(blocksOf(rows)));
  await expect(mergeStateFiles(store, [object, { ...object, name: 'gone.rows' }], 'base.rows')).rejects.toMatchObject({
    code: 'CHECKPOINT_UNREADABLE',
    message: expect.stringContaining('gone.rows'),
  });
  expect(await collectObjectNames(store, '')).toEqual(['1.rows']);
});

test('reading wanted rows returns the owned key groups and the reserved one of wanted operators, in order, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(sampleRows, { minLength: 1, maxLength: 3 }),
      fc.nat(127),
      fc.nat(127),
      async (inputs, a, b) => {
        const store = newStore();
        const files = [];
        for (const [index, rows] of inputs.entries())
          files.push(await writeStateFile(store, `${index}.rows`, streamOf(blocksOf(rows)), 200));
        const range = { first: Math.min(a, b), last: Math.max(a, b) };
        const found: string[][] = inputs.map(() => []);
        let newest = 0;
        for await (const { block, fileIndex } of readWantedRows(store, files, [
          { operatorId: 'count', keyGroups: [range] },
        ])) {
          expect(fileIndex).toBeGreaterThanOrEqual(newest);
          newest = fileIndex;
          expect(block.bytes.length).toBe(block.bytes.buffer.byteLength);
          let rowCount = 0;
          forEachRow(block.bytes, (keyGroup, key, value) => {
            rowCount++;
            found[fileIndex]?.push(
              describeRow({
                ...block,
                keyGroup,
                key: Buffer.from(key).toString(),
                value: value && Buffer.from(value).toString(),
              }),
            );
          });
          expect(rowCount).toBe(block.rowCount);
        }
        const isWanted = (row: SampleRow): boolean =>
          row.operatorId === 'count' &&
          (row.keyGroup === 0xffff || (row.keyGroup >= range.first && row.keyGroup <= range.last));
        for (const [index, rows] of inputs.entries()) {
          expect([...(found[index] ?? [])].sort()).toEqual(rows.filter(isWanted).map(describeRow).sort());
        }
      },
    ),
    { numRuns: 100 },
  );
});

const describeRow = (row: SampleRow): string => JSON.stringify([rowId(row), row.value]);
