/**
 * Credentials of both sides of a connection, made from a source of PEM texts: TLS 1.3, renewed without a restart. Servers
 * ask for a certificate but do not insist on one: who has none may have a token, and the authorization that every call
 * passes refuses the rest with a message instead of a broken connection.
 */
import { createSecureContext } from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import type { TlsMaterialSource } from '../../../core/tls-material.ts';
import { contextOptions, wrongPeer } from '../security/peer-certificate.ts';
import { clusterOf } from '../security/tls-files.ts';
import { concurrentCallsMax, flowControlWindowBytes } from './limits.ts';

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
