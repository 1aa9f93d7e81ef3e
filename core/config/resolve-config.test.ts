import { describe, expect, test } from 'vitest';
import { configLines, configTable, helpLines, valueText } from './config-text.ts';
import { flagOf, optionKeys, optionSpec, variableOf } from './options.ts';
import { type ConfigInput, type ResolvedConfig, resolveConfig } from './resolve-config.ts';

const resolved = (input: Partial<ConfigInput> & Pick<ConfigInput, 'process'>): ResolvedConfig =>
  resolveConfig({ flags: {}, environment: {}, file: null, ...input });
const inFile = (content: unknown): Pick<ConfigInput, 'process' | 'file'> => ({
  process: 'job-manager',
  file: { name: 'millrace.yaml', content },
});
const invalid = (message: string) =>
  expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) });

describe('the value of an option', () => {
  const file = { name: 'millrace.yaml', content: { leaseTtl: '3s' } };
  const environment = { MILLRACE_LEASE_TTL: '2s' };
  test.each([
    ['the flag', { flags: { '--lease-ttl': '1s' }, environment, file }, 1_000, 'flag', '--lease-ttl'],
    ['the environment', { environment, file }, 2_000, 'environment', 'MILLRACE_LEASE_TTL'],
    ['the file', { environment: { MILLRACE_LEASE_TTL: '' }, file }, 3_000, 'file', 'millrace.yaml'],
    ['the default', {}, 5_000, 'default', 'default'],
  ])('is that of %s when it is the first that has one', (_name, input, value, origin, from) => {
    const config = resolved({ process: 'job-manager', ...input });
    expect(config.get('leaseTtl')).toBe(value);
    expect(config.option('leaseTtl')).toMatchObject({ origin, from });
  });

  test('is found in a file when options are nested, dotted, or lists', () => {
    const config = resolved(
      inFile({
        etcd: { endpoints: ['http://a:1', 'http://b:2'], prefix: '/x' },
        'jobManager.http': '[::1]:80',
        tls: null,
      }),
    );
    expect(config.get('etcd.endpoints')).toEqual(['http://a:1', 'http://b:2']);
    expect(config.get('etcd.prefix')).toBe('/x');
    expect(config.get('jobManager.http')).toEqual({ host: '::1', port: 80 });
  });

  test('may be one of another process in a file that all share', () => {
    expect(resolved(inFile({ taskManager: { slots: 7 } })).get('leaseTtl')).toBe(5_000);
    expect(
      resolved({ ...inFile({ taskManager: { slots: 7 } }), process: 'task-manager' }).get('taskManager.slots'),
    ).toBe(7);
  });
});

describe('what is wrong with options is told', () => {
  test.each<[string, Partial<ConfigInput> & Pick<ConfigInput, 'process'>, string]>([
    ['a misspelt flag', { process: 'job-manager', flags: { '--leese-ttl': '1s' } }, 'did you mean --lease-ttl?'],
    ['a flag of another process', { process: 'task-manager', flags: { '--lease-ttl': '1s' } }, 'no option --lease-ttl'],
    [
      'a misspelt variable',
      { process: 'client', environment: { MILLRACE_TOKEN_FILES: 'x' } },
      'did you mean MILLRACE_TOKEN_FILE?',
    ],
    ['a misspelt key', inFile({ leasTtl: '1s' }), 'did you mean leaseTtl?'],
    ['a misspelt key of a group', inFile({ etcd: { endpoint: 'x' } }), 'did you mean etcd.endpoints?'],
    ['a key given twice', inFile({ 'etcd.prefix': 'a', etcd: { prefix: 'b' } }), 'etcd.prefix stands twice'],
    ['a group where a value belongs', inFile({ leaseTtl: { s: 5 } }), 'not a group of options'],
    ['a file that is a list', inFile(['leaseTtl']), 'millrace.yaml is not a list of options'],
    ['a token in a file', inFile({ token: 'x' }), 'give MILLRACE_TOKEN'],
    [
      'a time without unit',
      inFile({ leaseTtl: 5 }),
      'leaseTtl (millrace.yaml) is a time such as 500ms, 5s or 10m: the unit is missing (ms, s, m, min, h, d), not "5"',
    ],
    [
      'a time with the unit of a size',
      inFile({ leaseTtl: '5MiB' }),
      'the unit is one of ms, s, m, min, h, d, not "5MiB"',
    ],
    [
      'an address without port',
      inFile({ jobManager: { address: 'localhost' } }),
      'host:port, or [address]:port for IPv6, not "localhost"',
    ],
    [
      'a port that is none',
      { process: 'task-manager', flags: { '--rpc-port': '70000' } },
      'from 0 to 65535, not "70000"',
    ],
    ['a host with a port', { process: 'task-manager', flags: { '--host': 'a:1' } }, 'without a port'],
    ['a range backwards', { process: 'task-manager', flags: { '--data-ports': '9-8' } }, 'a range of ports'],
    ['a word that is no choice', inFile({ log: { level: 'loud' } }), 'one of error, warn, info, debug, not "loud"'],
    ['TLS without a key', inFile({ tls: { ca: 'a', cert: 'b' } }), 'tls.key is missing'],
  ])('when there is %s', (_name, input, message) => {
    expect(() => resolved(input)).toThrow(invalid(message));
  });

  test('but variables of job parameters, and of programs that only share the prefix, are left alone', () => {
    const environment = { MILLRACE_PARAM_LEASE_TTL: '1', MILLRACE_CONFIG: 'x', MILLRACE_SOMETHING_ELSE: 'y' };
    expect(resolved({ process: 'client', environment }).get('token')).toBeNull();
  });
});

test('every flag and every variable means one option of a process', () => {
  const variables = optionKeys.map(variableOf);
  expect(new Set(variables).size).toBe(variables.length);
  for (const process of ['job-manager', 'task-manager', 'cluster', 'client'] as const) {
    const flags = optionKeys
      .filter((key) => optionSpec(key).processes.includes(process))
      .flatMap((key) => flagOf(key) ?? []);
    expect(new Set(flags).size, process).toBe(flags.length);
  }
});

test('every default is written as text that reads as the same value', () => {
  for (const key of optionKeys) {
    const { type, default: standard } = optionSpec(key);
    if (standard !== null) expect(type.read(type.write(standard)), key).toEqual({ value: standard });
  }
});

test('a printed configuration says where values came from and hides the token', () => {
  const environment = { MILLRACE_TOKEN: 'mr_canary', MILLRACE_JOB_MANAGERS: 'a:1,b:2' };
  const lines = configLines(resolved({ process: 'client', environment })).join('\n');
  expect(lines).toMatch(/^token +\*\*\* {2}\(MILLRACE_TOKEN\)$/m);
  expect(lines).toMatch(/^jobManagers +a:1,b:2 {2}\(MILLRACE_JOB_MANAGERS\)$/m);
  expect(lines).not.toContain('canary');
  expect(flagOf('token')).toBeNull();
});

test('help and the page name flag, default and unit of an option', () => {
  expect(helpLines('job-manager').join('\n')).toContain(
    '--lease-ttl <time>\n      a leader that is silent for this long is replaced. Default: 5s (MILLRACE_LEASE_TTL, leaseTtl)',
  );
  expect(configTable()).toContain('| `leaseTtl` | `--lease-ttl` | `MILLRACE_LEASE_TTL` | time with unit');
  expect(valueText('orphanTimeout', 600_000)).toBe('10m');
});
