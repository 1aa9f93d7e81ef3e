/**
 * Who merges which state files, and when the result counts. Pure.
 *
 * One merge at a time, always of *all* files of the newest completed checkpoint, in the order in which they apply; so the
 * result is a base and tombstones can be dropped. The base enters only through the next manifest, in place of exactly
 * its inputs; until a manifest with it is complete (and those without it are no longer retained) the inputs stay. A
 * result that does not fit any more (another attempt restored, the merge was given up) is garbage. Numbers of merges are
 * unique within a leader's term, and messages of another term never get here.
 */
import type { Manifest, ManifestFile, ObjectRef, StateFile } from '../../proto/messages.ts';

/** Deltas a base may have before it is merged. */
export const deltaCheckpointsMax = 8;
/** Below this much, deltas are not worth a merge before there are `deltaCheckpointsMax` of them. */
export const mergeBytesMin = 1024 * 1024;
/** A merge that takes longer is given up. */
export const mergeTimeoutMs = 600_000;

export interface MergeOrder {
  readonly mergeId: number;
  readonly inputs: readonly ObjectRef[];
}

interface OpenMerge extends MergeOrder {
  readonly startedAtMs: number;
  readonly newestCheckpointId: number;
}

export class MergeOwnership {
  #lastMergeId = 0;
  #open: OpenMerge | null = null;
  /** A finished merge that waits for the next manifest. */
  #finished: { readonly inputs: readonly ObjectRef[]; readonly base: ManifestFile } | null = null;
  /** Completed checkpoints to let pass after a failed merge, doubled with each failure in a row. */
  #pauseAfterFailure = 1;
  #checkpointsToSkip = 0;

  /** A checkpoint completed. Returns the merge to start, or null. `garbage` is a base that fits nowhere. */
  completed(manifest: Manifest, nowMs: number): { readonly order: MergeOrder | null; readonly garbage: string | null } {
    let garbage: string | null = null;
    if (this.#finished !== null && !manifest.files.some((entry) => sameName(entry, this.#finished?.base))) {
      // The manifest was composed before the merge had finished: the base waits for the next one.
      if (!startsWith(manifest.files, this.#finished.inputs)) garbage = this.#dropFinished();
    } else this.#finished = null;
    if (this.#open !== null && nowMs - this.#open.startedAtMs > mergeTimeoutMs) this.#fail();
    if (this.#checkpointsToSkip > 0) {
      this.#checkpointsToSkip--;
      return { order: null, garbage };
    }
    const wanted = this.#open === null && this.#finished === null && isMergeDue(manifest.files);
    return { order: wanted ? this.#start(manifest, nowMs) : null, garbage };
  }

  /** A task manager reported the end of a merge. Returns the name of a base nobody will use, or null. */
  reported(report: { readonly mergeId: number; readonly base: StateFile | null }): string | null {
    const open = this.#open;
    if (open === null || open.mergeId !== report.mergeId) {
      const known = this.#finished?.base.file.object.name === report.base?.object.name;
      return known ? null : (report.base?.object.name ?? null);
    }
    if (report.base === null) {
      this.#fail();
      return null;
    }
    this.#open = null;
    this.#pauseAfterFailure = 1;
    const base = { file: report.base, base: true, checkpointId: open.newestCheckpointId };
    this.#finished = { inputs: open.inputs, base };
    return null;
  }

  /** An attempt is over, perhaps the one that merges. Returns a base that was not used yet, to be deleted. */
  attemptEnded(): string | null {
    this.#open = null;
    return this.#dropFinished();
  }

  /** The files of the next manifest before its own deltas: with a finished base in place of its inputs. */
  filesForNext(files: readonly ManifestFile[]): readonly ManifestFile[] {
    const finished = this.#finished;
    if (finished === null || !startsWith(files, finished.inputs)) return files;
    return [finished.base, ...files.slice(finished.inputs.length)];
  }

  #start(manifest: Manifest, nowMs: number): MergeOrder {
    const mergeId = ++this.#lastMergeId;
    const inputs = manifest.files.map((entry) => entry.file.object);
    this.#open = { mergeId, inputs, startedAtMs: nowMs, newestCheckpointId: manifest.checkpointId };
    return { mergeId, inputs };
  }

  #fail(): void {
    this.#open = null;
    this.#checkpointsToSkip = this.#pauseAfterFailure;
    this.#pauseAfterFailure = Math.min(64, this.#pauseAfterFailure * 2);
  }

  #dropFinished(): string | null {
    const name = this.#finished?.base.file.object.name ?? null;
    this.#finished = null;
    return name;
  }
}

function sameName(entry: ManifestFile, other: ManifestFile | undefined): boolean {
  return entry.file.object.name === other?.file.object.name;
}

function startsWith(files: readonly ManifestFile[], inputs: readonly ObjectRef[]): boolean {
  return inputs.every((input, index) => files[index]?.file.object.name === input.name);
}

/** Past eight checkpoints' deltas, or when deltas are above half of the base. */
export function isMergeDue(files: readonly ManifestFile[]): boolean {
  const deltas = files.filter((entry) => !entry.base);
  const deltaCheckpoints = new Set(deltas.map((entry) => entry.checkpointId)).size;
  if (deltaCheckpoints > deltaCheckpointsMax) return true;
  const bytesOf = (entries: readonly ManifestFile[]): number =>
    entries.reduce((sum, entry) => sum + entry.file.object.bytes, 0);
  const deltaBytes = bytesOf(deltas);
  const baseBytes = bytesOf(files.filter((entry) => entry.base));
  return baseBytes > 0 && deltaBytes >= mergeBytesMin && deltaBytes > baseBytes / 2;
}
