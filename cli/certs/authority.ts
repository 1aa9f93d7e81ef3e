/**
 * The certificate authority of a cluster: ECDSA on P-256, one authority that signs the certificates of processes and clients.
 * Only makes PEM texts; where they are kept is the business of the command.
 */
// @peculiar/x509 needs it before it is loaded.
import 'reflect-metadata';
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as ParsedCertificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { EngineError } from '../../core/errors.ts';
import { certificateUri, type CertificateName } from '../../core/security/certificate-names.ts';
import type { CertificateRole } from '../../core/security/roles.ts';
import { certificateFacts } from '../../proto/rpc/security/tls-files.ts';

/** A certificate and its private key, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateWish {
  readonly cluster: string;
  readonly role: CertificateRole;
  /** Names and addresses that the process is reached at. */
  readonly hosts: readonly string[];
  readonly nowMs: number;
  readonly validMs: number;
}

/** What stands in a certificate. */
export interface CertificateContent {
  readonly names: readonly CertificateName[];
  readonly hosts: readonly string[];
  readonly notAfterMs: number;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** Clocks of machines differ: a new certificate is valid a little while ago. */
const clockSlackMs = 5 * 60_000;
// Node's type of it lacks nothing that is used, and is another one than the library's.
const crypto = webcrypto as unknown as NonNullable<Parameters<typeof X509CertificateGenerator.create>[1]>;
type PrivateKey = Parameters<typeof crypto.subtle.exportKey>[1];

/** Makes the authority of a cluster. */
export async function makeAuthority(cluster: string, nowMs: number, validMs: number): Promise<KeyPair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      // Another text for each authority, or the one of another cluster of that name would be taken for this one.
      name: `CN=${cluster} ${randomBytes(4).toString('hex')}, O=Millrace cluster authority`,
      ...validity(nowMs, validMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  return { cert: pem(certificate), key: await pemOfKey(keys.privateKey) };
}

/**
 * Makes a certificate signed by the authority.
 * @throws EngineError CONFIG_INVALID when it would outlive the authority
 */
export async function issueCertificate(authority: KeyPair, wish: CertificateWish): Promise<KeyPair> {
  const { cluster, role, hosts, nowMs, validMs } = wish;
  const { notAfterMs } = certificateFacts(new X509Certificate(authority.cert));
  if (nowMs + validMs > notAfterMs) {
    const end = new Date(notAfterMs).toISOString();
    throw new EngineError(
      'CONFIG_INVALID',
      `the authority is valid until ${end}, a certificate of it no longer → choose a shorter --valid`,
    );
  }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const issuer = new ParsedCertificate(authority.cert);
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(),
      subject: `CN=${role}, O=${cluster}`,
      issuer: issuer.subject,
      ...validity(nowMs, validMs),
      signingKey: await signingKey(authority.key),
      publicKey: keys.publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
        await AuthorityKeyIdentifierExtension.create(issuer, false, crypto),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([
          ...hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }) as const),
          { type: 'url', value: certificateUri(cluster, role) },
        ]),
      ],
    },
    crypto,
  );
  return { cert: pem(certificate), key: await pemOfKey(keys.privateKey) };
}

/** What stands in a certificate in PEM. @throws when it is none */
export function certificateContent(text: string): CertificateContent {
  const certificate = new X509Certificate(text);
  const { names, notAfterMs } = certificateFacts(certificate);
  const hosts = (certificate.subjectAltName ?? '').split(', ').flatMap((name) => {
    const host = /^(?:DNS|IP Address):(.+)$/.exec(name)?.[1];
    return host === undefined ? [] : [host];
  });
  return { names, hosts, notAfterMs };
}

function validity(nowMs: number, validMs: number): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(nowMs - clockSlackMs), notAfter: new Date(nowMs + validMs) };
}

/** Positive, and of 16 bytes whatever the chance. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

const pem = (certificate: ParsedCertificate): string => `${certificate.toString('pem')}\n`;

async function pemOfKey(key: PrivateKey): Promise<string> {
  return `${PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function signingKey(text: string): Promise<PrivateKey> {
  return crypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(text), algorithm, false, ['sign']);
}
