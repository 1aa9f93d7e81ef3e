/**
 * Keys of a cluster in etcd, all below one prefix:
 *
 *     <prefix>/leader                   {address, id} of the leader, with its lease; its create revision is the epoch
 *     <prefix>/cluster                  id of the cluster, made once
 *     <prefix>/records/<job>            what was submitted
 *     <prefix>/jobs/<job>/graph         the graph it runs since its parallelism was changed
 *                        /pointer       newest complete checkpoint
 *                        /counters      attempt, checkpoint, and whether there ever was a pointer
 *                        /terminal      how it ended
 */
import { EngineError } from '../../core/errors.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { EtcdCompare } from './etcd-api.ts';

export type JobKeyName = 'graph' | 'pointer' | 'counters' | 'terminal';

/** @throws EngineError CONFIG_INVALID when it is none */
export function checkPrefix(prefix: string): void {
  if (/^\/[A-Za-z0-9._\-/]*[A-Za-z0-9._-]$/.test(prefix) && !prefix.includes('//')) return;
  const message = `"${prefix}" is no prefix for keys in etcd → start it with "/", end it without, and use letters, digits and . _ - / only, as in /millrace`;
  throw new EngineError('CONFIG_INVALID', message, { ids: { prefix } });
}

export const leaderKeyOf = (prefix: string): string => `${prefix}/leader`;
export const clusterKeyOf = (prefix: string): string => `${prefix}/cluster`;
export const recordsPrefixOf = (prefix: string): string => `${prefix}/records/`;
export const recordKeyOf = (prefix: string, jobId: string): string =>
  `${recordsPrefixOf(prefix)}${jobDirectoryName(jobId)}`;
export const jobPrefixOf = (prefix: string, jobId: string): string => `${prefix}/jobs/${jobDirectoryName(jobId)}/`;
export const jobKeyOf = (prefix: string, jobId: string, name: JobKeyName): string =>
  `${jobPrefixOf(prefix, jobId)}${name}`;

/** Holds while the leader of this epoch has the key: part of every change that a leader makes. */
export function ledIn(prefix: string, epoch: number): EtcdCompare {
  return { key: leaderKeyOf(prefix), target: 'create-revision', equals: epoch };
}
