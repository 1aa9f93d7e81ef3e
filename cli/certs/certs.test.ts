import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { TokenRole } from '../../core/security/roles.ts';
import { methodPaths, roleOfMethod } from '../../proto/rpc/grpc/authorization.ts';
import { accessPolicy } from '../../proto/rpc/grpc/access-policy.ts';
import { clusterOf, loadTlsFiles, type TlsFiles, TlsFileSource } from '../../proto/rpc/security/tls-files.ts';
import { TokenFile } from '../../proto/rpc/security/token-file.ts';
import { certsInit, certsIssue, certsRotate, certsShow } from './certs-command.ts';
import { tokensCreate, tokensList, tokensRevoke } from './tokens-command.ts';

const dayMs = 86_400_000;
const nowMs = Date.parse('2030-01-01T00:00:00Z');
let directory: string;
let lines: string[];
const context = { terminal: { line: (text: string) => void lines.push(text), note: () => undefined }, nowMs };
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-certs-'));
  lines = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const certs = (): string => join(directory, 'certs');
const files = (name: string, inside = certs()): TlsFiles => ({
  ca: join(inside, 'ca.pem'),
  cert: join(inside, `${name}.pem`),
  key: join(inside, `${name}.key`),
});
const init = (cluster = 'c', inside = certs()) =>
  certsInit({ directory: inside, cluster, validMs: 100 * dayMs }, context);
const issue = (role: 'job-manager' | 'task-manager' | 'client', more: object = {}) =>
  certsIssue(
    { directory: certs(), role, hosts: ['localhost', '127.0.0.1', '::1'], name: null, validMs: 10 * dayMs, ...more },
    context,
  );
const load = (of: TlsFiles, role: string | null = 'task-manager', atMs = nowMs) =>
  loadTlsFiles(of, { role, nowMs: () => atMs });

describe('certificates', () => {
  test('of a directory are good for their role, and private', async () => {
    await init();
    await issue('task-manager');
    expect(clusterOf(load(files('task-manager')))).toBe('c');
    expect(statSync(certs()).mode & 0o777).toBe(0o700);
    for (const name of ['ca', 'task-manager']) expect(statSync(files(name).key).mode & 0o777).toBe(0o600);
  });

  test('are what OpenSSL calls a chain', async () => {
    await init();
    await issue('task-manager');
    const { ca, cert } = files('task-manager');
    const verified = execFileSync('openssl', [
      'verify',
      '-x509_strict',
      '-attime',
      String(nowMs / 1000),
      '-CAfile',
      ca,
      cert,
    ]);
    expect(verified.toString()).toContain('OK');
  });

  test('are refused by name and remedy when used for what they are not', async () => {
    await init();
    await issue('task-manager');
    await issue('client', { hosts: [] });
    const other = join(directory, 'other');
    await init('c', other);
    const mine = files('task-manager');
    expect(() => load(mine, 'job-manager')).toThrow(
      /task-manager\.pem is made for spiffe:\/\/c\/task-manager, not for a job-manager/,
    );
    expect(() => load(mine, null, nowMs + 11 * dayMs)).toThrow(/has expired at 2030-01-11.*millrace certs rotate/);
    expect(() => load(mine, null, nowMs - dayMs)).toThrow('is not valid before');
    expect(() => load(mine, null, nowMs + 101 * dayMs)).toThrow(/the authority .* has expired/);
    expect(() => load({ ...mine, ca: files('', other).ca })).toThrow('was not issued by the authority');
    expect(() => load({ ...mine, key: files('client').key })).toThrow('is not that of the certificate');
    expect(() => load({ ...mine, key: mine.cert })).toThrow('is not a private key in PEM');
    expect(() => load({ ...mine, cert: mine.key })).toThrow('is not a certificate in PEM');
    expect(() => load({ ...mine, cert: join(directory, 'none') })).toThrow('cannot be read');
  });

  test('are not overwritten, outlive no authority, and have hosts and plain names', async () => {
    await init();
    await issue('task-manager');
    await expect(init()).rejects.toThrow('does not overwrite');
    await expect(issue('task-manager')).rejects.toThrow('does not overwrite');
    await expect(issue('client', { validMs: 101 * dayMs })).rejects.toThrow('the authority is valid until');
    await expect(issue('job-manager', { hosts: [] })).rejects.toThrow('give --host');
    await expect(issue('job-manager', { hosts: ['a:1, URI:spiffe://c/job-manager'] })).rejects.toThrow(
      'neither a name nor',
    );
    for (const name of ['../x', 'ca']) await expect(issue('client', { name })).rejects.toThrow('is no name of');
    await expect(certsIssue({ directory, role: 'client', hosts: [], name: null, validMs: 1 }, context)).rejects.toThrow(
      'certs init',
    );
  });

  test('are renewed for the same hosts and role, and taken up by who watches', async () => {
    await init();
    await issue('task-manager', { name: 'tm' });
    const problems: string[] = [];
    const source = new TlsFileSource(files('tm'), {
      role: 'task-manager',
      nowMs: () => nowMs,
      onProblem: (error) => problems.push(error.message),
    });
    let changes = 0;
    const unwatch = source.watch(() => {
      changes += 1;
    });
    const before = source.current();
    const oldKey = readFileSync(files('tm').key);
    await certsRotate({ directory: certs(), validMs: 20 * dayMs }, context);
    const newKey = readFileSync(files('tm').key);
    writeFileSync(files('tm').key, oldKey);
    source.reload();
    expect([source.current() === before, changes]).toEqual([true, 0]);
    expect(problems).toEqual([expect.stringContaining('is not that of the certificate')]);
    writeFileSync(files('tm').key, newKey);
    source.reload();
    source.reload();
    expect(changes).toBe(1);
    unwatch();
    certsShow(certs(), context);
    expect(lines.at(-1)).toMatch(/^tm {2}task-manager {2}localhost, 127\.0\.0\.1, .*1 {2}until 2030-01-21$/);
  });
});

describe('tokens', () => {
  const file = (): string => join(directory, 'tokens.json');
  const create = (name: string, role: TokenRole, expiresInMs: number | null = null): string => {
    tokensCreate({ file: file(), name, role, expiresInMs }, context);
    return lines.at(-1) as string;
  };
  const refusal = (token: string | null, path: string, atMs = nowMs): unknown => {
    const authorize = accessPolicy({ cluster: 'c', tokens: new TokenFile(file(), () => atMs) });
    try {
      authorize(path, { certificateNames: [], bearerToken: token });
      return null;
    } catch (error) {
      return error;
    }
  };
  const submit = '/millrace.v1.ClientService/SubmitJob';
  const list = '/millrace.v1.ClientService/ListJobs';
  const refused = (code: string, text: string) => ({ code, message: expect.stringContaining(text) });

  test('let in whom they are made for, as long as they are valid', () => {
    const submitter = create('ci', 'submitter', 10 * dayMs);
    const viewer = create('eyes', 'viewer');
    expect([refusal(submitter, submit), refusal(submitter, list), refusal(viewer, list)]).toEqual([null, null, null]);
    expect(refusal(viewer, submit)).toMatchObject(
      refused('FORBIDDEN', 'needs role submitter, the token "eyes" has role viewer'),
    );
    expect(refusal(submitter, submit, nowMs + 10 * dayMs)).toMatchObject(
      refused('UNAUTHENTICATED', '"ci" has expired at 2030-01-11'),
    );
    expect(refusal(`mr_${'A'.repeat(43)}`, list)).toMatchObject(refused('UNAUTHENTICATED', 'none of this cluster'));
    expect(refusal(null, list)).toMatchObject(refused('UNAUTHENTICATED', 'give token.file'));
  });

  test('are refused from the moment they are revoked, by who has the file open', () => {
    const token = create('ci', 'admin');
    const open = new TokenFile(file(), () => nowMs);
    expect(open.verify(token).kind).toBe('valid');
    tokensRevoke(file(), 'ci', context);
    expect(open.verify(token).kind).toBe('revoked');
    writeFileSync(file(), 'nothing');
    expect(() => open.verify(token)).toThrow('cannot be used');
    rmSync(file());
    expect(() => open.verify(token)).toThrow('is not there');
  });

  test('are kept nowhere, and in a file nobody else reads or writes', () => {
    const token = create('ci', 'admin');
    expect(readFileSync(file(), 'utf8')).not.toContain(token);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    tokensList(file(), context);
    expect(lines.at(-1)).toBe('ci  admin  without end');
    execFileSync('chmod', ['666', file()]);
    expect(() => new TokenFile(file(), () => nowMs)).toThrow('may be written by other users');
  });

  test('of no role reach what asks for a certificate, and nobody without any reaches anything', () => {
    const admin = create('root', 'admin');
    expect(methodPaths.length).toBeGreaterThan(20);
    for (const path of methodPaths) {
      expect(refusal(null, path), path).toMatchObject({ code: 'UNAUTHENTICATED' });
      const byCertificate = ['job-manager', 'task-manager'].includes(roleOfMethod(path) ?? '');
      if (byCertificate) expect(refusal(admin, path), path).toMatchObject({ code: 'UNAUTHENTICATED' });
      else expect(refusal(admin, path), path).toBeNull();
    }
    expect(refusal(admin, '/millrace.v1.Other/Call')).toMatchObject({ code: 'FORBIDDEN' });
  });

  test('are not needed by processes, whose certificate must be of the role and the cluster', () => {
    const authorize = accessPolicy({ cluster: 'c', tokens: null });
    const path = '/millrace.v1.TaskManagerService/DeploySlots';
    const by = (role: string, cluster: string) => () =>
      authorize(path, { certificateNames: [{ role, cluster }], bearerToken: null });
    expect(by('job-manager', 'c')).not.toThrow();
    expect(by('client', 'c')).toThrow('needs the certificate of a job-manager of c, not of a client of c');
    expect(by('job-manager', 'd')).toThrow('not of a job-manager of d');
  });
});
