/**
 * Sockets between slots: in clear, or with TLS 1.3 where both ends show a certificate of a task manager of one cluster.
 *
 * A peer whose certificate is not good is taken at first and refused by a frame, so that it can say why it was turned away;
 * nothing but that frame is sent to it, and nothing of its own is looked at.
 */
import { connect as connectInClear, createServer as createClearServer, type Server, type Socket } from 'node:net';
import { connect as connectSecurely, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import { contextOptions, handshakeName, wrongPeer } from '../../proto/rpc/security/peer-certificate.ts';
import { transportReason } from '../../proto/rpc/grpc/transport-reason.ts';
import { clusterOf } from '../../proto/rpc/security/tls-files.ts';
import type { Refusal } from '../../runtime/exchange/handshake.ts';
import type { SlotEndpoint } from './data-plane-context.ts';

/** Connections to one slot, those in the middle of a TLS handshake among them. */
const connectionsMax = 4_096;
const peerRole = 'task-manager';

/** @param refusal why this peer must not be spoken to; null when it may */
export type Accept = (socket: Socket, refusal: Refusal | null) => void;

/** A server that does not listen yet. It takes renewed certificates until it is closed. */
export function createPeerServer(tls: TlsMaterialSource | null, handshakeTimeoutMs: number, accept: Accept): Server {
  if (tls === null) return createClearServer((socket) => accept(socket, null));
  const context = () => contextOptions(tls.current());
  const options = { ...context(), requestCert: true, rejectUnauthorized: false, handshakeTimeout: handshakeTimeoutMs };
  const server = createTlsServer(options, (socket) => accept(socket, refusalOf(socket, clusterOf(tls.current()))));
  server.maxConnections = connectionsMax;
  // A stranger that speaks no TLS, or another one: its connection is closed, and it is nobody's failure.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  const unwatch = tls.watch(() => server.setSecureContext(context()));
  server.once('close', unwatch);
  return server;
}

function refusalOf(socket: TLSSocket, cluster: string | null): Refusal | null {
  if (!socket.authorized) {
    const why = socket.authorizationError as Error | string | undefined;
    const code = typeof why === 'string' ? why : (why?.message ?? 'none was shown');
    return { code: 'UNAUTHENTICATED', reason: `the certificate is not accepted: ${certificateReason(code)}` };
  }
  const wrong = wrongPeer(socket.getPeerCertificate(), { host: null, role: peerRole, cluster });
  return wrong === undefined
    ? null
    : { code: 'FORBIDDEN', reason: `${wrong.message} → millrace certs issue --role ${peerRole}` };
}

const certificateReasons: Readonly<Record<string, string>> = {
  UNABLE_TO_GET_ISSUER_CERT: 'none was shown, or none of a known authority → give tls.cert and tls.key',
  CERT_HAS_EXPIRED: 'it has expired → millrace certs rotate',
  CERT_NOT_YET_VALID: 'it is not valid yet → look at the clocks',
};

function certificateReason(code: string): string {
  const known = certificateReasons[code];
  if (known !== undefined) return known;
  return `it is not of the authority of this cluster (${code}) → use certificates of one cluster`;
}

/**
 * Dials a slot.
 * @param ready called when something may be sent: not before the peer has shown who it is
 */
export function connectToPeer(
  tls: TlsMaterialSource | null,
  { host, port }: SlotEndpoint,
  { highWaterMark, ready }: { readonly highWaterMark: number; readonly ready: () => void },
): Socket {
  const options = { host, port, highWaterMark };
  if (tls === null) {
    const socket = connectInClear(options);
    // Written while it connects, so that it goes out with the first packet; the caller has to attach the socket first.
    queueMicrotask(ready);
    return socket;
  }
  const material = tls.current();
  const cluster = clusterOf(material);
  const secured = {
    ...options,
    ...contextOptions(material),
    servername: handshakeName(host),
    checkServerIdentity: (_asked: string, certificate: Parameters<typeof wrongPeer>[0]) =>
      wrongPeer(certificate, { host, role: peerRole, cluster }),
  };
  return connectSecurely(secured, ready);
}

/** Why a slot could not be dialed, with what to do where TLS is the matter. */
export function dialReason(error: Error, tls: boolean): string {
  const { message } = error;
  if (tls && /socket disconnected before secure|ECONNRESET|wrong version number/.test(message)) {
    return 'it does not speak TLS, or broke off the handshake; give all task managers tls.ca, tls.cert and tls.key';
  }
  if (tls) return transportReason(message, true);
  if (/ECONNRESET|the peer ended it|EPIPE/.test(message) || isProtocolError(error)) {
    return `${message}; if it wants TLS, give tls.ca, tls.cert and tls.key here as well`;
  }
  return message;
}

const isProtocolError = (error: Error): boolean => (error as { code?: unknown }).code === 'PROTOCOL';
