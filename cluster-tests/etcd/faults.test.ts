/** What a person meets when something is wrong with a real etcd: each gets a clear error, and nothing waits for ever. */
import { afterEach, expect, test } from 'vitest';
import { type EtcdApi, readKey } from '../../jobmanager/etcd/etcd-api.ts';
import { EtcdClient } from '../../jobmanager/etcd/etcd-client.ts';
import { EtcdTerm } from '../../jobmanager/etcd/etcd-job-store.test-support.ts';
import { jobId, recordOf } from '../../jobmanager/store/job-store-contract.test-support.ts';
import { describeWithEtcd, EtcdServer, freePorts, waitUntil } from '../support/etcd.ts';
import { Contender } from './contender.ts';

const endings: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

async function start(...parameters: string[]): Promise<EtcdServer> {
  const server = await EtcdServer.start({ arguments: parameters });
  endings.push(() => server.stop());
  return server;
}

function connect(options: ConstructorParameters<typeof EtcdClient>[0]): EtcdClient {
  const client = new EtcdClient({ callTimeoutMs: 1_000, ...options });
  endings.push(() => client.close());
  return client;
}

const put = (etcd: EtcdApi, key: string, value = 'x'): Promise<unknown> =>
  etcd.transact({ when: [], apply: [{ kind: 'put', key, value }], otherwise: [] });

describeWithEtcd('a real etcd with something wrong', () => {
  test('an etcd that is not there is named, with what to do', async () => {
    const [port] = await freePorts(1);
    const etcd = connect({ endpoints: [`http://127.0.0.1:${port}`] });
    const asked = readKey(etcd, '/a');
    await expect(asked).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE', retry: 'backoff' });
    await expect(asked).rejects.toThrowError(new RegExp(`127.0.0.1:${port}.*check that it runs`));
    await expect(etcd.keepAlive('1')).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' });
    const reason = await new Promise<string>((resolve) =>
      etcd.watch('/a', 1, { onChange: () => undefined, onEnd: resolve }),
    );
    expect(reason).not.toBe('');
  });

  test('calls to an etcd that hangs end by their deadline, and work again when it goes on', async () => {
    const server = await start();
    const etcd = connect({ endpoints: [server.endpoint] });
    const { leaseId } = await etcd.grantLease(60_000);
    server.pause();
    const calls = [
      readKey(etcd, '/a'),
      put(etcd, '/a'),
      etcd.grantLease(5_000),
      etcd.keepAlive(leaseId),
      etcd.revokeLease(leaseId),
    ];
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'CLUSTER_UNAVAILABLE' } });
    }
    server.resume();
    await waitUntil('it answers again', () =>
      readKey(etcd, '/a').then(
        () => true,
        () => false,
      ),
    );
  });

  test('of several endpoints the one that works is used', async () => {
    const server = await start();
    const [port] = await freePorts(1);
    const etcd = connect({ endpoints: [`http://127.0.0.1:${port}`, server.endpoint] });
    await readKey(etcd, '/a');
    await put(etcd, '/a', 'found');
    expect((await readKey(etcd, '/a')).key?.value).toBe('found');
  });

  test('an etcd out of space says so; the leader leads on, and writes go on after the alarm is disarmed', async () => {
    const server = await start('--quota-backend-bytes', String(256 * 1024));
    const etcd = connect({ endpoints: [server.endpoint] });
    const leader = new Contender(etcd, 'manager:1');
    await leader.start();
    endings.push(() => leader.leadership.resign());
    await waitUntil('it leads', () => leader.leads);
    const term = await EtcdTerm.start(etcd);
    await waitUntil('etcd is full', () =>
      put(etcd, '/filler', 'x'.repeat(50_000)).then(
        () => false,
        (error: { code?: string }) => error.code === 'STORAGE_FULL',
      ),
    );
    const refused = term.store().createJob(recordOf(jobId));
    await expect(refused).rejects.toMatchObject({ code: 'STORAGE_FULL', retry: 'backoff' });
    await expect(refused).rejects.toThrowError(/etcdctl alarm disarm/);
    const renewals = leader.news.length;
    expect(leader.leads).toBe(true);
    const { revision } = await readKey(etcd, '/filler');
    await server.administer('kv/compaction', { revision, physical: true });
    await server.administer('maintenance/defragment', {});
    const { alarms } = await server.administer('maintenance/alarm', { action: 'GET' });
    for (const alarm of alarms as object[]) {
      await server.administer('maintenance/alarm', { ...alarm, action: 'DEACTIVATE' });
    }
    expect(await term.store().createJob(recordOf(jobId))).toBe('done');
    expect(leader.leads).toBe(true);
    expect(leader.news).toHaveLength(renewals);
  });

  test('wrong, missing and too weak credentials are told apart', async () => {
    const server = await start();
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const below = { permType: 'READWRITE', key: base64('/millrace/'), range_end: base64('/millrace0') };
    await server.administer('auth/user/add', { name: 'root', password: 'secret' });
    await server.administer('auth/user/add', { name: 'millrace', password: 'word' });
    await server.administer('auth/role/add', { name: 'root' });
    await server.administer('auth/user/grant', { user: 'root', role: 'root' });
    await server.administer('auth/role/add', { name: 'jobs' });
    await server.administer('auth/role/grant', { name: 'jobs', perm: below });
    await server.administer('auth/user/grant', { user: 'millrace', role: 'jobs' });
    await server.administer('auth/enable', {});
    const { endpoint } = server;
    const as = (name: string, password: string): EtcdClient =>
      connect({ endpoints: [endpoint], user: { name, password } });
    const right = as('millrace', 'word');
    await put(right, '/millrace/a');
    const { leaseId } = await right.grantLease(60_000);
    expect(await right.keepAlive(leaseId)).toBe(60_000);
    await expect(put(right, '/elsewhere')).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(put(as('millrace', 'wrong'), '/millrace/a')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(put(as('nobody', 'word'), '/millrace/a')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(put(connect({ endpoints: [endpoint] }), '/millrace/a')).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
    const leader = new Contender(right, 'manager:1');
    await leader.start();
    endings.push(() => leader.leadership.resign());
    await waitUntil('it leads', () => leader.leads);
  });

  test('credentials that etcd does not ask for are refused by name', async () => {
    const server = await start();
    const etcd = connect({ endpoints: [server.endpoint], user: { name: 'millrace', password: 'geheim' } });
    const error = await put(etcd, '/a').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(String(error)).not.toContain('geheim');
  });

  test.each([
    [[], /no etcd endpoint/],
    [['127.0.0.1:2379'], /write it as http/],
    [['http://user:word@127.0.0.1:2379'], /"http:\/\/\*\*\*@127.0.0.1:2379" is not .* write it as http/],
    [['http://a:1', 'https://b:1'], /mix http and https/],
  ])('endpoints %j are refused', (endpoints, message) => {
    expect(() => new EtcdClient({ endpoints })).toThrowError(message);
  });
});
