import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { StoredObject } from '../object-store.ts';
import { collectObjectNames, inChunks } from '../object-store-samples.test-support.ts';
import { S3ObjectStore } from './s3-object-store.ts';
import {
  type Fault,
  FaultProxy,
  memoryScratch,
  type S3TestServer as Server,
  S3TestServer,
  testLocation,
} from './s3-server.test-support.ts';

let directory: string;
let server: Server;
let proxy: FaultProxy;
let store: S3ObjectStore;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-s3-'));
  server = await S3TestServer.start(directory);
  proxy = await FaultProxy.start(server.endpoint);
});
afterAll(async () => {
  await proxy.stop();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});
beforeEach(() => {
  store = newStore();
  proxy.fault = () => null;
  proxy.seen.splice(0);
});

const newStore = (requestTimeoutMs = 20_000): S3ObjectStore =>
  new S3ObjectStore({
    location: testLocation(proxy.endpoint, { requestTimeoutMs }),
    openScratch: memoryScratch(),
    retry: { triesMax: 3, firstPauseMs: 1 },
  });
const bytes = new Uint8Array(400_000).map((_, index) => (index * 31) >> 4);
const same = (first: Uint8Array, second: Uint8Array): boolean => Buffer.compare(first, second) === 0;
const method =
  (wanted: string) =>
  ({ method: seen }: { method: string }) =>
    seen === wanted;
const count = (wanted: string): number => proxy.seen.filter(method(wanted)).length;
const answer = (status: number, code?: string): Fault => ({
  kind: 'answer',
  status,
  ...(code === undefined ? {} : { code }),
});

describe('put', () => {
  test.each<[string, Fault]>([
    ['answers 500', answer(500, 'InternalError')],
    ['answers 503', answer(503, 'SlowDown')],
    ['closes the connection', { kind: 'refuse' }],
  ])('tries again when the server %s, with all of the content', async (_, fault) => {
    proxy.inOrder([fault, fault], method('PUT'));
    const object = await store.put('a', inChunks(bytes, 1_000));
    expect(same(await store.get(object), bytes)).toBe(true);
    expect(count('PUT')).toBe(3);
  });

  test('gives up after a bounded number of tries and says where, what and what to do', async () => {
    proxy.fault = ({ method: seen }) => (seen === 'PUT' ? answer(503, 'SlowDown') : null);
    const error = await store.put('job/a', bytes).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'STORAGE_FAILED', retry: 'backoff', ids: { bucket: 'bucket' } });
    expect((error as Error).message).toMatch(
      /^cannot write s3:\/\/bucket\/clusters\/\d+\/job\/a: http:\/\/127.0.0.1:\d+ answered 503 SlowDown, 3 times → /,
    );
    proxy.fault = () => null;
    expect(await collectObjectNames(store, '')).toEqual([]);
    await store.put('job/a', bytes);
  });

  test('does not try again what is forbidden, and tells which right is missing', async () => {
    proxy.inOrder([answer(403, 'AccessDenied')], method('PUT'));
    await expect(store.put('a', bytes)).rejects.toThrow(
      /answered 403 AccessDenied → let the access key read, write, delete and list in bucket bucket/,
    );
    expect(count('PUT')).toBe(1);
  });

  test('tells keys that are not accepted, and nothing of them', async () => {
    proxy.inOrder([answer(403, 'SignatureDoesNotMatch')], method('PUT'));
    await expect(store.put('a', bytes)).rejects.toThrow(/403 SignatureDoesNotMatch → check s3.accessKey, s3.secretKey/);
  });

  test('repeats nothing of an answer but a plain code', async () => {
    proxy.inOrder([answer(400, 'canary <AWSAccessKeyId>')], method('PUT'));
    const error = (await store.put('a', bytes).catch((reason: unknown) => reason)) as Error;
    expect(`${error.message}${JSON.stringify(error)}${String(error.cause)}`).not.toContain('canary');
  });

  test('tells a full storage from a failing one', async () => {
    proxy.inOrder([answer(507, 'XMinioStorageFull')], method('PUT'));
    await expect(store.put('a', bytes)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  });

  test('knows its own object when the first answer was lost and the server refuses the second', async () => {
    store = newStore(300);
    proxy.inOrder([{ kind: 'silence' }, answer(412, 'PreconditionFailed')], method('PUT'));
    const object = await store.put('a', bytes);
    proxy.fault = () => null;
    expect(same(await newStoreAt(store).get(object), bytes)).toBe(true);
    expect(proxy.seen.filter(method('PUT')).map(({ headers }) => headers['if-none-match'])).toEqual(['*', '*']);
  });

  test('does not take for its own what another writer stored in the same instant', async () => {
    proxy.inOrder([answer(412, 'PreconditionFailed')], method('PUT'));
    await expect(store.put('a', bytes)).rejects.toThrow('the object exists');
    // Also when its own first request may have been stored.
    const name = 'b';
    let raced = false;
    proxy.fault = ({ method: seen, path }) => {
      if (seen !== 'PUT' || !path.endsWith('/b')) return null;
      const fault = raced ? answer(412, 'PreconditionFailed') : answer(500);
      raced = true;
      return fault;
    };
    await expect(store.put(name, bytes)).rejects.toThrow(/./);
    expect(await collectObjectNames(store, '')).toEqual([]);
  });

  test('goes on without the condition when the server does not have it', async () => {
    proxy.fault = ({ headers }) => (headers['if-none-match'] === undefined ? null : answer(501, 'NotImplemented'));
    await store.put('a', bytes);
    await store.put('b', bytes);
    expect(count('PUT')).toBe(3);
    await expect(store.put('a', bytes)).rejects.toThrow('the object exists');
  });

  test('ends at its deadline when no answer comes', async () => {
    store = newStore(100);
    proxy.fault = ({ method: seen }) => (seen === 'PUT' ? { kind: 'silence' } : null);
    await expect(store.put('a', new Uint8Array(3))).rejects.toThrow(
      /no whole answer within 101 ms, 3 times → check that .* can be reached/,
    );
    // What was stored without an answer is removed: the caller was told that there is no such object.
    expect(await collectObjectNames(store, '')).toEqual([]);
  });

  test('carries the hash for the server to check', async () => {
    const { sha256 } = await store.put('a', bytes);
    const [request] = proxy.seen.filter(method('PUT'));
    expect(request?.headers['x-amz-checksum-sha256']).toBe(Buffer.from(sha256, 'hex').toString('base64'));
  });
});

/** A store at the same place, with other deadlines. */
const newStoreAt = (other: S3ObjectStore): S3ObjectStore =>
  new S3ObjectStore({
    location: testLocation(proxy.endpoint, { prefix: other.root.replace('s3://bucket/', '') }),
    openScratch: memoryScratch(),
    retry: { triesMax: 3, firstPauseMs: 1 },
  });

describe('reading', () => {
  let object: StoredObject;
  beforeEach(async () => {
    object = await store.put('a', bytes);
    proxy.seen.splice(0);
  });

  test('goes on where the answer was cut', async () => {
    proxy.inOrder([{ kind: 'cut', afterBytes: 100_000 }, { kind: 'cut', afterBytes: 150_000 }, null], method('GET'));
    expect(same(await store.get(object), bytes)).toBe(true);
    const ranges = proxy.seen.map(({ headers }) => headers.range);
    expect(ranges[0]).toBe(undefined);
    expect(ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]) > 0)).toEqual([true, true]);
  });

  test('of parts goes on where the answer was cut', async () => {
    proxy.inOrder([{ kind: 'cut', afterBytes: 399_999 }], method('GET'));
    const opened = await store.openRead(object);
    expect(await opened.read(399_990, 10)).toEqual(bytes.slice(399_990));
    await opened.close();
  });

  test('gives up when every answer is cut', async () => {
    proxy.fault = () => ({ kind: 'cut', afterBytes: 10 });
    await expect(store.get(object)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(count('GET')).toBe(3);
    proxy.fault = () => null;
    expect(same(await store.get(object), bytes)).toBe(true);
  });

  test('refuses other bytes of the same length, whole and in parts', async () => {
    const changed = { ...object, sha256: '0'.repeat(64) };
    await expect(store.get(changed)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
    await expect(store.openRead(changed)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
  });

  test('tells a forbidden object from a missing one', async () => {
    proxy.inOrder([answer(403, 'AccessDenied')]);
    await expect(store.get(object)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await store.delete('a');
    const error = (await store.get(object).catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
    expect(error.message).toContain(`${store.root}/a is not the object that was stored`);
  });

  test('ends at its deadline when the answer stops in its middle', async () => {
    const slow = new S3ObjectStore({
      location: testLocation(proxy.endpoint, {
        prefix: store.root.replace('s3://bucket/', ''),
        requestTimeoutMs: 50,
      }),
      openScratch: memoryScratch(),
      retry: { triesMax: 1 },
    });
    proxy.fault = () => ({ kind: 'stall', afterBytes: 1_000 });
    await expect(slow.get(object)).rejects.toThrow('no whole answer within');
  });

  test('lists and deletes again after failures', async () => {
    proxy.inOrder([answer(500), { kind: 'cut', afterBytes: 20 }]);
    expect(await collectObjectNames(store, '')).toEqual(['a']);
    proxy.inOrder([answer(503)]);
    await store.delete('a');
    proxy.inOrder([answer(404, 'NoSuchKey')]);
    await store.delete('a');
    expect(await collectObjectNames(store, '')).toEqual([]);
  });
});
