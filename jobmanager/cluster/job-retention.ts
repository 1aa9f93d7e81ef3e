/**
 * Jobs that are over: which of them are forgotten, and how one is. Everything of a job goes but savepoints: a job that has
 * some is kept, since its pointer is what makes them count.
 *
 * Objects go first and the record last, so whoever dies between leaves a job that is listed as over and can be forgotten
 * again, never objects that nobody knows of.
 */
import { EngineError } from '../../core/errors.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { JobRecord, JobStore } from '../store/job-store.ts';
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

export interface ForgettingOptions {
  readonly store: JobStore;
  /** Graphs and artifacts. */
  readonly objects: ObjectStore;
}

/** Savepoints that a pointer keeps. */
export function pinnedSavepoints(pointer: CheckpointPointer | null): number {
  return (pointer as { readonly pinned?: readonly unknown[] } | null)?.pinned?.length ?? 0;
}

/**
 * Removes a job that is over from the store, with its checkpoints, and with its graph and artifact unless one of the others has
 * the same. @param others the jobs that stay
 * @returns `kept` when it has savepoints: nothing was removed
 * @throws EngineError STALE_EPOCH when another leader has taken over; when storage fails: perhaps removed in part, to be done again
 */
export async function removeJob(
  record: JobRecord,
  others: readonly JobRecord[],
  { store, objects }: ForgettingOptions,
): Promise<'removed' | 'kept'> {
  const { jobId } = record;
  // Of a pointer that cannot be read nobody knows what it pins: the error says why the job stays.
  if (pinnedSavepoints(await store.readPointer(jobId)) > 0) return 'kept';
  const submitted = await submittedObjects(record, store);
  for (const other of others) for (const name of await submittedObjects(other, store)) submitted.delete(name);
  await store.deleteObjects(await store.listObjects(jobId));
  for (const name of submitted) await objects.delete(name);
  await store.removeJob(jobId);
  return 'removed';
}

async function submittedObjects(record: JobRecord, store: JobStore): Promise<Set<string>> {
  const names = new Set([record.graphRef.name, record.artifactRef.name]);
  const replaced = await store.readGraph(record.jobId);
  if (replaced !== null) names.add(replaced.name);
  return names;
}

/** @throws EngineError USAGE while it is not over */
export function checkOver({ record: { jobId }, terminal }: CatalogueEntry): void {
  if (terminal !== null) return;
  const message = `job ${jobId} is not over → cancel or stop it first`;
  throw new EngineError('USAGE', message, { ids: { jobId } });
}

export function hasSavepoints(jobId: string): EngineError {
  const message = `job ${jobId} cannot be forgotten: savepoints of it are kept, and would be lost → dispose of them first`;
  return new EngineError('USAGE', message, { ids: { jobId } });
}
