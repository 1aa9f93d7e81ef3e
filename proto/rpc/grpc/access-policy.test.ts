/** The policy behind a real server with TLS: what callers without the right token or certificate are told. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fixedTlsMaterial, type TlsMaterialSource } from '../../../core/tls-material.ts';
import { type TokenEntry, tokenText } from '../../../core/security/tokens.ts';
import { fixedTokens, sha256Hex } from '../security/token-file.ts';
import { accessPolicy } from './access-policy.ts';
import { type Authority, makeAuthority } from './certificates.test-support.ts';
import { clusterGateway, serveClients } from './client-service.ts';
import { serveTaskManager, taskManagerClient } from './control-plane.ts';
import { attempt, NotingCluster, notingTaskManager } from './gateways.test-support.ts';
import { GrpcServer } from './grpc-server.ts';

const tokenOf = (fill: number): string => tokenText(new Uint8Array(32).fill(fill));
const entry = (name: string, fill: number, more: Partial<TokenEntry> = {}): TokenEntry => ({
  name,
  role: 'operator',
  sha256: sha256Hex(tokenOf(fill)),
  expiresAtMs: null,
  revoked: false,
  ...more,
});
const entries = [
  entry('ops', 1),
  entry('old', 2, { expiresAtMs: 5 }),
  entry('gone', 3, { revoked: true }),
  entry('eyes', 4, { role: 'viewer' }),
];

const cleanUps: (() => unknown)[] = [];
let authority: Authority;
let client: TlsMaterialSource;
let address: string;
beforeEach(async () => {
  authority = await makeAuthority('c');
  client = fixedTlsMaterial(await authority.issue('client'));
  const services = [serveClients(new NotingCluster()), serveTaskManager(notingTaskManager([]))];
  const authorize = accessPolicy({ cluster: 'c', tokens: fixedTokens(entries, () => 10) });
  const tls = fixedTlsMaterial(await authority.issue('task-manager', 'job-manager'));
  const server = await GrpcServer.start({ host: '127.0.0.1', port: 0, services, authorize, tls });
  cleanUps.push(() => server.stop(0));
  ({ address } = server);
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function cancelWith(token: string | undefined): Promise<unknown> {
  const gateway = clusterGateway(address, { tls: client, ...(token === undefined ? {} : { token }) });
  cleanUps.push(() => gateway.close());
  return gateway.cancelJob({ job: 'a' }).catch((error: unknown) => error);
}

async function deployAs(tls: TlsMaterialSource): Promise<unknown> {
  const gateway = taskManagerClient(address, { tls, token: tokenOf(1) });
  cleanUps.push(() => gateway.close());
  return gateway.cancelAttempt({ attempt, cancelTimeoutMs: 1 }).catch((error: unknown) => error);
}

test.each<[string, string | undefined, string, string]>([
  ['no token', undefined, 'UNAUTHENTICATED', 'needs a token of role operator'],
  ['an unknown one', tokenOf(9), 'UNAUTHENTICATED', 'none of this cluster'],
  ['an expired one', tokenOf(2), 'UNAUTHENTICATED', 'the token "old" has expired at 1970'],
  ['a revoked one', tokenOf(3), 'UNAUTHENTICATED', 'the token "gone" was revoked'],
  ['one of a lesser role', tokenOf(4), 'FORBIDDEN', 'the token "eyes" has role viewer'],
])('a client with %s is refused and told why', async (_name, token, code, text) => {
  expect(await cancelWith(token)).toMatchObject({ code, message: expect.stringContaining(text) });
});

test('a client with a token of the role is let in', async () => {
  expect(await cancelWith(tokenOf(1))).toEqual({});
});

test('a call of processes asks for their certificate, whatever the token', async () => {
  const expired = fixedTlsMaterial(await authority.issueExpired('job-manager'));
  const elsewhere = { ...(await (await makeAuthority('c', 'impostor')).issue('job-manager')), ca: client.current().ca };
  expect(await deployAs(client)).toMatchObject({
    code: 'FORBIDDEN',
    message: expect.stringContaining('not of a client of c'),
  });
  expect(await deployAs(expired)).toMatchObject({
    code: 'UNAUTHENTICATED',
    message: expect.stringContaining('none that is valid'),
  });
  expect(await deployAs(fixedTlsMaterial(elsewhere))).toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(await deployAs(fixedTlsMaterial(await authority.issue('job-manager')))).toEqual({});
});
