/**
 * The asynchronous side of the writer: writes buffers in order, and seals files (sync, close, rename to the prepared name). One
 * operation runs at a time. The first error is kept for ever and everything after it is dropped: a writer whose file may
 * have a hole must never say that it is durable.
 */
import { join } from 'node:path';
import { storageError } from '../storage-error.ts';
import type { OutputFile, SinkFileSystem } from './file-system.ts';
import type { PartFile, SealedPart } from './part-file.ts';
import { hiddenName } from './part-names.ts';
import { failpoint } from '../../../core/failpoint.ts';

type Operation = { readonly part: PartFile; readonly bytes: Uint8Array | null };

export interface PartQueueOptions {
  readonly directory: string;
  readonly owner: string;
  readonly attempt: number;
  readonly fileSystem: SinkFileSystem;
}

export class PartQueue {
  readonly #options: PartQueueOptions;
  #operations: Operation[] = [];
  #running: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;
  #sealed: SealedPart[] = [];
  #pendingBytes = 0;
  /** Parts with an open handle. */
  readonly #open = new Set<PartFile>();
  #stopped = false;

  constructor(options: PartQueueOptions) {
    this.#options = options;
  }

  /** Bytes handed over and not yet written. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  write(part: PartFile, bytes: Uint8Array): void {
    this.#pendingBytes += bytes.length;
    this.#push({ part, bytes });
  }

  /** Completes a file after everything that was written to it. */
  seal(part: PartFile): void {
    this.#push({ part, bytes: null });
  }

  /** Resolves when all operations are done; rejects with the first error there ever was. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** The files sealed since the last call. */
  takeSealed(): SealedPart[] {
    const sealed = this.#sealed;
    this.#sealed = [];
    return sealed;
  }

  /** Gives a part its file, which the queue closes. */
  attach(part: PartFile, handle: OutputFile): void {
    part.handle = handle;
    this.#open.add(part);
  }

  /** Drops what has not started, waits for what has, and closes all files. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#operations = [];
    while (this.#running !== null) await this.#running;
    for (const part of [...this.#open]) await this.#closeHandle(part);
  }

  async #closeHandle(part: PartFile): Promise<void> {
    const { handle } = part;
    part.handle = null;
    this.#open.delete(part);
    await handle?.close();
  }

  #push(operation: Operation): void {
    if (this.#failure !== null || this.#stopped) return;
    this.#operations.push(operation);
    if (this.#running === null) this.#running = this.#run();
  }

  async #run(): Promise<void> {
    // Not before the caller has its promise: an operation that fails at once must not clear `#running` first.
    await Promise.resolve();
    try {
      for (let next = this.#operations.shift(); next !== undefined; next = this.#operations.shift()) {
        if (next.bytes === null) await this.#seal(next.part);
        else await this.#write(next.part, next.bytes);
      }
    } catch (error) {
      this.#failure = { error };
      this.#operations = [];
    } finally {
      this.#running = null;
    }
  }

  async #write(part: PartFile, bytes: Uint8Array): Promise<void> {
    const path = join(this.#options.directory, part.openName);
    try {
      if (part.handle === null) this.attach(part, await createAnew(this.#options.fileSystem, path));
      await part.handle?.write(bytes);
    } catch (error) {
      throw storageError('writing', path, error);
    }
    this.#pendingBytes -= bytes.length;
  }

  async #seal(part: PartFile): Promise<void> {
    const { directory, owner, attempt, fileSystem } = this.#options;
    const preparedName = hiddenName(owner, { ...part, attempt, stage: 'prepared' });
    const path = join(directory, part.openName);
    try {
      await part.handle?.sync();
      await this.#closeHandle(part);
      await fileSystem.rename(path, join(directory, preparedName));
    } catch (error) {
      throw storageError('completing', path, error);
    }
    failpoint('file-sink.part-sealed');
    const { subtaskIndex, sequence, partition, bytes, records, named } = part;
    const sha256 = part.hash.digest('hex');
    this.#sealed.push({ subtaskIndex, sequence, partition, bytes, records, named, preparedName, sha256 });
  }
}

/** A file of this name and attempt can only be left over from a run that no longer exists: no two tries share a number. */
async function createAnew(fileSystem: SinkFileSystem, path: string): Promise<OutputFile> {
  await fileSystem.remove(path);
  return fileSystem.create(path);
}
