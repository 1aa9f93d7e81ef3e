/** Errors of the file system as engine errors: one place decides which of them a person can repair and how. */
import { EngineError } from '../../core/connector/index.ts';

/** The `code` of a Node system error (`ENOENT`), or an empty string. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/**
 * The engine error for a failed file operation.
 * @param doing what was attempted, as in "writing" or "renaming"
 */
export function storageError(doing: string, path: string, cause: unknown): EngineError {
  const code = systemCode(cause);
  const ids = { path };
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new EngineError(
      'STORAGE_FULL',
      `${doing} ${path} failed: the disk or quota is full (${code}) → make room there and run the same command again; what was complete is kept`,
      { domain: 'external', retry: 'backoff', cause, ids },
    );
  }
  const text = cause instanceof Error ? cause.message : String(cause);
  const remedy =
    code === 'EACCES' || code === 'EPERM' || code === 'EROFS' ? ' → check the permissions of the path' : '';
  const retry = remedy === '' ? 'backoff' : 'never';
  return new EngineError('STORAGE_FAILED', `${doing} ${path} failed: ${text}${remedy}`, {
    domain: 'external',
    retry,
    cause,
    ids,
  });
}

/** The error for an input that is not there. */
export function inputNotFound(path: string, workingDirectory: string, cause?: unknown): EngineError {
  return new EngineError(
    'INPUT_NOT_FOUND',
    `the input ${path} does not exist (working directory: ${workingDirectory}) → correct the path, or start the job from the directory that relative paths are meant for`,
    { cause, ids: { path } },
  );
}
