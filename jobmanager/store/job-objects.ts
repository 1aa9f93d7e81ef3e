/** The objects of jobs in checkpoint storage that a job store speaks for: manifests, savepoints and state files. Both job stores use it. */
import { EngineError } from '../../core/errors.ts';
import { failpoint } from '../../core/failpoint.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import { decodeManifest, encodeManifest } from '../../proto/rpc/manifest.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import {
  checkSavepointPath,
  decodeSavepoint,
  encodeSavepoint,
  type SavepointDocument,
  savepointPath,
  savepointsOf,
} from './savepoint-document.ts';

export class JobObjects {
  readonly #objects: ObjectStore;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  async writeManifest(jobId: string, manifest: Manifest): Promise<ObjectRef> {
    const { attempt, checkpointId } = manifest;
    const name = `${manifestsOf(jobId)}${attempt}-${checkpointId}.manifest`;
    const object = await this.#objects.put(name, encodeManifest(manifest));
    failpoint('job-store.manifest-written');
    return object;
  }

  /** @throws EngineError CHECKPOINT_UNREADABLE naming the object */
  async readManifest(object: ObjectRef): Promise<Manifest> {
    const bytes = await this.#objects.get(object);
    try {
      return decodeManifest(bytes);
    } catch (cause) {
      if (cause instanceof EngineError && cause.code === 'CHECKPOINT_UNREADABLE') throw cause;
      const message = `manifest ${object.name} in ${this.#objects.root} has the right hash, but is not a manifest; run the release that wrote it`;
      const ids = { object: object.name };
      throw new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', cause, ids });
    }
  }

  /** Writes the document of a savepoint, once however often it is asked for. */
  async writeSavepoint(document: SavepointDocument): Promise<string> {
    const path = savepointPath(document);
    const bytes = encodeSavepoint(document);
    const found = await this.#wholeOf(path);
    if (found === null) await this.#objects.put(path, bytes);
    else if (Buffer.compare(found, bytes) !== 0) {
      const message = `${path} in ${this.#objects.root} is there already and says something else; it was changed by hand → remove it`;
      throw new EngineError('SAVEPOINT_UNREADABLE', message, { domain: 'external', ids: { path } });
    }
    return path;
  }

  /** @throws EngineError SAVEPOINT_NOT_FOUND, SAVEPOINT_UNREADABLE naming the path */
  async readSavepoint(path: string): Promise<SavepointDocument> {
    checkSavepointPath(path);
    const bytes = await this.#wholeOf(path);
    if (bytes !== null) return decodeSavepoint(bytes, path);
    const message = `there is no savepoint ${path} in ${this.#objects.root}: it was disposed of, or is of another cluster`;
    throw new EngineError('SAVEPOINT_NOT_FOUND', message, { ids: { path } });
  }

  async #wholeOf(name: string): Promise<Uint8Array | null> {
    for await (const found of this.#objects.list(name)) {
      if (found.name !== name) continue;
      const opened = await this.#objects.openRead({ name, sha256: '', bytes: found.bytes });
      try {
        return await opened.read(0, found.bytes);
      } finally {
        await opened.close();
      }
    }
    return null;
  }

  /** Names of all state files, manifests and savepoints of a job. */
  async list(jobId: string): Promise<string[]> {
    const names: string[] = [];
    for (const prefix of [`${jobDirectoryName(jobId)}/state/`, manifestsOf(jobId), savepointsOf(jobId)]) {
      for await (const { name } of this.#objects.list(prefix)) names.push(name);
    }
    return names;
  }

  /** The highest id of a checkpoint whose manifest is stored, complete or not; 0 when there is none. */
  async newestCheckpointId(jobId: string): Promise<number> {
    let newest = 0;
    for await (const { name } of this.#objects.list(manifestsOf(jobId))) {
      const checkpointId = Number(/-(\d+)\.manifest$/.exec(name)?.[1] ?? 0);
      newest = Math.max(newest, checkpointId);
    }
    return newest;
  }

  async delete(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#objects.delete(name);
      failpoint('job-store.object-deleted');
    }
  }
}

const manifestsOf = (jobId: string): string => `${jobDirectoryName(jobId)}/manifests/`;
