/** Peers that do not answer, are stopped, killed, or were never there. The tests wait for real deadlines, beside each other. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test, type TestContext } from 'vitest';
import type { EngineError } from '../../../core/errors.ts';
import type { TaskManagerGateway } from '../../services.ts';
import { allowEverybody } from './authorization.ts';
import { type Peer, serveTaskManager, taskManagerClient } from './control-plane.ts';
import { attempt, deployment, notingTaskManager } from './gateways.test-support.ts';
import { GrpcServer } from './grpc-server.ts';

type CleanUp = Pick<TestContext, 'onTestFinished'>;

const cancel = { attempt, cancelTimeoutMs: 1 };
const adopt = { attempt, completedCheckpointId: 0 };

async function serve({ onTestFinished: after }: CleanUp, gateway: TaskManagerGateway): Promise<GrpcServer> {
  const services = [serveTaskManager(gateway)];
  const options = { host: '127.0.0.1', port: 0, services, authorize: allowEverybody, tls: null };
  const server = await GrpcServer.start(options);
  after(() => server.stop(0));
  return server;
}

function connectTo({ onTestFinished: after }: CleanUp, address: string): TaskManagerGateway & Peer {
  const client = taskManagerClient(address, { tls: null });
  after(() => client.close());
  return client;
}

/** A port that takes connections and says nothing. */
async function mutePort({ onTestFinished: after }: CleanUp): Promise<string> {
  const mute = createServer((socket) => {
    socket.on('error', () => undefined);
    after(() => {
      socket.destroy();
    });
  });
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  after(() => {
    mute.close();
  });
  const bound = mute.address();
  return `127.0.0.1:${bound !== null && typeof bound === 'object' ? bound.port : 0}`;
}

/** A task manager that answers every call, in a process of its own. */
async function serveInChild({ onTestFinished: after }: CleanUp): Promise<{ child: ChildProcess; address: string }> {
  const built = (name: string): string => new URL(`../../../dist/proto/rpc/grpc/${name}.js`, import.meta.url).href;
  const script = `
    const { GrpcServer } = await import('${built('grpc-server')}');
    const { serveTaskManager } = await import('${built('control-plane')}');
    const gateway = new Proxy({}, { get: () => async () => ({}) });
    const services = [serveTaskManager(gateway)];
    const server = await GrpcServer.start({ host: '127.0.0.1', port: 0, services, authorize: () => undefined, tls: null });
    console.log(server.address);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => {
    child.kill('SIGKILL');
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, address: line.toString().trim() };
}

const lossOf = (client: Peer): Promise<EngineError> => new Promise((resolve) => client.onLost(resolve));

test.concurrent('a call that is not answered ends by its deadline and names peer and method', async (context) => {
  const { expect } = context;
  const server = await serve(
    context,
    notingTaskManager([], () => new Promise(() => undefined)),
  );
  const client = connectTo(context, server.address);
  await expect(client.adoptAttempt(adopt)).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
    retry: 'backoff',
    message: `the task manager at ${server.address} did not answer AdoptAttempt within 5000 ms; it may be stopped or overloaded`,
    ids: { peer: server.address, method: 'AdoptAttempt' },
  });
});

test.concurrent('calls to a peer that listens but never speaks end, and it is told as lost', async (context) => {
  const { expect } = context;
  const client = connectTo(context, await mutePort(context));
  const lost = lossOf(client);
  // Not on its way: the one behind it has a deadline of its own.
  const large = client.deploySlots(deployment(1024 * 1024));
  const failed = expect(large).rejects.toMatchObject({ code: 'TRANSPORT_FAILED' });
  await expect(client.adoptAttempt(adopt)).rejects.toMatchObject({ code: 'TRANSPORT_FAILED' });
  await expect(lost).resolves.toMatchObject({
    code: 'TRANSPORT_FAILED',
    message: expect.stringMatching(/made no connection within 5000 ms/),
  });
  client.close();
  await failed;
});

test.concurrent('a peer nobody ever listened for is told as lost, and calls say that it is refused', async (context) => {
  const { expect } = context;
  const server = await serve(context, notingTaskManager([]));
  await server.stop(0);
  const client = connectTo(context, server.address);
  const lost = lossOf(client);
  await expect(client.cancelAttempt(cancel)).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
    message: expect.stringContaining('ECONNREFUSED'),
  });
  await expect(lost).resolves.toMatchObject({ message: expect.stringContaining('refuses connections') });
});

test.concurrent('a peer is told as lost, once, when its process is killed', async (context) => {
  const { expect } = context;
  const { child, address } = await serveInChild(context);
  const client = connectTo(context, address);
  await client.cancelAttempt(cancel);
  const told: EngineError[] = [];
  client.onLost((error) => told.push(error));
  const lost = lossOf(client);
  child.kill('SIGKILL');
  await lost;
  await expect(client.cancelAttempt(cancel)).rejects.toMatchObject({ code: 'TRANSPORT_FAILED' });
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ code: 'TRANSPORT_FAILED', ids: { peer: address } });
});

test.concurrent('a call to a peer whose process is stopped ends, and the peer is told as lost', async (context) => {
  const { expect } = context;
  const { child, address } = await serveInChild(context);
  const client = connectTo(context, address);
  await client.cancelAttempt(cancel);
  child.kill('SIGSTOP');
  const lost = lossOf(client);
  await expect(client.cancelAttempt(cancel)).rejects.toMatchObject({ code: 'TRANSPORT_FAILED' });
  await expect(lost).resolves.toMatchObject({ message: expect.stringContaining('made no connection') });
});

test.concurrent('a peer whose process stood still for a moment is not told as lost', async (context) => {
  const { expect } = context;
  const { child, address } = await serveInChild(context);
  const client = connectTo(context, address);
  await client.cancelAttempt(cancel);
  const told: EngineError[] = [];
  client.onLost((error) => told.push(error));
  child.kill('SIGSTOP');
  const late = client.cancelAttempt(cancel);
  child.kill('SIGCONT');
  expect(await late).toEqual({});
  expect(told).toEqual([]);
});
