import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { certsInit, certsIssue } from '../certs/certs-command.ts';
import { tokensCreate } from '../certs/tokens-command.ts';
import { certificatePolicy, clientToken, processSecurity } from './process-security.ts';
import { type ConfigSources, readConfig } from './read-config.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-config-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const read = (process: ConfigSources['process'], text: string | null, more: Partial<ConfigSources> = {}) => {
  if (text !== null) writeFileSync(join(directory, 'millrace.yaml'), text);
  return readConfig({ process, flags: {}, environment: {}, workingDirectory: directory, configFile: null, ...more });
};

describe('the file of options', () => {
  test('need not be there, unless it is named', () => {
    expect(read('job-manager', null).get('leaseTtl')).toBe(5_000);
    expect(() => read('job-manager', null, { configFile: 'other.yaml' })).toThrow('cannot be read');
    expect(() => read('job-manager', null, { environment: { MILLRACE_CONFIG: 'x' } })).toThrow('cannot be read');
  });

  test('gives relative paths the meaning of its own directory', () => {
    const workingDirectory = join(directory, 'elsewhere');
    const config = read('task-manager', 'storage: s\nlocalDirectory: l\n', {
      workingDirectory,
      configFile: join(directory, 'millrace.yaml'),
      flags: { '--local-directory': 'f' },
    });
    expect(config.get('storage')).toBe(join(directory, 's'));
    expect(config.get('localDirectory')).toBe(join(workingDirectory, 'f'));
    expect(read('task-manager', 'storage: s3://bucket/x\n').get('storage')).toBe('s3://bucket/x');
  });

  test('is refused by line when it is no YAML, says a key twice or refers to itself', () => {
    expect(() => read('job-manager', 'leaseTtl: 1s\nx: [canary\n')).toThrow(
      /millrace\.yaml is not YAML: line (?!.*canary)/,
    );
    expect(() => read('job-manager', 'leaseTtl: 1s\nleaseTtl: 2s\n')).toThrow('line 2: duplicate key');
  });
});

describe('a process', () => {
  const context = { nowMs: Date.now, warn: () => undefined };
  const secured = (process: 'job-manager' | 'task-manager', text: string, flags = {}) =>
    processSecurity(read(process, text, { flags }), process, context);
  const prepare = async (): Promise<void> => {
    const certs = { terminal: { line: () => undefined, note: () => undefined }, nowMs: Date.now() };
    await certsInit({ directory: join(directory, 'certs'), cluster: 'c', validMs: 2e9 }, certs);
    for (const role of ['job-manager', 'task-manager'] as const) {
      await certsIssue({ directory: join(directory, 'certs'), role, hosts: ['h'], name: null, validMs: 1e9 }, certs);
    }
    tokensCreate({ file: join(directory, 'tokens.json'), name: 'a', role: 'admin', expiresInMs: null }, certs);
  };
  const open = 'jobManager: { address: "0.0.0.0:6123" }\n';

  test('listens on this machine without anything', () => {
    expect(secured('job-manager', '')).toMatchObject({ tls: null, tokens: null, insecure: false });
  });

  test('does not listen elsewhere without protection, and does with the very lines it printed', async () => {
    await prepare();
    let message = '';
    try {
      secured('job-manager', open);
    } catch (error) {
      message = (error as Error).message;
    }
    const lines = message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
    expect(lines.length).toBe(3);
    expect(secured('job-manager', `${open}${lines.join('\n')}\n`)).toMatchObject({ insecure: false });
    expect(() => secured('job-manager', `${open}${lines[0]}\n`)).toThrow('there is no authentication');
    expect(() => secured('task-manager', 'taskManager: { host: "::" }\n')).toThrow(
      'taskManager.host :: can be reached',
    );
    expect(() => secured('job-manager', 'jobManager: { http: "0.0.0.0:1" }\n')).toThrow('jobManager.http 0.0.0.0');
  });

  test('listens anywhere when somebody says that they understand', () => {
    expect(secured('job-manager', open, { '--insecure-i-understand': 'true' })).toMatchObject({ insecure: true });
  });

  test('says every hour that it listens without protection', () => {
    vi.useFakeTimers();
    try {
      const warnings: string[] = [];
      const config = read('job-manager', open, { flags: { '--insecure-i-understand': 'true' } });
      processSecurity(config, 'job-manager', { ...context, warn: (message) => warnings.push(message) });
      vi.advanceTimersByTime(2 * 3_600_000);
      expect(warnings).toHaveLength(3);
      expect(warnings[2]).toMatch(/without protection was asked for/);
    } finally {
      vi.useRealTimers();
    }
  });

  test('that is started for the first time gets one token of role admin, in a file for its owner alone', async () => {
    await prepare();
    const tls = 'tls: { ca: certs/ca.pem, cert: certs/job-manager.pem, key: certs/job-manager.key }\n';
    const warnings: string[] = [];
    const first = join(directory, 'new', 'tokens.json');
    const start = () =>
      processSecurity(read('job-manager', `${tls}tokens: { file: new/tokens.json }\n`), 'job-manager', {
        ...context,
        warn: (message) => warnings.push(message),
      });
    const { tokens } = start();
    const path = join(directory, 'new', 'admin.token');
    const token = readFileSync(path, 'utf8').trim();
    expect(tokens?.verify(token)).toMatchObject({ kind: 'valid', entry: { name: 'admin', role: 'admin' } });
    expect([statSync(path).mode & 0o777, statSync(first).mode & 0o777]).toEqual([0o600, 0o600]);
    expect(warnings.join()).toContain(path);
    expect(warnings.join()).not.toContain(token);
    start();
    expect(warnings).toHaveLength(1);
    expect(readFileSync(path, 'utf8').trim()).toBe(token);
  });

  test('that is a task manager tells its metrics to whoever shows a certificate of the cluster, and to nobody else', async () => {
    await prepare();
    const { tls } = secured(
      'task-manager',
      'tls: { ca: certs/ca.pem, cert: certs/task-manager.pem, key: certs/task-manager.key }\n',
    );
    const may = (names: readonly { role: string; cluster: string }[]) => () =>
      certificatePolicy(tls)('viewer', { certificateNames: names as never, bearerToken: null });
    expect(may([{ role: 'client', cluster: 'c' }])).not.toThrow();
    expect(may([{ role: 'client', cluster: 'other' }])).toThrow('needs a certificate of the cluster');
    expect(may([])).toThrow('needs a certificate of the cluster');
    expect(() => certificatePolicy(tls)('public', { certificateNames: [], bearerToken: null })).not.toThrow();
  });

  test('is not started with the certificate of another role, or tokens that would travel in clear', async () => {
    await prepare();
    const tls = 'tls: { ca: certs/ca.pem, cert: certs/task-manager.pem, key: certs/task-manager.key }\n';
    expect(() => secured('job-manager', tls)).toThrow('not for a job-manager');
    expect(() => secured('job-manager', 'tokens: { file: tokens.json }\n')).toThrow('tokens would travel in clear');
  });

  test('that is a client reads its token from a file or the environment and never shows it', () => {
    writeFileSync(join(directory, 't'), 'mr_canary\n');
    const fromFile = clientToken(read('client', 'token: { file: t }\n'));
    const given = clientToken(read('client', null, { environment: { MILLRACE_TOKEN: 'mr_canary' } }));
    expect([fromFile?.reveal(), given?.reveal(), `${fromFile}`]).toEqual(['mr_canary', 'mr_canary', '***']);
    expect(() => clientToken(read('client', 'token: { file: none }\n'))).toThrow('token.file');
  });
});
