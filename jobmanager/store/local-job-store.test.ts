import { expect, test } from 'vitest';
import { jobDirectoryName } from '../../core/job-directory.ts';
import type { Manifest } from '../../proto/messages.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import { jobStoreContract } from './job-store-contract.test-support.ts';
import { LocalJobStore } from './local-job-store.ts';

const jobName = 'orders';

function open(files: MemoryFileSystem): LocalJobStore {
  return new LocalJobStore({ directory: '/state', objects: new LocalDirectoryStore('/state', files), files });
}

async function newFiles(): Promise<MemoryFileSystem> {
  const files = new MemoryFileSystem();
  await files.makeDirectory('/state');
  await files.syncDirectory('/');
  return files;
}

jobStoreContract('a local directory', async () => {
  const files = await newFiles();
  return { store: open(files), reopen: async () => open(files), leaderEpoch: 1 };
});

const pointerTo = (checkpointId: number): CheckpointPointer => {
  const manifest = { name: `orders/manifests/1-${checkpointId}.manifest`, sha256: 'aa', bytes: 1 };
  return { checkpointId, attempt: 1, leaderEpoch: 1, retained: [{ checkpointId, manifest }] };
};

test('a local job store sets the pointer only when it is the expected one', async () => {
  const store = open(await newFiles());
  expect(await store.readPointer(jobName)).toBeNull();
  expect(await store.compareAndSetPointer(jobName, 4, pointerTo(5))).toBe('conflict');
  expect(await store.compareAndSetPointer(jobName, null, pointerTo(5))).toBe('done');
  expect(await store.compareAndSetPointer(jobName, null, pointerTo(6))).toBe('conflict');
  expect(await store.compareAndSetPointer(jobName, 5, pointerTo(6))).toBe('done');
  expect(await store.readPointer(jobName)).toEqual(pointerTo(6));
});

test('a local job store never gives a counter value out twice when power fails at any file operation', async () => {
  for (let failAt = 0; failAt < 40; failAt++) {
    const files = await newFiles();
    const given: number[] = [];
    files.calls.length = 0;
    files.fault = (_operation, _path, index) => (index >= failAt ? 'EIO' : null);
    const first = open(files);
    for (let round = 0; round < 4; round++) {
      await first.advanceCounter(jobName, 'checkpoint').then(
        (value) => given.push(value),
        () => undefined,
      );
    }
    files.fault = () => null;
    files.crash();
    given.push(await open(files).advanceCounter(jobName, 'checkpoint'));
    expect([...new Set(given)].sort((a, b) => a - b)).toEqual(given);
  }
});

test('a local job store has the old or the new pointer when power fails at any file operation', async () => {
  for (let failAt = 0; failAt < 60; failAt++) {
    const files = await newFiles();
    const store = open(files);
    await store.compareAndSetPointer(jobName, null, pointerTo(1));
    const before = files.calls.length;
    files.fault = (_operation, _path, index) => (index >= before + failAt ? 'EIO' : null);
    const result = await store.compareAndSetPointer(jobName, 1, pointerTo(2)).catch(() => 'unknown');
    files.fault = () => null;
    files.crash();
    const found = (await open(files).readPointer(jobName))?.checkpointId;
    if (result === 'done') expect(found).toBe(2);
    else expect([1, 2]).toContain(found);
  }
});

test('a local job store refuses a changed, cut or missing pointer', async () => {
  const files = await newFiles();
  await open(files).compareAndSetPointer(jobName, null, pointerTo(1));
  const path = '/state/orders/pointer';
  const bytes = files.contents(path) as Uint8Array;
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = (bytes[index] ?? 0) ^ 1;
    await expect(open(files).readPointer(jobName)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
    bytes[index] = (bytes[index] ?? 0) ^ 1;
  }
  expect(await open(files).readPointer(jobName)).toEqual(pointerTo(1));
  await files.remove(path);
  await expect(open(files).readPointer(jobName)).rejects.toThrowError(/missing, but job "orders" had completed/);
});

test('a local job store reads a manifest back and refuses a damaged one', async () => {
  const files = await newFiles();
  const store = open(files);
  const manifest: Manifest = {
    formatVersion: 1,
    jobName,
    graphHash: 'h',
    attempt: 1,
    checkpointId: 3,
    triggeredAtMs: 1,
    completedAtMs: 2,
    maxParallelism: 128,
    files: [],
    finished: [],
    subtasks: [],
    vertexParallelism: { v: 1 },
  };
  const object = await store.writeManifest(manifest.jobName, manifest);
  expect(await store.readManifest(object)).toEqual(manifest);
  const bytes = files.contents(`/state/${object.name}`) as Uint8Array;
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  await expect(store.readManifest(object)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
});

test('a local job store keeps the terminal state until it is cleared', async () => {
  const store = open(await newFiles());
  await store.recordTerminal(jobName, { state: 'stopped', error: null });
  expect(await store.readTerminal(jobName)).toEqual({ state: 'stopped', error: null });
  await store.clearTerminal(jobName);
  await store.clearTerminal(jobName);
  expect(await store.readTerminal(jobName)).toBeNull();
});

test('a job name becomes one plain path segment', () => {
  expect(jobDirectoryName('../x/.y')).toBe('%2E%2E%2Fx%2F%2Ey');
});
