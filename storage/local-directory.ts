/**
 * Objects as files below a directory of this machine or of a network mount.
 *
 *   write temporary → fsync(file) → rename to the final name → fsync(directory) → resolve
 *
 * A file under its final name is therefore always whole; a resolved put survives a power cut. A failed fsync is never tried
 * again on the same file (the kernel may have dropped the pages and would answer "fine"): the temporary file is removed and
 * the caller writes anew, under another name. Directories made on the way are made durable in their parents the same way.
 *
 * `rename` would replace an existing file, so the name is looked up right before. Two writers of one name at the same instant
 * cannot be told apart by that; callers put attempt, owner and a random part into names, and within one process a name being
 * written is reserved.
 */
import { createHash, randomUUID } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { EngineError } from '../core/errors.ts';
import { nodeFileSystem, pathBelow, systemErrorCode, type FileSystem, type OpenFile } from './file-system.ts';
import {
  checkObjectName,
  temporaryPrefix,
  type ListedObject,
  type ObjectStore,
  type RandomAccessObject,
  type StoredObject,
} from './object-store.ts';
import { storageError, unreadable } from './storage-errors.ts';
import { failpoint } from '../core/failpoint.ts';

/** Largest object that `get` reads into memory; larger ones are read in parts. */
const wholeObjectBytesMax = 2 ** 31 - 1;

export class LocalDirectoryStore implements ObjectStore {
  readonly root: string;
  readonly #directory: string;
  readonly #files: FileSystem;
  /** Directories known to exist and to be durable, or on the way there. */
  readonly #directories = new Map<string, Promise<void>>();
  readonly #namesBeingWritten = new Set<string>();

  /** @param directory root of the store; made when the first object is put */
  constructor(directory: string, files: FileSystem = nodeFileSystem) {
    this.#directory = resolve(directory);
    this.#files = files;
    this.root = `directory ${this.#directory}`;
  }

  async put(name: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StoredObject> {
    checkObjectName(name);
    if (this.#namesBeingWritten.has(name)) throw this.#exists(name);
    this.#namesBeingWritten.add(name);
    try {
      return await this.#put(name, content);
    } finally {
      this.#namesBeingWritten.delete(name);
    }
  }

  async get(object: StoredObject): Promise<Uint8Array> {
    if (object.bytes > wholeObjectBytesMax) {
      throw new EngineError(
        'NOT_SUPPORTED',
        `${object.name} has ${object.bytes} bytes: too many to be read as a whole`,
        { domain: 'internal' },
      );
    }
    const opened = await this.openRead(object);
    try {
      const bytes = await opened.read(0, object.bytes);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      if (sha256 !== object.sha256)
        throw unreadable(this.#pathOf(object.name), `sha256 ${object.sha256}`, `sha256 ${sha256}`);
      return bytes;
    } finally {
      await opened.close();
    }
  }

  async openRead(object: StoredObject): Promise<RandomAccessObject> {
    checkObjectName(object.name);
    const path = this.#pathOf(object.name);
    const file = await this.#open(path, object.bytes);
    try {
      const bytes = await file.length();
      if (bytes !== object.bytes) throw unreadable(path, `${object.bytes} bytes`, `${bytes} bytes`);
      return new LocalObject(file, path, bytes);
    } catch (error) {
      await closeQuietly(file);
      throw storageError(error, 'read', path);
    }
  }

  /**
   * A file for bytes that nobody needs after this process: it has no name, so nothing is left of it however the process ends.
   * @throws EngineError STORAGE_FULL, STORAGE_FAILED
   */
  async createScratch(): Promise<OpenFile> {
    await this.#ensureDirectory(this.#directory);
    const path = join(this.#directory, temporaryPrefix + randomUUID());
    try {
      const file = await this.#files.create(path);
      try {
        await this.#files.remove(path);
      } catch (error) {
        await closeQuietly(file);
        throw error;
      }
      return file;
    } catch (error) {
      // The cause may be a directory that is gone: the next call looks again.
      this.#directories.clear();
      throw storageError(error, 'make a temporary file', path);
    }
  }

  async delete(name: string): Promise<void> {
    checkObjectName(name);
    await this.#removeIfPresent(this.#pathOf(name));
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    for await (const { name, temporary } of this.#walk('', prefix)) {
      if (temporary || !name.startsWith(prefix)) continue;
      const status = await this.#files.status(this.#pathOf(name));
      if (status !== null) yield { name, bytes: status.bytes };
    }
  }

  /**
   * Removes files that a crashed writer left half-written: temporary ones not touched since `modifiedBeforeMs` (ms since the
   * epoch; leave an hour or more, a slow writer of another process may still be at work). Returns how many.
   */
  async removeLeftovers(modifiedBeforeMs: number): Promise<number> {
    let removed = 0;
    for await (const { name, temporary } of this.#walk('', '')) {
      if (!temporary) continue;
      const path = this.#pathOf(name);
      const status = await this.#files.status(path);
      if (status === null || status.modifiedMs >= modifiedBeforeMs) continue;
      await this.#removeIfPresent(path);
      removed++;
    }
    return removed;
  }

  async #put(name: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StoredObject> {
    const path = this.#pathOf(name);
    const directory = dirname(path);
    const temporary = join(directory, temporaryPrefix + randomUUID());
    let renamed = false;
    try {
      await this.#ensureDirectory(directory);
      const written = await this.#writeTemporary(temporary, content, path);
      failpoint('store.object-written');
      if ((await this.#files.status(path)) !== null) throw this.#exists(name);
      await this.#files.rename(temporary, path);
      renamed = true;
      failpoint('store.object-renamed');
      await this.#files.syncDirectory(directory);
      return { name, ...written };
    } catch (error) {
      // A name whose directory entry may not be durable is given up as well: the caller was told that it does not exist.
      await removeQuietly(this.#files, renamed ? path : temporary);
      // The cause may be a directory that is gone: the next put looks again.
      this.#directories.clear();
      throw error instanceof ProducerFailure ? error.reason : storageError(error, 'write', path);
    }
  }

  async #writeTemporary(
    temporary: string,
    content: Uint8Array | AsyncIterable<Uint8Array>,
    path: string,
  ): Promise<{ sha256: string; bytes: number }> {
    const file = await this.#files.create(temporary);
    let closed = false;
    try {
      const hash = createHash('sha256');
      let bytes = 0;
      for await (const chunk of chunksOf(content)) {
        hash.update(chunk);
        await file.append(chunk);
        bytes += chunk.length;
      }
      await file.sync();
      closed = true;
      await file.close();
      return { sha256: hash.digest('hex'), bytes };
    } catch (error) {
      if (!closed) await closeQuietly(file);
      throw error instanceof ProducerFailure ? error : storageError(error, 'write', path);
    }
  }

  async #open(path: string, bytes: number): Promise<OpenFile> {
    try {
      return await this.#files.open(path);
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') throw unreadable(path, `${bytes} bytes`, 'no such file');
      throw storageError(error, 'open', path);
    }
  }

  #ensureDirectory(path: string): Promise<void> {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const made = this.#makeDirectory(path);
    this.#directories.set(path, made);
    // A failure is told to those who waited for it and not remembered: the cause may be removed.
    made.catch(() => this.#directories.delete(path));
    return made;
  }

  async #makeDirectory(path: string): Promise<void> {
    const parent = dirname(path);
    if (parent === path) return;
    // Above the root only what is missing is made: those directories are not ours, their names are made durable when we add them.
    if (path !== this.#directory && path.startsWith(this.#directory)) await this.#ensureDirectory(parent);
    else if ((await this.#status(path)) !== null) return;
    else await this.#ensureDirectory(parent);
    try {
      await this.#files.makeDirectory(path);
      await this.#files.syncDirectory(parent);
    } catch (error) {
      throw storageError(error, 'make the directory', path);
    }
  }

  async #status(path: string): Promise<{ bytes: number } | null> {
    try {
      return await this.#files.status(path);
    } catch (error) {
      throw storageError(error, 'look up', path);
    }
  }

  async *#walk(directory: string, prefix: string): AsyncGenerator<{ name: string; temporary: boolean }> {
    const path = directory === '' ? this.#directory : this.#pathOf(directory);
    for (const entry of await this.#entries(path)) {
      const name = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (!entry.isDirectory) {
        yield { name, temporary: entry.name.startsWith(temporaryPrefix) };
        continue;
      }
      // Descend only where names can still match: "a/b" is looked for in "a", and below "a/b…".
      const below = `${name}/`;
      if (below.startsWith(prefix) || prefix.startsWith(below)) yield* this.#walk(name, prefix);
    }
  }

  async #entries(path: string): Promise<{ name: string; isDirectory: boolean }[]> {
    try {
      return await this.#files.list(path);
    } catch (error) {
      throw storageError(error, 'list', path);
    }
  }

  async #removeIfPresent(path: string): Promise<void> {
    try {
      await this.#files.remove(path);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw storageError(error, 'remove', path);
    }
  }

  #exists(name: string): EngineError {
    return storageError(Object.assign(new Error('the file exists'), { code: 'EEXIST' }), 'write', this.#pathOf(name));
  }

  #pathOf(name: string): string {
    return pathBelow(this.#directory, name);
  }
}

class LocalObject implements RandomAccessObject {
  readonly bytes: number;
  readonly #file: OpenFile;
  readonly #path: string;

  constructor(file: OpenFile, path: string, bytes: number) {
    this.#file = file;
    this.#path = path;
    this.bytes = bytes;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const end = offset + length;
    if (offset < 0 || length < 0 || end > this.bytes)
      throw unreadable(this.#path, `bytes ${offset} to ${end}`, `${this.bytes} bytes`);
    const target = new Uint8Array(new ArrayBuffer(length));
    let filled: number;
    try {
      filled = await this.#file.read(target, offset);
    } catch (error) {
      throw storageError(error, 'read', this.#path);
    }
    if (filled !== length) throw unreadable(this.#path, `bytes ${offset} to ${end}`, `only ${filled} of ${length}`);
    return target;
  }

  async close(): Promise<void> {
    await closeQuietly(this.#file);
  }
}

/** What the producer of the content threw: told apart from errors of the storage, which need another remedy. */
class ProducerFailure extends Error {
  readonly reason: unknown;

  constructor(reason: unknown) {
    super('the producer of the content failed');
    this.reason = reason;
  }
}

async function* chunksOf(content: Uint8Array | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (content instanceof Uint8Array) {
    yield content;
    return;
  }
  const chunks = content[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await nextChunk(chunks);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Reached early when writing failed: the producer releases what it holds.
    await chunks.return?.();
  }
}

async function nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch (error) {
    throw new ProducerFailure(error);
  }
}

/** Closing after a failure: the failure is what the caller has to hear. */
async function closeQuietly(file: OpenFile): Promise<void> {
  await file.close().catch(() => undefined);
}

/** Cleaning up after a failure: what stays is a temporary file that `removeLeftovers` takes. */
async function removeQuietly(files: FileSystem, path: string): Promise<void> {
  await files.remove(path).catch(() => undefined);
}
