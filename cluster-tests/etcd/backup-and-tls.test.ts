/** A real etcd restored from an older backup is refused; one behind TLS is used with certificates only. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { readKey } from '../../jobmanager/etcd/etcd-api.ts';
import { EtcdClient } from '../../jobmanager/etcd/etcd-client.ts';
import { EtcdJobStore } from '../../jobmanager/etcd/etcd-job-store.ts';
import { leaderKeyOf } from '../../jobmanager/etcd/etcd-keys.ts';
import { openCluster } from '../../jobmanager/etcd/open-cluster.ts';
import { ClusterMarker } from '../../jobmanager/store/cluster-marker.ts';
import { recordOf } from '../../jobmanager/store/job-store-contract.test-support.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { describeWithEtcd, EtcdServer, waitUntil } from '../support/etcd.ts';

const prefix = '/millrace';
const endings: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-etcd-files-'));
  endings.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** One term on a cluster: its leader's key, checks, and a job it stores. */
async function term(etcd: EtcdClient, objects: LocalDirectoryStore, jobId: string): Promise<string> {
  const key = leaderKeyOf(prefix);
  await etcd.transact({ when: [], apply: [{ kind: 'delete', key }], otherwise: [] });
  const made = await etcd.transact({ when: [], apply: [{ kind: 'put', key, value: '{}' }], otherwise: [] });
  const leaderEpoch = made.revision;
  const marker = new ClusterMarker(objects);
  const clusterId = await openCluster({ etcd, prefix, leaderEpoch, marker, newClusterId: 'cluster-1' });
  const store = new EtcdJobStore({ etcd, prefix, objects, leaderEpoch, progress: { marker, clusterId } });
  await store.createJob(recordOf(jobId));
  return clusterId;
}

function certificate(directory: string, name: string, usage: string): void {
  const file = (ending: string): string => join(directory, `${name}.${ending}`);
  const run = (...parameters: string[]): unknown => execFileSync('openssl', parameters, { stdio: 'pipe' });
  run('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('key'), '-out', file('csr'), '-subj', `/CN=${name}`);
  const extensions = join(directory, `${name}.ext`);
  execFileSync('sh', [
    '-c',
    `printf '%s' "$1" > "$2"`,
    'sh',
    `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=${usage}\n`,
    extensions,
  ]);
  const authority = ['-CA', join(directory, 'ca.crt'), '-CAkey', join(directory, 'ca.key'), '-CAcreateserial'];
  run('x509', '-req', '-in', file('csr'), ...authority, '-days', '2', '-out', file('crt'), '-extfile', extensions);
}

describeWithEtcd('backups and certificates of a real etcd', () => {
  test('an etcd restored from an older backup than the storage has seen is refused, the newest one is not', async () => {
    const directory = newDirectory();
    const objects = new LocalDirectoryStore(join(directory, 'checkpoints'));
    const first = await EtcdServer.start();
    endings.push(() => first.stop());
    const etcd = first.client();
    endings.push(() => etcd.close());
    expect(await term(etcd, objects, 'a.00000001')).toBe('cluster-1');
    const backUp = async (name: string): Promise<void> => {
      await first.kill();
      cpSync(first.dataDirectory, join(directory, name), { recursive: true });
    };
    await backUp('older');
    await first.restart();
    await waitUntil('it answers again', () =>
      readKey(etcd, '/a').then(
        () => true,
        () => false,
      ),
    );
    expect(await term(etcd, objects, 'b.00000002')).toBe('cluster-1');
    await backUp('newest');

    const restored = async (backup: string): Promise<EtcdClient> => {
      const server = await EtcdServer.start({ dataDirectory: join(directory, backup) });
      endings.push(() => server.stop());
      const client = server.client();
      endings.push(() => client.close());
      return client;
    };
    const older = await restored('older');
    const refused = term(older, objects, 'c.00000003');
    await expect(refused).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE', ids: { cluster: 'cluster-1' } });
    await expect(refused).rejects.toThrowError(/older backup.*restore the newest backup/);
    expect(await term(await restored('newest'), objects, 'c.00000003')).toBe('cluster-1');
  });

  test('an etcd behind TLS answers those with its certificates, and nobody else', async () => {
    const directory = newDirectory();
    const path = (name: string): string => join(directory, name);
    const authority = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=authority'];
    execFileSync('openssl', [...authority, '-keyout', path('ca.key'), '-out', path('ca.crt')], { stdio: 'pipe' });
    certificate(directory, 'server', 'serverAuth,clientAuth');
    certificate(directory, 'client', 'clientAuth');
    const server = await EtcdServer.start({
      tls: { authorityFile: path('ca.crt'), certificateFile: path('server.crt'), keyFile: path('server.key') },
    });
    endings.push(() => server.stop());
    const certificateAuthority = readFileSync(path('ca.crt'));
    const own = { certificate: readFileSync(path('client.crt')), privateKey: readFileSync(path('client.key')) };
    const connect = (
      tls: ConstructorParameters<typeof EtcdClient>[0]['tls'],
      endpoint = server.endpoint,
    ): EtcdClient => {
      const client = new EtcdClient({
        endpoints: [endpoint],
        callTimeoutMs: 1_000,
        ...(tls === undefined ? {} : { tls }),
      });
      endings.push(() => client.close());
      return client;
    };
    const right = connect({ certificateAuthority, ...own });
    await right.transact({ when: [], apply: [{ kind: 'put', key: '/a', value: 'x' }], otherwise: [] });
    expect((await readKey(right, '/a')).key?.value).toBe('x');
    const unavailable = { code: 'CLUSTER_UNAVAILABLE' };
    await expect(readKey(connect({ certificateAuthority }), '/a')).rejects.toMatchObject(unavailable);
    await expect(readKey(connect(undefined), '/a')).rejects.toMatchObject(unavailable);
    const plain = connect(undefined, server.endpoint.replace('https', 'http'));
    await expect(readKey(plain, '/a')).rejects.toMatchObject(unavailable);
  });
});
