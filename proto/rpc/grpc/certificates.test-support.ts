/** A certificate authority for tests. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { TlsMaterial } from '../../../core/tls-material.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const hourMs = 3_600_000;
const crypto = webcrypto as unknown as NonNullable<Parameters<typeof X509CertificateGenerator.create>[1]>;

export interface Authority {
  /** A certificate for 127.0.0.1 and localhost that says it is one of these roles. */
  issue(...roles: readonly string[]): Promise<TlsMaterial>;
  /** One that was valid until a moment ago. */
  issueExpired(role: string): Promise<TlsMaterial>;
  /** One of another cluster that has the same authority. */
  issueForCluster(other: string, role: string): Promise<TlsMaterial>;
}

type PrivateKey = Parameters<typeof crypto.subtle.exportKey>[1];

async function pemOfKey(key: PrivateKey): Promise<Buffer> {
  return Buffer.from(PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY'));
}

/** @param subject of the authority itself */
export async function makeAuthority(cluster: string, subject = cluster): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const validity = { notBefore: new Date(Date.now() - hourMs), notAfter: new Date(Date.now() + hourMs) };
  const root = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: `CN=${subject}`,
      ...validity,
      signingAlgorithm: algorithm,
      keys,
      extensions: [new BasicConstraintsExtension(true, 1, true)],
    },
    crypto,
  );
  const issueNames = async (names: readonly string[], valid: typeof validity): Promise<TlsMaterial> => {
    const own = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const certificate = await X509CertificateGenerator.create(
      {
        serialNumber: Date.now().toString(16).padStart(16, '0'),
        subject: 'CN=leaf',
        issuer: root.subject,
        ...valid,
        signingKey: keys.privateKey,
        publicKey: own.publicKey,
        signingAlgorithm: algorithm,
        extensions: [
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
          new SubjectAlternativeNameExtension([
            { type: 'dns', value: 'localhost' },
            { type: 'ip', value: '127.0.0.1' },
            ...names.map((value) => ({ type: 'url', value }) as const),
          ]),
        ],
      },
      crypto,
    );
    const pem = Buffer.from(certificate.toString('pem'));
    return { ca: Buffer.from(root.toString('pem')), cert: pem, key: await pemOfKey(own.privateKey) };
  };
  const name = (role: string, of = cluster): string => `spiffe://${of}/${role}`;
  const past = { notBefore: validity.notBefore, notAfter: new Date(Date.now() - 60_000) };
  return {
    issue: (...roles) =>
      issueNames(
        roles.map((role) => name(role)),
        validity,
      ),
    issueExpired: (role) => issueNames([name(role)], past),
    issueForCluster: (other, role) => issueNames([name(role, other)], validity),
  };
}
