/** Turns what S3 answers, or fails to answer, into errors that name the object and say what to do. Nothing of an answer but its code is repeated. */
import { EngineError, isEngineError } from '../../core/errors.ts';
import { S3TransportError } from './s3-transport.ts';

/** What a request failed with, in the few words that decisions are made by. */
export interface S3Failure {
  /** HTTP status; 0: no whole answer. */
  readonly status: number;
  /** As `NoSuchKey`, or how the connection failed. */
  readonly code: string;
  /** The same request may succeed a little later. */
  readonly retry: boolean;
}

const statusesToRetry = new Set([408, 409, 429, 500, 502, 503, 504]);
const codesOfTooMuch = new Set([
  'XMinioStorageFull',
  'InsufficientStorage',
  'QuotaExceeded',
  'XMinioAdminBucketQuotaExceeded',
]);

/** Looks through the errors that the client wraps around others. Null: no failure of a request. */
export function s3Failure(error: unknown): S3Failure | null {
  for (let inner = error, depth = 0; inner instanceof Error && depth < 5; inner = inner.cause, depth++) {
    if (inner instanceof S3TransportError) return { status: 0, code: inner.message, retry: inner.kind !== 'closed' };
    const { status, serviceCode, name, code } = inner as Error & {
      status?: unknown;
      serviceCode?: unknown;
      code?: unknown;
    };
    if (typeof status === 'number') return { status, code: plainCode(serviceCode), retry: statusesToRetry.has(status) };
    if (name === 'S3NetworkError') return { status: 0, code: plainCode(code), retry: true };
  }
  return null;
}

/** A code, or nothing: the rest of an answer may repeat what was sent. */
const plainCode = (code: unknown): string =>
  typeof code === 'string' && /^[A-Za-z_]{1,64}$/.test(code) && code !== 'Unknown' ? code : '';

export interface S3Place {
  readonly endpoint: string;
  readonly bucket: string;
  /** Empty: the bucket itself. */
  readonly key: string;
}

export const s3Text = ({ bucket, key }: Pick<S3Place, 'bucket' | 'key'>): string => `s3://${bucket}/${key}`;

/**
 * The engine error of a request that failed for good; an engine error is returned unchanged.
 * @param doing what failed, as in "cannot <doing>"
 */
export function s3Error(error: unknown, doing: string, place: S3Place, tries = 1): EngineError {
  if (isEngineError(error)) return error;
  const failure = s3Failure(error);
  const { bucket, key, endpoint } = place;
  const ids = { bucket, key, endpoint };
  const text = failure === null ? clientText(error) : failureText(failure, endpoint);
  const said = `cannot ${doing} ${s3Text(place)}: ${text}${tries > 1 ? `, ${tries} times` : ''}`;
  const options = { domain: 'external', retry: 'backoff', ids } as const;
  if (failure !== null && isFull(failure))
    return new EngineError(
      'STORAGE_FULL',
      `${said} → make room or raise the quota of the bucket; what was complete is kept`,
      options,
    );
  return new EngineError('STORAGE_FAILED', `${said} → ${remedyOf(failure, place)}`, options);
}

const clientText = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200);
const isFull = ({ status, code }: S3Failure): boolean => status === 507 || codesOfTooMuch.has(code);

function failureText({ status, code }: S3Failure, endpoint: string): string {
  if (status === 0) return `${endpoint}: ${code}`;
  return `${endpoint} answered ${status}${code === '' ? '' : ` ${code}`}`;
}

function remedyOf(failure: S3Failure | null, { bucket, endpoint }: S3Place): string {
  if (failure === null) return `check that ${endpoint} is S3-compatible storage`;
  const { status, code } = failure;
  if (code === 'RequestTimeTooSkewed') return 'set the clock of this machine: it differs from that of the storage';
  if (code === 'SignatureDoesNotMatch' || code === 'InvalidAccessKeyId' || status === 401)
    return 'check s3.accessKey, s3.secretKey (or their files) and s3.region: the storage does not accept them';
  if (status === 403)
    return `let the access key read, write, delete and list in bucket ${bucket}, and check s3.accessKey and s3.secretKey`;
  if (status === 404) return `check that bucket ${bucket} exists at ${endpoint}`;
  if (status >= 300 && status < 400) return `correct s3.endpoint and s3.region: bucket ${bucket} is elsewhere`;
  if (status === 400) return 'check s3.endpoint and s3.region: the storage does not understand the request';
  if (status === 0)
    return `check that ${endpoint} can be reached from here and answers (s3.endpoint, s3.ca, s3.requestTimeout)`;
  return 'wait until the storage is well again, or ask who runs it; it was tried again and the next attempt tries anew';
}
