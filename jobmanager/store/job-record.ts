/** What both job stores need to know of a job record. */
import { isDeepStrictEqual } from 'node:util';
import type { JobRecord } from './job-store.ts';

/** True when two records say the same, however they were stored. */
export function sameRecord(first: JobRecord, second: JobRecord): boolean {
  return isDeepStrictEqual(plain(first), plain(second));
}

/** For `sort`: as they were submitted. */
export function submissionOrder(first: JobRecord, second: JobRecord): number {
  return first.submittedAtMs - second.submittedAtMs || (first.jobId < second.jobId ? -1 : 1);
}

/** As it comes back from a store. */
const plain = (record: JobRecord): unknown => JSON.parse(JSON.stringify(record));
