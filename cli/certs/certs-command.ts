/**
 * `millrace certs init | issue | rotate | show`: a private authority and the certificates of one cluster, in one directory
 * of its own. The key of the authority is needed for nothing but to make certificates: it need not be on any machine of the
 * cluster.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../core/errors.ts';
import { certificateProblem } from '../../core/security/certificate-names.ts';
import { type CertificateRole, certificateRoleNames, isPlainName } from '../../core/security/roles.ts';
import {
  certificateContent,
  type CertificateContent,
  issueCertificate,
  type KeyPair,
  makeAuthority,
} from './authority.ts';
import type { Terminal } from '../output/terminal.ts';
import { makePrivateDirectory, refuseExisting, replaceFile } from './private-files.ts';

export interface CertsContext {
  readonly terminal: Pick<Terminal, 'line' | 'note'>;
  readonly nowMs: number;
}

export interface CertsInitOptions {
  readonly directory: string;
  readonly cluster: string;
  readonly validMs: number;
}

/** Makes the authority of a cluster. @throws EngineError CONFIG_INVALID when there is one in the directory */
export async function certsInit(
  { directory, cluster, validMs }: CertsInitOptions,
  context: CertsContext,
): Promise<void> {
  requireName(cluster, 'a cluster');
  const paths = pathsOf(directory, authorityName);
  for (const path of Object.values(paths)) refuseExisting(path, 'certs init');
  makePrivateDirectory(directory);
  write(paths, await makeAuthority(cluster, context.nowMs, validMs));
  replaceFile(join(directory, clusterFile), `${cluster}\n`, { secret: false });
  context.terminal.line(`the authority of cluster "${cluster}" is ${paths.cert}`);
  context.terminal.note(`keep ${paths.key} where no process of the cluster runs: whoever has it can join`);
  context.terminal.note(`next: millrace certs issue --directory ${directory} --role job-manager --host <host>`);
}

export interface CertsIssueOptions {
  readonly directory: string;
  readonly role: CertificateRole;
  readonly hosts: readonly string[];
  /** Of the files; null: the role. */
  readonly name: string | null;
  readonly validMs: number;
}

/** Makes a certificate of one role. @throws EngineError CONFIG_INVALID */
export async function certsIssue(options: CertsIssueOptions, context: CertsContext): Promise<void> {
  const { directory, role, hosts, validMs } = options;
  const name = options.name ?? role;
  requireName(name, 'a certificate');
  for (const host of hosts) requireHost(host);
  if (hosts.length === 0 && role !== 'client') {
    throw invalid(`a ${role} is reached at some host → give --host, for each name and address it has`, { role });
  }
  const authority = readAuthority(directory);
  const paths = pathsOf(directory, name);
  for (const path of Object.values(paths)) refuseExisting(path, 'certs issue');
  const { nowMs, terminal } = context;
  write(paths, await issueCertificate(authority, { cluster: clusterOf(directory), role, hosts, nowMs, validMs }));
  terminal.line(`${paths.cert} is a certificate of a ${role}, valid until ${isoDay(nowMs + validMs)}`);
  terminal.note(`in millrace.yaml: tls: { ca: ${join(directory, 'ca.pem')}, cert: ${paths.cert}, key: ${paths.key} }`);
}

/** Issues every certificate of the directory again, with new keys; running processes take them up by themselves. */
export async function certsRotate(
  { directory, validMs }: { readonly directory: string; readonly validMs: number },
  context: CertsContext,
): Promise<void> {
  const authority = readAuthority(directory);
  const cluster = clusterOf(directory);
  const { nowMs, terminal } = context;
  for (const name of certificateFiles(directory)) {
    const paths = pathsOf(directory, name);
    const content = readContent(paths.cert);
    const role = certificateRoleNames.find((one) =>
      content.names.some((found) => found.role === one && found.cluster === cluster),
    );
    if (role === undefined)
      throw invalid(`${paths.cert} is no certificate of cluster "${cluster}" → take it out of ${directory}`, {
        file: paths.cert,
      });
    write(paths, await issueCertificate(authority, { cluster, role, hosts: content.hosts, nowMs, validMs }));
    terminal.line(`${paths.cert} is renewed until ${isoDay(nowMs + validMs)}`);
  }
}

/** Lists certificates with role, hosts and end. */
export function certsShow(directory: string, { terminal, nowMs }: CertsContext): void {
  readAuthority(directory, { key: false });
  const cluster = clusterOf(directory);
  const { notAfterMs } = readContent(pathsOf(directory, authorityName).cert);
  terminal.line(`cluster "${cluster}", authority until ${isoDay(notAfterMs)}`);
  for (const name of certificateFiles(directory)) {
    const content = readContent(pathsOf(directory, name).cert);
    const problem = certificateProblem(
      { ...content, notBeforeMs: Number.NEGATIVE_INFINITY },
      { role: null, cluster, nowMs, what: name },
    );
    const roles = content.names.map(({ role }) => role).join(', ') || 'no role';
    terminal.line(`${name}  ${roles}  ${content.hosts.join(', ') || 'no host'}  until ${isoDay(content.notAfterMs)}`);
    if (problem !== null) terminal.line(`  ${problem.message}`);
  }
}

const authorityName = 'ca';
const clusterFile = 'cluster-name';

interface PairPaths {
  readonly cert: string;
  readonly key: string;
}

const pathsOf = (directory: string, name: string): PairPaths => ({
  cert: join(directory, `${name}.pem`),
  key: join(directory, `${name}.key`),
});

function write(paths: PairPaths, pair: KeyPair): void {
  // The key first: a process that sees only one of them new keeps both old ones.
  replaceFile(paths.key, pair.key, { secret: true });
  replaceFile(paths.cert, pair.cert, { secret: false });
}

function certificateFiles(directory: string): readonly string[] {
  const names = readdirSync(directory).flatMap((file) => /^(.+)\.pem$/.exec(file)?.[1] ?? []);
  return names.filter((name) => name !== authorityName).sort();
}

function readAuthority(directory: string, { key = true } = {}): KeyPair {
  const paths = pathsOf(directory, authorityName);
  const missing = [paths.cert, ...(key ? [paths.key] : [])].find((path) => !existsSync(path));
  if (missing !== undefined) {
    throw invalid(
      `there is no ${missing} → millrace certs init --directory ${directory} --cluster <name> makes an authority`,
      { file: missing },
    );
  }
  return { cert: readFileSync(paths.cert, 'utf8'), key: key ? readFileSync(paths.key, 'utf8') : '' };
}

function clusterOf(directory: string): string {
  const path = join(directory, clusterFile);
  const name = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  if (isPlainName(name)) return name;
  throw invalid(`${path} does not hold the name of the cluster → write it there`, { file: path });
}

function readContent(path: string): CertificateContent {
  try {
    return certificateContent(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new EngineError('CONFIG_INVALID', `${path} is not a certificate in PEM → take it out of the directory`, {
      ids: { file: path },
      cause: error,
    });
  }
}

function requireName(name: string, what: string): void {
  if (isPlainName(name) && name !== authorityName) return;
  throw invalid(
    `"${name}" is no name of ${what}: it has letters, digits, '.', '_' and '-', at most 64, and is not "${authorityName}"`,
    { name },
  );
}

function requireHost(host: string): void {
  if (/^(?:\*\.)?[A-Za-z0-9._-]{1,253}$|^[0-9a-fA-F:.]{2,45}$/.test(host)) return;
  throw invalid(`"${host}" is neither a name nor an address of a machine → write it without a port`, { host });
}

const isoDay = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

function invalid(message: string, ids: Record<string, string>): EngineError {
  return new EngineError('CONFIG_INVALID', message, { ids });
}
