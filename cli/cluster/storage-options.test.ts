import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { configLines } from '../../core/config/config-text.ts';
import { readConfig } from '../config/read-config.ts';
import { openConfiguredStorage, storageLocation } from './storage-options.ts';

let directory: string;
let warnings: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-storage-'));
  warnings = [];
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true });
});

function config(text: string, environment: Record<string, string> = {}) {
  writeFileSync(join(directory, 'millrace.yaml'), text);
  const sources = { process: 'task-manager', flags: {}, workingDirectory: directory, configFile: null } as const;
  return readConfig({ ...sources, environment });
}

function context() {
  const logger = { info: () => undefined, warn: (message: string) => void warnings.push(message) };
  return { workingDirectory: directory, localDirectory: join(directory, 'local'), logger };
}

const place = 'storage: s3://bucket/a/b/\ns3: { endpoint: "http://127.0.0.1:1"';
const keys = `${place}, accessKeyFile: access, secretKeyFile: secret }\n`;

describe('storage', () => {
  test('is a directory unless it is called otherwise', () => {
    const location = storageLocation(config('storage: here\n'), context());
    expect(location).toEqual({ kind: 'directory', directory: join(directory, 'here') });
  });

  test('in S3 has bucket, prefix and the way to its keys', () => {
    expect(storageLocation(config(keys), context())).toEqual({
      kind: 's3',
      localDirectory: join(directory, 'local'),
      s3: {
        bucket: 'bucket',
        prefix: 'a/b',
        endpoint: 'http://127.0.0.1:1',
        region: 'us-east-1',
        accessKey: { option: 's3.accessKeyFile', file: join(directory, 'access') },
        secretKey: { option: 's3.secretKeyFile', file: join(directory, 'secret') },
        caFile: null,
        requestTimeoutMs: 30_000,
      },
    });
    expect(warnings).toEqual([]);
  });

  test('in S3 takes keys of the environment by name, and shows them nowhere', () => {
    const variables = { MILLRACE_S3_ACCESS_KEY: 'canary-1', MILLRACE_S3_SECRET_KEY: 'canary-2' };
    const read = config(keys, variables);
    const location = storageLocation(read, context());
    expect(location).toMatchObject({ s3: { secretKey: { variable: 'MILLRACE_S3_SECRET_KEY' } } });
    expect(JSON.stringify(location) + configLines(read).join('\n')).not.toContain('canary');
    expect(configLines(read).join('\n')).toMatch(/s3\.secretKey +\*\*\*/);
    expect(() => config(`${place}, secretKey: canary }\n`)).toThrow(
      /s3\.secretKey does not belong into a file(?!.*canary)/,
    );
  });

  test.each([
    ['no endpoint', 'storage: s3://bucket/a\n', /s3\.endpoint is not given → /],
    ['no key', `${place}, accessKeyFile: access }\n`, /s3\.secretKeyFile is not given → .*MILLRACE_S3_SECRET_KEY/],
    ['no bucket', `${keys.replace('bucket/a/b/', '/a')}`, /no place in S3 →/],
    ['a bucket of capitals', `${keys.replace('bucket', 'Bucket')}`, /no place in S3 →/],
    ['a prefix that climbs', `${keys.replace('a/b/', 'a/../b')}`, /no place in S3 →/],
  ])('in S3 is refused with %s', (_, text, message) => {
    expect(() => storageLocation(config(text), context())).toThrow(message);
  });

  test('in S3 warns of an endpoint elsewhere that is not encrypted', () => {
    storageLocation(config(keys.replace('127.0.0.1', 's3.internal')), context());
    expect(warnings).toEqual([expect.stringContaining('s3.endpoint http://s3.internal:1 is not encrypted')]);
  });

  test('in S3 is refused by name when a file of keys is missing or empty', async () => {
    const open = () => openConfiguredStorage(config(keys), context());
    await expect(open()).rejects.toThrow(/s3\.accessKeyFile .*access cannot be read/);
    writeFileSync(join(directory, 'access'), 'canary');
    writeFileSync(join(directory, 'secret'), ' \n');
    const error = (await open().catch((reason: unknown) => reason)) as Error;
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(error.message).toMatch(/^s3\.secretKeyFile: .*secret is empty(?!.*canary)/);
  });
});
