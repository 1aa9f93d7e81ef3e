/**
 * The one error type of the engine. Across threads and the wire code branches on `code`, never on `instanceof` or text,
 * so an error survives `toWire` / `fromWire` with everything a caller may decide on.
 */

/** Closed list of error codes. A new code is added here and documented in docs/errors.md. */
export const errorCodes = [
  'USAGE',
  'JOB_INVALID',
  'JOB_NOT_DETERMINISTIC',
  'GRAPH_CHANGED',
  'PARAMETER_INVALID',
  'INPUT_NOT_FOUND',
  'INPUT_MALFORMED',
  'VALUE_NOT_ENCODABLE',
  'KEY_NOT_SUPPORTED',
  'RECORD_TOO_LARGE',
  'USER_FUNCTION_FAILED',
  'USER_FUNCTION_STUCK',
  'SLOT_EXITED',
  'MEMORY_EXCEEDED',
  'STATE_DIRECTORY_IN_USE',
  'STATE_DIRECTORY_FOREIGN',
  'STATE_DIRECTORY_VERSION',
  'CHECKPOINT_UNREADABLE',
  'CHECKPOINT_FAILED',
  'SAVEPOINT_NOT_FOUND',
  'SAVEPOINT_UNREADABLE',
  'SAVEPOINT_REFUSED',
  'SAVEPOINT_IN_USE',
  'STORAGE_FAILED',
  'STORAGE_FULL',
  'OUTPUT_OCCUPIED',
  'PORT_IN_USE',
  'TRANSPORT_FAILED',
  'PROTOCOL',
  'STALE_EPOCH',
  'NOT_LEADER',
  'CLUSTER_UNAVAILABLE',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'CONFIG_INVALID',
  'JOB_NOT_FOUND',
  'JOB_EXISTS',
  'CANCELED',
  'NOT_SUPPORTED',
  'INTERNAL',
] as const;
/** What went wrong, from a closed list; each code is explained in docs/errors.md. */
export type ErrorCode = (typeof errorCodes)[number];

/** Who has to act: the author of the job, the operator of an outside system, or the authors of the engine. */
export type ErrorDomain = 'user' | 'external' | 'internal';

/** What an {@link EngineError} carries besides code and message. */
export interface EngineErrorOptions {
  /** Default `user`. */
  domain?: ErrorDomain;
  /** Whether running the same thing again may help. Default `never`. */
  retry?: 'never' | 'backoff';
  cause?: unknown;
  /** Ids of the things concerned: operator, subtask, file, checkpoint … */
  ids?: Readonly<Record<string, string | number>>;
}

/** Plain form of an {@link EngineError} that survives a thread or process boundary. */
export interface WireError {
  code: ErrorCode;
  domain: ErrorDomain;
  retry: 'never' | 'backoff';
  message: string;
  ids: Record<string, string | number>;
  stack: string;
  cause: WireError | null;
}

/** An operating error: says what happened, to which id, and what to do. */
export class EngineError extends Error {
  readonly code: ErrorCode;
  readonly domain: ErrorDomain;
  readonly retry: 'never' | 'backoff';
  readonly ids: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, message: string, options: EngineErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'EngineError';
    this.code = code;
    this.domain = options.domain ?? 'user';
    this.retry = options.retry ?? 'never';
    this.ids = options.ids ?? {};
  }
}

/** True for an {@link EngineError} of this or another realm. */
export function isEngineError(error: unknown): error is EngineError {
  return error instanceof Error && 'code' in error && (errorCodes as readonly unknown[]).includes(error.code);
}

const causeDepthMax = 8;

/** The plain form of any thrown value. Foreign errors become `INTERNAL`, or `USER_FUNCTION_FAILED` where the caller says so. */
export function toWireError(error: unknown, foreignCode: ErrorCode = 'INTERNAL', depth = 0): WireError {
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error && error.stack !== undefined ? error.stack : message;
  const rawCause = error instanceof Error ? error.cause : undefined;
  const cause = rawCause === undefined || depth >= causeDepthMax ? null : toWireError(rawCause, foreignCode, depth + 1);
  if (isEngineError(error)) {
    return { code: error.code, domain: error.domain, retry: error.retry, message, ids: { ...error.ids }, stack, cause };
  }
  const domain = foreignCode === 'USER_FUNCTION_FAILED' ? 'user' : 'internal';
  return { code: foreignCode, domain, retry: 'backoff', message, ids: {}, stack, cause };
}

/** The error object of a plain form, with the stack of the place where it was thrown. */
export function fromWireError(wire: WireError): EngineError {
  const error = new EngineError(wire.code, wire.message, {
    domain: wire.domain,
    retry: wire.retry,
    ids: wire.ids,
    cause: wire.cause === null ? undefined : fromWireError(wire.cause),
  });
  error.stack = wire.stack;
  return error;
}

/** The same error naming more of the things concerned; ids it has already stay. Anything but an {@link EngineError} is returned as it is. */
export function withIds(error: unknown, ids: Readonly<Record<string, string | number>>): unknown {
  if (!isEngineError(error)) return error;
  return fromWireError({ ...toWireError(error), ids: { ...ids, ...error.ids } });
}

/** Fails the subtask on a broken invariant of the engine: a programmer error, never bad input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new EngineError('INTERNAL', `invariant broken: ${message}`, { domain: 'internal' });
}

/** Marks a branch that no value can reach. */
export function assertNever(value: never, what: string): never {
  throw new EngineError('INTERNAL', `invariant broken: unexpected ${what}: ${JSON.stringify(value)}`, {
    domain: 'internal',
  });
}
