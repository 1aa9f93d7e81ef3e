/** Turns errors of the file system into errors that say what to do. */
import { EngineError, isEngineError } from '../core/errors.ts';
import { systemErrorCode } from './file-system.ts';

/** What to do about an error of the file system, by its code. */
const remedies: Readonly<Record<string, string>> = {
  EIO: 'the disk or network mount reports an input/output error: what was being written is discarded, the next attempt uses a new file; check the device',
  EACCES: 'give the engine read and write permission to the directory',
  EPERM: 'give the engine read and write permission to the directory',
  EROFS: 'the file system is mounted read-only: remount it or choose another directory',
  EMFILE: 'the process has too many open files: raise the limit (ulimit -n)',
  ENFILE: 'the machine has too many open files: raise its limit',
  ENOTDIR: 'a part of the path is a file: choose another directory',
  EEXIST:
    'something else wrote a file of this name: objects are never overwritten; check that no other engine uses this directory',
};

/**
 * The engine error of a failed write, rename, fsync or read at `path`; an engine error is returned unchanged.
 * @param doing what failed, as in "cannot <doing>"
 */
export function storageError(error: unknown, doing: string, path: string): EngineError {
  if (isEngineError(error)) return error;
  const code = systemErrorCode(error) ?? 'unknown';
  const options = { domain: 'external', retry: 'backoff', cause: error, ids: { path } } as const;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const what = code === 'ENOSPC' ? 'no space is left on the device' : 'the disk quota is exhausted';
    const message = `cannot ${doing} ${path}: ${what}; free space there or move the state directory to a larger device`;
    return new EngineError('STORAGE_FULL', message, options);
  }
  const text = error instanceof Error ? error.message : String(error);
  const remedy = remedies[code] ?? 'check that the directory exists and is usable';
  return new EngineError('STORAGE_FAILED', `cannot ${doing} ${path}: ${text}; ${remedy}`, options);
}

/** The error of an object that is not what its address says. `expected` and `found` name the same property of it. */
export function unreadable(path: string, expected: string, found: string): EngineError {
  return new EngineError(
    'CHECKPOINT_UNREADABLE',
    `${path} is not the object that was stored: expected ${expected}, found ${found}; restore the file from a copy of the ` +
      'directory, or start from another checkpoint explicitly',
    { domain: 'external', ids: { path } },
  );
}
