import { expect, test } from 'vitest';
import type { RowBlock } from '../../runtime/checkpoint/row-block.ts';
import type { OpenFile } from '../../storage/file-system.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { BlockQueue } from './block-queue.ts';
import { SlotSpill, type SpilledBlocks } from './slot-spill.ts';
import { blocksOf } from './state-file-samples.test-support.ts';

const blockOf = (value: string): RowBlock => {
  const row = { operatorId: 'count', stateName: 'rows', keyGroup: 1, key: 'key', value };
  return blocksOf([row])[0] as RowBlock;
};

/** Spilled rows over a file system that a test can make fail; files of two blocks. */
class Fixture {
  readonly files = new MemoryFileSystem();
  readonly #store = new LocalDirectoryStore('/state', this.files);
  readonly #closing: Promise<void>[] = [];
  readonly spill: SlotSpill;

  constructor(wrap: (file: OpenFile) => OpenFile = (file) => file) {
    const open = async (): Promise<OpenFile> => wrap(await this.#store.createScratch());
    this.spill = new SlotSpill(open, (closing) => this.#closing.push(closing), 2 * blockOf('1').bytes.length);
  }

  /** After everything that is being closed is closed. */
  async openFiles(): Promise<number> {
    await Promise.all(this.#closing);
    return this.files.openFileCount;
  }
}

async function textsOf(blocks: SpilledBlocks): Promise<string[]> {
  const texts: string[] = [];
  for await (const { bytes } of blocks.read()) texts.push(Buffer.from(bytes).toString('latin1').slice(-1));
  return texts;
}

test('blocks of the asked epochs come in the order in which they were put, and no others', async () => {
  const { spill, files } = new Fixture();
  for (const [epoch, value] of [1, 2, 2, 3, 4].entries()) void spill.put(1, value, blockOf(String(epoch)));
  await spill.put(2, 3, blockOf('x'));
  expect(await textsOf(spill.select(1, 1, 3))).toEqual(['1', '2', '3']);
  expect(files.paths).toEqual([]);
});

test('what a checkpoint was given stays readable when it is dropped and the slot is gone', async () => {
  const fixture = new Fixture();
  for (const value of ['1', '2', '3']) await fixture.spill.put(1, 1, blockOf(value));
  const given = fixture.spill.select(1, 0, 1);
  fixture.spill.drop(1, 1);
  fixture.spill.close();
  expect(await fixture.openFiles()).toBe(2);
  expect(await textsOf(given)).toEqual(['1', '2', '3']);
  expect(await fixture.openFiles()).toBe(0);
});

test('a file is closed when none of its blocks is needed, also when others are', async () => {
  const fixture = new Fixture();
  for (const epoch of [1, 1, 2, 2]) await fixture.spill.put(1, epoch, blockOf(String(epoch)));
  expect(await fixture.openFiles()).toBe(2);
  fixture.spill.drop(1, 1);
  expect(await fixture.openFiles()).toBe(1);
  expect(await textsOf(fixture.spill.select(1, 0, 2))).toEqual(['2', '2']);
  fixture.spill.drop(1, 2);
  expect(await fixture.openFiles()).toBe(0);
  await fixture.spill.put(1, 3, blockOf('3'));
  expect(await textsOf(fixture.spill.select(1, 2, 3))).toEqual(['3']);
});

test('blocks of a queue that fails are released', async () => {
  const fixture = new Fixture();
  await fixture.spill.put(1, 1, blockOf('1'));
  const queue = new BlockQueue(() => undefined);
  queue.pushSpilled(fixture.spill.select(1, 0, 1));
  queue.fail(new Error('given up'));
  queue.pushSpilled(fixture.spill.select(1, 0, 1));
  fixture.spill.close();
  expect(await fixture.openFiles()).toBe(0);
});

test('a write that fails is told, and so is every use of what may be lost', async () => {
  const { spill, files } = new Fixture();
  await spill.put(1, 1, blockOf('1'));
  files.fault = (operation) => (operation === 'append' ? 'ENOSPC' : null);
  await expect(spill.put(1, 1, blockOf('2'))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  files.fault = () => null;
  await expect(spill.put(1, 1, blockOf('3'))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  await expect(textsOf(spill.select(1, 0, 1))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
});

test('a file that cannot be made is told', async () => {
  const { spill, files } = new Fixture();
  files.fault = (operation) => (operation === 'create' ? 'EACCES' : null);
  await expect(spill.put(1, 1, blockOf('1'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});

test('bytes that are not what was written are refused', async () => {
  const { spill } = new Fixture((file) => ({
    append: (bytes) => file.append(bytes),
    read: async (target, position) => {
      const filled = await file.read(target, position);
      target[3] = (target[3] as number) ^ 1;
      return filled;
    },
    sync: () => file.sync(),
    length: () => file.length(),
    close: () => file.close(),
  }));
  await spill.put(1, 1, blockOf('1'));
  await expect(textsOf(spill.select(1, 0, 1))).rejects.toMatchObject({
    code: 'STORAGE_FAILED',
    message: expect.stringContaining('temporary file'),
  });
});
