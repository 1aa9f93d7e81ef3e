/**
 * Which state files and manifests are still needed. A file is needed while a retained or pinned manifest names it; it is
 * deleted only after a pointer without it is durable (FLINK-26985, FLINK-21351). Pure: says what to delete, deletes nothing.
 *
 * A pinned checkpoint is one of a savepoint: it stays until somebody gives the savepoint up. Files of other jobs, which a job
 * that started from a savepoint names for a while, are never given up here: they belong to the savepoint.
 */
import type { Manifest, ObjectRef } from '../../proto/messages.ts';

export interface RetainedCheckpoint {
  readonly checkpointId: number;
  readonly manifest: ObjectRef;
}

interface Retained extends RetainedCheckpoint {
  readonly fileNames: readonly string[];
}

export class FileRetention {
  readonly #retainedMax: number;
  readonly #ownPrefix: string;
  /** Oldest first. */
  #retained: Retained[] = [];
  /** Of savepoints, oldest first. */
  #pinned: Retained[] = [];
  /** Savepoints that were given up: the next pointer does not pin them any more. */
  readonly #unpinned = new Set<number>();
  /** A pinned manifest could not be read, so nobody knows what it names: nothing is given up. */
  #isBlind = false;
  readonly #references = new Map<string, number>();

  /**
   * @param retainedMax completed checkpoints kept, at least one
   * @param ownPrefix what names of the job's own objects start with
   */
  constructor(retainedMax: number, ownPrefix = '') {
    this.#retainedMax = Math.max(1, retainedMax);
    this.#ownPrefix = ownPrefix;
  }

  /** Takes over a checkpoint that a durable pointer already retains. Oldest first. */
  restore(checkpoint: RetainedCheckpoint, manifest: Manifest): void {
    this.#retained.push(this.#add(checkpoint, manifest));
  }

  /** As `restore`, for one that the pointer pins. Null where its manifest cannot be read: then no file is given up any more. */
  restorePinned(checkpoint: RetainedCheckpoint, manifest: Manifest | null): void {
    if (manifest === null) this.#isBlind = true;
    const { checkpointId, manifest: object } = checkpoint;
    this.#pinned.push(
      manifest === null ? { checkpointId, manifest: object, fileNames: [] } : this.#add(checkpoint, manifest),
    );
  }

  /** A savepoint is given up: the pointer of the next checkpoint does not pin it. */
  unpin(checkpointId: number): void {
    this.#unpinned.add(checkpointId);
  }

  /** What the pointer will pin when `next` is complete, oldest first. */
  pinnedWith(next: RetainedCheckpoint | null): RetainedCheckpoint[] {
    const kept = this.#pinned.filter(({ checkpointId }) => !this.#unpinned.has(checkpointId));
    const all = kept.map(({ checkpointId, manifest }) => ({ checkpointId, manifest }));
    return next === null ? all : [...all, next];
  }

  /** What the pointer will retain when `next` is complete, oldest first. */
  retainedWith(next: RetainedCheckpoint): RetainedCheckpoint[] {
    const all = [...this.#retained.map(({ checkpointId, manifest }) => ({ checkpointId, manifest })), next];
    return all.slice(-this.#retainedMax);
  }

  /**
   * The pointer to `checkpoint` is durable. Returns the names nothing refers to any more.
   * @param pinned ids that this pointer pins
   */
  completed(checkpoint: RetainedCheckpoint, manifest: Manifest, pinned: readonly number[] = []): string[] {
    this.#retained.push(this.#add(checkpoint, manifest));
    if (pinned.includes(checkpoint.checkpointId)) this.#pinned.push(this.#add(checkpoint, manifest));
    const dropped = this.#retained.splice(0, Math.max(0, this.#retained.length - this.#retainedMax));
    for (const given of this.#pinned) {
      if (pinned.includes(given.checkpointId)) continue;
      this.#unpinned.delete(given.checkpointId);
      dropped.push(given);
    }
    this.#pinned = this.#pinned.filter(({ checkpointId }) => pinned.includes(checkpointId));
    const unreferenced: string[] = [];
    for (const old of dropped) {
      for (const name of [old.manifest.name, ...old.fileNames]) if (this.#release(name)) unreferenced.push(name);
    }
    return this.deletable(unreferenced);
  }

  /** True while a retained or pinned manifest names the file. */
  isNamed(name: string): boolean {
    return this.#references.has(name);
  }

  /** Of these the job's own ones that nothing names. */
  deletable(names: readonly string[]): string[] {
    if (this.#isBlind) return [];
    return names.filter((name) => name.startsWith(this.#ownPrefix) && !this.isNamed(name));
  }

  #add({ checkpointId, manifest: object }: RetainedCheckpoint, manifest: Manifest): Retained {
    const fileNames = manifest.files.map((entry) => entry.file.object.name);
    for (const name of [object.name, ...fileNames]) {
      this.#references.set(name, (this.#references.get(name) ?? 0) + 1);
    }
    return { checkpointId, manifest: object, fileNames };
  }

  #release(name: string): boolean {
    const count = (this.#references.get(name) ?? 0) - 1;
    if (count > 0) {
      this.#references.set(name, count);
      return false;
    }
    this.#references.delete(name);
    return true;
  }
}
