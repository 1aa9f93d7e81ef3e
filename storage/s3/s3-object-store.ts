/**
 * Objects in S3-compatible storage.
 *
 *   encode to a local file → hash → PUT with length, hash and "only if nobody has this name" → resolve
 *
 * S3 shows an object only when all of it is stored, so a resolved put is whole and durable, and a name never means other bytes:
 * the name is looked up before, and `If-None-Match` lets the server refuse a second writer of the same instant. Servers that do
 * not know the condition leave that to the callers' unique names, as a directory does.
 *
 * A request that got no answer may have stored the object all the same. Each put therefore carries a token of its own in the
 * object's metadata: a repeated request that finds the name taken reads it, and knows its own work.
 *
 * Reading parts of an object downloads all of it once, to a local file without a name that all readers of this process share.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { S3mini } from 's3mini';
import { EngineError, isEngineError } from '../../core/errors.ts';
import { failpoint } from '../../core/failpoint.ts';
import {
  checkObjectName,
  type ListedObject,
  type ObjectStore,
  type RandomAccessObject,
  type StoredObject,
} from '../object-store.ts';
import { downloadObject } from './s3-download.ts';
import { s3Error, s3Failure, type S3Place, s3Text } from './s3-errors.ts';
import { readSecret, type S3Location } from './s3-location.ts';
import { S3Retry, s3RetryDefaults, type S3RetryOptions } from './s3-retry.ts';
import { S3Transport } from './s3-transport.ts';
import { SharedDownloads } from './shared-downloads.ts';
import { type OpenScratch, stagedBytes, type StagedContent, stagedFile, tooLarge } from './staged-file.ts';

/** What S3 takes in one request. */
export const s3ObjectBytesMax = 5 * 1024 ** 3;
/** Largest object that `get` reads into memory. */
const wholeObjectBytesMax = 2 ** 31 - 1;
const pageKeys = 1_000;
const tokenHeader = 'x-amz-meta-millrace-put';

export interface S3ObjectStoreOptions {
  readonly location: S3Location;
  /** A local file without a name, for what is on its way. */
  readonly openScratch: OpenScratch;
  readonly retry?: Partial<S3RetryOptions>;
  readonly objectBytesMax?: number;
}

export class S3ObjectStore implements ObjectStore {
  readonly root: string;
  readonly #location: S3Location;
  readonly #openScratch: OpenScratch;
  readonly #objectBytesMax: number;
  readonly #transport: S3Transport;
  readonly #client: S3mini;
  readonly #retry: S3Retry;
  readonly #downloads: SharedDownloads;
  readonly #namesBeingWritten = new Set<string>();
  /** False once the server has said that it does not know conditions. */
  #hasConditions = true;

  /** @throws EngineError CONFIG_INVALID when a key or certificate cannot be read */
  constructor({ location, openScratch, retry, objectBytesMax = s3ObjectBytesMax }: S3ObjectStoreOptions) {
    const { endpoint, region, bucket, prefix, requestTimeoutMs, caFile } = location;
    this.root = s3Text({ bucket, key: prefix });
    this.#location = location;
    this.#openScratch = openScratch;
    this.#objectBytesMax = objectBytesMax;
    this.#transport = new S3Transport({ requestTimeoutMs, ca: caFile === null ? null : readCertificate(caFile) });
    this.#client = new S3mini({
      accessKeyId: readSecret(location.accessKey).reveal(),
      secretAccessKey: readSecret(location.secretKey).reveal(),
      endpoint: `${endpoint.replace(/\/+$/, '')}/${bucket}`,
      region,
      fetch: this.#transport.fetch,
    });
    this.#retry = new S3Retry({ ...s3RetryDefaults, ...retry });
    this.#downloads = new SharedDownloads(openScratch, (object, sink) => this.#download(object, sink));
  }

  /**
   * Sees that the bucket is there and may be used. A storage that does not answer is no error here: what needs it tries again.
   * @throws EngineError CONFIG_INVALID
   */
  async check(): Promise<void> {
    try {
      await this.#page('', undefined, 1);
    } catch (error) {
      const failure = s3Failure(error);
      if (failure !== null && (failure.retry || failure.status === 0)) return;
      const { message } = isEngineError(error) ? error : s3Error(error, 'use', this.#place(''));
      throw new EngineError('CONFIG_INVALID', `storage: ${message}`, { ids: { option: 'storage' } });
    }
  }

  /** Ends what runs: nothing more is stored or read. */
  close(): void {
    this.#transport.close();
    this.#retry.close();
  }

  async put(name: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StoredObject> {
    checkObjectName(name);
    if (this.#namesBeingWritten.has(name)) throw this.#exists(name);
    this.#namesBeingWritten.add(name);
    try {
      const staged = await this.#stage(name, content);
      try {
        failpoint('store.object-written');
        await this.#store(name, staged);
        failpoint('store.object-renamed');
        return { name, sha256: staged.sha256, bytes: staged.bytes };
      } finally {
        await staged.close();
      }
    } finally {
      this.#namesBeingWritten.delete(name);
    }
  }

  async get(object: StoredObject): Promise<Uint8Array> {
    checkObjectName(object.name);
    if (object.bytes > wholeObjectBytesMax) {
      const message = `${object.name} has ${object.bytes} bytes: too many to be read as a whole`;
      throw new EngineError('NOT_SUPPORTED', message, { domain: 'internal' });
    }
    const target = new Uint8Array(object.bytes);
    await this.#download(object, (chunk, position) => target.set(chunk, position));
    return target;
  }

  async openRead(object: StoredObject): Promise<RandomAccessObject> {
    checkObjectName(object.name);
    return await this.#downloads.open(object, s3Text(this.#place(object.name)));
  }

  async delete(name: string): Promise<void> {
    checkObjectName(name);
    const place = this.#place(name);
    await this.#retry.run('delete', place, async () => {
      try {
        await this.#client.deleteObject(place.key);
      } catch (error) {
        // Some servers tell that there was nothing.
        const failure = s3Failure(error);
        if (failure?.status !== 404 || failure.code === 'NoSuchBucket') throw error;
      }
    });
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    const below = this.#keyOf('');
    let token: string | undefined;
    do {
      const from = token;
      const page = await this.#retry.run('list', this.#place(prefix), () => this.#page(prefix, from, pageKeys));
      for (const { Key, Size } of page.objects) {
        // Names with "/" at their end are how consoles show folders.
        if (Key.startsWith(below + prefix) && !Key.endsWith('/')) yield { name: Key.slice(below.length), bytes: Size };
      }
      token = page.next;
    } while (token !== undefined);
  }

  async #page(prefix: string, token: string | undefined, keys: number) {
    const page = await this.#client.listObjectsPaged('/', this.#keyOf(prefix), keys, token);
    if (page === null || page === undefined) {
      const { bucket, endpoint } = this.#location;
      const message = `there is no bucket ${bucket} at ${endpoint} → make it, or correct storage and s3.endpoint`;
      throw new EngineError('STORAGE_FAILED', message, { domain: 'external', retry: 'backoff', ids: { bucket } });
    }
    return { objects: page.objects ?? [], next: page.nextContinuationToken };
  }

  async #stage(name: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StagedContent> {
    if (!(content instanceof Uint8Array))
      return await stagedFile(name, content, this.#openScratch, this.#objectBytesMax);
    if (content.length > this.#objectBytesMax) throw tooLarge(name, this.#objectBytesMax);
    return stagedBytes(content);
  }

  async #store(name: string, staged: StagedContent): Promise<void> {
    const place = this.#place(name);
    const token = randomUUID();
    if ((await this.#retry.run('look up', place, () => this.#client.objectExists(place.key))) === true)
      throw this.#exists(name);
    try {
      await this.#retry.run('write', place, (earlierTries) => this.#upload(name, staged, token, earlierTries > 0));
    } catch (error) {
      // The caller is told that there is no such object. What an unanswered request stores later is in no manifest.
      await this.#removeOwn(place, token);
      throw error;
    }
  }

  async #upload(name: string, staged: StagedContent, token: string, mayBeStored: boolean): Promise<void> {
    const place = this.#place(name);
    try {
      await this.#client.putObject(
        place.key,
        staged.body() as Uint8Array,
        undefined,
        undefined,
        this.#headers(staged, token),
        staged.bytes,
      );
    } catch (error) {
      const { status } = s3Failure(error) ?? { status: 0 };
      if (status === 412) {
        if (mayBeStored && (await this.#isOwn(place, token))) return;
        throw this.#exists(name);
      }
      if (status !== 501 || !this.#hasConditions) throw error;
      this.#hasConditions = false;
      await this.#upload(name, staged, token, mayBeStored);
    }
  }

  #headers({ sha256 }: StagedContent, token: string): Record<`x-amz-${string}`, string> {
    return {
      [tokenHeader]: token,
      // The server compares it with what arrived.
      'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64'),
      ...(this.#hasConditions ? { 'if-none-match': '*' } : {}),
    };
  }

  async #isOwn({ key }: S3Place, token: string): Promise<boolean> {
    const response = await this.#client.getObjectRaw(key, false, 0, 1);
    await response.body?.cancel();
    return response.headers.get(tokenHeader) === token;
  }

  async #removeOwn(place: S3Place, token: string): Promise<void> {
    try {
      if (await this.#isOwn(place, token)) await this.#client.deleteObject(place.key);
    } catch {
      // What stays is an orphan, which the job manager's garbage collection finds.
    }
  }

  #download(object: StoredObject, sink: (chunk: Uint8Array, position: number) => Promise<void> | void): Promise<void> {
    const place = this.#place(object.name);
    return downloadObject({ client: this.#client, retry: this.#retry, place }, object, sink);
  }

  #exists(name: string): EngineError {
    const { bucket, key } = this.#place(name);
    const message = `cannot write ${s3Text({ bucket, key })}: the object exists → objects are never overwritten; check that no other cluster uses ${this.root}`;
    return new EngineError('STORAGE_FAILED', message, { domain: 'external', retry: 'backoff', ids: { bucket, key } });
  }

  #keyOf(name: string): string {
    const { prefix } = this.#location;
    return prefix === '' ? name : `${prefix}/${name}`;
  }

  #place(name: string): S3Place {
    const { endpoint, bucket } = this.#location;
    return { endpoint, bucket, key: this.#keyOf(name) };
  }
}

function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    const message = `s3.ca ${file} cannot be read: ${(cause as Error).message}`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { option: 's3.ca', file }, cause });
  }
}
