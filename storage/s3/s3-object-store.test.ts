import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { objectStoreContract } from '../object-store-contract.test-support.ts';
import { collectObjectNames, inChunks } from '../object-store-samples.test-support.ts';
import { S3ObjectStore, type S3ObjectStoreOptions } from './s3-object-store.ts';
import { memoryScratch, S3TestServer, testLocation } from './s3-server.test-support.ts';

let directory: string;
let server: S3TestServer;
const stores: S3ObjectStore[] = [];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-s3-'));
  server = await S3TestServer.start(directory);
});
afterAll(async () => {
  for (const store of stores) store.close();
  await server.stop();
  await rm(directory, { recursive: true, force: true });
});

function newStore(more: Partial<S3ObjectStoreOptions> = {}): S3ObjectStore {
  const store = new S3ObjectStore({ location: testLocation(server.endpoint), openScratch: memoryScratch(), ...more });
  stores.push(store);
  return store;
}

objectStoreContract('S3', async () => newStore());

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('a store in S3', () => {
  test('keeps out of what lies beside its prefix', async () => {
    const location = testLocation(server.endpoint);
    const store = newStore({ location });
    const beside = newStore({ location: { ...location, prefix: `${location.prefix}0` } });
    await store.put('a', text('1'));
    await beside.put('b', text('2'));
    expect([await collectObjectNames(store, ''), await collectObjectNames(beside, '')]).toEqual([['a'], ['b']]);
  });

  test('keeps names apart that only escapes tell apart', async () => {
    const store = newStore();
    const names = ['a b/c', 'a%20b/c', 'ä+&=?#/x', '50%25/(!*~)'];
    for (const name of names) await store.put(name, text(name));
    expect(await collectObjectNames(store, '')).toEqual([...names].sort());
    for (const name of names) {
      const bytes = text(name);
      expect(await store.get({ name, sha256: hashOf(bytes), bytes: bytes.length })).toEqual(bytes);
      await store.delete(name);
    }
    expect(await collectObjectNames(store, '')).toEqual([]);
  });

  test('lists all objects when there are more than a page of them', async () => {
    const names = Array.from({ length: 2_503 }, (_, index) => `state/${String(index).padStart(5, '0')}`);
    // Of its own: the package's server does not answer with a second page.
    const pages = createServer((request, response) => {
      const query = new URL(request.url ?? '', 'http://x').searchParams;
      const from = Number(query.get('continuation-token') ?? 0);
      const to = from + Number(query.get('max-keys'));
      const contents = names
        .slice(from, to)
        .map(
          (name) =>
            `<Contents><Key>${query.get('prefix')?.replace('state/', '')}${name}</Key><Size>7</Size></Contents>`,
        );
      const next =
        to < names.length
          ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${to}</NextContinuationToken>`
          : '<IsTruncated>false</IsTruncated>';
      response.end(`<?xml version="1.0"?><ListBucketResult>${next}${contents.join('')}</ListBucketResult>`);
    });
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
    const store = newStore({ location: testLocation(`http://127.0.0.1:${(pages.address() as AddressInfo).port}`) });
    try {
      expect(await collectObjectNames(store, 'state/')).toEqual(names);
    } finally {
      store.close();
      pages.close();
    }
  });

  test('takes and gives back an object of many chunks as it is, also to several readers at once', async () => {
    const store = newStore();
    const bytes = new Uint8Array(3_000_001).map((_, index) => (index * 7919) >> 3);
    const object = await store.put('large', inChunks(bytes, 70_000));
    expect(object).toEqual({ name: 'large', sha256: hashOf(bytes), bytes: bytes.length });
    expect(hashOf(await store.get(object))).toBe(object.sha256);
    const [first, second] = await Promise.all([store.openRead(object), store.openRead(object)]);
    await first.close();
    await first.close();
    expect(await second.read(2_999_990, 11)).toEqual(bytes.slice(2_999_990));
    await second.close();
  });

  test('refuses what S3 does not take in one request, and leaves nothing', async () => {
    const store = newStore({ objectBytesMax: 100 });
    await expect(store.put('a', new Uint8Array(101))).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
    await expect(store.put('b', inChunks(new Uint8Array(101), 10))).rejects.toThrow('more than 100 bytes');
    expect(await collectObjectNames(store, '')).toEqual([]);
    await store.put('a', new Uint8Array(100));
  });

  test('says at the start what is wrong with its place, and nothing of its keys', async () => {
    await newStore().check();
    const wrongBucket = newStore({ location: testLocation(server.endpoint, { bucket: 'nobucket' }) });
    await expect(wrongBucket.check()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(wrongBucket.check()).rejects.toThrow(/no bucket nobucket at http.*→/);
    process.env['MILLRACE_TEST_S3_WRONG'] = 'canary-key';
    const accessKey = { option: 's3.accessKey', variable: 'MILLRACE_TEST_S3_WRONG' };
    const wrongKey = newStore({ location: testLocation(server.endpoint, { accessKey, secretKey: accessKey }) });
    const error = (await wrongKey.check().catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(error.message).toMatch(/403 InvalidAccessKeyId → check s3.accessKey, s3.secretKey/);
    expect(JSON.stringify(error) + String(error.stack) + inspect(error)).not.toContain('canary');
  });

  test('that cannot be reached is no error of the configuration', async () => {
    const store = newStore({ location: testLocation('http://127.0.0.1:1'), retry: { triesMax: 1 } });
    await store.check();
    await expect(store.put('a', text('x'))).rejects.toThrow(
      /cannot look up s3:\/\/bucket\/clusters\/\d+\/a: .*ECONNREFUSED/,
    );
  });

  test('ends what waits when it is closed', async () => {
    const location = testLocation('http://127.0.0.1:1');
    const store = newStore({ location, retry: { firstPauseMs: 1e6 } });
    const waiting = store.put('a', text('x'));
    store.close();
    await expect(waiting).rejects.toThrow('this process is ending');
  });
});
