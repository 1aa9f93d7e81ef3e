/**
 * The jobs a cluster knows, by id and by name. Pure.
 *
 * At most one job of a name is not over. A name means its newest job. A submission that is sent again, because its answer was
 * lost, is recognised by the key its client gave it (FLINK-30596: one id submitted many times ran many jobs).
 */
import { EngineError } from '../../core/errors.ts';
import type { TerminalJobState } from '../model/job-state.ts';
import type { JobRecord } from '../store/job-store.ts';

export interface CatalogueEntry {
  readonly record: JobRecord;
  /** Null while it is not over. */
  readonly terminal: TerminalJobState | null;
}

/** What becomes of a submission. */
export type SubmissionDecision =
  | { readonly kind: 'accept' }
  /** It is this job already. */
  | { readonly kind: 'known'; readonly jobId: string };

const namePattern = /^[A-Za-z0-9._-]{1,64}$/;

/** @throws EngineError JOB_INVALID for a name that cannot be part of paths, keys and labels everywhere */
export function checkJobName(name: string): void {
  if (namePattern.test(name)) return;
  const message = `a job on a cluster is called by 1 to 64 letters, digits, dots, dashes and underscores, not ${JSON.stringify(name.slice(0, 80))} → change the first argument of defineJob`;
  throw new EngineError('JOB_INVALID', message, { ids: { jobName: name.slice(0, 80) } });
}

/** @throws EngineError JOB_EXISTS when another job of the name is not over */
export function decideSubmission(
  entries: readonly CatalogueEntry[],
  submission: { readonly name: string; readonly idempotencyKey: string },
): SubmissionDecision {
  const { name, idempotencyKey } = submission;
  const same = entries.find(({ record }) => record.name === name && record.idempotencyKey === idempotencyKey);
  if (same !== undefined) return { kind: 'known', jobId: same.record.jobId };
  const running = entries.find(({ record, terminal }) => record.name === name && terminal === null);
  if (running === undefined) return { kind: 'accept' };
  const { jobId } = running.record;
  const message = `job "${name}" runs already as ${jobId} → stop or cancel it first, or submit under another name`;
  throw new EngineError('JOB_EXISTS', message, { ids: { jobName: name, jobId } });
}

/**
 * The job that an id or a name means: the newest of that name.
 * @throws EngineError JOB_NOT_FOUND naming what there is
 */
export function findJob<Entry extends CatalogueEntry>(entries: readonly Entry[], job: string): Entry {
  const byId = entries.find(({ record }) => record.jobId === job);
  if (byId !== undefined) return byId;
  const newest = entries.findLast(({ record }) => record.name === job);
  if (newest !== undefined) return newest;
  const names = [...new Set(entries.map(({ record }) => record.name))];
  const shown = names.slice(-5).join(', ');
  const known = names.length === 0 ? 'there are none' : `there are ${shown}${names.length > 5 ? ' and others' : ''}`;
  throw new EngineError(
    'JOB_NOT_FOUND',
    `there is no job ${JSON.stringify(job.slice(0, 80))}; ${known} → millrace list`,
    {
      ids: { job: job.slice(0, 80) },
    },
  );
}
