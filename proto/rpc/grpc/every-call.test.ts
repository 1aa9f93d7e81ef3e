/**
 * Every rpc of every service, called by everybody who may not: each is refused before its message is looked at. The calls come
 * from the list that is generated from the .proto files, so a new one is among them without anybody thinking of it.
 */
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { createSecureContext } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tokenRoles, tokenAllows } from '../../../core/security/roles.ts';
import { type TokenEntry, tokenText } from '../../../core/security/tokens.ts';
import { fixedTlsMaterial, type TlsMaterial } from '../../../core/tls-material.ts';
import { fixedTokens, sha256Hex } from '../security/token-file.ts';
import { accessPolicy } from './access-policy.ts';
import { methodPaths, roleOfMethod } from './authorization.ts';
import { makeAuthority } from './certificates.test-support.ts';
import { serveClients } from './client-service.ts';
import { serveJobManager, serveTaskManager } from './control-plane.ts';
import { GrpcServer } from './grpc-server.ts';

interface Shown {
  readonly certificate: TlsMaterial | null;
  readonly token: string | null;
}

const tokenOf = (fill: number): string => tokenText(new Uint8Array(32).fill(fill));
const processRoles = ['job-manager', 'task-manager', 'client'] as const;
const nowMs = 10;

let server: GrpcServer;
/** Calls that came through to a service. */
let arrived = 0;
let ca: TlsMaterial['ca'];
const callers = new Map<string, Shown>();

beforeAll(async () => {
  const authority = await makeAuthority('c');
  const impostor = await makeAuthority('c', 'impostor');
  const entries: TokenEntry[] = tokenRoles.map((role, index) => ({
    name: role,
    role,
    sha256: sha256Hex(tokenOf(index + 1)),
    expiresAtMs: null,
    revoked: false,
  }));
  const admin = { role: 'admin', expiresAtMs: null, revoked: false } as const;
  entries.push({ ...admin, name: 'expired', sha256: sha256Hex(tokenOf(20)), expiresAtMs: 5 });
  entries.push({ ...admin, name: 'revoked', sha256: sha256Hex(tokenOf(21)), revoked: true });
  const serverTls = await authority.issue('job-manager', 'task-manager');
  ({ ca } = serverTls);
  // Any property is a method that counts: whatever is called has arrived.
  const counting = new Proxy(
    {},
    {
      get: () => async () => {
        arrived++;
        return {};
      },
    },
  ) as never;
  server = await GrpcServer.start({
    host: '127.0.0.1',
    port: 0,
    services: [serveTaskManager(counting), serveJobManager(counting), serveClients(counting)],
    authorize: accessPolicy({ cluster: 'c', tokens: fixedTokens(entries, () => nowMs) }),
    tls: fixedTlsMaterial(serverTls),
  });
  callers.set('nobody', { certificate: null, token: null });
  callers.set('an unknown token', { certificate: null, token: tokenOf(30) });
  callers.set('an expired token', { certificate: null, token: tokenOf(20) });
  callers.set('a revoked token', { certificate: null, token: tokenOf(21) });
  for (const [index, role] of tokenRoles.entries())
    callers.set(`a token of role ${role}`, { certificate: null, token: tokenOf(index + 1) });
  for (const role of processRoles) {
    callers.set(`the certificate of a ${role}`, { certificate: await authority.issue(role), token: null });
    const elsewhere = { ...(await impostor.issue(role)), ca };
    callers.set(`a ${role} certificate of another authority`, { certificate: elsewhere, token: null });
    callers.set(`an expired ${role} certificate`, { certificate: await authority.issueExpired(role), token: null });
    const other = await authority.issueForCluster('other', role);
    callers.set(`a ${role} certificate of another cluster`, { certificate: other, token: null });
  }
});
afterAll(() => server.stop(0));

/** Who may call, in the words of `callers`. */
function allowed(path: string): readonly string[] {
  const role = roleOfMethod(path);
  if (role === 'job-manager' || role === 'task-manager') return [`the certificate of a ${role}`];
  return tokenRoles.filter((one) => role !== null && tokenAllows(one, role)).map((one) => `a token of role ${one}`);
}

/** The status of a call with an empty message. */
function statusOf(client: Client, path: string, token: string | null): Promise<number> {
  const metadata = new Metadata();
  if (token !== null) metadata.set('authorization', `Bearer ${token}`);
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, Buffer.alloc(0), metadata, (error: ServiceError | null) =>
      resolve(error?.code ?? status.OK),
    );
  });
}

function clientOf({ certificate }: Shown): Client {
  const own = certificate === null ? {} : { cert: Buffer.from(certificate.cert), key: Buffer.from(certificate.key) };
  const context = createSecureContext({ ca: Buffer.from(ca), ...own, minVersion: 'TLSv1.3' });
  return new Client(server.address, credentials.createFromSecureContext(context));
}

const refusals: readonly number[] = [status.UNAUTHENTICATED, status.PERMISSION_DENIED];

describe('every rpc', () => {
  test('is in the list, and so are all roles', () => {
    expect(methodPaths.length).toBeGreaterThanOrEqual(29);
    expect([...new Set(methodPaths.map(roleOfMethod))].sort()).toEqual(
      ['job-manager', 'operator', 'submitter', 'task-manager', 'viewer'].sort(),
    );
  });

  test('is refused to whoever does not show the role it declares, and never arrives', async () => {
    const letIn: string[] = [];
    for (const [name, shown] of callers) {
      const client = clientOf(shown);
      for (const path of methodPaths) {
        if (allowed(path).includes(name)) continue;
        const code = await statusOf(client, path, shown.token);
        if (!refusals.includes(code)) letIn.push(`${path} by ${name}: ${status[code]}`);
      }
      client.close();
    }
    expect(letIn).toEqual([]);
    expect(arrived).toBe(0);
  });

  test('lets in who shows the role it declares', async () => {
    const refused: string[] = [];
    for (const [name, shown] of callers) {
      const client = clientOf(shown);
      for (const path of methodPaths) {
        if (!allowed(path).includes(name) || path.endsWith('TailLogs') || path.endsWith('ReadObject')) continue;
        const code = await statusOf(client, path, shown.token);
        if (refusals.includes(code)) refused.push(`${path} by ${name}: ${status[code]}`);
      }
      client.close();
    }
    expect(refused).toEqual([]);
  });
});
