/**
 * Job store on a local directory: the root of the object store, which one process owns (the state directory's lock).
 *
 *     <root>/<job>/pointer     newest complete checkpoint     replaced as a whole: temp, fsync, rename, fsync(directory)
 *                  counters    epoch, attempt, checkpoint     advanced before use
 *                  terminal    how the last run ended
 *                  record      what was submitted, in a cluster
 *                  manifests/  objects, one a checkpoint
 *                  savepoints/ objects, one a savepoint
 *
 * The pointer alone says which checkpoint is the newest; other files, older or newer, are junk to it (FLINK-19816). That a
 * pointer once existed is kept with the counters, so a lost pointer is not mistaken for a fresh start.
 *
 * Operations of one store run one after the other, which makes compare-and-set atomic.
 */
import { EngineError } from '../../core/errors.ts';
import { failpoint } from '../../core/failpoint.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import { readFileIfPresent, replaceFile } from '../../storage/durable-file.ts';
import { type FileSystem, nodeFileSystem, systemErrorCode } from '../../storage/file-system.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import { decodeRecord, encodeRecord } from './durable-record.ts';
import { JobObjects } from './job-objects.ts';
import { sameRecord, submissionOrder } from './job-record.ts';
import type { JobCounter, JobRecord, JobStore, TerminalRecord } from './job-store.ts';
import type { SavepointDocument } from './savepoint-document.ts';

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
  readonly #objects: JobObjects;
  readonly #files: FileSystem;
  readonly #madeDirectories = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LocalJobStoreOptions) {
    this.#directory = options.directory;
    this.#objects = new JobObjects(options.objects);
    this.#files = options.files ?? nodeFileSystem;
  }

  createJob(record: JobRecord): Promise<'done' | 'conflict'> {
    return this.#inOrder(async () => {
      const found = await this.#read<JobRecord>(record.jobId, 'record');
      if (found !== null) return sameRecord(found, record) ? 'done' : 'conflict';
      await this.#replace(record.jobId, 'record', record);
      return 'done';
    });
  }

  readJobs(): Promise<JobRecord[]> {
    return this.#inOrder(async () => {
      const records: JobRecord[] = [];
      for (const { name, isDirectory } of await this.#files.list(this.#directory)) {
        if (!isDirectory) continue;
        const path = `${this.#directory}/${name}/record`;
        const bytes = await readFileIfPresent(path, this.#files);
        if (bytes !== null) records.push(decodeRecord(bytes, path) as JobRecord);
      }
      return records.sort(submissionOrder);
    });
  }

  /** The record goes first: without it the rest is junk; with it and without its end the job would be run again. */
  removeJob(jobId: string): Promise<void> {
    return this.#inOrder(async () => {
      for (const file of ['record', 'graph', 'pointer', 'counters', 'terminal']) await this.#remove(jobId, file);
    });
  }

  writeGraph(jobId: string, graph: ObjectRef): Promise<void> {
    return this.#inOrder(() => this.#replace(jobId, 'graph', graph));
  }

  readGraph(jobId: string): Promise<ObjectRef | null> {
    return this.#inOrder(() => this.#read<ObjectRef>(jobId, 'graph'));
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

  raiseCounters(jobId: string, above: { readonly attempt: number; readonly checkpoint: number }): Promise<void> {
    return this.#inOrder(async () => {
      const counters = await this.#counters(jobId);
      const attempt = Math.max(counters.attempt, above.attempt);
      const checkpoint = Math.max(counters.checkpoint, above.checkpoint);
      if (attempt === counters.attempt && checkpoint === counters.checkpoint) return;
      await this.#replace(jobId, 'counters', { ...counters, attempt, checkpoint });
    });
  }

  readCounter(jobId: string, counter: JobCounter): Promise<number> {
    return this.#inOrder(async () => (await this.#counters(jobId))[counter]);
  }

  writeManifest(jobId: string, manifest: Manifest): Promise<ObjectRef> {
    return this.#objects.writeManifest(jobId, manifest);
  }

  readManifest(object: ObjectRef): Promise<Manifest> {
    return this.#objects.readManifest(object);
  }

  writeSavepoint(document: SavepointDocument): Promise<string> {
    return this.#objects.writeSavepoint(document);
  }

  readSavepoint(path: string): Promise<SavepointDocument> {
    return this.#objects.readSavepoint(path);
  }

  listObjects(jobId: string): Promise<string[]> {
    return this.#objects.list(jobId);
  }

  deleteObjects(names: readonly string[]): Promise<void> {
    return this.#objects.delete(names);
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
    return this.#inOrder(() => this.#remove(jobName, 'terminal'));
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

  /** A file that is not there is no error. */
  async #remove(jobName: string, file: string): Promise<void> {
    try {
      await this.#files.remove(this.#path(jobName, file));
      await this.#files.syncDirectory(this.#path(jobName));
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
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
