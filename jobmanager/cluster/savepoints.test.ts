/** Over a real store in a directory; jobs as the leader's term has them. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { graphHash } from '../../core/graph/graph-hash.ts';
import type { JobGraph, OperatorNode } from '../../core/graph/job-graph.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { TerminalJobState } from '../model/job-state.ts';
import { LocalJobStore } from '../store/local-job-store.ts';
import type { ClusterJob } from './leader-term.ts';
import { Savepoints } from './savepoints.ts';

let directory: string;
let objects: LocalDirectoryStore;
let store: LocalJobStore;
let jobs: ClusterJob[];
let savepoints: Savepoints;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-savepoints-'));
  objects = new LocalDirectoryStore(directory);
  store = new LocalJobStore({ directory, objects });
  jobs = [];
  savepoints = new Savepoints({ term: { jobs, epoch: 9 }, store, objects });
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function graph(operators: readonly string[], change: { name?: string; maxParallelism?: number } = {}): JobGraph {
  const nodes = operators.map((id, index): OperatorNode => {
    const place = { upstreamIndex: index - 1, upstreamTag: null };
    return { id, kind: 'process', name: id, idExplicit: true, config: {}, stateful: true, ...place };
  });
  return {
    formatVersion: 1,
    name: change.name ?? 'orders',
    parameters: {},
    options: { maxParallelism: change.maxParallelism ?? 128 },
    vertices: [{ id: 'v', name: 'v', operators: nodes, parallelism: 1 }],
    edges: [],
  } as unknown as JobGraph;
}

const taken = graph(['count', 'sum']);

async function put(name: string, text: string): Promise<ObjectRef> {
  const bytes = Buffer.from(text);
  await objects.put(name, bytes);
  return { name, sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
}

/** A checkpoint of a job: its manifest, with these files. */
async function checkpoint(jobId: string, checkpointId: number, files: readonly ObjectRef[]): Promise<ObjectRef> {
  const entries = files.map((object) => {
    return { file: { object, rows: 1, keyGroupFirst: 0, keyGroupLast: 1 }, base: false, checkpointId };
  });
  const manifest: Manifest = {
    formatVersion: 1,
    jobName: 'orders',
    graphHash: graphHash(taken),
    attempt: 1,
    checkpointId,
    triggeredAtMs: 0,
    completedAtMs: 1,
    maxParallelism: 128,
    files: entries,
    finished: [],
    subtasks: [],
    vertexParallelism: { v: 1 },
  };
  return store.writeManifest(jobId, manifest);
}

interface Pointed {
  readonly retained: readonly ObjectRef[];
  readonly pinned: readonly ObjectRef[];
}

const idOf = (manifest: ObjectRef): number => Number(/-(\d+)\.manifest$/.exec(manifest.name)?.[1]);

async function point(jobId: string, { retained, pinned }: Pointed): Promise<void> {
  const entry = (manifest: ObjectRef) => ({ checkpointId: idOf(manifest), manifest });
  const pointer: CheckpointPointer = {
    checkpointId: Math.max(...retained.map(idOf)),
    attempt: 1,
    leaderEpoch: 1,
    retained: retained.map(entry),
    pinned: pinned.map(entry),
  };
  await store.advanceCounter(jobId, 'checkpoint');
  await store.compareAndSetPointer(jobId, null, pointer);
}

function ended(jobId: string, terminal: TerminalJobState = 'stopped'): void {
  jobs.push({ record: { jobId, name: 'orders' }, terminal, error: null, endedAtMs: 1, runner: null } as never);
}

/** A job of one savepoint, checkpoint 1 of files `a` and `b`, whose newest checkpoint 2 has `b` and `c`. */
async function jobWithSavepoint(): Promise<{ path: string; files: readonly ObjectRef[]; manifest: ObjectRef }> {
  const files = await Promise.all(['a', 'b', 'c'].map((name) => put(`one/state/${name}`, `rows of ${name}`)));
  const [a, b, c] = files as [ObjectRef, ObjectRef, ObjectRef];
  const manifest = await checkpoint('one', 1, [a, b]);
  await point('one', { retained: [await checkpoint('one', 2, [b, c])], pinned: [manifest] });
  ended('one');
  const origin = { jobId: 'one', jobName: 'orders', graphHash: graphHash(taken), engineVersion: '0.1.0' };
  const stored = await put('submissions/g.json', JSON.stringify(taken));
  const of = { checkpointId: 1, attempt: 1, createdAtMs: 1, maxParallelism: 128 };
  const path = await store.writeSavepoint({ ...origin, ...of, graph: stored, manifest });
  return { path, files, manifest };
}

const start = (path: string, job: JobGraph) => savepoints.start(path, job, graphHash(job));

test('a job starts from a savepoint of its own graph, and of one that has fewer operators', async () => {
  const { path, manifest } = await jobWithSavepoint();
  const restoreFrom = { jobId: 'one', checkpointId: 1, manifest };
  expect(await start(path, taken)).toEqual({ restoreFrom, graphHashes: [] });
  const more = graph(['count', 'sum', 'new']);
  expect(await start(path, more)).toEqual({ restoreFrom, graphHashes: [graphHash(taken)] });
});

test('a job that has lost state, has another name or another maxParallelism is refused', async () => {
  const { path } = await jobWithSavepoint();
  const refused = async (job: JobGraph, message: RegExp): Promise<void> => {
    await expect(start(path, job)).rejects.toMatchObject({
      code: 'SAVEPOINT_REFUSED',
      message: expect.stringMatching(message),
    });
  };
  await refused(graph(['count']), /sum: a process of this id is no longer in the job/);
  await refused(graph(['count', 'sum'], { name: 'other' }), /it is of job "orders", not of "other"/);
  await refused(graph(['count', 'sum'], { maxParallelism: 64 }), /maxParallelism 128, the job has 64/);
});

test('a document that no pointer pins is no savepoint', async () => {
  const { path, manifest } = await jobWithSavepoint();
  const document = { ...(await store.readSavepoint(path)), checkpointId: 7, manifest };
  const orphan = await store.writeSavepoint(document);
  await expect(start(orphan, taken)).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' });
});

test('disposing of a savepoint of a job that is over deletes what nothing else names, and no job starts from it then', async () => {
  const { path, files, manifest } = await jobWithSavepoint();
  const dispose = await savepoints.beginDisposal(path);
  await expect(start(path, taken)).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' });
  await dispose();
  const left = await store.listObjects('one');
  expect(left).not.toContain(files[0]?.name);
  expect(left).not.toContain(manifest.name);
  expect(left).not.toContain(path);
  expect(left).toEqual(expect.arrayContaining([files[1]?.name, files[2]?.name]));
  expect((await store.readPointer('one'))?.pinned).toEqual([]);
  await expect(savepoints.beginDisposal(path)).rejects.toMatchObject({ code: 'SAVEPOINT_NOT_FOUND' });
});

test('a savepoint on whose files another job or its savepoint rests is kept', async () => {
  const { path, files } = await jobWithSavepoint();
  const [a] = files as [ObjectRef];
  const own = await checkpoint('two', 1, [a]);
  await point('two', { retained: [own], pinned: [own] });
  ended('two', 'finished');
  await expect(savepoints.beginDisposal(path)).rejects.toMatchObject({
    code: 'SAVEPOINT_IN_USE',
    ids: { path, jobId: 'two' },
  });
  jobs.pop();
  const runner = { needs: (name: string) => name === a.name };
  jobs.push({
    record: { jobId: 'three', name: 'orders' },
    terminal: null,
    error: null,
    endedAtMs: null,
    runner,
  } as never);
  await expect(savepoints.beginDisposal(path)).rejects.toMatchObject({ ids: { path, jobId: 'three' } });
  expect(await start(path, taken)).toMatchObject({ graphHashes: [] });
});
