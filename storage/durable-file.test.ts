import { expect, test } from 'vitest';
import { readFileIfPresent, replaceFile } from './durable-file.ts';
import { MemoryFileSystem } from './memory-file-system.test-support.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

async function withOldContents(): Promise<MemoryFileSystem> {
  const files = new MemoryFileSystem();
  await files.makeDirectory('/job');
  await files.syncDirectory('/');
  await replaceFile('/job/pointer', text('old'), files);
  files.calls.length = 0;
  return files;
}

test('replaceFile syncs the contents before the rename and the directory after it', async () => {
  const files = await withOldContents();
  await replaceFile('/job/pointer', text('new'), files);
  expect(files.calls.map((call) => call.split(' ')[0])).toEqual([
    'create',
    'append',
    'sync',
    'close',
    'rename',
    'syncDirectory',
  ]);
  expect(await readFileIfPresent('/job/pointer', files)).toEqual(text('new'));
});

test('a replaced file has old or new contents after a power cut, and new ones once replaceFile resolved', async () => {
  for (let failAt = 0; failAt <= 6; failAt++) {
    const files = await withOldContents();
    files.fault = (_operation, _path, index) => (index >= failAt ? 'EIO' : null);
    const done = await replaceFile('/job/pointer', text('new'), files).then(
      () => true,
      () => false,
    );
    files.fault = () => null;
    files.crash();
    const found = new TextDecoder().decode((await readFileIfPresent('/job/pointer', files)) ?? text('nothing'));
    expect(done ? ['new'] : ['old', 'new']).toContain(found);
    expect(done).toBe(failAt === 6);
  }
});

test('replaceFile leaves no temporary file and keeps the old contents when the disk is full', async () => {
  const files = await withOldContents();
  files.fault = (operation) => (operation === 'append' ? 'ENOSPC' : null);
  await expect(replaceFile('/job/pointer', text('new'), files)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  expect(files.paths).toEqual(['/job/pointer']);
  expect(files.openFileCount).toBe(0);
  expect(await readFileIfPresent('/job/pointer', files)).toEqual(text('old'));
});

test('readFileIfPresent returns null when the file does not exist and fails as storage otherwise', async () => {
  const files = await withOldContents();
  expect(await readFileIfPresent('/job/none', files)).toBeNull();
  files.fault = (operation) => (operation === 'read' ? 'EIO' : null);
  await expect(readFileIfPresent('/job/pointer', files)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});
