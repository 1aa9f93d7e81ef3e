import { afterEach, beforeAll, expect, test } from 'vitest';
import { EngineError } from '../../../core/errors.ts';
import { fixedTlsMaterial, type TlsMaterial, type TlsMaterialSource } from '../../../core/tls-material.ts';
import type { TaskManagerGateway } from '../../services.ts';
import { type Authorize, allowEverybody, type Caller } from './authorization.ts';
import { type Authority, makeAuthority } from './certificates.test-support.ts';
import { type Peer, serveTaskManager, taskManagerClient } from './control-plane.ts';
import { attempt, notingTaskManager } from './gateways.test-support.ts';
import { GrpcServer } from './grpc-server.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

let authority: Authority;
let stranger: Authority;
beforeAll(async () => {
  authority = await makeAuthority('millrace');
  stranger = await makeAuthority('other');
});

const cancel = { attempt, cancelTimeoutMs: 1 };
const fixed = async (material: Promise<TlsMaterial>): Promise<TlsMaterialSource> => fixedTlsMaterial(await material);

async function serve(tls: TlsMaterialSource | null, authorize: Authorize = allowEverybody): Promise<GrpcServer> {
  const services = [serveTaskManager(notingTaskManager([]))];
  const server = await GrpcServer.start({ host: '127.0.0.1', port: 0, services, authorize, tls });
  cleanUps.push(() => server.stop(0));
  return server;
}

function connectTo(address: string, tls: TlsMaterialSource | null): TaskManagerGateway & Peer {
  const client = taskManagerClient(address, { tls });
  cleanUps.push(() => client.close());
  return client;
}

/** Material that can be replaced. */
function renewable(first: TlsMaterial): TlsMaterialSource & { renew(material: TlsMaterial): void } {
  let material = first;
  const listeners = new Set<() => void>();
  return {
    current: () => material,
    watch: (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    renew: (next) => {
      material = next;
      for (const changed of listeners) changed();
    },
  };
}

test('the policy is told the roles of a certificate of the own authority', async () => {
  const seen: Caller[] = [];
  const server = await serve(await fixed(authority.issue('task-manager')), (_path, caller) => seen.push(caller));
  await connectTo(server.address, await fixed(authority.issue('job-manager', 'client'))).cancelAttempt(cancel);
  const names = ['job-manager', 'client'].map((role) => ({ cluster: 'millrace', role }));
  expect(seen).toEqual([{ certificateNames: names, bearerToken: null }]);
});

test('a certificate of another authority has no role', async () => {
  const authorize: Authorize = (_path, { certificateNames: names }) => {
    if (!names.some(({ role }) => role === 'job-manager'))
      throw new EngineError('UNAUTHENTICATED', 'no certificate of a job manager');
  };
  const server = await serve(await fixed(authority.issue('task-manager')), authorize);
  const impostor = await makeAuthority('millrace', 'impostor');
  const foreign = { ...(await impostor.issue('job-manager')), ca: (await authority.issue()).ca };
  const refused = connectTo(server.address, fixedTlsMaterial(foreign)).cancelAttempt(cancel);
  await expect(refused).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await connectTo(server.address, await fixed(authority.issue('job-manager'))).cancelAttempt(cancel);
});

test('a server of another authority is not spoken to', async () => {
  const server = await serve(await fixed(stranger.issue('task-manager')));
  const refused = connectTo(server.address, await fixed(authority.issue('job-manager'))).cancelAttempt(cancel);
  await expect(refused).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
    message: expect.stringContaining('not of the authority'),
  });
});

test('a server whose certificate says another role is not spoken to', async () => {
  const server = await serve(await fixed(authority.issue('client')));
  const refused = connectTo(server.address, await fixed(authority.issue('job-manager'))).cancelAttempt(cancel);
  await expect(refused).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
    message: expect.stringContaining('its certificate is not one of a task-manager but of client'),
  });
});

test('a server whose certificate is made for another host is not spoken to', async () => {
  const services = [serveTaskManager(notingTaskManager([]))];
  const tls = await fixed(authority.issue('task-manager'));
  const server = await GrpcServer.start({ host: '127.0.0.2', port: 0, services, authorize: allowEverybody, tls });
  cleanUps.push(() => server.stop(0));
  const refused = connectTo(server.address, await fixed(authority.issue('job-manager'))).cancelAttempt(cancel);
  await expect(refused).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
    message: expect.stringContaining('127.0.0.2 is not in the cert'),
  });
});

test('TLS against a port in clear, and the other way round, fails without hanging', async () => {
  const inClear = await serve(null);
  const encrypted = await serve(await fixed(authority.issue('task-manager')));
  const material = await fixed(authority.issue('job-manager'));
  const adopt = { attempt, completedCheckpointId: 0 };
  await expect(connectTo(inClear.address, material).adoptAttempt(adopt)).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
    message: expect.stringContaining('does not speak TLS'),
  });
  await expect(connectTo(encrypted.address, null).adoptAttempt(adopt)).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
    message: expect.stringContaining('may want TLS'),
  });
});

test('renewed certificates of a server and of a client are used for new connections, calls go on', async () => {
  const seen: string[] = [];
  const serverMaterial = renewable(await stranger.issue('task-manager'));
  const clientMaterial = renewable(await authority.issue('job-manager'));
  const server = await serve(serverMaterial, (_path, caller) =>
    seen.push(caller.certificateNames.map(({ role }) => role).join()),
  );
  const before = connectTo(server.address, clientMaterial);
  await expect(before.cancelAttempt(cancel)).rejects.toMatchObject({ code: 'TRANSPORT_FAILED' });
  serverMaterial.renew(await authority.issue('task-manager'));
  const client = connectTo(server.address, clientMaterial);
  await client.cancelAttempt(cancel);
  clientMaterial.renew(await authority.issue('job-manager', 'renewed'));
  await client.cancelAttempt(cancel);
  expect(seen).toEqual(['job-manager', 'job-manager,renewed']);
});

test('a client whose certificate was renewed still tells that its peer is lost', async () => {
  const material = renewable(await authority.issue('job-manager'));
  const server = await serve(await fixed(authority.issue('task-manager')));
  const client = connectTo(server.address, material);
  await client.cancelAttempt(cancel);
  material.renew(await authority.issue('job-manager'));
  await client.cancelAttempt(cancel);
  const lost = new Promise<EngineError>((resolve) => client.onLost(resolve));
  await server.stop(0);
  await expect(lost).resolves.toMatchObject({ message: expect.stringContaining('refuses connections') });
});
