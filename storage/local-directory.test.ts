import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { LocalDirectoryStore } from './local-directory.ts';
import { MemoryFileSystem } from './memory-file-system.test-support.ts';
import { collectObjectNames, inChunks } from './object-store-samples.test-support.ts';
import { objectStoreContract } from './object-store-contract.test-support.ts';

const directories: string[] = [];
const newDirectory = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'millrace-store-'));
  directories.push(path);
  return path;
};
afterAll(async () => {
  for (const path of directories) await rm(path, { recursive: true, force: true });
});
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

objectStoreContract(
  'a local directory',
  async () => new LocalDirectoryStore(join(await newDirectory(), 'not', 'there', 'yet')),
);
objectStoreContract(
  'a local directory over the memory file system',
  async () => new LocalDirectoryStore('/state', new MemoryFileSystem()),
);

/** Calls with the random part of temporary names left out; look-ups and closes do not matter for durability. */
const durabilityCalls = (files: MemoryFileSystem): string[] =>
  files.calls
    .map((call) => call.replace(/\.tmp-[0-9a-f-]+/, 'TEMPORARY'))
    .filter((call) => !/^(status|close|length) /.test(call));

test('put syncs the file before the rename and the directory after it', async () => {
  const files = new MemoryFileSystem();
  const store = new LocalDirectoryStore('/state', files);
  await store.put('job/a', text('first'));
  expect(durabilityCalls(files)).toEqual([
    'makeDirectory /state',
    'syncDirectory /',
    'makeDirectory /state/job',
    'syncDirectory /state',
    'create /state/job/TEMPORARY',
    'append /state/job/TEMPORARY',
    'sync /state/job/TEMPORARY',
    'rename /state/job/a',
    'syncDirectory /state/job',
  ]);
});

test('put makes directories once when several objects go into them at once', async () => {
  const files = new MemoryFileSystem();
  const store = new LocalDirectoryStore('/state', files);
  await Promise.all(['a', 'b', 'c'].map((name) => store.put(`job/${name}`, text(name))));
  expect(files.calls.filter((call) => call === 'makeDirectory /state/job')).toHaveLength(1);
});

test('a stored object survives a power cut and an unfinished one leaves no object, wherever the power fails', async () => {
  const bytes = text('a state file of a few chunks');
  const whole = new MemoryFileSystem();
  await new LocalDirectoryStore('/state', whole).put('job/state/1', inChunks(bytes, 8));
  for (let failAt = 0; failAt <= whole.calls.length; failAt++) {
    const files = new MemoryFileSystem();
    // From one call on nothing works any more: the process dies there.
    files.fault = (_operation, _path, index) => (index >= failAt ? 'EIO' : null);
    const stored = await new LocalDirectoryStore('/state', files)
      .put('job/state/1', inChunks(bytes, 8))
      .catch(() => null);
    files.fault = () => null;
    files.crash();
    const reopened = new LocalDirectoryStore('/state', files);
    if (stored !== null) expect(await reopened.get(stored)).toEqual(bytes);
    for await (const listed of reopened.list('')) expect(listed).toEqual({ name: 'job/state/1', bytes: bytes.length });
    expect(stored === null).toBe(failAt < whole.calls.length);
  }
});

test.each(['makeDirectory', 'create', 'append', 'sync', 'status', 'rename', 'syncDirectory'])(
  'put stores nothing and leaves nothing open when %s fails once, and works again after',
  async (operation) => {
    const files = new MemoryFileSystem();
    const store = new LocalDirectoryStore('/state', files);
    let faults = 1;
    files.fault = (called, path) => (called === operation && path.startsWith('/state') && faults-- > 0 ? 'EIO' : null);
    await expect(store.put('job/a', text('x'))).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      domain: 'external',
      retry: 'backoff',
    });
    expect(faults).toBe(0);
    expect(files.paths).toEqual([]);
    expect(files.openFileCount).toBe(0);
    const object = await store.put('job/a', text('y'));
    expect(await store.get(object)).toEqual(text('y'));
  },
);

test('put never syncs a file again when its fsync failed', async () => {
  const files = new MemoryFileSystem();
  const store = new LocalDirectoryStore('/state', files);
  files.fault = (operation, path) => (operation === 'sync' && path.includes('.tmp-') ? 'EIO' : null);
  await expect(store.put('a', text('x'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  await expect(store.put('b', text('x'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  const synced = files.calls.filter((call) => call.startsWith('sync '));
  expect(new Set(synced).size).toBe(2);
});

test.each(['ENOSPC', 'EDQUOT'])('put names the path and the remedy when the disk is full (%s)', async (code) => {
  const files = new MemoryFileSystem();
  files.fault = (operation) => (operation === 'append' ? code : null);
  const failure = new LocalDirectoryStore('/state', files).put('job/a', text('x'));
  await expect(failure).rejects.toMatchObject({
    code: 'STORAGE_FULL',
    message: expect.stringContaining('/state/job/a'),
  });
  await expect(failure).rejects.toMatchObject({ message: expect.stringContaining('make room') });
});

test('get names file, expected and found when the file was cut or changed', async () => {
  const directory = await newDirectory();
  const store = new LocalDirectoryStore(directory);
  const object = await store.put('job/manifest', text('contents'));
  const path = join(directory, 'job', 'manifest');
  await writeFile(path, text('contentS'));
  await expect(store.get(object)).rejects.toMatchObject({
    code: 'CHECKPOINT_UNREADABLE',
    message: expect.stringContaining(object.sha256),
  });
  await truncate(path, 3);
  const failure = store.get(object);
  await expect(failure).rejects.toMatchObject({ message: expect.stringContaining(path) });
  await expect(failure).rejects.toMatchObject({ message: expect.stringContaining('expected 8 bytes, found 3 bytes') });
});

test('get fails as storage when reading fails, not as an unreadable checkpoint', async () => {
  const files = new MemoryFileSystem();
  const store = new LocalDirectoryStore('/state', files);
  const object = await store.put('a', text('x'));
  files.fault = (operation) => (operation === 'read' ? 'EIO' : null);
  await expect(store.get(object)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  expect(files.openFileCount).toBe(0);
});

test('directories and files are for their owner only when they are made', async () => {
  const directory = await newDirectory();
  await new LocalDirectoryStore(join(directory, 'root')).put('job/a', text('x'));
  expect((await stat(join(directory, 'root'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(directory, 'root', 'job'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(directory, 'root', 'job', 'a'))).mode & 0o777).toBe(0o600);
});

test('leftovers of a crashed writer are never listed and are removed by age', async () => {
  const files = new MemoryFileSystem();
  const store = new LocalDirectoryStore('/state', files);
  await store.put('job/a', text('x'));
  for (const [name, nowMs] of [
    ['old', 1_000],
    ['new', 5_000],
  ] as const) {
    files.nowMs = nowMs;
    await (await files.create(`/state/job/.tmp-${name}`)).append(text('half'));
  }
  expect(await collectObjectNames(store, '')).toEqual(['job/a']);
  expect(await store.removeLeftovers(5_000)).toBe(1);
  expect(files.paths).toEqual(['/state/job/a', '/state/job/.tmp-new']);
});

test('put makes its directories again when somebody removed them and a put has failed', async () => {
  const directory = await newDirectory();
  const store = new LocalDirectoryStore(join(directory, 'root'));
  await store.put('job/a', text('x'));
  await rm(join(directory, 'root'), { recursive: true });
  await expect(store.put('job/b', text('x'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  await store.get(await store.put('job/b', text('y')));
});
