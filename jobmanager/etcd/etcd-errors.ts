/** Turns errors of etcd and of the way to it into errors that say what to do. */
import { EngineError, isEngineError } from '../../core/errors.ts';

/**
 * The engine error of a failed call. etcd3 tells kinds of errors by class; names are compared, since texts differ by release.
 * @param what the call was about, as in "etcd cannot be asked for <what>"
 * @param endpoints as configured, for the message
 */
export function etcdError(error: unknown, what: string, endpoints: string): EngineError {
  if (isEngineError(error)) return error;
  const text = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.constructor.name : '';
  const options = { domain: 'external', cause: error, ids: { endpoints } } as const;
  if (/database space exceeded|NOSPACE/i.test(text)) {
    const message = `etcd at ${endpoints} is out of space (its quota is used up) → compact and defragment it, then run "etcdctl alarm disarm"; jobs that run go on meanwhile`;
    return new EngineError('STORAGE_FULL', message, { ...options, retry: 'backoff' });
  }
  if (unauthenticated.has(name) || /user name is empty|authentication is not enabled/.test(text)) {
    const message = `etcd at ${endpoints} does not accept the user or password configured for it: ${text} → check both; without authentication in etcd configure none`;
    return new EngineError('UNAUTHENTICATED', message, options);
  }
  if (name === 'EtcdPermissionDeniedError') {
    const message = `the etcd user may not read or write below the configured prefix: ${text} → grant its role readwrite on the prefix`;
    return new EngineError('FORBIDDEN', message, options);
  }
  if (refusals.has(name)) {
    const message = `etcd at ${endpoints} refused ${what}: ${text} → look at the log of etcd; releases from 3.4 on are supported`;
    return new EngineError('STORAGE_FAILED', message, options);
  }
  const message = `etcd at ${endpoints} cannot be asked for ${what}: ${text} → check that it runs, has a quorum, and can be reached from here`;
  return new EngineError('CLUSTER_UNAVAILABLE', message, { ...options, retry: 'backoff' });
}

const unauthenticated = new Set([
  'EtcdAuthenticationFailedError',
  'EtcdInvalidAuthTokenError',
  'GRPCUnauthenticatedError',
]);

/** etcd has understood and said no: asking elsewhere or again changes nothing. */
const refusals = new Set([
  'EtcdLeaseInvalidError',
  'GRPCInvalidArgumentError',
  'GRPCFailedPreconditionError',
  'GRPCNotImplementedError',
  'GRPCOutOfRangeError',
  'GRPCNotFoundError',
  'GRPCAlreadyExistsError',
  'GRPCDataLossError',
]);
