/** The storage that options name: a directory, or a place in S3. Keys stay where they are, and only the way to them is handed on. */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type OptionKey, variableOf } from '../../core/config/options.ts';
import type { ResolvedConfig } from '../../core/config/resolve-config.ts';
import { EngineError } from '../../core/errors.ts';
import { isLoopback } from '../../core/security/loopback.ts';
import { parseS3Url, type SecretReference } from '../../storage/s3/s3-location.ts';
import { type OpenedStorage, openStorage, type StorageLocation } from '../../storage/storage-location.ts';
import type { ProcessLogger } from './process-context.ts';

export interface StorageContext {
  readonly workingDirectory: string;
  /** Of this process alone. */
  readonly localDirectory: string;
  readonly logger: ProcessLogger;
}

/**
 * Opens the storage and sees that it can be used.
 * @throws EngineError CONFIG_INVALID
 */
export async function openConfiguredStorage(
  config: ResolvedConfig,
  context: StorageContext,
): Promise<{ readonly location: StorageLocation; readonly opened: OpenedStorage }> {
  const location = storageLocation(config, context);
  if (location.kind === 'directory') await mkdir(location.directory, { recursive: true, mode: 0o700 });
  else await mkdir(location.localDirectory, { recursive: true, mode: 0o700 });
  const opened = await openStorage(location);
  await opened.check();
  return { location, opened };
}

/** @throws EngineError CONFIG_INVALID naming what is missing */
export function storageLocation(config: ResolvedConfig, context: StorageContext): StorageLocation {
  const storage = config.get('storage');
  if (!storage.startsWith('s3://')) return { kind: 'directory', directory: resolve(context.workingDirectory, storage) };
  const endpoint = config.get('s3.endpoint');
  if (endpoint === null)
    throw missing('s3.endpoint', 'give where the storage answers, such as https://s3.eu-central-1.amazonaws.com');
  const { protocol, hostname } = new URL(endpoint);
  if (protocol === 'http:' && !isLoopback(hostname))
    context.logger.warn(`s3.endpoint ${endpoint} is not encrypted: who is on the way reads and changes checkpoints`);
  const s3 = {
    ...parseS3Url(storage),
    endpoint,
    region: config.get('s3.region'),
    accessKey: reference(config, 's3.accessKey', 's3.accessKeyFile'),
    secretKey: reference(config, 's3.secretKey', 's3.secretKeyFile'),
    caFile: config.get('s3.ca'),
    requestTimeoutMs: config.get('s3.requestTimeout'),
  };
  return { kind: 's3', s3, localDirectory: context.localDirectory };
}

type KeyOption = 's3.accessKey' | 's3.secretKey';

/** The environment before the file, as with every option that has both. */
function reference(config: ResolvedConfig, option: KeyOption, fileOption: `${KeyOption}File`): SecretReference {
  const variable = variableOf(option);
  if (config.get(option) !== null) return { option, variable };
  const file = config.get(fileOption);
  if (file !== null) return { option: fileOption, file };
  throw missing(fileOption, `name a file that has the key in it, or give ${variable}`);
}

function missing(option: OptionKey, remedy: string): EngineError {
  return new EngineError('CONFIG_INVALID', `storage is in S3 and ${option} is not given → ${remedy}`, {
    ids: { option },
  });
}
