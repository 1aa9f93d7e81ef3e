/** Where objects live in S3-compatible storage, as plain data that can be handed to another thread: secrets are named, not contained. */
import { readFileSync } from 'node:fs';
import { EngineError } from '../../core/errors.ts';
import { Secret } from '../../core/security/secret.ts';
import { checkObjectName } from '../object-store.ts';

/** Where a secret is found: each process and thread reads it for itself. */
export type SecretReference =
  | { readonly option: string; readonly variable: string }
  | { readonly option: string; readonly file: string };

export interface S3Location {
  /** `http(s)://host[:port]`; buckets are the first part of paths. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** What all keys start with, without a `/` at its end; empty: nothing. */
  readonly prefix: string;
  readonly accessKey: SecretReference;
  readonly secretKey: SecretReference;
  /** File with the certificate of an authority of one's own; null: those of the system. */
  readonly caFile: string | null;
  /** Without an answer for this long a request is given up. */
  readonly requestTimeoutMs: number;
}

/**
 * Bucket and prefix of `s3://bucket/prefix`.
 * @throws EngineError CONFIG_INVALID
 */
export function parseS3Url(url: string): { readonly bucket: string; readonly prefix: string } {
  const match = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([A-Za-z0-9._=%/-]*))?$/.exec(url);
  const prefix = (match?.[2] ?? '').replace(/\/+$/, '');
  if (match !== null && (prefix === '' || isPlain(prefix))) return { bucket: match[1] as string, prefix };
  const message = `storage ${url} is no place in S3 → write s3://bucket/prefix: a bucket of 3 to 63 small letters, digits, "." and "-", a prefix of segments of letters, digits and ._=%-`;
  throw new EngineError('CONFIG_INVALID', message, { ids: { option: 'storage' } });
}

function isPlain(prefix: string): boolean {
  try {
    checkObjectName(prefix);
    // Leaves 512 of 1024 bytes to the names below.
    return Buffer.byteLength(prefix) <= 512;
  } catch {
    return false;
  }
}

/** @throws EngineError CONFIG_INVALID naming option and file or variable, never the value */
export function readSecret(reference: SecretReference): Secret {
  const place = 'file' in reference ? reference.file : reference.variable;
  const value = 'file' in reference ? contentOf(reference.option, reference.file) : process.env[reference.variable];
  const text = value?.trim() ?? '';
  if (text !== '') return new Secret(text);
  const message = `${reference.option}: ${place} is empty → write the key there, as the storage gave it out`;
  throw new EngineError('CONFIG_INVALID', message, { ids: { option: reference.option } });
}

function contentOf(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const message = `${option} ${file} cannot be read: ${(cause as Error).message}`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { option, file }, cause });
  }
}
