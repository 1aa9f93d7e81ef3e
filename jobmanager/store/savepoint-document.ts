/**
 * The document of a savepoint: what somebody who has only its path must know to start a job from it. One object, never
 * changed, written before the pointer of its job pins the checkpoint; the format is docs/formats/savepoint.md.
 *
 *     millrace-savepoint <version> <sha256 of the next line>
 *     {"jobId":…,"checkpointId":…,"manifest":{…},…}
 */
import { createHash } from 'node:crypto';
import { EngineError } from '../../core/errors.ts';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { ObjectRef } from '../../proto/messages.ts';

/** Format that this release writes; older ones are read for ever. */
export const savepointFormatVersion = 1;

export interface SavepointDocument {
  /** Submission that took it. */
  readonly jobId: string;
  readonly jobName: string;
  readonly graphHash: string;
  /** The graph that ran: says which state there is. */
  readonly graph: ObjectRef;
  readonly engineVersion: string;
  readonly checkpointId: number;
  readonly attempt: number;
  readonly createdAtMs: number;
  readonly maxParallelism: number;
  readonly manifest: ObjectRef;
}

/** Where the savepoint of a checkpoint is, below the root of checkpoint storage: what users pass around. */
export function savepointPath({ jobId, attempt, checkpointId }: SavepointPlace): string {
  return `${savepointsOf(jobId)}${attempt}-${checkpointId}.savepoint`;
}

export interface SavepointPlace {
  readonly jobId: string;
  readonly attempt: number;
  readonly checkpointId: number;
}

/** What names of a job's savepoints start with. */
export const savepointsOf = (jobId: string): string => `${jobDirectoryName(jobId)}/savepoints/`;

const pathPattern = /^[A-Za-z0-9%_-]+\/savepoints\/\d+-\d+\.savepoint$/;

/** @throws EngineError SAVEPOINT_NOT_FOUND for what is no path of a savepoint */
export function checkSavepointPath(path: string): void {
  if (pathPattern.test(path)) return;
  const shown = path.slice(0, 200);
  const message = `${JSON.stringify(shown)} is no path of a savepoint → give what millrace savepoint printed, like my-job-0a1b2c3d/savepoints/1-7.savepoint`;
  throw new EngineError('SAVEPOINT_NOT_FOUND', message, { ids: { path: shown } });
}

export function encodeSavepoint(document: SavepointDocument): Uint8Array {
  const json = JSON.stringify(document);
  return Buffer.from(`millrace-savepoint ${savepointFormatVersion} ${sha256(json)}\n${json}\n`);
}

/** @throws EngineError SAVEPOINT_UNREADABLE naming the path: cut, changed, or of a newer release */
export function decodeSavepoint(bytes: Uint8Array, path: string): SavepointDocument {
  const text = Buffer.from(bytes).toString('utf8');
  const lineEnd = text.indexOf('\n');
  const [magic, version, hash] = text.slice(0, Math.max(0, lineEnd)).split(' ');
  if (magic !== 'millrace-savepoint') throw unreadable(path, 'it is no savepoint, or its first line is damaged');
  if (!(Number(version) >= 1)) throw unreadable(path, `its version ${JSON.stringify(version)} is none`);
  if (Number(version) > savepointFormatVersion) {
    const message = `the savepoint ${path} has format ${version}, this release reads 1..${savepointFormatVersion} → run the release that wrote it, or a newer one`;
    throw new EngineError('SAVEPOINT_UNREADABLE', message, { domain: 'external', ids: { path } });
  }
  const json = text.slice(lineEnd + 1, -1);
  if (!text.endsWith('\n') || hash !== sha256(json)) throw unreadable(path, 'its checksum does not match');
  return JSON.parse(json) as SavepointDocument;
}

function unreadable(path: string, why: string): EngineError {
  const message = `the savepoint ${path} cannot be read: ${why} → restore the file from a backup, or use another savepoint`;
  return new EngineError('SAVEPOINT_UNREADABLE', message, { domain: 'external', ids: { path } });
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
