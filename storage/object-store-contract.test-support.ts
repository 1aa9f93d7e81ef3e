/** What every object store must do. Each implementation runs this suite from its own test file. */
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { collectObjectNames, failing, inChunks } from './object-store-samples.test-support.ts';
import type { ObjectStore } from './object-store.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** @param makeStore a new, empty store */
export function objectStoreContract(kind: string, makeStore: () => Promise<ObjectStore>): void {
  describe(`${kind} as an object store`, () => {
    test('put returns name, hash and length, and get the same bytes', async () => {
      const store = await makeStore();
      const bytes = text('seven rows');
      const object = await store.put('job/state/1-1.rows', bytes);
      expect(object).toEqual({ name: 'job/state/1-1.rows', sha256: sha256(bytes), bytes: bytes.length });
      expect(await store.get(object)).toEqual(bytes);
    });

    test('put stores chunks in order when the producer reuses its buffer', async () => {
      const store = await makeStore();
      const bytes = text('abcdefghijklmnopqrstuvwxyz');
      const object = await store.put('a', inChunks(bytes, 5));
      expect(object).toEqual({ name: 'a', sha256: sha256(bytes), bytes: 26 });
      expect(await store.get(object)).toEqual(bytes);
    });

    test('put stores an empty object', async () => {
      const store = await makeStore();
      const object = await store.put('empty', new Uint8Array(0));
      expect(object.bytes).toBe(0);
      expect(await store.get(object)).toEqual(new Uint8Array(0));
    });

    test('put refuses a name that exists and keeps the first object', async () => {
      const store = await makeStore();
      const first = await store.put('a/b', text('first'));
      await expect(store.put('a/b', text('second'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await store.get(first)).toEqual(text('first'));
    });

    test('put takes one of two writers when both use a name at once', async () => {
      const store = await makeStore();
      const results = await Promise.allSettled([store.put('a', text('1')), store.put('a', text('2'))]);
      expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    });

    test('put stores nothing and rethrows when the producer throws', async () => {
      const store = await makeStore();
      const reason = new Error('aborted');
      await expect(store.put('a/b', failing(text('half'), reason))).rejects.toBe(reason);
      expect(await collectObjectNames(store, '')).toEqual([]);
      await store.put('a/b', text('whole'));
    });

    test.each([
      '',
      '/a',
      '../a',
      'a/../b',
      'a//b',
      './a',
      'a/.',
      'a/',
      'a\0b',
      'a\\b',
      '.tmp-a',
      'a/.tmp-b',
      'x'.repeat(256),
    ])('every operation refuses the name %j', async (name) => {
      const store = await makeStore();
      const object = { name, sha256: '', bytes: 0 };
      await expect(store.put(name, text('x'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await expect(store.get(object)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await expect(store.openRead(object)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await expect(store.delete(name)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    });

    test('get refuses a missing object, another length and another hash', async () => {
      const store = await makeStore();
      const object = await store.put('a', text('abc'));
      for (const wrong of [
        { ...object, name: 'b' },
        { ...object, bytes: 2 },
        { ...object, bytes: 4 },
        { ...object, sha256: sha256(text('abd')) },
      ]) {
        await expect(store.get(wrong)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
      }
    });

    test('openRead returns any range in a buffer of its own and refuses what is beyond the end', async () => {
      const store = await makeStore();
      const object = await store.put('a', text('0123456789'));
      const opened = await store.openRead(object);
      const part = await opened.read(3, 4);
      expect(part).toEqual(text('3456'));
      expect(part.buffer.byteLength).toBe(4);
      expect(await opened.read(10, 0)).toEqual(new Uint8Array(0));
      await expect(opened.read(7, 4)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
      await expect(opened.read(-1, 2)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
      await opened.close();
      await expect(store.openRead({ ...object, bytes: 9 })).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
      await expect(store.openRead({ ...object, name: 'none' })).rejects.toMatchObject({
        code: 'CHECKPOINT_UNREADABLE',
      });
    });

    test('openRead reads an object that a list has found, whose hash is not known', async () => {
      const store = await makeStore();
      await store.put('a/b', text('0123456789'));
      for await (const { name, bytes } of store.list('a/b')) {
        const opened = await store.openRead({ name, bytes, sha256: '' });
        expect(await opened.read(2, 3)).toEqual(text('234'));
        await opened.close();
      }
      await expect(store.get({ name: 'a/b', bytes: 10, sha256: '' })).rejects.toMatchObject({
        code: 'CHECKPOINT_UNREADABLE',
      });
    });

    test('list returns the objects below a prefix with their lengths', async () => {
      const store = await makeStore();
      for (const name of ['job/state/1', 'job/state/2', 'job/stately', 'job2/state/1', 'top'])
        await store.put(name, text(name));
      expect(await collectObjectNames(store, 'job/state/')).toEqual(['job/state/1', 'job/state/2']);
      expect(await collectObjectNames(store, 'job/state')).toEqual(['job/state/1', 'job/state/2', 'job/stately']);
      expect(await collectObjectNames(store, 'job')).toHaveLength(4);
      expect(await collectObjectNames(store, '')).toHaveLength(5);
      expect(await collectObjectNames(store, 'none/')).toEqual([]);
      for await (const listed of store.list('top')) expect(listed).toEqual({ name: 'top', bytes: 3 });
    });

    test('delete removes an object and accepts one that does not exist', async () => {
      const store = await makeStore();
      const object = await store.put('a/b', text('x'));
      await store.delete('a/b');
      await store.delete('a/b');
      await store.delete('never/was');
      await expect(store.get(object)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
      expect(await collectObjectNames(store, '')).toEqual([]);
    });
  });
}
