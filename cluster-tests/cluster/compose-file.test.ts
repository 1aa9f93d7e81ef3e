/** The compose file is what it says it is, closed by default, and asks the processes only for options that they have. No engine needed. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { belongsTo, optionKeys, variableOf } from '../../core/config/options.ts';
import { repositoryRoot } from '../millrace-run.ts';

interface Service {
  readonly image: string;
  readonly build?: { readonly dockerfile: string; readonly context: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly network_mode?: string;
  readonly volumes?: readonly string[];
  readonly privileged?: boolean;
  readonly read_only?: boolean;
  readonly user?: string;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly healthcheck?: unknown;
}

const directory = join(repositoryRoot, 'deploy');
const { services, networks } = parse(readFileSync(join(directory, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
};
const named = Object.entries(services);

test('it has etcd, two job managers and three task managers', () => {
  const members = named.flatMap(([name, { command }]) => (command?.[0]?.endsWith('-manager') === true ? [name] : []));
  expect(members).toEqual([
    ...['job-manager-1', 'job-manager-2'],
    ...['task-manager-1', 'task-manager-2', 'task-manager-3'],
  ]);
  expect(services).toHaveProperty('etcd');
});

test.each(named)('%s has no rights that it does not need', (_, service) => {
  expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
  expect(service.privileged).toBeUndefined();
});

test.each(named)('%s publishes ports on the loopback address only', (_, { ports = [] }) => {
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
});

test('etcd is reached by job managers alone, and the keys of the authorities by nobody', () => {
  const inside = (network: string): string[] =>
    named.flatMap(([name, service]) => (service.networks?.includes(network) === true ? [name] : []));
  expect(inside('coordination')).toEqual(['etcd', 'job-manager-1', 'job-manager-2']);
  expect(networks['coordination']).toEqual({ internal: true });
  expect(networks['cluster']).toEqual({ internal: true });
  expect(services['etcd']?.ports).toBeUndefined();
  const holders = named.filter(([, { volumes = [] }]) => volumes.some((volume) => volume.startsWith('authority:')));
  expect(holders.map(([name]) => name)).toEqual(['keys']);
  expect(services['keys']?.network_mode).toBe('none');
});

test('each member sees the keys of its own role only, and cannot change them', () => {
  for (const [name, { volumes = [] }] of named.filter(([one]) => one !== 'keys')) {
    const keys = volumes.filter((volume) => volume.includes('-keys:'));
    const role = name.replace(/-\d$/, '');
    expect(keys).toEqual([`${role}-keys:/var/lib/millrace/keys/${role}:ro`]);
  }
});

test.each(['job-manager', 'task-manager', 'client'] as const)('a %s is given options that it has', (kind) => {
  const known = new Set(optionKeys.filter((key) => belongsTo(key, kind)).map(variableOf));
  const members = named.filter(([name]) => name.replace(/-\d$/, '') === kind);
  expect(members.length).toBeGreaterThan(0);
  for (const [name, { environment = {} }] of members) {
    for (const variable of Object.keys(environment)) expect(known, `${name}: ${variable}`).toContain(variable);
  }
});

test('processes are protected where they listen for others', () => {
  for (const [name, { environment = {} }] of named) {
    if (!name.endsWith('-1')) continue;
    expect(Object.keys(environment)).toEqual(
      expect.arrayContaining(['MILLRACE_TLS_CA', 'MILLRACE_TLS_CERT', 'MILLRACE_TLS_KEY']),
    );
    expect(environment).not.toHaveProperty('MILLRACE_INSECURE');
  }
  expect(services['job-manager-1']?.environment).toHaveProperty('MILLRACE_TOKENS_FILE');
});

test('the image does not run as root, is checked for health, and is made of files that exist', () => {
  const dockerfile = readFileSync(join(directory, 'Dockerfile'), 'utf8');
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
  expect(last).toMatch(/\nUSER 10001:10001\n/);
  expect(last).toMatch(/\nHEALTHCHECK /);
  for (const [, path] of last.matchAll(/ (deploy\/[\w.-]+)/g))
    expect(existsSync(join(repositoryRoot, path as string))).toBe(true);
});
