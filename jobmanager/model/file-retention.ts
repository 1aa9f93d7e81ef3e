/**
 * Which state files and manifests are still needed. A file is needed while a retained manifest names it; it is deleted only
 * after a pointer without it is durable (FLINK-26985, FLINK-21351). Pure: says what to delete, deletes nothing.
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
  /** Oldest first. */
  #retained: Retained[] = [];
  readonly #references = new Map<string, number>();

  /** @param retainedMax completed checkpoints kept, at least one */
  constructor(retainedMax: number) {
    this.#retainedMax = Math.max(1, retainedMax);
  }

  /** Takes over a checkpoint that a durable pointer already retains. Oldest first. */
  restore(checkpoint: RetainedCheckpoint, manifest: Manifest): void {
    this.#add(checkpoint, manifest);
  }

  /** What the pointer will retain when `next` is complete, oldest first. */
  retainedWith(next: RetainedCheckpoint): RetainedCheckpoint[] {
    const all = [...this.#retained.map(({ checkpointId, manifest }) => ({ checkpointId, manifest })), next];
    return all.slice(-this.#retainedMax);
  }

  /** The pointer to `checkpoint` is durable. Returns the names nothing refers to any more. */
  completed(checkpoint: RetainedCheckpoint, manifest: Manifest): string[] {
    this.#add(checkpoint, manifest);
    const dropped = this.#retained.splice(0, Math.max(0, this.#retained.length - this.#retainedMax));
    const unreferenced: string[] = [];
    for (const old of dropped) {
      for (const name of [old.manifest.name, ...old.fileNames]) if (this.#release(name)) unreferenced.push(name);
    }
    return unreferenced;
  }

  /** True while a retained manifest names the file. */
  isNamed(name: string): boolean {
    return this.#references.has(name);
  }

  #add(checkpoint: RetainedCheckpoint, manifest: Manifest): void {
    const fileNames = manifest.files.map((entry) => entry.file.object.name);
    this.#retained.push({ checkpointId: checkpoint.checkpointId, manifest: checkpoint.manifest, fileNames });
    for (const name of [checkpoint.manifest.name, ...fileNames]) {
      this.#references.set(name, (this.#references.get(name) ?? 0) + 1);
    }
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
