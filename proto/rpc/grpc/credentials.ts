/**
 * Credentials of both sides of a connection, made from a source of PEM texts: TLS 1.3, renewed without a restart. Servers
 * ask for a certificate but do not insist on one: who has none may have a token, and the authorization that every call
 * passes refuses the rest with a message instead of a broken connection.
 */
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, type PeerCertificate, type SecureContextOptions } from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { TlsMaterial, TlsMaterialSource } from '../../../core/tls-material.ts';
import { concurrentCallsMax, flowControlWindowBytes } from './limits.ts';

function contextOptions({ ca, cert, key }: TlsMaterial): SecureContextOptions {
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
  return ChannelCredentials.createFromSecureContext(createSecureContext(contextOptions(source.current())), {
    // The name it is called with is the one asked for in the handshake, which is no name for an address.
    checkServerIdentity: (_asked, certificate) => {
      const wrongHost = checkServerIdentity(host, certificate);
      if (wrongHost !== undefined) return wrongHost;
      const roles = certificateRoles(certificate);
      if (roles.includes(role)) return undefined;
      return new Error(`its certificate is not one of a ${role} but of ${roles.join(', ') || 'no role'}`);
    },
  });
}

/**
 * Roles a certificate speaks for: the last part of its names `spiffe://<cluster>/<role>`. A certificate with a name that
 * Node had to quote has none, so that nothing can be smuggled in by the text of another name.
 */
export function certificateRoles(certificate: Pick<PeerCertificate, 'subjectaltname'>): readonly string[] {
  const names = certificate.subjectaltname ?? '';
  if (names.includes('"')) return [];
  return names.split(', ').flatMap((name) => {
    const role = /^URI:spiffe:\/\/[A-Za-z0-9._-]+\/([a-z-]+)$/.exec(name)?.[1];
    return role === undefined ? [] : [role];
  });
}
