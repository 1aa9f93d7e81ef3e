/**
 * Errors across gRPC. What a handler throws travels whole, as an encoded ErrorInfo in the trailer {@link errorTrailer}; the
 * gRPC status is chosen for foreign tools to understand. An error without the trailer is one of the transport.
 */
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import {
  EngineError,
  type ErrorCode,
  fromWireError,
  isEngineError,
  toWireError,
  type WireError,
} from '../../../core/errors.ts';
import { errorInfo } from '../codecs.ts';
import { messageMaxBytes } from './limits.ts';
import { transportReason } from './transport-reason.ts';

export const errorTrailer = 'millrace-error-bin';
/** Headers of HTTP/2 are limited to 64 KiB, and base64 adds a third. */
const trailerMaxBytes = 16 * 1024;
const detailsMaxLength = 500;

const statusByCode: Partial<Record<ErrorCode, status>> = {
  USAGE: status.INVALID_ARGUMENT,
  PARAMETER_INVALID: status.INVALID_ARGUMENT,
  CONFIG_INVALID: status.INVALID_ARGUMENT,
  JOB_INVALID: status.INVALID_ARGUMENT,
  PROTOCOL: status.INVALID_ARGUMENT,
  JOB_NOT_FOUND: status.NOT_FOUND,
  JOB_EXISTS: status.ALREADY_EXISTS,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  FORBIDDEN: status.PERMISSION_DENIED,
  NOT_LEADER: status.FAILED_PRECONDITION,
  STALE_EPOCH: status.FAILED_PRECONDITION,
  NOT_SUPPORTED: status.UNIMPLEMENTED,
  STORAGE_FULL: status.RESOURCE_EXHAUSTED,
  CANCELED: status.CANCELLED,
  TRANSPORT_FAILED: status.UNAVAILABLE,
  CLUSTER_UNAVAILABLE: status.UNAVAILABLE,
};

/** What a server answers for a thrown value. */
export function statusOfError(error: unknown): StatusObject {
  const wire = toWireError(error);
  const metadata = new Metadata();
  metadata.set(errorTrailer, Buffer.from(encodeWithinLimit(wire)));
  const code = statusByCode[wire.code] ?? (wire.domain === 'user' ? status.FAILED_PRECONDITION : status.INTERNAL);
  return { code, details: `${wire.code}: ${wire.message}`.slice(0, detailsMaxLength), metadata };
}

/** The whole error; without stacks, then without causes, then with a cut text when it is too long. */
function encodeWithinLimit(wire: WireError): Uint8Array {
  const cut = (text: string): string => text.slice(0, trailerMaxBytes / 8);
  const ids = Object.entries(wire.ids).slice(0, 8);
  const shorter: readonly (() => WireError)[] = [
    () => wire,
    () => withoutStacks(wire),
    () => ({ ...withoutStacks(wire), cause: null }),
    () => ({
      ...wire,
      stack: '',
      cause: null,
      message: cut(wire.message),
      ids: Object.fromEntries(ids.map(([key, id]) => [key.slice(0, 64), String(id).slice(0, 256)])),
    }),
  ];
  for (const make of shorter) {
    const bytes = errorInfo.encode(make());
    if (bytes.byteLength <= trailerMaxBytes) return bytes;
  }
  return errorInfo.encode({ ...wire, stack: '', cause: null, message: cut(wire.message), ids: {} });
}

function withoutStacks(wire: WireError): WireError {
  return { ...wire, stack: '', cause: wire.cause === null ? null : withoutStacks(wire.cause) };
}

/** Whom a call was meant for. */
export interface CallTarget {
  /** What it is: "task manager". */
  readonly peer: string;
  readonly address: string;
  /** Path of the rpc. */
  readonly method: string;
  readonly deadlineMs: number;
  /** Whether this side speaks TLS. */
  readonly tls: boolean;
}

/** The error of the other side, or one that says how the transport failed. */
export function errorOfCall(failure: ServiceError, target: CallTarget): EngineError {
  const told = errorOfPeer(failure);
  if (told !== null) return told;
  const { peer, address, deadlineMs } = target;
  const rpc = rpcName(target.method);
  switch (failure.code) {
    case status.DEADLINE_EXCEEDED:
      return transportFailed(target, `did not answer ${rpc} within ${deadlineMs} ms; it may be stopped or overloaded`);
    case status.UNAVAILABLE:
      return transportFailed(
        target,
        `could not be reached for ${rpc}: ${transportReason(failure.details, target.tls)}`,
      );
    case status.UNIMPLEMENTED:
      return new EngineError(
        'PROTOCOL',
        `the ${peer} at ${address} does not know ${rpc}; run the same release everywhere`,
        { domain: 'external', cause: failure, ids: { peer: address, method: rpc } },
      );
    case status.RESOURCE_EXHAUSTED:
      return new EngineError(
        'PROTOCOL',
        `the ${peer} at ${address} refused the size of a message of ${rpc}: ${failure.details}`,
        { domain: 'external', cause: failure, ids: { peer: address, method: rpc } },
      );
    default:
      return transportFailed(target, `broke off ${rpc}: ${failure.details}`);
  }
}

function errorOfPeer(failure: ServiceError): EngineError | null {
  const encoded = failure.metadata?.get(errorTrailer)[0];
  if (!(encoded instanceof Buffer)) return null;
  try {
    return fromWireError(errorInfo.decode(encoded));
  } catch (refusal) {
    // Another release with another list of codes, for example: its status still says what kind of failure it was.
    if (isEngineError(refusal)) return null;
    throw refusal;
  }
}

/** A failure of the connection: trying again may help. */
export function transportFailed(target: CallTarget, what: string): EngineError {
  const message = `the ${target.peer} at ${target.address} ${what}`;
  const ids = { peer: target.address, method: rpcName(target.method) };
  return new EngineError('TRANSPORT_FAILED', message, { domain: 'external', retry: 'backoff', ids });
}

/** @throws EngineError PROTOCOL when a message is larger than a peer takes */
export function checkMessageSize(bytes: Uint8Array, method: string): void {
  if (bytes.byteLength <= messageMaxBytes) return;
  const message = `a message of ${rpcName(method)} has ${bytes.byteLength} bytes, more than the ${messageMaxBytes} one may have; split the job or lower its parallelism`;
  throw new EngineError('PROTOCOL', message, { domain: 'internal', ids: { method: rpcName(method) } });
}

/** `DeploySlots` of `/millrace.v1.TaskManagerService/DeploySlots`. */
export function rpcName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
