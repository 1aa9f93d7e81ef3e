import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EngineError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type { LogLine } from '../../proto/client-messages.ts';
import { allowEverybody, type Authorize } from '../../proto/rpc/grpc/authorization.ts';
import { serveClients } from '../../proto/rpc/grpc/client-service.ts';
import { logLines, NotingCluster } from '../../proto/rpc/grpc/gateways.test-support.ts';
import { GrpcServer } from '../../proto/rpc/grpc/grpc-server.ts';
import { ClusterClient, type ClusterClientOptions, type Submission } from './cluster-client.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

let cluster: NotingCluster;
beforeEach(() => {
  cluster = new NotingCluster();
});

async function serve(gateway: NotingCluster, port = 0, authorize: Authorize = allowEverybody): Promise<GrpcServer> {
  const services = [serveClients(gateway)];
  const server = await GrpcServer.start({ host: '127.0.0.1', port, services, authorize, tls: null });
  cleanUps.push(() => server.stop(0));
  return server;
}

async function connect(jobManagers: readonly string[], more: Partial<ClusterClientOptions> = {}) {
  const client = await ClusterClient.connect({ jobManagers, ...more });
  cleanUps.push(() => client.close());
  return client;
}

/** A job manager that does not lead and says who does. */
function standby(leader: () => string | null): NotingCluster {
  const other = new NotingCluster();
  other.before = () => {
    const leaderAddress = leader();
    const ids: Record<string, string> = leaderAddress === null ? {} : { leaderAddress, leaderEpoch: '4' };
    return Promise.reject(new EngineError('NOT_LEADER', 'another one leads', { ids }));
  };
  return other;
}

/** An address nobody listens on. */
async function deadAddress(): Promise<string> {
  const server = await serve(new NotingCluster());
  await server.stop(0);
  return server.address;
}

const submission: Submission = {
  graph: { name: 'flights', vertices: [], edges: [], padding: 'x'.repeat(4 * 1024 * 1024) } as unknown as JobGraph,
  graphHash: 'h',
  artifact: Buffer.from('export default null;'),
  engineVersion: '0.1.0',
  workingDirectory: '/home/somebody',
};

test('a client submits a job with its graph and artifact', async () => {
  const client = await connect([(await serve(cluster)).address]);
  expect(await client.submit(submission)).toEqual({ jobId: 'flights.1' });
  const graph = JSON.stringify(submission.graph);
  const sha256 = (value: string | Uint8Array): string => createHash('sha256').update(value).digest('hex');
  expect(cluster.calls).toEqual([
    'cluster',
    `put graph ${graph.length}`,
    `put artifact ${submission.artifact.byteLength}`,
    `submit flights objects/${sha256(graph)} objects/${sha256(submission.artifact)}`,
  ]);
});

test('a client asks everything else', async () => {
  const client = await connect([(await serve(cluster)).address]);
  expect((await client.list()).map((job) => job.jobId)).toEqual(['a.1', 'b.2']);
  expect(await client.status('a')).toMatchObject({ jobId: 'a', state: 'running' });
  await client.cancel('a');
  expect(await client.stop('a', { savepoint: true })).toEqual({ checkpointId: 9, savepointPath: 's/9' });
  expect(await client.stop('a', { drain: true })).toEqual({ checkpointId: null, savepointPath: null });
  expect(await client.savepoint('a')).toEqual({ checkpointId: 8, savepointPath: 's/8' });
  await client.disposeSavepoint('s/8');
  expect(await client.rescale('a', { name: 'a' } as JobGraph)).toEqual({ checkpointId: 10 });
  const { graph, artifact } = await client.download('a');
  expect([graph, Buffer.from(artifact).toString()]).toEqual([{ name: 'read' }, 'code']);
  expect(await client.cluster()).toMatchObject({ leaderEpoch: 4 });
  const lines: LogLine[] = [];
  for await (const line of client.logs({ job: 'a' })) lines.push(line);
  expect(lines).toEqual(logLines);
  expect(cluster.calls).toEqual([
    'cluster',
    'list',
    'get a',
    'cancel a',
    'stop a as it is',
    'stop a drained',
    'savepoint a',
    'dispose s/8',
    'put graph 12',
    'rescale a 12',
    'read graph of a from 0',
    'read graph of a from 8',
    'read artifact of a from 0',
    'cluster',
    'logs a',
  ]);
});

test('a client follows a standby to the leader and stays there', async () => {
  const leader = await serve(cluster);
  const other = standby(() => leader.address);
  const client = await connect([(await serve(other)).address]);
  await client.list();
  await client.list();
  expect(cluster.calls).toEqual(['cluster', 'list', 'list']);
  expect(other.calls).toEqual(['cluster']);
});

test('a client goes on with the next job manager when the one that led is gone', async () => {
  const first = new NotingCluster();
  const server = await serve(first);
  const client = await connect([server.address, (await serve(cluster)).address]);
  await server.stop(0);
  expect(await client.submit(submission)).toEqual({ jobId: 'flights.1' });
  expect(first.calls).toEqual(['cluster']);
  expect(cluster.calls.at(-1)).toMatch(/^submit/);
});

test('a client goes on with the next job manager when the first takes connections and never speaks', async () => {
  const mute = createServer((socket) => {
    socket.on('error', () => undefined);
    cleanUps.push(() => socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  cleanUps.push(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  const client = await connect([`127.0.0.1:${port}`, (await serve(cluster)).address]);
  expect(await client.list()).toHaveLength(2);
  expect(cluster.calls).toEqual(['cluster', 'list']);
});

test('a client waits while an election is under way', async () => {
  let leader: string | null = null;
  const other = standby(() => leader);
  const waiting = connect([(await serve(other)).address]);
  while (other.calls.length < 2) await new Promise((resolve) => setImmediate(resolve));
  leader = (await serve(cluster)).address;
  expect(await (await waiting).cluster()).toMatchObject({ clusterId: 'c' });
});

test('a client tells why it could not ask, for each address, when nobody is there', async () => {
  const [first, second] = [await deadAddress(), await deadAddress()];
  const error = await connect([first, second]).catch((caught: unknown) => caught);
  expect(error).toMatchObject({
    code: 'CLUSTER_UNAVAILABLE',
    retry: 'backoff',
    ids: { jobManagers: `${first},${second}` },
    message: expect.stringMatching(new RegExp(`${first}: .*ECONNREFUSED[^]*${second}: .*ECONNREFUSED`)),
  });
});

test('a client tells that nobody leads when its patience ends', async () => {
  const { address } = await serve(standby(() => null));
  await expect(connect([address], { patienceMs: 50 })).rejects.toMatchObject({
    code: 'CLUSTER_UNAVAILABLE',
    message: expect.stringContaining(`${address}: does not lead and knows nobody who does`),
  });
});

test('a client passes on what the cluster refuses, and asks nobody else', async () => {
  const other = new NotingCluster();
  const client = await connect([(await serve(cluster)).address, (await serve(other)).address]);
  cluster.before = () => Promise.reject(new EngineError('JOB_EXISTS', 'runs already', { ids: { job: 'flights' } }));
  await expect(client.submit(submission)).rejects.toMatchObject({ code: 'JOB_EXISTS', ids: { job: 'flights' } });
  expect(other.calls).toEqual([]);
});

test('a client shows its token, and is told when it is refused', async () => {
  const authorize: Authorize = (_path, { bearerToken }) => {
    if (bearerToken !== 'good') throw new EngineError('UNAUTHENTICATED', 'no such token');
  };
  const { address } = await serve(cluster, 0, authorize);
  await expect(connect([address])).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  expect(await (await connect([address], { token: 'good' })).list()).toHaveLength(2);
});

test('a client refuses addresses that are none, and other machines in clear', async () => {
  await expect(connect([])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(connect(['localhost'])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await expect(connect(['10.1.2.3:6123'])).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('needs TLS'),
  });
});

test('a client that was closed says so', async () => {
  const client = await connect([(await serve(cluster)).address]);
  client.close();
  await expect(client.list()).rejects.toMatchObject({ code: 'USAGE' });
});
