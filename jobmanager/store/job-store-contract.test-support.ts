/** What every job store must do. Each implementation runs this suite from its own test file. */
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../../proto/messages.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { JobRecord, JobStore } from './job-store.ts';

export const jobId = 'orders.0123abcd';

export const pointerTo = (checkpointId: number, leaderEpoch = 1): CheckpointPointer => {
  const manifest = { name: `orders%2E0123abcd/manifests/1-${checkpointId}.manifest`, sha256: 'aa', bytes: 1 };
  return { checkpointId, attempt: 1, leaderEpoch, retained: [{ checkpointId, manifest }] };
};

export const recordOf = (id: string, change: Partial<JobRecord> = {}): JobRecord => ({
  jobId: id,
  name: 'orders',
  graphRef: { name: 'graph', sha256: 'aa', bytes: 1 },
  artifactRef: { name: 'artifact', sha256: 'bb', bytes: 2 },
  graphHash: 'hash',
  restorableGraphHashes: ['older'],
  workingDirectory: '/home/ünï',
  engineVersion: '0.1.0',
  submittedAtMs: 1_000,
  idempotencyKey: 'key',
  restoreFrom: null,
  ...change,
});

const manifestOf = (checkpointId: number): Manifest => ({
  formatVersion: 1,
  jobName: 'orders',
  graphHash: 'h',
  attempt: 1,
  checkpointId,
  triggeredAtMs: 1,
  completedAtMs: 2,
  maxParallelism: 128,
  files: [],
  finished: [],
  subtasks: [],
  vertexParallelism: { v: 1 },
});

export interface JobStoreUnderTest {
  readonly store: JobStore;
  /** Another store object on the same data, as after a restart of the process. */
  reopen(): Promise<JobStore>;
  readonly leaderEpoch: number;
}

/** @param make a new, empty store */
export function jobStoreContract(kind: string, make: () => Promise<JobStoreUnderTest>): void {
  describe(`${kind} as a job store`, () => {
    test('the pointer is set only when it is the expected one', async () => {
      const { store, reopen, leaderEpoch } = await make();
      const to = (checkpointId: number): CheckpointPointer => pointerTo(checkpointId, leaderEpoch);
      expect(await store.readPointer(jobId)).toBeNull();
      expect(await store.compareAndSetPointer(jobId, 4, to(5))).toBe('conflict');
      expect(await store.readPointer(jobId)).toBeNull();
      expect(await store.compareAndSetPointer(jobId, null, to(5))).toBe('done');
      expect(await store.compareAndSetPointer(jobId, null, to(6))).toBe('conflict');
      expect(await store.compareAndSetPointer(jobId, 5, to(6))).toBe('done');
      expect(await store.compareAndSetPointer(jobId, 5, to(7))).toBe('conflict');
      expect(await store.readPointer(jobId)).toEqual(to(6));
      expect(await (await reopen()).readPointer(jobId)).toEqual(to(6));
    });

    test('counters count by themselves, for each job and over restarts, and the pointer leaves them alone', async () => {
      const { store, reopen, leaderEpoch } = await make();
      expect(await store.advanceCounter(jobId, 'checkpoint')).toBe(1);
      expect(await store.advanceCounter(jobId, 'checkpoint')).toBe(2);
      expect(await store.advanceCounter(jobId, 'attempt')).toBe(1);
      expect(await store.advanceCounter('other.00000000', 'checkpoint')).toBe(1);
      await store.compareAndSetPointer(jobId, null, pointerTo(2, leaderEpoch));
      const later = await reopen();
      expect(await later.advanceCounter(jobId, 'checkpoint')).toBe(3);
      expect(await later.advanceCounter(jobId, 'attempt')).toBe(2);
    });

    test('counters asked for at the same time are never given out twice', async () => {
      const { store } = await make();
      const given = await Promise.all([1, 2, 3].map(() => store.advanceCounter(jobId, 'attempt')));
      expect([...given].sort()).toEqual([1, 2, 3]);
    });

    test('a manifest is read back, listed, and refused when it is not what was stored', async () => {
      const { store } = await make();
      const object = await store.writeManifest(jobId, manifestOf(3));
      expect(await store.readManifest(object)).toEqual(manifestOf(3));
      expect(await store.listObjects(jobId)).toEqual([object.name]);
      const wrong = { ...object, sha256: '0'.repeat(64) };
      await expect(store.readManifest(wrong)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
      await store.deleteObjects([object.name, object.name]);
      expect(await store.listObjects(jobId)).toEqual([]);
    });

    test('the document of a savepoint is read back by its path, stored once, and listed', async () => {
      const { store, reopen } = await make();
      const manifest = await store.writeManifest(jobId, manifestOf(3));
      const graph = { name: 'graph', sha256: 'aa', bytes: 1 };
      const origin = { jobId, jobName: 'orders', graphHash: 'h', graph, engineVersion: '0.1.0', maxParallelism: 128 };
      const document = { ...origin, checkpointId: 3, attempt: 1, createdAtMs: 5, manifest };
      const path = await store.writeSavepoint(document);
      expect(await store.writeSavepoint(document)).toBe(path);
      expect(await (await reopen()).readSavepoint(path)).toEqual(document);
      await expect(store.writeSavepoint({ ...document, graphHash: 'other' })).rejects.toThrow(/something else/);
      expect((await store.listObjects(jobId)).sort()).toEqual([manifest.name, path].sort());
      await store.deleteObjects([path]);
      await expect(store.readSavepoint(path)).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' });
      for (const wrong of ['', '../pointer', `${path}/x`, '/etc/passwd'])
        await expect(store.readSavepoint(wrong)).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' });
    });

    test('counters are raised above those of a savepoint, and never lowered', async () => {
      const { store, reopen } = await make();
      await store.raiseCounters(jobId, { attempt: 4, checkpoint: 17 });
      await store.raiseCounters(jobId, { attempt: 2, checkpoint: 3 });
      const later = await reopen();
      expect([await later.advanceCounter(jobId, 'attempt'), await later.advanceCounter(jobId, 'checkpoint')]).toEqual([
        5, 18,
      ]);
      expect(await later.readPointer(jobId)).toBeNull();
    });

    test('how a job ended is kept until it is cleared', async () => {
      const { store, reopen, leaderEpoch } = await make();
      expect(await store.readTerminal(jobId)).toBeNull();
      expect(await store.recordTerminal(jobId, { state: 'stopped', error: null }, leaderEpoch)).toBe('done');
      expect(await (await reopen()).readTerminal(jobId)).toEqual({ state: 'stopped', error: null });
      await store.clearTerminal(jobId);
      await store.clearTerminal(jobId);
      expect(await store.readTerminal(jobId)).toBeNull();
    });

    test('jobs are stored once, read in the order of their submission, and forgotten when removed', async () => {
      const { store, reopen, leaderEpoch } = await make();
      expect(await store.readJobs()).toEqual([]);
      const later = recordOf('a.00000002', { submittedAtMs: 2_000 });
      const earlier = recordOf('b.00000001');
      expect(await store.createJob(later)).toBe('done');
      expect(await store.createJob(earlier)).toBe('done');
      expect(await store.createJob(earlier)).toBe('done');
      expect(await store.createJob({ ...earlier, graphHash: 'another' })).toBe('conflict');
      await store.advanceCounter(earlier.jobId, 'attempt');
      await store.compareAndSetPointer(earlier.jobId, null, pointerTo(1, leaderEpoch));
      await store.recordTerminal(earlier.jobId, { state: 'finished', error: null }, leaderEpoch);
      const reopened = await reopen();
      expect(await reopened.readJobs()).toEqual([earlier, later]);
      await reopened.removeJob(earlier.jobId);
      await reopened.removeJob(earlier.jobId);
      expect(await reopened.readJobs()).toEqual([later]);
      expect(await reopened.readPointer(earlier.jobId)).toBeNull();
      expect(await reopened.readTerminal(earlier.jobId)).toBeNull();
    });

    test('a job whose name could mean a path is stored like any other', async () => {
      const { store } = await make();
      const odd = recordOf('../ü x/.00000000');
      expect(await store.createJob(odd)).toBe('done');
      expect(await store.readJobs()).toEqual([odd]);
      expect(await store.advanceCounter(odd.jobId, 'attempt')).toBe(1);
    });
  });
}
