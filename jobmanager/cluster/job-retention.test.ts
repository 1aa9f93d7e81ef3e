import { beforeEach, describe, expect, test } from 'vitest';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import type { TerminalJobState } from '../model/job-state.ts';
import type { JobRecord } from '../store/job-store.ts';
import { LocalJobStore } from '../store/local-job-store.ts';
import { type EndedJob, JobRemoval, jobsBeyond } from './job-retention.ts';

const object = (name: string) => ({ name, sha256: 'aa', bytes: 1 });

function recordOf(jobId: string, graph: string, artifact: string): JobRecord {
  return {
    jobId,
    name: jobId.split('-')[0] as string,
    graphRef: object(graph),
    artifactRef: object(artifact),
    graphHash: 'hash',
    restorableGraphHashes: [],
    workingDirectory: '/',
    engineVersion: '1',
    submittedAtMs: 1,
    idempotencyKey: jobId,
    restoreFrom: null,
  };
}

test('the jobs that ended first are beyond what is kept, and none that is not over', () => {
  const job = (jobId: string, terminal: TerminalJobState | null, endedAtMs: number | null): EndedJob => {
    return { record: { ...recordOf(jobId, 'g', 'a'), submittedAtMs: 15 }, terminal, endedAtMs };
  };
  const jobs = [
    job('runs-1', null, null),
    job('late-1', 'finished', 30),
    job('early-1', 'failed', 10),
    job('old-1', 'stopped', null),
    job('middle-1', 'canceled', 20),
  ];
  const beyond = (max: number) => jobsBeyond(jobs, max).map(({ record }) => record.jobId);
  expect(beyond(4)).toEqual([]);
  expect(beyond(2)).toEqual(['early-1', 'old-1']);
  expect(beyond(1)).toEqual(['early-1', 'old-1', 'middle-1']);
});

describe('a job that is forgotten', () => {
  let files: MemoryFileSystem;
  let objects: LocalDirectoryStore;
  let store: LocalJobStore;
  let removal: JobRemoval;
  const first = recordOf('a-1', 'submissions/g1.json', 'submissions/code.mjs');
  const second = recordOf('a-2', 'submissions/g2.json', 'submissions/code.mjs');

  beforeEach(async () => {
    files = new MemoryFileSystem();
    await files.makeDirectory('/state');
    objects = new LocalDirectoryStore('/state', files);
    store = new LocalJobStore({ directory: '/state', objects, files });
    removal = new JobRemoval({ store, objects });
    for (const name of ['g1.json', 'g2.json', 'g3.json', 'code.mjs'])
      await objects.put(`submissions/${name}`, Buffer.from(name));
    for (const { jobId } of [first, second]) {
      await objects.put(`${jobId}/state/file`, Buffer.from(jobId));
      await objects.put(`${jobId}/manifests/1-1.manifest`, Buffer.from(jobId));
    }
    await store.createJob(first);
    await store.createJob(second);
    await store.recordTerminal('a-1', { state: 'finished', error: null });
  });

  const names = async (): Promise<string[]> => {
    const found: string[] = [];
    for await (const { name } of objects.list('')) found.push(name);
    return found.filter((name) => name.includes('/state/') || /manifest$|submissions/.test(name)).sort();
  };

  test('takes its record, checkpoints and graphs along, and leaves what other jobs have', async () => {
    await store.writeGraph('a-1', object('submissions/g3.json'));
    expect(await removal.remove(first, [second])).toBe('removed');
    expect((await store.readJobs()).map(({ jobId }) => jobId)).toEqual(['a-2']);
    expect(await names()).toEqual([
      'a-2/manifests/1-1.manifest',
      'a-2/state/file',
      'submissions/code.mjs',
      'submissions/g2.json',
    ]);
    expect(await removal.remove(second, [])).toBe('removed');
    expect(await names()).toEqual([]);
  });

  test('leaves the graph that another job was rescaled to', async () => {
    const third = recordOf('a-3', 'submissions/g3.json', 'submissions/code.mjs');
    await store.createJob(third);
    expect(await removal.remove(third, [first, second])).toBe('removed');
    await store.writeGraph('a-2', object('submissions/g1.json'));
    removal.graphReplaced('a-2');
    expect(await removal.remove(first, [second])).toBe('removed');
    expect(await names()).toContain('submissions/g1.json');
  });

  test('is kept as it is while its pointer pins savepoints', async () => {
    const manifest = object('a-1/manifests/1-1.manifest');
    const retained = [{ checkpointId: 1, manifest }];
    const pointer = { checkpointId: 1, attempt: 1, leaderEpoch: 1, retained, pinned: retained };
    await store.compareAndSetPointer('a-1', null, pointer);
    const before = await names();
    expect(await removal.remove(first, [second])).toBe('kept');
    expect(await names()).toEqual(before);
    expect(await store.readJobs()).toHaveLength(2);
  });

  test('leaves the graph that a savepoint of another job was taken with, and everything when that job is damaged', async () => {
    const manifest = object('a-2/manifests/1-1.manifest');
    const retained = [{ checkpointId: 1, manifest }];
    const pointer = { checkpointId: 1, attempt: 1, leaderEpoch: 1, retained, pinned: retained };
    await store.compareAndSetPointer('a-2', null, pointer);
    const path = await store.writeSavepoint({
      jobId: 'a-2',
      jobName: 'a',
      graphHash: 'hash',
      graph: object('submissions/g1.json'),
      engineVersion: '1',
      checkpointId: 1,
      attempt: 1,
      createdAtMs: 1,
      maxParallelism: 128,
      manifest,
    });
    const third = recordOf('a-3', 'submissions/g3.json', 'submissions/code.mjs');
    await store.createJob(third);
    expect(await removal.remove(first, [second, third])).toBe('removed');
    expect(await names()).toContain('submissions/g1.json');
    await objects.delete(path);
    await objects.put(path, Buffer.from('damaged'));
    removal.graphReplaced('a-2');
    expect(await removal.remove(third, [second])).toBe('removed');
    expect(await names()).toContain('submissions/g3.json');
    expect((await store.readJobs()).map(({ jobId }) => jobId)).toEqual(['a-2']);
  });

  test('is still listed when its objects could not be removed, and can be forgotten then', async () => {
    files.fault = (operation) => (operation === 'remove' ? 'EIO' : null);
    await expect(removal.remove(first, [second])).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    files.fault = () => null;
    expect(await store.readJobs()).toHaveLength(2);
    expect(await removal.remove(first, [second])).toBe('removed');
  });
});
