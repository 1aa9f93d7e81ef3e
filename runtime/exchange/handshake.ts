/**
 * The first frame of a connection: which slot of which attempt dials, and why it may be refused. Pure; the sockets only
 * carry what is decided here.
 *
 *   dialing slot                      listening slot
 *   hello  ─────────────────────────▶
 *          ◀───────────────────────── welcome (bytes of credit per channel) | refusal (code, reason), then closed
 *
 * The cluster id is an unguessable secret of the cluster (of the run, in embedded mode) and travels as a sha256 only. A peer
 * that does not know it learns nothing but that it was refused.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { EngineError, type ErrorCode, errorCodes } from '../../core/errors.ts';
import { protocolError } from './frame.ts';

/** Raised with every change of frames or of the exchange codec: both ends of a connection run the same release. */
export const dataPlaneProtocolVersion = 1;
/** Payloads of handshake frames are no larger; nothing larger is taken before the peer is known. */
export const handshakeMaxBytes = 4096;

const helloMagic = 0x4d4c5244;
const jobNameMaxBytes = 1024;
const reasonMaxLength = 1000;
const helloFixedBytes = 4 + 2 + 32 + 8 + 4 + 4;

/** Which attempt of which job a slot works for. */
export interface ExchangeIdentity {
  readonly clusterId: string;
  readonly jobName: string;
  readonly attempt: number;
}

/** A decoded hello. */
export interface Hello {
  readonly version: number;
  readonly clusterHash: Uint8Array;
  readonly jobName: string;
  readonly attempt: number;
  readonly from: number;
  readonly to: number;
}

/** Why a connection is refused. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly reason: string;
}

const hashOf = (clusterId: string): Uint8Array =>
  createHash('sha256').update(`millrace-data-plane\0${clusterId}`).digest();

/** Payload of the hello frame from slot `from` to slot `to`. */
export function encodeHello(identity: ExchangeIdentity, from: number, to: number): Uint8Array {
  const jobName = new TextEncoder().encode(identity.jobName);
  if (jobName.length > jobNameMaxBytes) {
    throw new EngineError(
      'JOB_INVALID',
      `the job name has ${jobName.length} bytes; ${jobNameMaxBytes} are allowed: shorten it`,
    );
  }
  const bytes = new Uint8Array(helloFixedBytes + jobName.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, helloMagic, true);
  view.setUint16(4, dataPlaneProtocolVersion, true);
  bytes.set(hashOf(identity.clusterId), 6);
  view.setFloat64(38, identity.attempt, true);
  view.setUint32(46, from, true);
  view.setUint32(50, to, true);
  bytes.set(jobName, helloFixedBytes);
  return bytes;
}

/** @throws EngineError PROTOCOL when the bytes are no hello */
export function decodeHello(bytes: Uint8Array): Hello {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (
    bytes.length < helloFixedBytes ||
    bytes.length > helloFixedBytes + jobNameMaxBytes ||
    view.getUint32(0, true) !== helloMagic
  ) {
    throw protocolError('the peer does not speak the data-plane protocol');
  }
  return {
    version: view.getUint16(4, true),
    clusterHash: bytes.subarray(6, 38),
    attempt: view.getFloat64(38, true),
    from: view.getUint32(46, true),
    to: view.getUint32(50, true),
    jobName: decodeText(bytes.subarray(helloFixedBytes)),
  };
}

/** Null when a slot of `identity` with index `self` may take the connection. */
export function checkHello(hello: Hello, identity: ExchangeIdentity, self: number): Refusal | null {
  if (hello.version !== dataPlaneProtocolVersion) {
    const reason = `slot ${self} speaks data-plane version ${dataPlaneProtocolVersion}, the peer ${hello.version}: run one release everywhere`;
    return { code: 'PROTOCOL', reason };
  }
  if (!timingSafeEqual(hello.clusterHash, hashOf(identity.clusterId)))
    return { code: 'PROTOCOL', reason: 'wrong cluster' };
  if (hello.jobName !== identity.jobName) {
    return { code: 'PROTOCOL', reason: `slot ${self} works for job "${identity.jobName}", not for "${hello.jobName}"` };
  }
  if (hello.to !== self)
    return { code: 'PROTOCOL', reason: `this is slot ${self}, not slot ${hello.to}: the address is out of date` };
  if (hello.attempt !== identity.attempt) {
    const older = hello.attempt < identity.attempt;
    const reason = `slot ${self} runs attempt ${identity.attempt}, slot ${hello.from} attempt ${hello.attempt}, which ${older ? 'is over' : 'has not begun here'}`;
    return { code: 'STALE_EPOCH', reason };
  }
  return null;
}

/** Payload of the welcome frame. */
export function encodeWelcome(creditBytes: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, creditBytes, true);
  return bytes;
}

/** Bytes of credit per channel. @throws EngineError PROTOCOL */
export function decodeWelcome(bytes: Uint8Array): number {
  const creditBytes = bytes.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) : 0;
  if (creditBytes === 0) throw protocolError('a welcome without credit came');
  return creditBytes;
}

/** Payload of the refusal frame: code and reason, separated by a line feed. */
export function encodeRefusal(refusal: Refusal): Uint8Array {
  // At most three bytes a character, so it stays within `handshakeMaxBytes`.
  return new TextEncoder().encode(`${refusal.code}\n${refusal.reason.slice(0, reasonMaxLength)}`);
}

/** @throws EngineError PROTOCOL */
export function decodeRefusal(bytes: Uint8Array): Refusal {
  const text = decodeText(bytes);
  const cut = text.indexOf('\n');
  const code = text.slice(0, cut);
  if (!(errorCodes as readonly string[]).includes(code)) throw protocolError('a refusal without a known code came');
  return { code: code as ErrorCode, reason: text.slice(cut + 1) };
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new EngineError('PROTOCOL', 'a handshake contains text that is not UTF-8', {
      domain: 'external',
      cause: error,
    });
  }
}
