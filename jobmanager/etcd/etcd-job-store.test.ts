import { expect, test } from 'vitest';
import { EngineError } from '../../core/errors.ts';
import { ModelEtcd } from '../../testing/simulator/model-etcd.ts';
import { ClusterMarker } from '../store/cluster-marker.ts';
import { jobId, jobStoreContract, pointerTo, recordOf } from '../store/job-store-contract.test-support.ts';
import { jobKeyOf, recordKeyOf } from './etcd-keys.ts';
import { EtcdTerm } from './etcd-job-store.test-support.ts';
import { openCluster } from './open-cluster.ts';

jobStoreContract('etcd (its model)', async () => {
  const term = await EtcdTerm.start(new ModelEtcd());
  return { store: term.store(), reopen: async () => term.store(), leaderEpoch: term.leaderEpoch };
});

const lost = (): EngineError => new EngineError('CLUSTER_UNAVAILABLE', 'the answer was lost', { domain: 'external' });

test('a leader that was replaced changes nothing, whatever it tries', async () => {
  const etcd = new ModelEtcd();
  const term = await EtcdTerm.start(etcd);
  const old = term.store();
  const oldEpoch = term.leaderEpoch;
  await old.createJob(recordOf(jobId));
  await old.compareAndSetPointer(jobId, null, pointerTo(1, oldEpoch));
  await term.nextLeader();
  const before = etcd.model.revision;
  expect(await old.compareAndSetPointer(jobId, 1, pointerTo(2, oldEpoch))).toBe('conflict');
  expect(await old.recordTerminal(jobId, { state: 'failed', error: null }, oldEpoch)).toBe('conflict');
  await expect(old.createJob(recordOf('b.00000000'))).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  await expect(old.createJob(recordOf(jobId))).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  await expect(old.removeJob(jobId)).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  await expect(old.advanceCounter(jobId, 'checkpoint')).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  await expect(old.clearTerminal(jobId)).rejects.toMatchObject({ code: 'STALE_EPOCH' });
  expect(etcd.model.revision).toBe(before);
  expect(await term.store().readPointer(jobId)).toEqual(pointerTo(1, oldEpoch));
});

test('a write whose answer is lost rejects, and reading back tells that it happened', async () => {
  const etcd = new ModelEtcd();
  const term = await EtcdTerm.start(etcd);
  const store = term.store();
  const losing = async (operate: () => Promise<unknown>): Promise<void> => {
    etcd.fault = (moment, { apply }) => {
      if (moment === 'after' && apply.some(({ kind }) => kind === 'put')) throw lost();
    };
    await expect(operate()).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' });
    etcd.fault = () => undefined;
  };
  await losing(() => store.createJob(recordOf(jobId)));
  expect(await store.createJob(recordOf(jobId))).toBe('done');
  await losing(() => store.compareAndSetPointer(jobId, null, pointerTo(1, term.leaderEpoch)));
  expect(await store.readPointer(jobId)).toEqual(pointerTo(1, term.leaderEpoch));
  await losing(() => store.advanceCounter(jobId, 'checkpoint'));
  expect(await store.advanceCounter(jobId, 'checkpoint')).toBe(2);
});

test('an etcd that knows fewer checkpoints of a job than its storage is refused', async () => {
  const term = await EtcdTerm.start(new ModelEtcd());
  const manifest = { name: 'orders%2E0123abcd/manifests/1-7.manifest', bytes: Buffer.from('seventh') };
  await term.objects.put(manifest.name, manifest.bytes);
  for (let count = 0; count < 6; count++) await term.store().advanceCounter(jobId, 'checkpoint');
  await expect(term.store().readPointer(jobId)).rejects.toThrowError(
    /up to checkpoint 6, but .* checkpoint 7.*older backup/,
  );
  await term.store().advanceCounter(jobId, 'checkpoint');
  expect(await term.store().readPointer(jobId)).toBeNull();
});

test('a pointer that was deleted by hand, or is not what was written, stops the job loudly', async () => {
  const term = await EtcdTerm.start(new ModelEtcd());
  await term.store().compareAndSetPointer(jobId, null, pointerTo(1, term.leaderEpoch));
  const key = jobKeyOf(term.prefix, jobId, 'pointer');
  await term.etcd.transact({ when: [], apply: [{ kind: 'put', key, value: '{"checkpo' }], otherwise: [] });
  await expect(term.store().readPointer(jobId)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
  await term.etcd.transact({ when: [], apply: [{ kind: 'delete', key }], otherwise: [] });
  await expect(term.store().readPointer(jobId)).rejects.toThrowError(/missing in etcd, but job .* had completed/);
});

test('more records than one page holds are all read', async () => {
  const term = await EtcdTerm.start(new ModelEtcd());
  const store = term.store();
  const ids = Array.from({ length: 401 }, (_, index) => `job.${String(index).padStart(8, '0')}`);
  for (const id of ids) await store.createJob(recordOf(id));
  expect((await store.readJobs()).map((record) => record.jobId)).toEqual(ids);
  expect(recordKeyOf(term.prefix, ids[0] as string)).toBe(`${term.prefix}/records/job%2E00000000`);
});

test('a cluster keeps its id, and a storage that saw a later revision or another cluster is refused', async () => {
  const term = await EtcdTerm.start(new ModelEtcd());
  const marker = new ClusterMarker(term.objects);
  const { etcd, prefix } = term;
  const open = (newClusterId: string): Promise<string> =>
    openCluster({ etcd, prefix, leaderEpoch: term.leaderEpoch, marker, newClusterId });
  expect(await open('first')).toBe('first');
  await term.nextLeader();
  expect(await open('second')).toBe('first');

  const restored = await EtcdTerm.start(new ModelEtcd());
  const older = { etcd: restored.etcd, prefix: restored.prefix, leaderEpoch: restored.leaderEpoch, marker };
  await expect(openCluster({ ...older, newClusterId: 'third' })).rejects.toThrowError(/etcd knows nothing of it/);
  const key = `${restored.prefix}/cluster`;
  const put = (value: string) =>
    restored.etcd.transact({ when: [], apply: [{ kind: 'put', key, value }], otherwise: [] });
  await put('first');
  await marker.note('first', 1_000);
  await expect(openCluster({ ...older, newClusterId: 'x' })).rejects.toThrowError(
    /revision 1000, but etcd is at revision \d+/,
  );
  await put('stranger');
  await expect(openCluster({ ...older, newClusterId: 'x' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('a leader that was replaced does not make the cluster', async () => {
  const term = await EtcdTerm.start(new ModelEtcd());
  const { etcd, prefix, leaderEpoch } = term;
  await term.nextLeader();
  const options = { etcd, prefix, leaderEpoch, marker: new ClusterMarker(term.objects), newClusterId: 'mine' };
  await expect(openCluster(options)).rejects.toMatchObject({ code: 'STALE_EPOCH' });
});
