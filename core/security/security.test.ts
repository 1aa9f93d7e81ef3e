import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { checkBind } from './bind.ts';
import { certificateNames, certificateProblem } from './certificate-names.ts';
import { isLoopback } from './loopback.ts';
import { isPlainName, tokenAllows } from './roles.ts';
import { resolveSecrets, Secret, secretNames } from './secret.ts';
import { addToken, formatTokens, parseTokens, revokeToken, type TokenEntry, tokenText, verifyToken } from './tokens.ts';

const closed = { tls: false, auth: false, insecure: false };
const listener = { option: 'jobManager.address', role: 'job-manager' } as const;

test.each([
  'localhost',
  'LOCALHOST',
  '127.0.0.1',
  '127.9.8.7',
  '::1',
  '[::1]',
  '0:0:0:0:0:0:0:1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
])('%s is this machine', (host) => {
  expect(isLoopback(host)).toBe(true);
  expect(checkBind(host, closed, listener)).toBeNull();
});

test.each([
  '0.0.0.0',
  '::',
  '10.0.0.1',
  '127.0.0.256',
  '127.0.0.1.example.org',
  'localhost.example.org',
  '128.0.0.1',
  '::2',
  '1::1',
  '::ffff:10.0.0.1',
  '',
])('"%s" can be reached from elsewhere and is refused without TLS and authentication', (host) => {
  expect(isLoopback(host)).toBe(false);
  expect(checkBind(host, closed, listener)).toMatchObject({ code: 'CONFIG_INVALID' });
});

describe('the refusal of an address', () => {
  test('names the lines that are missing and no others', () => {
    const message = (protection: object, role: 'job-manager' | 'task-manager' = 'job-manager') =>
      checkBind('0.0.0.0', { ...closed, ...protection }, { ...listener, role })?.message ?? '';
    expect(message({})).toContain('no TLS and authentication');
    expect(message({})).toMatch(/\n {2}tls: \{ ca: .*\n {2}tokens: \{ file: .*\n {2}# made by: millrace certs init/);
    expect(message({ tls: true })).toMatch(/no authentication →/);
    expect(message({ tls: true })).not.toContain('tls: {');
    expect(message({ auth: true })).not.toContain('tokens: {');
    expect(message({}, 'task-manager')).not.toContain('tokens: {');
  });

  test('is not made with both, or by who has taken the responsibility', () => {
    expect(checkBind('0.0.0.0', { ...closed, tls: true, auth: true }, listener)).toBeNull();
    expect(checkBind('0.0.0.0', { ...closed, insecure: true }, listener)).toBeNull();
  });
});

test('a role of a token may do what those before it may, and nothing that asks for a certificate', () => {
  const may = (role: 'viewer' | 'operator' | 'submitter' | 'admin') =>
    ['viewer', 'operator', 'submitter', 'admin', 'task-manager', 'job-manager', 'root'].filter((needed) =>
      tokenAllows(role, needed),
    );
  expect(may('viewer')).toEqual(['viewer']);
  expect(may('operator')).toEqual(['viewer', 'operator']);
  expect(may('submitter')).toEqual(['viewer', 'operator', 'submitter']);
  expect(may('admin')).toEqual(['viewer', 'operator', 'submitter', 'admin']);
});

test('a plain name is no path', () => {
  expect(['a', 'A-1_.b', 'x'.repeat(64)].every(isPlainName)).toBe(true);
  expect(['', '.', '..', 'a/b', 'a\\b', 'a b', 'x'.repeat(65), 'ä'].some(isPlainName)).toBe(false);
});

describe('a token', () => {
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const token = tokenText(new Uint8Array(32).fill(7));
  const entry: TokenEntry = {
    name: 'ci',
    role: 'submitter',
    sha256: sha256(token),
    expiresAtMs: 1_000,
    revoked: false,
  };
  const verdict = (text: string, entries: readonly TokenEntry[], nowMs = 0) =>
    verifyToken(text, entries, { nowMs, sha256 }).kind;

  test('is valid before its end, expired from then on, and revoked whatever the time', () => {
    expect(verdict(token, [entry], 999)).toBe('valid');
    expect(verdict(token, [entry], 1_000)).toBe('expired');
    expect(verdict(token, [{ ...entry, expiresAtMs: null }], Number.MAX_SAFE_INTEGER)).toBe('valid');
    expect(verdict(token, revokeToken([entry], 'ci'))).toBe('revoked');
    expect(verdict(token, revokeToken([entry], 'ci'), 1_000)).toBe('revoked');
  });

  test('is unknown when another was made, or when it is only the hash', () => {
    expect(verdict(tokenText(new Uint8Array(32).fill(8)), [entry])).toBe('unknown');
    for (const text of ['', 'mr_', entry.sha256, `${token} `, token.slice(0, -1)])
      expect(verdict(text, [entry])).toBe('unknown');
  });

  test('survives the file', () => {
    const entries = addToken([entry], { ...entry, name: 'other', expiresAtMs: null, revoked: true });
    expect(parseTokens(formatTokens(entries), 'f')).toEqual(entries);
    expect(formatTokens(entries)).not.toContain(token);
  });

  test('is refused with the name of another, even a revoked one, or with a path as a name', () => {
    expect(() => addToken([entry], entry)).toThrow('"ci" exists');
    expect(() => addToken(revokeToken([entry], 'ci'), entry)).toThrow('"ci" was revoked');
    expect(() => addToken([], { ...entry, name: '../ci' })).toThrow('no name of a token');
    expect(() => revokeToken([entry], 'cj')).toThrow('no token named "cj"');
  });

  test.each([
    ['no JSON', 'mr_canary'],
    ['another version', '{"version":2,"tokens":[]}'],
    ['no list', '{"version":1}'],
    ['null', 'null'],
    ['no role', formatTokens([entry]).replace('submitter', 'mr_canary')],
    ['no hash', formatTokens([entry]).replace(entry.sha256, 'mr_canary')],
    ['no time', formatTokens([entry]).replace('1970', 'mr_canary')],
    ['no sign of revocation', formatTokens([entry]).replace('false', '0')],
    ['a name twice', formatTokens([entry, entry])],
  ])('file is refused without quoting it when it has %s', (_name, text) => {
    expect(() => parseTokens(text, 'tokens.json')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/^(?!.*canary).*tokens\.json/s),
      }),
    );
  });
});

describe('a certificate', () => {
  const facts = { names: [{ cluster: 'c', role: 'task-manager' }], notBeforeMs: 10, notAfterMs: 20 };
  const problem = (nowMs: number, role: string | null, cluster: string | null = 'c') =>
    certificateProblem(facts, { nowMs, role, cluster, what: 'tm.pem' })?.message ?? null;

  test('may be used within its time for its role and cluster', () => {
    expect([problem(10, 'task-manager'), problem(20, null), problem(15, 'task-manager', null)]).toEqual([
      null,
      null,
      null,
    ]);
  });

  test('is refused outside of them, naming it and what to do', () => {
    expect(problem(21, 'task-manager')).toMatch(/tm\.pem has expired at 1970-.* → millrace certs rotate/);
    expect(problem(9, 'task-manager')).toMatch(/tm\.pem is not valid before .* clocks/);
    expect(problem(15, 'job-manager')).toMatch(
      /made for spiffe:\/\/c\/task-manager, not for a job-manager → millrace certs issue/,
    );
    expect(problem(15, 'task-manager', 'd')).toMatch(/not for cluster "d"/);
  });

  test('has no names where Node had to quote one', () => {
    expect(certificateNames('DNS:a, URI:spiffe://c/client')).toEqual([{ cluster: 'c', role: 'client' }]);
    expect(certificateNames('DNS:"a, URI:spiffe://c/client, b"')).toEqual([]);
    expect(certificateNames('URI:spiffe://c/client/more, URI:https://c/client, DNS:spiffe://c/client')).toEqual([]);
    expect(certificateNames(undefined)).toEqual([]);
  });
});

describe('a secret', () => {
  const reference = (name: string): string => ['$', `{secret:${name}}`].join('');

  test('is hidden in templates, JSON, inspection and errors', () => {
    const secret = new Secret('canary');
    const seen = [
      `${secret}`,
      JSON.stringify({ secret }),
      inspect({ secret }, { showHidden: true }),
      `${secret}x`,
      new Error(String(secret)).message,
    ];
    expect(seen.join()).not.toContain('canary');
    expect(structuredClone({ secret }) as object).toEqual({ secret: {} });
    expect(secret.reveal()).toBe('canary');
  });

  test('is put where text refers to it, and its value refers to nothing', () => {
    const values: Record<string, string> = { user: 'u', password: reference('user') };
    const text = `amqp://${reference('user')}:${reference('password')}@h`;
    expect(secretNames(text + text)).toEqual(['user', 'password']);
    expect(resolveSecrets(text, (name) => new Secret(values[name] ?? '')).reveal()).toBe(
      `amqp://u:${reference('user')}@h`,
    );
  });

  test('has a name that is no path', () => {
    for (const name of ['', '..', '../etc/passwd', 'a b']) {
      expect(() => secretNames(reference(name))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    }
  });
});
