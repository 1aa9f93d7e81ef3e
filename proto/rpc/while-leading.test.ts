import { expect, test } from 'vitest';
import type { ClientGateway, JobManagerGateway } from '../services.ts';
import { NotingCluster } from './grpc/gateways.test-support.ts';
import { clientsWhileLeading, jobManagerWhileLeading } from './while-leading.ts';

const register = {
  taskManagerId: 't',
  slotCount: 1,
  host: 'h',
  engineVersion: '0',
  dataHost: 'h',
  rpcAddress: '',
  running: [],
};
const logs = { job: null, taskManagerId: null, lines: 1, follow: false };

test('a job manager that does not lead refuses everything and names the leader', async () => {
  const term = { current: () => null, leader: () => ({ address: 'h:1', epoch: 7 }) };
  const refusal = { code: 'NOT_LEADER', retry: 'backoff', ids: { leaderAddress: 'h:1', leaderEpoch: 7 } };
  const clients = clientsWhileLeading(term);
  await expect(clients.listJobs({})).rejects.toMatchObject(refusal);
  await expect(clients.putObject({ kind: 'graph', sha256: 'x', bytes: 0 }, nothing())).rejects.toMatchObject(refusal);
  const lines = clients.tailLogs(logs, new AbortController().signal)[Symbol.asyncIterator]();
  await expect(lines.next()).rejects.toMatchObject(refusal);
  await expect(jobManagerWhileLeading(term).registerTaskManager(register)).rejects.toMatchObject(refusal);
});

test('a job manager that knows no leader names none', async () => {
  const clients = clientsWhileLeading({ current: () => null, leader: () => null });
  await expect(clients.getCluster({})).rejects.toMatchObject({ code: 'NOT_LEADER', ids: {} });
});

test('calls go to the term that is now', async () => {
  let cluster: NotingCluster | null = new NotingCluster();
  const first = cluster;
  const clients: ClientGateway = clientsWhileLeading({ current: () => cluster, leader: () => null });
  await clients.cancelJob({ job: 'a' });
  cluster = null;
  await expect(clients.cancelJob({ job: 'a' })).rejects.toMatchObject({ code: 'NOT_LEADER' });
  const second = new NotingCluster();
  cluster = second;
  await clients.cancelJob({ job: 'b' });
  expect([first.calls, second.calls]).toEqual([['cancel a'], ['cancel b']]);
  const gateway = { registerTaskManager: async () => ({ leaderEpoch: 3 }) } as unknown as JobManagerGateway;
  const jobManager = jobManagerWhileLeading({ current: () => gateway, leader: () => null });
  expect(await jobManager.registerTaskManager(register)).toEqual({ leaderEpoch: 3 });
});

async function* nothing(): AsyncIterable<Uint8Array> {}
