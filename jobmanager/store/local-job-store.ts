/**
 * Job store on a local directory: the root of the object store, which one process owns (the state directory's lock).
 *
 *     <root>/<job>/pointer     newest complete checkpoint     replaced as a whole: temp, fsync, rename, fsync(directory)
 *                  counters    epoch, attempt, checkpoint     advanced before use
 *                  terminal    how the last run ended
 *                  manifests/  objects, one a checkpoint
 *
 * The pointer alone says which checkpoint is the newest; other files, older or newer, are junk to it (FLINK-19816). That a
 * pointer once existed is kept with the counters, so a lost pointer is not mistaken for a fresh start.
 *
 * Operations of one store run one after the other, which makes compare-and-set atomic.
 */
import { EngineError } from '../../core/errors.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import { decodeManifest, encodeManifest } from '../../proto/rpc/manifest.ts';
import { readFileIfPresent, replaceFile } from '../../storage/durable-file.ts';
import { type FileSystem, nodeFileSystem, systemErrorCode } from '../../storage/file-system.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import { decodeRecord, encodeRecord } from './durable-record.ts';
import type { JobCounter, JobStore, TerminalRecord } from './job-store.ts';
import { failpoint } from '../../core/failpoint.ts';

interface Counters {
  readonly epoch: number;
  readonly attempt: number;
  readonly checkpoint: number;
  /** True once a pointer was written. */
  readonly hasPointer: boolean;
}

const noCounters: Counters = { epoch: 0, attempt: 0, checkpoint: 0, hasPointer: false };

export interface LocalJobStoreOptions {
  /** Root directory of `objects`. Must exist. */
  readonly directory: string;
  readonly objects: ObjectStore;
  readonly files?: FileSystem;
}

export class LocalJobStore implements JobStore {
  readonly #directory: string;
  readonly #objects: ObjectStore;
  readonly #files: FileSystem;
  readonly #madeDirectories = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LocalJobStoreOptions) {
    this.#directory = options.directory;
    this.#objects = options.objects;
    this.#files = options.files ?? nodeFileSystem;
  }

  readPointer(jobName: string): Promise<CheckpointPointer | null> {
    return this.#inOrder(() => this.#readPointer(jobName));
  }

  compareAndSetPointer(
    jobName: string,
    expected: number | null,
    pointer: CheckpointPointer,
  ): Promise<'done' | 'conflict'> {
    return this.#inOrder(async () => {
      const found = await this.#readPointer(jobName);
      if ((found?.checkpointId ?? null) !== expected) return 'conflict';
      await this.#replace(jobName, 'pointer', pointer);
      failpoint('job-store.pointer-set');
      if (expected === null) {
        await this.#replace(jobName, 'counters', { ...(await this.#counters(jobName)), hasPointer: true });
      }
      return 'done';
    });
  }

  advanceCounter(jobName: string, counter: JobCounter): Promise<number> {
    return this.#inOrder(async () => {
      const counters = await this.#counters(jobName);
      const value = counters[counter] + 1;
      await this.#replace(jobName, 'counters', { ...counters, [counter]: value });
      failpoint('job-store.counter-advanced');
      return value;
    });
  }

  readCounter(jobName: string, counter: JobCounter): Promise<number> {
    return this.#inOrder(async () => (await this.#counters(jobName))[counter]);
  }

  async writeManifest(jobId: string, manifest: Manifest): Promise<ObjectRef> {
    const { attempt, checkpointId } = manifest;
    const name = `${jobDirectoryName(jobId)}/manifests/${attempt}-${checkpointId}.manifest`;
    const object = await this.#objects.put(name, encodeManifest(manifest));
    failpoint('job-store.manifest-written');
    return object;
  }

  async readManifest(object: ObjectRef): Promise<Manifest> {
    const bytes = await this.#objects.get(object);
    try {
      return decodeManifest(bytes);
    } catch (cause) {
      if (cause instanceof EngineError && cause.code === 'CHECKPOINT_UNREADABLE') throw cause;
      const message = `manifest ${object.name} in ${this.#objects.root} has the right hash, but is not a manifest; run the release that wrote it`;
      throw new EngineError('CHECKPOINT_UNREADABLE', message, {
        domain: 'external',
        cause,
        ids: { object: object.name },
      });
    }
  }

  async listObjects(jobName: string): Promise<string[]> {
    const names: string[] = [];
    for (const folder of ['state', 'manifests']) {
      for await (const { name } of this.#objects.list(`${jobDirectoryName(jobName)}/${folder}/`)) names.push(name);
    }
    return names;
  }

  async deleteObjects(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#objects.delete(name);
      failpoint('job-store.object-deleted');
    }
  }

  readTerminal(jobName: string): Promise<TerminalRecord | null> {
    return this.#inOrder(() => this.#read<TerminalRecord>(jobName, 'terminal'));
  }

  /** The directory belongs to one process, so there is no later leader. */
  recordTerminal(jobName: string, record: TerminalRecord): Promise<'done' | 'conflict'> {
    return this.#inOrder(async () => {
      await this.#replace(jobName, 'terminal', record);
      failpoint('job-store.terminal-recorded');
      return 'done' as const;
    });
  }

  clearTerminal(jobName: string): Promise<void> {
    return this.#inOrder(async () => {
      try {
        await this.#files.remove(this.#path(jobName, 'terminal'));
        await this.#files.syncDirectory(this.#path(jobName));
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOENT') throw error;
      }
    });
  }

  async #readPointer(jobName: string): Promise<CheckpointPointer | null> {
    const pointer = await this.#read<CheckpointPointer>(jobName, 'pointer');
    if (pointer !== null) await this.#requireCounters(jobName);
    if (pointer !== null || !(await this.#counters(jobName)).hasPointer) return pointer;
    const path = this.#path(jobName, 'pointer');
    throw new EngineError(
      'CHECKPOINT_UNREADABLE',
      `${path} is missing, but job "${jobName}" had completed checkpoints → restore this file from a backup; if there is none, drop state and results with --fresh`,
      { domain: 'external', ids: { path, jobName } },
    );
  }

  /** Numbers of attempts and checkpoints are never used twice, so a pointer without counters is damage, not a fresh start. */
  async #requireCounters(jobName: string): Promise<void> {
    if ((await this.#read<Counters>(jobName, 'counters')) !== null) return;
    const path = this.#path(jobName, 'counters');
    throw new EngineError(
      'CHECKPOINT_UNREADABLE',
      `${path} is missing, but job "${jobName}" had completed checkpoints → restore this file from a backup; if there is none, drop state and results with --fresh`,
      { domain: 'external', ids: { path, jobName } },
    );
  }

  async #counters(jobName: string): Promise<Counters> {
    return (await this.#read<Counters>(jobName, 'counters')) ?? noCounters;
  }

  async #read<T>(jobName: string, file: string): Promise<T | null> {
    const path = this.#path(jobName, file);
    const bytes = await readFileIfPresent(path, this.#files);
    return bytes === null ? null : (decodeRecord(bytes, path) as T);
  }

  async #replace(jobName: string, file: string, value: object): Promise<void> {
    await this.#makeDirectory(jobName);
    await replaceFile(this.#path(jobName, file), encodeRecord(value), this.#files);
  }

  async #makeDirectory(jobName: string): Promise<void> {
    if (this.#madeDirectories.has(jobName)) return;
    await this.#files.makeDirectory(this.#path(jobName));
    await this.#files.syncDirectory(this.#directory);
    this.#madeDirectories.add(jobName);
  }

  #path(jobName: string, file?: string): string {
    const directory = `${this.#directory}/${jobDirectoryName(jobName)}`;
    return file === undefined ? directory : `${directory}/${file}`;
  }

  /** Starts an operation when the one before has ended, however it ended. */
  #inOrder<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(operation);
    // The caller gets the error; here only the end matters.
    this.#last = result.catch(() => undefined);
    return result;
  }
}
