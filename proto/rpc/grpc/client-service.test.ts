import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { EngineError } from '../../../core/errors.ts';
import type { LogLine, ObjectHeader, SubmitJobRequest } from '../../client-messages.ts';
import type { ClientGateway } from '../../services.ts';
import { putObjectPath } from '../client-methods.ts';
import { objectChunk } from '../client-codecs.ts';
import { inProcessClient } from '../in-process.ts';
import { chunkBytes, chunkMaxBytes } from '../object-stream.ts';
import { allowEverybody, type Authorize } from './authorization.ts';
import { clusterGateway, serveClients } from './client-service.ts';
import { logLines, NotingCluster, runningJob } from './gateways.test-support.ts';
import { GrpcServer } from './grpc-server.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function serve(cluster: ClientGateway, authorize: Authorize = allowEverybody): Promise<GrpcServer> {
  const services = [serveClients(cluster)];
  const server = await GrpcServer.start({ host: '127.0.0.1', port: 0, services, authorize, tls: null });
  cleanUps.push(() => server.stop(0));
  return server;
}

async function overGrpc(cluster: ClientGateway): Promise<ClientGateway> {
  const gateway = clusterGateway((await serve(cluster)).address, { tls: null });
  cleanUps.push(() => gateway.close());
  return gateway;
}

const transports = {
  'in process': async (cluster: ClientGateway): Promise<ClientGateway> => inProcessClient(cluster),
  'over gRPC': overGrpc,
};

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const headerOf = (bytes: Uint8Array): ObjectHeader => ({
  kind: 'graph',
  sha256: sha256(bytes),
  bytes: bytes.byteLength,
});
async function* parts(...chunks: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* chunks;
}
const ref = { name: 'objects/x', sha256: 'x', bytes: 3 };
const submission: SubmitJobRequest = {
  name: 'flights',
  graph: { ...ref, name: 'g' },
  artifact: { ...ref, name: 'a' },
  graphHash: 'h',
  restorableGraphHashes: ['h0'],
  engineVersion: '0.1.0',
  workingDirectory: '/home/somebody',
  restoreSavepoint: null,
  idempotencyKey: 'k',
};
const wholeLog = { job: 'a', taskManagerId: null, lines: 10, follow: false };

async function linesOf(lines: AsyncIterable<LogLine>): Promise<LogLine[]> {
  const all: LogLine[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

describe.each(Object.entries(transports))('a cluster reached %s', (_name, reach) => {
  let cluster: NotingCluster;
  let gateway: ClientGateway;
  beforeEach(async () => {
    cluster = new NotingCluster();
    gateway = await reach(cluster);
  });

  test('answers every request', async () => {
    expect(await gateway.submitJob(submission)).toEqual({ jobId: 'flights.1' });
    expect(await gateway.listJobs({})).toEqual({ jobs: [runningJob('a.1'), runningJob('b.2')] });
    expect(await gateway.getJob({ job: 'a.1' })).toEqual(runningJob('a.1'));
    expect(await gateway.cancelJob({ job: 'a' })).toEqual({});
    expect(await gateway.stopJob({ job: 'a', savepoint: true, drain: true })).toEqual({
      checkpointId: 9,
      savepointPath: 's/9',
    });
    expect(await gateway.stopJob({ job: 'b', savepoint: false, drain: false })).toEqual({
      checkpointId: null,
      savepointPath: null,
    });
    expect(await gateway.triggerSavepoint({ job: 'a' })).toEqual({ checkpointId: 8, savepointPath: 's/8' });
    expect(await gateway.disposeSavepoint({ savepointPath: 's/8' })).toEqual({});
    expect(await gateway.rescaleJob({ job: 'a', graph: { name: 'g', sha256: 'cd', bytes: 4 } })).toEqual({
      checkpointId: 10,
    });
    expect(await gateway.getCluster({})).toMatchObject({ clusterId: 'c', taskManagers: [{ id: 'tm', freeSlots: 1 }] });
    expect(cluster.calls).toEqual([
      'submit flights g a',
      'list',
      'get a.1',
      'cancel a',
      'stop a drained',
      'stop b as it is',
      'savepoint a',
      'dispose s/8',
      'rescale a 4',
      'cluster',
    ]);
  });

  test('stores an object of 4 MiB, and an empty one', async () => {
    const graph = Buffer.alloc(4 * 1024 * 1024, 'graph ');
    const stored = await gateway.putObject(headerOf(graph), parts(graph.subarray(0, 3), graph.subarray(3)));
    expect(stored).toEqual({ name: `objects/${sha256(graph)}`, sha256: sha256(graph), bytes: graph.byteLength });
    expect(cluster.objects.get(sha256(graph))).toBe(graph.byteLength);
    const empty = new Uint8Array();
    await gateway.putObject(headerOf(empty), parts());
    expect(cluster.objects.get(sha256(empty))).toBe(0);
  });

  test('refuses an object that is longer, shorter or another than its header says', async () => {
    const bytes = Buffer.from('what was meant');
    const refused = (chunk: string) => gateway.putObject(headerOf(bytes), parts(Buffer.from(chunk)));
    await expect(refused('what was meant, and more')).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringContaining('more than the 14 bytes'),
    });
    await expect(refused('what')).rejects.toMatchObject({ message: expect.stringContaining('4 of the 14 bytes') });
    await expect(refused('what was menat')).rejects.toMatchObject({ message: expect.stringContaining('its hash') });
    expect(cluster.objects.size).toBe(0);
  });

  test('passes on a refusal of an object while it is being sent', async () => {
    cluster.put = () => Promise.reject(new EngineError('STORAGE_FULL', 'no room', { domain: 'external' }));
    const bytes = Buffer.alloc(8 * 1024 * 1024);
    await expect(gateway.putObject(headerOf(bytes), parts(bytes))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(await gateway.cancelJob({ job: 'a' })).toEqual({});
  });

  test('takes the answer of a cluster that has the object already', async () => {
    cluster.put = async () => undefined;
    const bytes = Buffer.alloc(8 * 1024 * 1024);
    expect(await gateway.putObject(headerOf(bytes), parts(bytes))).toMatchObject({ bytes: bytes.byteLength });
    expect(await gateway.cancelJob({ job: 'a' })).toEqual({});
  });

  test('passes on a failure of whoever sends an object', async () => {
    const store = cluster.put;
    let begun = (): void => undefined;
    const storing = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const stored = new Promise<unknown>((resolve) => {
      cluster.put = async (...object) => {
        begun();
        const outcome = store(...object);
        outcome.then(resolve, resolve);
        await outcome;
      };
    });
    async function* failing(): AsyncIterable<Uint8Array> {
      yield Buffer.from('first');
      await storing;
      throw new EngineError('INPUT_NOT_FOUND', 'the file is gone');
    }
    const header = { ...headerOf(Buffer.alloc(0)), bytes: 100 };
    await expect(gateway.putObject(header, failing())).rejects.toMatchObject({ code: 'INPUT_NOT_FOUND' });
    // Whoever stores it is told as well, and can clean up.
    expect(await stored).toBeInstanceOf(Error);
    expect(cluster.objects.size).toBe(0);
  });

  test('sends logs to their end', async () => {
    expect(await linesOf(gateway.tailLogs(wholeLog, new AbortController().signal))).toEqual(logLines);
  });

  test('sends logs until the caller leaves', async () => {
    let left = false;
    cluster.logs = async function* (_request, signal) {
      yield* logLines;
      if (!signal.aborted) await once(signal, 'abort');
      left = true;
    };
    const leave = new AbortController();
    const seen: LogLine[] = [];
    for await (const line of gateway.tailLogs({ ...wholeLog, follow: true }, leave.signal)) {
      seen.push(line);
      if (seen.length === logLines.length) leave.abort();
    }
    expect(seen).toEqual(logLines);
    while (!left) await new Promise((resolve) => setImmediate(resolve));
  });

  test('passes on why there are no logs', async () => {
    // biome-ignore lint/correctness/useYield: it fails before its first line
    cluster.logs = async function* () {
      throw new EngineError('JOB_NOT_FOUND', 'no job of that name', { ids: { job: 'a' } });
    };
    const lines = linesOf(gateway.tailLogs(wholeLog, new AbortController().signal));
    await expect(lines).rejects.toMatchObject({ code: 'JOB_NOT_FOUND', ids: { job: 'a' } });
  });
});

test('a refused caller is refused before the object is read', async () => {
  const cluster = new NotingCluster();
  const server = await serve(cluster, () => {
    throw new EngineError('FORBIDDEN', 'a viewer does not submit');
  });
  const gateway = clusterGateway(server.address, { tls: null });
  cleanUps.push(() => gateway.close());
  const bytes = Buffer.alloc(8 * 1024 * 1024);
  await expect(gateway.putObject(headerOf(bytes), parts(bytes))).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const lines = linesOf(gateway.tailLogs(wholeLog, new AbortController().signal));
  await expect(lines).rejects.toMatchObject({ code: 'FORBIDDEN' });
  expect(cluster.calls).toEqual([]);
});

/** Sends bytes as the messages of PutObject without our client. */
async function putRaw(address: string, messages: readonly Uint8Array[]): Promise<ServiceError | null> {
  const raw = new Client(address, credentials.createInsecure());
  cleanUps.push(() => raw.close());
  const same = (bytes: Buffer): Buffer => bytes;
  return await new Promise((resolve) => {
    const call = raw.makeClientStreamRequest(putObjectPath, same, same, (error) => resolve(error));
    call.on('error', () => undefined);
    for (const message of messages) call.write(Buffer.from(message));
    call.end();
  });
}

test('an object without a header, with two, in bytes that are no message or in too large chunks is refused', async () => {
  const { address } = await serve(new NotingCluster());
  const data = new Uint8Array(3);
  const header = { kind: 'artifact', sha256: 'x', bytes: 3 * chunkMaxBytes } as const;
  const withHeader = objectChunk.encode({ header, data });
  const tooLarge = objectChunk.encode({ header: null, data: new Uint8Array(chunkMaxBytes + 1) });
  expect((await putRaw(address, [objectChunk.encode({ header: null, data })]))?.details).toMatch(/without its header/);
  expect((await putRaw(address, []))?.details).toMatch(/without its header/);
  expect((await putRaw(address, [withHeader, withHeader]))?.details).toMatch(/second header/);
  expect((await putRaw(address, [withHeader, Buffer.from([0x0a, 0xff])]))?.details).toMatch(/PROTOCOL/);
  expect((await putRaw(address, [withHeader, tooLarge]))?.details).toMatch(/chunk of more than/);
});

test('a client that sends 100 MB to a reader that does not read keeps a few chunks in memory', async () => {
  const cluster = new NotingCluster();
  let read = (): void => undefined;
  const reads = new Promise<void>((resolve) => {
    read = resolve;
  });
  cluster.put = async (_header, chunks) => {
    await reads;
    for await (const _chunk of chunks);
  };
  const gateway = await overGrpc(cluster);
  const chunk = Buffer.alloc(chunkBytes);
  const count = 400;
  const hash = createHash('sha256');
  for (let index = 0; index < count; index++) hash.update(chunk);
  let taken = 0;
  async function* source(): AsyncIterable<Uint8Array> {
    for (let index = 0; index < count; index++) {
      taken += 1;
      yield chunk;
    }
  }
  const header = { kind: 'artifact', sha256: hash.digest('hex'), bytes: count * chunkBytes } as const;
  const put = gateway.putObject(header, source());
  // It has stalled when a round trip of another call passes without a chunk being taken.
  for (let before = -1; before !== taken; ) {
    before = taken;
    await gateway.listJobs({});
    await gateway.listJobs({});
  }
  expect(taken * chunkBytes).toBeLessThan(16 * 1024 * 1024);
  read();
  await expect(put).resolves.toMatchObject({ bytes: count * chunkBytes });
  expect(taken).toBe(count);
});

test('logs wait for a reader that is slow', async () => {
  const cluster = new NotingCluster();
  let made = 0;
  const text = 'x'.repeat(64 * 1024);
  cluster.logs = async function* () {
    for (let index = 0; index < 2_000; index++) {
      made += 1;
      yield { timeMs: index, level: 'info', taskManagerId: null, jobId: null, text };
    }
  };
  const gateway = await overGrpc(cluster);
  const iterator = gateway.tailLogs(wholeLog, new AbortController().signal)[Symbol.asyncIterator]();
  await iterator.next();
  for (let before = -1; before !== made; ) {
    before = made;
    await gateway.listJobs({});
    await gateway.listJobs({});
  }
  expect(made * text.length).toBeLessThan(32 * 1024 * 1024);
  let seen = 1;
  while ((await iterator.next()).done !== true) seen += 1;
  expect(seen).toBe(2_000);
});
