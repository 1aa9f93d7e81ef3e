import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { collectObjectNames } from '../../storage/object-store-samples.test-support.ts';
import { decodeHeader, encodeHeader, headerBytes } from './state-file-format.ts';
import { StateFileReader, writeStateFile } from './state-file.ts';
import { blocksOf, rowsOfFile, sampleRows, streamOf, type SampleRow } from './state-file-samples.test-support.ts';

const newStore = (files = new MemoryFileSystem()): LocalDirectoryStore => new LocalDirectoryStore('/state', files);
const row = (keyGroup: number, key: string, value: string | null, operatorId = 'count'): SampleRow => ({
  operatorId,
  stateName: 'rows',
  keyGroup,
  key,
  value,
});

test('a state file returns the rows of every table and key group in the order they were written, whatever the run length', async () => {
  await fc.assert(
    fc.asyncProperty(sampleRows, fc.constantFrom(1, 100, 1_000_000), async (rows, runBytes) => {
      const store = newStore();
      const file = await writeStateFile(store, 'a.rows', streamOf(blocksOf(rows)), runBytes);
      const found = await rowsOfFile(store, file.object);
      expect(file.rows).toBe(rows.length);
      expect(found).toHaveLength(rows.length);
      const partOf = (all: readonly SampleRow[], like: SampleRow): SampleRow[] =>
        all.filter(
          (other) =>
            other.operatorId === like.operatorId &&
            other.stateName === like.stateName &&
            other.keyGroup === like.keyGroup,
        );
      for (const like of rows) expect(partOf(found, like)).toEqual(partOf(rows, like));
      if (rows.length === 0) return;
      expect(file.keyGroupFirst).toBe(Math.min(...rows.map((each) => each.keyGroup)));
      expect(file.keyGroupLast).toBe(Math.max(...rows.map((each) => each.keyGroup)));
    }),
    { numRuns: 60 },
  );
});

test('a state file of one run is sorted by table and key group', async () => {
  const store = newStore();
  const rows = [row(5, 'x', '1'), row(1, 'y', '2', 'sum'), row(0, 'z', '3'), row(5, 'w', '4')];
  const file = await writeStateFile(store, 'a.rows', streamOf(blocksOf(rows)));
  expect((await rowsOfFile(store, file.object)).map((each) => each.key)).toEqual(['z', 'x', 'w', 'y']);
});

test('large rows and many blocks keep their contents', async () => {
  const store = newStore();
  const rows = Array.from({ length: 300 }, (_, index) => row(index % 7, `key ${index}`, 'v'.repeat(index * 11)));
  const file = await writeStateFile(store, 'a.rows', streamOf(blocksOf(rows, 10_000)), 100_000);
  const reader = await StateFileReader.open(store, file.object);
  expect(reader.index.blocks.length).toBeGreaterThan(3);
  await reader.close();
  const byKey = new Map((await rowsOfFile(store, file.object)).map((each) => [each.key, each]));
  for (const each of rows) expect(byKey.get(each.key)).toEqual(each);
});

/** A small file with several tables, and a way to read it damaged: only the file's own checks are asked, not its hash. */
async function smallFile(): Promise<{ bytes: Uint8Array; readDamaged(bytes: Uint8Array): Promise<unknown> }> {
  const store = newStore();
  const rows = [row(0, 'a', '1'), row(3, 'bc', null), row(0xffff, 'position', '42'), row(2, 'd', 'four', 'sum')];
  const { object } = await writeStateFile(store, 'a.rows', streamOf(blocksOf(rows)));
  const bytes = await store.get(object);
  return {
    bytes,
    async readDamaged(damaged) {
      const other = newStore();
      return rowsOfFile(other, await other.put('job/damaged.rows', damaged));
    },
  };
}

test('a state file is refused, naming it, when any bit of it is flipped', async () => {
  const { bytes, readDamaged } = await smallFile();
  expect(await readDamaged(bytes)).toHaveLength(4);
  for (let position = 0; position < bytes.length; position++) {
    for (let bit = 0; bit < 8; bit++) {
      const damaged = bytes.slice();
      damaged[position] = (damaged[position] as number) ^ (1 << bit);
      await expect(readDamaged(damaged), `byte ${position}, bit ${bit}`).rejects.toMatchObject({
        code: 'CHECKPOINT_UNREADABLE',
        message: expect.stringContaining('job/damaged.rows'),
      });
    }
  }
});

test('a state file is refused when it is cut at any length, or longer', async () => {
  const { bytes, readDamaged } = await smallFile();
  for (let length = 0; length < bytes.length; length++) {
    await expect(readDamaged(bytes.slice(0, length)), `length ${length}`).rejects.toMatchObject({
      code: 'CHECKPOINT_UNREADABLE',
    });
  }
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  await expect(readDamaged(longer)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
});

test('decoding arbitrary bytes is refused as unreadable and never fails otherwise', async () => {
  const { bytes, readDamaged } = await smallFile();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(bytes.length), async (noise, at) => {
      const damaged = new Uint8Array([...bytes.subarray(0, at), ...noise, ...bytes.subarray(at)]);
      fc.pre(Buffer.compare(damaged, bytes) !== 0);
      await expect(readDamaged(damaged)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
    }),
  );
});

test('the golden file of format version 1 is read and written byte for byte as ever', async () => {
  const golden = new Uint8Array(await readFile(new URL('testdata/state-file-v1.rows', import.meta.url)));
  const rows: SampleRow[] = [
    row(0, 'b', 'two'),
    row(3, 'a', '1'),
    row(3, 'c', null),
    { operatorId: 'source ü', stateName: 'positions', keyGroup: 0xffff, key: 'p', value: '' },
  ];
  const store = newStore();
  const stored = await store.put('golden.rows', golden);
  expect(await rowsOfFile(store, stored)).toEqual(rows);
  const { object } = await writeStateFile(store, 'again.rows', streamOf(blocksOf(rows)));
  expect(object.sha256).toBe(stored.sha256);
});

test('a state file of another format version is refused, naming both versions', () => {
  const header = encodeHeader();
  header[8] = 2;
  expect(header).toHaveLength(headerBytes);
  expect(() => decodeHeader(header, 'a.rows')).toThrow(/expected format version 1, found version 2/);
});

test('writing leaves no file when a block is not made of whole rows', async () => {
  const store = newStore();
  const [block] = blocksOf([row(0, 'a', '1')]);
  if (block === undefined) throw new Error('a row makes a block');
  for (const broken of [
    { ...block, bytes: block.bytes.slice(0, -1) },
    { ...block, rowCount: 2 },
  ]) {
    await expect(writeStateFile(store, 'a.rows', streamOf([broken]))).rejects.toMatchObject({ code: 'INTERNAL' });
  }
  expect(await collectObjectNames(store, '')).toEqual([]);
});
