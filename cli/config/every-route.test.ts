/**
 * Every HTTP route of both processes, asked by everybody who may not, with the policies the processes start with. The routes
 * are those the listeners have, so a new one is among them without anybody thinking of it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tokenRoles } from '../../core/security/roles.ts';
import { type TokenEntry, tokenText } from '../../core/security/tokens.ts';
import type { TlsMaterial } from '../../core/tls-material.ts';
import { restRoutes } from '../../jobmanager/http/rest-routes.ts';
import { HttpServer } from '../../operations/http/http-server.ts';
import type { AuthorizeRoute, Route } from '../../operations/http/http-types.ts';
import { makeAuthority } from '../../proto/rpc/grpc/certificates.test-support.ts';
import { TlsFileSource } from '../../proto/rpc/security/tls-files.ts';
import { fixedTokens, sha256Hex } from '../../proto/rpc/security/token-file.ts';
import { taskManagerRoutes } from '../../taskmanager/http/task-manager-http.ts';
import { certificatePolicy, httpPolicy } from './process-security.ts';

interface Shown {
  readonly certificate: TlsMaterial | null;
  readonly token: string | null;
}

/** What anybody may ask, on purpose: probes show nothing. */
const publicPaths = ['/health', '/ready'];
const tokenOf = (fill: number): string => tokenText(new Uint8Array(32).fill(fill));
const directory = mkdtempSync(join(tmpdir(), 'every-route-'));
const callers = new Map<string, Shown>();
/** Requests that came through to a route. */
let arrived = 0;
let ca: TlsMaterial['ca'];
let jobManager: HttpServer;
let taskManager: HttpServer;

const counted = (routes: readonly Route[]): readonly Route[] =>
  routes.map((route) => ({
    ...route,
    handle: () => {
      arrived++;
      return { status: 200, contentType: 'text/plain', body: '' };
    },
  }));

beforeAll(async () => {
  const authority = await makeAuthority('c');
  const impostor = await makeAuthority('c', 'impostor');
  const own = await authority.issue('job-manager', 'task-manager');
  ({ ca } = own);
  const files = { ca: join(directory, 'ca'), cert: join(directory, 'cert'), key: join(directory, 'key') };
  for (const part of ['ca', 'cert', 'key'] as const) writeFileSync(files[part], own[part], { mode: 0o600 });
  const tls = new TlsFileSource(files, { role: 'job-manager', nowMs: Date.now, onProblem: () => undefined });
  const admin = { role: 'admin', expiresAtMs: null, revoked: false } as const;
  const entries: TokenEntry[] = tokenRoles.map((role, index) => {
    return { ...admin, name: role, role, sha256: sha256Hex(tokenOf(index + 1)) };
  });
  entries.push({ ...admin, name: 'expired', sha256: sha256Hex(tokenOf(20)), expiresAtMs: 5 });
  entries.push({ ...admin, name: 'revoked', sha256: sha256Hex(tokenOf(21)), revoked: true });
  const process = { ready: () => true, metrics: { contentType: 'text/plain', text: async () => '' } };
  const view = (): never => {
    throw new Error('not asked');
  };
  const start = (routes: readonly Route[], authorize: AuthorizeRoute): Promise<HttpServer> =>
    HttpServer.start({
      host: '127.0.0.1',
      port: 0,
      routes: counted(routes),
      authorize,
      tls,
      logger: { warn: () => undefined },
    });
  jobManager = await start(restRoutes({ ...process, view }), httpPolicy(fixedTokens(entries, () => 10)));
  taskManager = await start(taskManagerRoutes(process), certificatePolicy(tls));
  for (const [name, fill] of Object.entries({ unknown: 30, expired: 20, revoked: 21 }))
    callers.set(`token ${name}`, { certificate: null, token: tokenOf(fill) });
  callers.set('nobody', { certificate: null, token: null });
  for (const [index, role] of tokenRoles.entries())
    callers.set(`token ${role}`, { certificate: null, token: tokenOf(index + 1) });
  for (const role of ['job-manager', 'task-manager', 'client'] as const) {
    const certificates = {
      [role]: await authority.issue(role),
      [`expired ${role}`]: await authority.issueExpired(role),
      [`${role} of another cluster`]: await authority.issueForCluster('other', role),
      [`${role} of another authority`]: { ...(await impostor.issue(role)), ca },
    };
    for (const [name, certificate] of Object.entries(certificates))
      callers.set(`certificate ${name}`, { certificate, token: null });
  }
});
afterAll(async () => {
  await jobManager.stop();
  await taskManager.stop();
  rmSync(directory, { recursive: true });
});

/** The status, or `closed` when the connection was refused. */
function statusOf(server: HttpServer, path: string, { certificate, token }: Shown): Promise<number | 'closed'> {
  const own = certificate === null ? {} : { cert: Buffer.from(certificate.cert), key: Buffer.from(certificate.key) };
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const to = { host: '127.0.0.1', port: server.port, path, ca: Buffer.from(ca), ...own, headers, agent: false };
  return new Promise((resolve) => {
    request(to, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    })
      .on('error', () => resolve('closed'))
      .end();
  });
}

describe.each([
  {
    name: 'job manager',
    of: () => jobManager,
    admits: (caller: string) => tokenRoles.some((r) => caller === `token ${r}`),
  },
  {
    name: 'task manager',
    of: () => taskManager,
    admits: (caller: string) => /^certificate (job-manager|task-manager|client)$/.test(caller),
  },
])('every route of a $name', ({ of, admits }) => {
  test('is public only when it is a probe', () => {
    const open = of().routes.filter(({ role }) => role === 'public');
    expect(open.map(({ path }) => path)).toEqual(publicPaths);
    expect(of().routes.length).toBeGreaterThan(open.length);
  });

  test('is refused and does nothing when the caller shows nothing that admits it', async () => {
    const wrong: string[] = [];
    for (const { path, role } of of().routes)
      for (const [caller, shown] of callers) {
        if (role === 'public') continue;
        const before = arrived;
        const status = await statusOf(of(), path, shown);
        const right = admits(caller)
          ? status === 200 && arrived === before + 1
          : (status === 401 || status === 403 || status === 'closed') && arrived === before;
        if (!right) wrong.push(`${path} by ${caller}: ${status}`);
      }
    expect(wrong).toEqual([]);
  });
});
