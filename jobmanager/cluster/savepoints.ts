/**
 * Savepoints beyond the job that took them: whether a job may start from one, and how one is given up.
 *
 * A savepoint counts while the pointer of its job pins it; its document alone is nothing. Everything is checked before a
 * submission is recorded, so a savepoint that is refused has started nothing. Which files of it go when it is given up is
 * decided from manifests: never one that another job, or another checkpoint of its own, still names.
 */
import { createHash } from 'node:crypto';
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { compareState } from '../../core/graph/state-compatibility.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { JobStore, RestoreSource } from '../store/job-store.ts';
import { type SavepointDocument, savepointPath } from '../store/savepoint-document.ts';
import type { ClusterJob, LeaderTerm } from './leader-term.ts';

/** State files up to this much together are hashed before a job starts; of larger ones length and presence are looked at. */
const hashedBytesMax = 256 * 1024 * 1024;
const readBytes = 1024 * 1024;

export interface SavepointsOptions {
  readonly term: Pick<LeaderTerm, 'jobs' | 'epoch'>;
  readonly store: JobStore;
  readonly objects: ObjectStore;
}

/** What a submission that starts from a savepoint records. */
export interface SavepointStart {
  readonly restoreFrom: RestoreSource;
  /** Hashes of graphs whose state this job may take over. */
  readonly graphHashes: readonly string[];
}

export class Savepoints {
  readonly #options: SavepointsOptions;
  /** Being given up: no job may start from them any more. */
  readonly #disposing = new Set<string>();

  constructor(options: SavepointsOptions) {
    this.#options = options;
  }

  /**
   * Whether a job may start from a savepoint.
   * @throws EngineError SAVEPOINT_NOT_FOUND, SAVEPOINT_UNREADABLE, SAVEPOINT_REFUSED; STORAGE_FAILED when it cannot be looked at
   */
  async start(path: string, graph: JobGraph, graphHash: string): Promise<SavepointStart> {
    const document = await this.#pinned(path);
    if (this.#disposing.has(path)) throw notFound(path, 'it is being disposed of');
    const manifest = await this.#readManifest(path, document);
    for (const { file } of manifest.files) await this.#checkFile(path, file.object);
    await this.#hashFiles(path, manifest);
    const graphHashes = await this.#checkJob(path, document, graph, graphHash);
    const { jobId, checkpointId, manifest: object } = document;
    return { restoreFrom: { jobId, checkpointId, manifest: object }, graphHashes };
  }

  /** The document of a savepoint that its job still pins. */
  async #pinned(path: string): Promise<SavepointDocument> {
    const { store } = this.#options;
    const document = await store.readSavepoint(path);
    if (savepointPath(document) !== path) throw unreadable(path, 'it is the document of another savepoint');
    const pointer = await readable(path, () => store.readPointer(document.jobId));
    const pin = pointer?.pinned?.find(({ checkpointId }) => checkpointId === document.checkpointId);
    if (pin?.manifest.sha256 === document.manifest.sha256) return document;
    throw notFound(path, `job ${document.jobId} never completed it, or it was disposed of`);
  }

  async #readManifest(path: string, { manifest: object, checkpointId }: SavepointDocument): Promise<Manifest> {
    const manifest = await readable(path, () => this.#options.store.readManifest(object));
    if (manifest.checkpointId === checkpointId) return manifest;
    throw unreadable(path, `its manifest ${object.name} is of checkpoint ${manifest.checkpointId}`);
  }

  async #checkFile(path: string, object: ObjectRef): Promise<void> {
    await readable(path, async () => (await this.#options.objects.openRead(object)).close());
  }

  async #hashFiles(path: string, { files }: Manifest): Promise<void> {
    const total = files.reduce((sum, { file }) => sum + file.object.bytes, 0);
    if (total > hashedBytesMax) return;
    for (const { file } of files) {
      const { name, bytes, sha256 } = file.object;
      const found = await readable(path, () => this.#hashOf(file.object));
      if (found !== sha256)
        throw unreadable(path, `its file ${name} (${bytes} bytes) has sha256 ${found}, not ${sha256}`);
    }
  }

  async #hashOf(object: ObjectRef): Promise<string> {
    const hash = createHash('sha256');
    const opened = await this.#options.objects.openRead(object);
    try {
      for (let at = 0; at < object.bytes; at += readBytes)
        hash.update(await opened.read(at, Math.min(readBytes, object.bytes - at)));
    } finally {
      await opened.close();
    }
    return hash.digest('hex');
  }

  async #checkJob(path: string, document: SavepointDocument, graph: JobGraph, graphHash: string): Promise<string[]> {
    const { jobName, maxParallelism } = document;
    if (jobName !== graph.name) throw refused(path, `it is of job "${jobName}", not of "${graph.name}"`);
    if (maxParallelism !== graph.options.maxParallelism) {
      const now = graph.options.maxParallelism;
      throw refused(path, `its state was made with maxParallelism ${maxParallelism}, the job has ${now}; set it back`);
    }
    if (document.graphHash === graphHash) return [];
    const bytes = await readable(path, () => this.#options.objects.get(document.graph));
    const before = JSON.parse(new TextDecoder().decode(bytes)) as JobGraph;
    const reasons = compareState(before, graph).flatMap(({ operatorId, verdict, reason }) =>
      verdict === 'refused' ? [`\n  ${operatorId}: ${reason}`] : [],
    );
    if (reasons.length > 0) throw refused(path, `its state does not fit the job as it is now:${reasons.join('')}`);
    return [document.graphHash];
  }

  /**
   * Decides whether a savepoint may be given up; from then on no job may start from it. To be called when no submission is
   * being decided. The answer does it.
   * @throws EngineError SAVEPOINT_NOT_FOUND, SAVEPOINT_UNREADABLE; SAVEPOINT_IN_USE naming the job
   */
  async beginDisposal(path: string): Promise<() => Promise<void>> {
    const document = await this.#options.store.readSavepoint(path);
    if (savepointPath(document) !== path) throw unreadable(path, 'it is the document of another savepoint');
    // A savepoint whose manifest is damaged can be given up too; then it is not known which files were its own.
    const manifest = await this.#readManifest(path, document).catch((error: unknown) => {
      if (isEngineError(error) && error.code === 'SAVEPOINT_UNREADABLE') return null;
      throw error;
    });
    const fileNames = manifest?.files.map(({ file }) => file.object.name) ?? [];
    const names = [document.manifest.name, ...fileNames];
    for (const job of this.#options.term.jobs) await this.#checkUnused(path, document, job, names);
    this.#disposing.add(path);
    return () => this.#dispose(path, document, manifest === null ? [] : names);
  }

  async #checkUnused(
    path: string,
    document: SavepointDocument,
    job: ClusterJob,
    names: readonly string[],
  ): Promise<void> {
    const { jobId } = job.record;
    if (job.terminal === null && job.runner === null) throw notRead(jobId);
    if (jobId === document.jobId) return;
    if (job.terminal === null && names.some((name) => job.runner?.needs(name))) throw inUse(path, jobId, 'state');
    const { store } = this.#options;
    const pointer = await store.readPointer(jobId);
    for (const { checkpointId, manifest: object } of pointer?.pinned ?? []) {
      const manifest = await store.readManifest(object);
      if (manifest.files.some(({ file }) => names.includes(file.object.name)))
        throw inUse(path, jobId, `savepoint of checkpoint ${checkpointId}`);
    }
  }

  /** A failure leaves the pin or garbage, never a savepoint that counts and has lost a file. */
  async #dispose(path: string, document: SavepointDocument, names: readonly string[]): Promise<void> {
    const { term, store } = this.#options;
    const runner = term.jobs.find((job) => job.record.jobId === document.jobId && job.terminal === null)?.runner;
    if (runner !== null && runner !== undefined && !runner.ended) await runner.disposeSavepoint(document.checkpointId);
    else await this.#unpinEnded(document, names);
    await store.deleteObjects([path]);
    this.#disposing.delete(path);
  }

  /** Of a job that is over nobody else moves the pointer. Its newest checkpoints stay. */
  async #unpinEnded({ jobId, checkpointId }: SavepointDocument, names: readonly string[]): Promise<void> {
    const { term, store } = this.#options;
    const pointer = await store.readPointer(jobId);
    if (pointer === null) return;
    const pinned = (pointer.pinned ?? []).filter((pin) => pin.checkpointId !== checkpointId);
    const next: CheckpointPointer = { ...pointer, leaderEpoch: term.epoch, pinned };
    if ((await store.compareAndSetPointer(jobId, pointer.checkpointId, next)) === 'conflict') throw notRead(jobId);
    const needed = await this.#namesOf([...next.retained, ...pinned]);
    const own = `${jobDirectoryName(jobId)}/`;
    if (needed !== null) await store.deleteObjects(names.filter((name) => name.startsWith(own) && !needed.has(name)));
  }

  /** What these checkpoints need; null when one is damaged, so that it is not known. */
  async #namesOf(checkpoints: CheckpointPointer['retained']): Promise<ReadonlySet<string> | null> {
    const names = new Set<string>();
    for (const { manifest: object } of checkpoints) {
      try {
        const { files } = await this.#options.store.readManifest(object);
        for (const name of [object.name, ...files.map(({ file }) => file.object.name)]) names.add(name);
      } catch (error) {
        if (isEngineError(error) && error.code === 'CHECKPOINT_UNREADABLE') return null;
        throw error;
      }
    }
    return names;
  }
}

/** Runs it; what is said of unreadable objects becomes what is said of the savepoint. */
async function readable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!isEngineError(cause) || cause.code !== 'CHECKPOINT_UNREADABLE') throw cause;
    throw unreadable(path, cause.message.split('→')[0]?.trim() ?? '', cause);
  }
}

function unreadable(path: string, why: string, cause?: unknown): EngineError {
  const message = `the savepoint ${path} cannot be read: ${why} → restore its files from a backup, or use another savepoint`;
  return new EngineError('SAVEPOINT_UNREADABLE', message, { domain: 'external', ids: { path }, cause });
}

function notFound(path: string, why: string): EngineError {
  return new EngineError('SAVEPOINT_NOT_FOUND', `there is no savepoint ${path}: ${why}`, { ids: { path } });
}

function refused(path: string, why: string): EngineError {
  return new EngineError('SAVEPOINT_REFUSED', `the job cannot start from ${path}: ${why}`, { ids: { path } });
}

function inUse(path: string, jobId: string, what: string): EngineError {
  const message = `the savepoint ${path} cannot be disposed of: the ${what} of job ${jobId} still rests on its files → let that job run until they are merged, or end it`;
  return new EngineError('SAVEPOINT_IN_USE', message, { ids: { path, jobId } });
}

function notRead(jobId: string): EngineError {
  const message = `job ${jobId} is not known well enough at this moment; try again`;
  return new EngineError('CLUSTER_UNAVAILABLE', message, { domain: 'external', retry: 'backoff', ids: { jobId } });
}
