/**
 * Credentials of both sides of a connection, made from a source of PEM texts: TLS 1.3, renewed without a restart. Servers
 * ask for a certificate but do not insist on one: who has none may have a token, and the authorization that every call
 * passes refuses the rest with a message instead of a broken connection.
 */
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, type PeerCertificate, type SecureContextOptions } from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { TlsMaterial, TlsMaterialSource } from '../../../core/tls-material.ts';
import { certificateNames } from '../../../core/security/certificate-names.ts';
import { clusterOf } from '../security/tls-files.ts';
import { concurrentCallsMax, flowControlWindowBytes } from './limits.ts';

/** For `node:tls`; nothing older than TLS 1.3. */
export function contextOptions({ ca, cert, key }: TlsMaterial): SecureContextOptions {
  return { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key), minVersion: 'TLSv1.3' };
}

class RenewedServerCredentials extends ServerCredentials {
  readonly #unwatch: () => void;

  constructor(source: TlsMaterialSource) {
    const settings = { initialWindowSize: flowControlWindowBytes, maxConcurrentStreams: concurrentCallsMax };
    super({ requestCert: true, rejectUnauthorized: false, settings }, contextOptions(source.current()));
    this.#unwatch = source.watch(() => this.updateSecureContextOptions(contextOptions(source.current())));
  }

  unwatch(): void {
    this.#unwatch();
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** The name a client asks for in the handshake: there is none for an address (RFC 6066), and Node warns of it. */
export function handshakeName(host: string): string {
  return isIP(host) === 0 ? host : 'localhost';
}

/** Credentials of a server, and what ends the watch for new ones. */
export function serverCredentials(source: TlsMaterialSource | null): {
  readonly credentials: ServerCredentials;
  readonly unwatch: () => void;
} {
  if (source === null) return { credentials: ServerCredentials.createInsecure(), unwatch: () => undefined };
  const credentials = new RenewedServerCredentials(source);
  return { credentials, unwatch: () => credentials.unwatch() };
}

/**
 * Credentials of a client, with the material of this moment.
 * @param host whom the certificate of the server must be made for
 * @param role what it must say the server is
 */
export function channelCredentials(source: TlsMaterialSource | null, host: string, role: string): ChannelCredentials {
  if (source === null) return ChannelCredentials.createInsecure();
  const material = source.current();
  const cluster = clusterOf(material);
  return ChannelCredentials.createFromSecureContext(createSecureContext(contextOptions(material)), {
    // The name it is called with is the one asked for in the handshake, which is no name for an address.
    checkServerIdentity: (_asked, certificate) => wrongPeer(certificate, { host, role, cluster }),
  });
}

/**
 * Why a certificate, which our authority has signed, is not that of the peer that was meant; undefined when it is.
 * @param host null: not asked, because who connects is known by no address
 */
export function wrongPeer(
  certificate: PeerCertificate,
  wanted: { readonly host: string | null; readonly role: string; readonly cluster: string | null },
): Error | undefined {
  const { host, role, cluster } = wanted;
  const wrongHost = host === null ? undefined : checkServerIdentity(host, certificate);
  if (wrongHost !== undefined) return wrongHost;
  const names = certificateNames(certificate.subjectaltname);
  const ofRole = names.filter((name) => name.role === role);
  if (ofRole.length === 0) {
    const roles = names.map((name) => name.role).join(', ') || 'no role';
    return new Error(`its certificate is not one of a ${role} but of ${roles}`);
  }
  if (cluster === null || ofRole.some((name) => name.cluster === cluster)) return undefined;
  const clusters = ofRole.map((name) => name.cluster).join(', ');
  return new Error(`its certificate is not one of cluster ${cluster} but of ${clusters}`);
}
