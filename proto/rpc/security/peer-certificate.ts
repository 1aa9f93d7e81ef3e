/**
 * What both sides of a connection need of TLS, whatever is spoken on it: gRPC between processes, frames between slots. Without
 * gRPC, which slots would load for nothing, 6 MiB each.
 */
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate, type SecureContextOptions } from 'node:tls';
import { certificateNames } from '../../../core/security/certificate-names.ts';
import type { TlsMaterial } from '../../../core/tls-material.ts';

/** For `node:tls`; nothing older than TLS 1.3. */
export function contextOptions({ ca, cert, key }: TlsMaterial): SecureContextOptions {
  return { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key), minVersion: 'TLSv1.3' };
}

/** The name a client asks for in the handshake: there is none for an address (RFC 6066), and Node warns of it. */
export function handshakeName(host: string): string {
  return isIP(host) === 0 ? host : 'localhost';
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
