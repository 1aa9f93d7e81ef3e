/**
 * Downloads one object whole and verified. What a broken connection has delivered is kept and the rest asked for, so a large
 * object comes through a bad line; the hash of all of it is checked at the end.
 */
import { createHash, type Hash } from 'node:crypto';
import type { S3mini } from 's3mini';
import type { StoredObject } from '../object-store.ts';
import { unreadable } from '../storage-errors.ts';
import { s3Failure, s3Text, type S3Place } from './s3-errors.ts';
import type { S3Retry } from './s3-retry.ts';
import { S3TransportError } from './s3-transport.ts';

/** Takes the bytes in their order. Its errors end the download. */
export type ChunkSink = (chunk: Uint8Array, position: number) => Promise<void> | void;

export interface S3DownloadOptions {
  readonly client: S3mini;
  readonly retry: S3Retry;
  readonly place: S3Place;
}

/** @throws EngineError CHECKPOINT_UNREADABLE when it is missing, of another length or another content; STORAGE_FAILED */
export async function downloadObject(
  { client, retry, place }: S3DownloadOptions,
  object: StoredObject,
  sink: ChunkSink,
): Promise<void> {
  const progress = new Progress(object, s3Text(place), sink);
  await retry.run('read', place, async () => {
    const response = await request(client, place, object, progress);
    await readInto(progress, response);
  });
  progress.finish();
}

async function request(
  client: S3mini,
  place: S3Place,
  object: StoredObject,
  { position, path }: Progress,
): Promise<Response> {
  try {
    const response = await client.getObjectRaw(place.key, position === 0, position);
    const start = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const expected = object.bytes - position;
    if (length !== expected || (position > 0 && Number(start) !== position)) {
      await response.body?.cancel();
      throw unreadable(path, `${expected} bytes from ${position}`, `${length} from ${start ?? 0}`);
    }
    return response;
  } catch (error) {
    const { status, code } = s3Failure(error) ?? { status: 0, code: '' };
    if (status === 404 && code !== 'NoSuchBucket') throw unreadable(path, `${object.bytes} bytes`, 'no such object');
    throw error;
  }
}

async function readInto(progress: Progress, response: Response): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const chunk = await reader.read();
      if (chunk.done) break;
      await progress.take(chunk.value);
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    throw error;
  }
  if (progress.missing > 0) throw new S3TransportError('network', `the answer ended ${progress.missing} bytes early`);
}

class Progress {
  readonly path: string;
  readonly #object: StoredObject;
  readonly #sink: ChunkSink;
  readonly #hash: Hash = createHash('sha256');
  position = 0;

  constructor(object: StoredObject, path: string, sink: ChunkSink) {
    this.#object = object;
    this.path = path;
    this.#sink = sink;
  }

  get missing(): number {
    return this.#object.bytes - this.position;
  }

  async take(chunk: Uint8Array): Promise<void> {
    if (chunk.length > this.missing) throw unreadable(this.path, `${this.#object.bytes} bytes`, 'more');
    this.#hash.update(chunk);
    await this.#sink(chunk, this.position);
    this.position += chunk.length;
  }

  finish(): void {
    const sha256 = this.#hash.digest('hex');
    if (sha256 !== this.#object.sha256)
      throw unreadable(this.path, `sha256 ${this.#object.sha256}`, `sha256 ${sha256}`);
  }
}
