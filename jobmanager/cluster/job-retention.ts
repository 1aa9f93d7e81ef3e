/**
 * Jobs that are over: which of them are forgotten, and how one is. Everything of a job goes but savepoints: a job that has
 * some is kept, since its pointer is what makes them count.
 *
 * Objects go first and the record last, so whoever dies between leaves a job that is listed as over and can be forgotten
 * again, never objects that nobody knows of.
 */
import { EngineError, type ErrorCode, isEngineError } from '../../core/errors.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { JobRecord, JobStore } from '../store/job-store.ts';
import { savepointsOf } from '../store/savepoint-document.ts';
import type { CatalogueEntry } from './catalogue.ts';

/** Jobs that are over and are kept, unless the options say otherwise. */
export const historyMaxDefault = 100;

export interface EndedJob extends CatalogueEntry {
  /** Null when it is not known, of earlier releases. */
  readonly endedAtMs: number | null;
}

/** Of the jobs that are over, those beyond the newest `max`, oldest first. Pure. */
export function jobsBeyond<Job extends EndedJob>(jobs: readonly Job[], max: number): Job[] {
  const ended = jobs.filter(({ terminal }) => terminal !== null);
  const endedAtMs = ({ endedAtMs, record }: Job): number => endedAtMs ?? record.submittedAtMs;
  return ended.sort((first, second) => endedAtMs(first) - endedAtMs(second)).slice(0, Math.max(0, ended.length - max));
}

export interface JobRemovalOptions {
  readonly store: JobStore;
  /** Graphs and artifacts. */
  readonly objects: ObjectStore;
}

/**
 * Removes jobs. One at a time, and while nobody submits or rescales: what is stored under its hash may be of several jobs, and
 * whoever is about to rely on an object must not find it gone.
 */
export class JobRemoval {
  readonly #options: JobRemovalOptions;
  /** Names of the graphs and the artifact of each job, once read. */
  readonly #submitted = new Map<string, ReadonlySet<string>>();

  constructor(options: JobRemovalOptions) {
    this.#options = options;
  }

  /** The graph of a job was replaced. */
  graphReplaced(jobId: string): void {
    this.#submitted.delete(jobId);
  }

  /**
   * Removes a job that is over from the store, with its checkpoints, and with its graphs and artifact unless one of the others has
   * the same. @param others the jobs that stay
   * @returns `kept` when it has savepoints: nothing was removed
   * @throws EngineError STALE_EPOCH when another leader has taken over; when storage fails: perhaps removed in part, to be done again
   */
  async remove(record: JobRecord, others: readonly JobRecord[]): Promise<'removed' | 'kept'> {
    const { store, objects } = this.#options;
    const { jobId } = record;
    // Of a pointer that cannot be read nobody knows what it pins: the error says why the job stays.
    if (isPinned(await store.readPointer(jobId))) return 'kept';
    const unneeded = await this.#unneeded(record, others);
    await store.deleteObjects(await store.listObjects(jobId));
    for (const name of unneeded) await objects.delete(name);
    await store.removeJob(jobId);
    this.#submitted.delete(jobId);
    return 'removed';
  }

  /** What a job was submitted with and no other one has. */
  async #unneeded(record: JobRecord, others: readonly JobRecord[]): Promise<ReadonlySet<string>> {
    const names = new Set(await this.#submittedOf(record));
    try {
      for (const other of others) for (const name of await this.#submittedOf(other)) names.delete(name);
      return names;
    } catch (error) {
      if (!isEngineError(error) || !unreadableCodes.includes(error.code)) throw error;
      // Of a job that is damaged nobody knows what it needs. What stays costs space, nothing else.
      return new Set();
    }
  }

  async #submittedOf({ jobId, graphRef, artifactRef }: JobRecord): Promise<ReadonlySet<string>> {
    const known = this.#submitted.get(jobId);
    if (known !== undefined) return known;
    const { store } = this.#options;
    const names = new Set([graphRef.name, artifactRef.name]);
    const replaced = await store.readGraph(jobId);
    if (replaced !== null) names.add(replaced.name);
    // A savepoint names the graph that ran then, of which the job may have had several since.
    if (isPinned(await store.readPointer(jobId))) {
      const savepoints = (await store.listObjects(jobId)).filter((name) => name.startsWith(savepointsOf(jobId)));
      for (const path of savepoints) names.add((await store.readSavepoint(path)).graph.name);
    }
    this.#submitted.set(jobId, names);
    return names;
  }
}

const unreadableCodes: readonly ErrorCode[] = ['CHECKPOINT_UNREADABLE', 'SAVEPOINT_UNREADABLE', 'SAVEPOINT_NOT_FOUND'];

/** It keeps savepoints. */
function isPinned(pointer: CheckpointPointer | null): boolean {
  return (pointer?.pinned?.length ?? 0) > 0;
}

/** @throws EngineError USAGE while it is not over */
export function checkOver({ record: { jobId }, terminal }: CatalogueEntry): void {
  if (terminal !== null) return;
  const message = `job ${jobId} is not over → cancel or stop it first`;
  throw new EngineError('USAGE', message, { ids: { jobId } });
}

export function hasSavepoints(jobId: string): EngineError {
  const message = `job ${jobId} cannot be forgotten: savepoints of it are kept, and would be lost → dispose of them first: millrace savepoint --dispose <path>`;
  return new EngineError('USAGE', message, { ids: { jobId } });
}
