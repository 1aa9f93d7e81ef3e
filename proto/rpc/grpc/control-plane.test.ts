import { afterEach, expect, test } from 'vitest';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { EngineError, isEngineError } from '../../../core/errors.ts';
import type { TaskManagerGateway } from '../../services.ts';
import { type Authorize, allowEverybody } from './authorization.ts';
import { type Peer, serveTaskManager, taskManagerClient } from './control-plane.ts';
import { attempt, deployment, notingTaskManager } from './gateways.test-support.ts';
import { GrpcServer } from './grpc-server.ts';
import { messageMaxBytes } from './limits.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serve(gateway: TaskManagerGateway, authorize: Authorize = allowEverybody): Promise<GrpcServer> {
  const services = [serveTaskManager(gateway)];
  const server = await GrpcServer.start({ host: '127.0.0.1', port: 0, services, authorize, tls: null });
  cleanUps.push(() => server.stop(0));
  return server;
}

function connectTo(address: string, token?: string): TaskManagerGateway & Peer {
  const client = taskManagerClient(address, { tls: null, ...(token === undefined ? {} : { token }) });
  cleanUps.push(() => client.close());
  return client;
}

const cancel = { attempt, cancelTimeoutMs: 1 };
const nothingEver = (): Promise<object> => new Promise(() => undefined);

test('a task manager over gRPC gets every kind of call', async () => {
  const calls: string[] = [];
  const client = connectTo((await serve(notingTaskManager(calls))).address);
  await client.deploySlots(deployment(10));
  await client.connectSlots({ attempt, slots: [], slices: [] });
  await client.triggerCheckpoint({ attempt, checkpointId: 1, triggeredAtMs: 0, stop: false, drain: false });
  await client.notifyCheckpointComplete({ attempt, checkpointId: 1 });
  await client.notifyCheckpointAborted({ attempt, checkpointId: 2 });
  await client.mergeFiles({ attempt, mergeId: 1, inputs: [] });
  await client.adoptAttempt({ attempt: { ...attempt, leaderEpoch: 9 }, completedCheckpointId: 0 });
  await client.cancelAttempt(cancel);
  expect(calls).toEqual([
    'deploy 1',
    'connect',
    'trigger 1',
    'complete 1',
    'aborted 2',
    'merge',
    'adopt 9',
    'cancel 1',
  ]);
});

test('calls arrive in the order in which they were made, though a large one is followed by small ones', async () => {
  const calls: string[] = [];
  const client = connectTo((await serve(notingTaskManager(calls))).address);
  const pending: Promise<object>[] = [];
  const expected: string[] = [];
  for (let checkpointId = 1; checkpointId <= 30; checkpointId++) {
    if (checkpointId % 10 === 5) {
      pending.push(client.deploySlots(deployment(3 * 1024 * 1024)));
      expected.push('deploy 1');
    }
    pending.push(client.triggerCheckpoint({ attempt, checkpointId, triggeredAtMs: 0, stop: false, drain: false }));
    pending.push(client.notifyCheckpointComplete({ attempt, checkpointId }));
    expected.push(`trigger ${checkpointId}`, `complete ${checkpointId}`);
  }
  await Promise.all(pending);
  expect(calls).toEqual(expected);
});

test('a call does not wait for the answer of the one before it', async () => {
  const calls: string[] = [];
  const answer = (call: string) => (call.startsWith('deploy') ? nothingEver() : Promise.resolve({}));
  const client = connectTo((await serve(notingTaskManager(calls, answer))).address);
  const unanswered = client.deploySlots(deployment(10));
  unanswered.catch(() => undefined);
  await client.cancelAttempt(cancel);
  expect(calls).toEqual(['deploy 1', 'cancel 1']);
});

test('an error of the other side arrives with code, ids, retry and causes', async () => {
  const cause = new EngineError('STORAGE_FULL', 'no room', { ids: { file: 'f' } });
  const error = new EngineError('STALE_EPOCH', 'epoch 1 is over', {
    domain: 'internal',
    retry: 'backoff',
    ids: { epoch: 2, name: 'ünï' },
    cause,
  });
  const client = connectTo((await serve(notingTaskManager([], () => Promise.reject(error)))).address);
  await expect(client.cancelAttempt(cancel)).rejects.toMatchObject({
    name: 'EngineError',
    code: 'STALE_EPOCH',
    domain: 'internal',
    retry: 'backoff',
    message: 'epoch 1 is over',
    ids: { epoch: '2', name: 'ünï' },
    cause: { code: 'STORAGE_FULL', ids: { file: 'f' } },
  });
});

test('an error too long for a trailer arrives shortened', async () => {
  const error = new EngineError('USER_FUNCTION_FAILED', 'x'.repeat(100_000), {
    ids: { job: 'j', text: 'y'.repeat(9e4) },
  });
  const client = connectTo((await serve(notingTaskManager([], () => Promise.reject(error)))).address);
  await expect(client.cancelAttempt(cancel)).rejects.toMatchObject({
    code: 'USER_FUNCTION_FAILED',
    message: expect.stringMatching(/^x{2000,}$/),
    ids: { job: 'j' },
  });
});

test('a message that is none is refused with PROTOCOL', async () => {
  const { address } = await serve(notingTaskManager([]));
  const raw = new Client(address, credentials.createInsecure());
  cleanUps.push(() => raw.close());
  const same = (bytes: Buffer): Buffer => bytes;
  const failure = await new Promise<ServiceError | null>((resolve) => {
    const path = '/millrace.v1.TaskManagerService/CancelAttempt';
    raw.makeUnaryRequest(path, same, same, Buffer.from([0x0a, 0xff, 0x01]), (error) => resolve(error));
  });
  expect(failure?.details).toMatch(/PROTOCOL: control-plane message refused: CancelAttemptRequest/);
});

test('a message larger than the limit is refused before it is sent, with its size', async () => {
  const calls: string[] = [];
  const client = connectTo((await serve(notingTaskManager(calls))).address);
  await expect(client.deploySlots(deployment(messageMaxBytes + 1))).rejects.toMatchObject({
    code: 'PROTOCOL',
    message: expect.stringMatching(/a message of DeploySlots has \d+ bytes, more than the 16777216/),
  });
  await client.cancelAttempt(cancel);
  expect(calls).toEqual(['cancel 1']);
});

test('a message larger than the limit of a foreign client is refused by the server', async () => {
  const calls: string[] = [];
  const { address } = await serve(notingTaskManager(calls));
  const raw = new Client(address, credentials.createInsecure());
  cleanUps.push(() => raw.close());
  const same = (bytes: Buffer): Buffer => bytes;
  const failure = await new Promise<ServiceError | null>((resolve) => {
    const path = '/millrace.v1.TaskManagerService/DeploySlots';
    raw.makeUnaryRequest(path, same, same, Buffer.alloc(messageMaxBytes + 1), (error) => resolve(error));
  });
  expect(failure?.details).toMatch(/larger than max/);
  expect(calls).toEqual([]);
});

test('a server that stops lets a call under way end', async () => {
  const calls: string[] = [];
  let finish = (): void => undefined;
  const answer = (): Promise<object> =>
    new Promise((resolve) => {
      finish = () => resolve({});
    });
  const server = await serve(notingTaskManager(calls, answer));
  const call = connectTo(server.address).cancelAttempt(cancel);
  while (calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const stopped = server.stop(30_000);
  finish();
  await expect(call).resolves.toEqual({});
  await stopped;
});

test('a server that stops breaks off a call that outlasts the grace', async () => {
  const calls: string[] = [];
  const server = await serve(notingTaskManager(calls, nothingEver));
  const client = connectTo(server.address);
  const call = client.cancelAttempt(cancel);
  const failed = expect(call).rejects.toMatchObject({ code: 'TRANSPORT_FAILED' });
  while (calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await server.stop(10);
  await failed;
});

test('a server names the address when its port is taken', async () => {
  const { port } = await serve(notingTaskManager([]));
  const again = GrpcServer.start({ host: '127.0.0.1', port, services: [], authorize: allowEverybody, tls: null });
  await expect(again).rejects.toMatchObject({ code: 'PORT_IN_USE', ids: { address: `127.0.0.1:${port}` } });
});

test('neither side speaks in clear with another machine unless told so', async () => {
  const start = (insecure: boolean) =>
    GrpcServer.start({ host: '0.0.0.0', port: 0, services: [], authorize: allowEverybody, tls: null, insecure });
  await expect(start(false)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  const server = await start(true);
  await server.stop(0);
  expect(() => taskManagerClient('10.0.0.1:6124', { tls: null })).toThrowError(/needs TLS/);
  expect(() => taskManagerClient('host', { tls: null })).toThrowError(/not an address/);
});

test('a refused caller is refused before its message is decoded, and the token is handed to the policy', async () => {
  const asked: unknown[] = [];
  const calls: string[] = [];
  const authorize: Authorize = (path, caller) => {
    asked.push([path, caller]);
    if (caller.bearerToken !== 'good') throw new EngineError('UNAUTHENTICATED', 'no such token', { ids: { path } });
  };
  const { address } = await serve(notingTaskManager(calls), authorize);
  const refusal = await connectTo(address, 'bad')
    .cancelAttempt(cancel)
    .catch((error: unknown) => error);
  expect(isEngineError(refusal) && refusal.code).toBe('UNAUTHENTICATED');
  await expect(connectTo(address).cancelAttempt(cancel)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  await connectTo(address, 'good').cancelAttempt(cancel);
  expect(calls).toEqual(['cancel 1']);
  expect(asked[0]).toEqual([
    '/millrace.v1.TaskManagerService/CancelAttempt',
    { certificateNames: [], bearerToken: 'bad' },
  ]);
  expect(asked[1]).toMatchObject([expect.anything(), { bearerToken: null }]);
});
