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

/** Why nothing more can be written, by error code. */
const fullReasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is exhausted',
  EFBIG: 'the file would be larger than the process may write (ulimit -f) or the file system allows',
};

/**
 * The engine error of a failed write, rename, fsync or read at `path`; an engine error is returned unchanged.
 * @param doing what failed, as in "cannot <doing>"
 */
export function storageError(error: unknown, doing: string, path: string): EngineError {
  if (isEngineError(error)) return error;
  const code = systemErrorCode(error) ?? 'unknown';
  const options = { domain: 'external', retry: 'backoff', cause: error, ids: { path } } as const;
  const full = fullReasons[code];
  if (full !== undefined) {
    const message = `cannot ${doing} ${path}: ${full} → make room there and run the same command again; what was complete is kept`;
    return new EngineError('STORAGE_FULL', message, options);
  }
  const text = error instanceof Error ? error.message : String(error);
  const remedy = remedies[code] ?? 'check that the directory exists and is usable';
  return new EngineError('STORAGE_FAILED', `cannot ${doing} ${path}: ${text} → ${remedy}`, options);
}

/** The error of an object that is not what its address says. `expected` and `found` name the same property of it. */
export function unreadable(path: string, expected: string, found: string): EngineError {
  return new EngineError(
    'CHECKPOINT_UNREADABLE',
    `${path} is not the object that was stored: expected ${expected}, found ${found} → restore this file from a backup: results may rest ` +
      'on it, so nothing older is used in its place; if there is none, drop state and results with --fresh',
    { domain: 'external', ids: { path } },
  );
}
