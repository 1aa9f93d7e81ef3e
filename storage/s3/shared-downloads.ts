/**
 * Objects that are read in parts: each is downloaded once to a local file without a name, which all readers share and which is
 * gone with the last of them. Slots of a task manager restore from the same files at the same time.
 */
import type { OpenFile } from '../file-system.ts';
import type { RandomAccessObject, StoredObject } from '../object-store.ts';
import { storageError, unreadable } from '../storage-errors.ts';
import type { ChunkSink } from './s3-download.ts';
import { closeQuietly, type OpenScratch, stagedFileName } from './staged-file.ts';

interface SharedFile {
  readonly file: Promise<OpenFile>;
  readers: number;
}

export class SharedDownloads {
  readonly #openScratch: OpenScratch;
  readonly #download: (object: StoredObject, sink: ChunkSink) => Promise<void>;
  readonly #files = new Map<string, SharedFile>();

  constructor(openScratch: OpenScratch, download: (object: StoredObject, sink: ChunkSink) => Promise<void>) {
    this.#openScratch = openScratch;
    this.#download = download;
  }

  /**
   * @param path how the object is called in errors
   * @throws EngineError CHECKPOINT_UNREADABLE, STORAGE_FAILED, STORAGE_FULL
   */
  async open(object: StoredObject, path: string): Promise<RandomAccessObject> {
    // With its hash: somebody may ask for other bytes under the same name.
    const key = `${object.sha256} ${object.bytes} ${object.name}`;
    const shared = this.#files.get(key) ?? { file: this.#fetch(object), readers: 0 };
    this.#files.set(key, shared);
    shared.readers++;
    const release = async (): Promise<void> => {
      if (--shared.readers > 0) return;
      if (this.#files.get(key) === shared) this.#files.delete(key);
      await shared.file.then(closeQuietly, () => undefined);
    };
    try {
      return new DownloadedObject(await shared.file, object.bytes, path, release);
    } catch (error) {
      // Whoever comes next tries anew.
      if (this.#files.get(key) === shared) this.#files.delete(key);
      throw error;
    }
  }

  async #fetch(object: StoredObject): Promise<OpenFile> {
    const file = await this.#openScratch();
    try {
      await this.#download(object, (chunk) => append(file, chunk));
      return file;
    } catch (error) {
      await closeQuietly(file);
      throw error;
    }
  }
}

async function append(file: OpenFile, chunk: Uint8Array): Promise<void> {
  try {
    await file.append(chunk);
  } catch (error) {
    throw storageError(error, 'write', stagedFileName);
  }
}

class DownloadedObject implements RandomAccessObject {
  readonly bytes: number;
  readonly #file: OpenFile;
  readonly #path: string;
  readonly #release: () => Promise<void>;
  #closed = false;

  constructor(file: OpenFile, bytes: number, path: string, release: () => Promise<void>) {
    this.#file = file;
    this.bytes = bytes;
    this.#path = path;
    this.#release = release;
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
      throw storageError(error, 'read', stagedFileName);
    }
    if (filled !== length) throw unreadable(this.#path, `bytes ${offset} to ${end}`, `only ${filled} of ${length}`);
    return target;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#release();
  }
}
