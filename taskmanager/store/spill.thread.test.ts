/** Evicted changes with the real state host and store threads, run from `dist/` (build first). */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, expect, test } from 'vitest';
import { RowBlockWriter } from '../../runtime/checkpoint/row-block.ts';
import { createReduceOperator } from '../../runtime/operators/reduce.ts';
import type { RestoredRow } from '../../runtime/operators/operator.ts';
import type { StoredObject } from '../../storage/object-store.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { OperatorHarness } from '../../testing/operator-harness.ts';
import { hostBackend } from '../state-host/host-backend.ts';
import { startStateHost } from '../state-host/state-host-client.ts';
import { SlotStoreClient } from './slot-store-client.ts';
import { forEachRowOfFile } from './state-file.ts';
import { startStoreThread, type CheckpointWritten, type StoreThread } from './store-client.ts';

const attempt = { jobName: 'job', attempt: 1 };
const cachedRowsMax = 1_000;
const keyCount = 300_000;
const batchSize = 1_000;
/** Far below what the rows take: kept encoded in blocks they are 14 MB. Measured: 2 MB. */
const keptBytesMax = 8_000_000;

interface Reading {
  readonly key: string;
  readonly value: number;
}

const operator = {
  create: createReduceOperator,
  functions: {
    kind: 'reduce',
    keyOf: ((reading: Reading) => reading.key) as never,
    reduce: ((left: Reading, right: Reading) => ({ key: left.key, value: left.value + right.value })) as never,
  },
} as const;

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function startSlot(): Promise<{
  directory: string;
  thread: StoreThread;
  client: SlotStoreClient;
  harness: OperatorHarness<'reduce'>;
}> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-spill-'));
  ends.push(() => rm(directory, { recursive: true, force: true }));
  const thread = await startStoreThread({ storage: { kind: 'directory', directory }, taskManagerId: 'tm' });
  ends.push(() => thread.stop());
  const host = await startStateHost();
  ends.push(() => host.stop());
  const client = new SlotStoreClient(thread.attachSlot(attempt, 0));
  client.onClosed = () => undefined;
  ends.push(async () => client.close());
  const { port, shared } = host.attachSlot({ ...attempt, slotIndex: 0 });
  const backend = hostBackend(port, shared, { cachedRowsMax, spill: client });
  ends.push(() => backend.close());
  const harness = await OperatorHarness.open({ ...operator, backend });
  return { directory, thread, client, harness };
}

async function addOne(harness: OperatorHarness<'reduce'>, from: number, to: number, dropOutputs = true): Promise<void> {
  for (let start = from; start < to; start += batchSize) {
    const records = Array.from({ length: Math.min(batchSize, to - start) }, (_, index) => {
      return { value: { key: `key ${start + index}`, value: 1 } };
    });
    await harness.process(...records);
    if (dropOutputs) harness.outputs.length = 0;
  }
}

async function checkpoint(
  thread: StoreThread,
  client: SlotStoreClient,
  harness: OperatorHarness<'reduce'>,
  checkpointId: number,
): Promise<CheckpointWritten> {
  const written = new Promise<CheckpointWritten>((resolve, reject) => {
    thread.onWritten((message) => message.checkpointId === checkpointId && resolve(message));
    thread.onFailed((failed) => failed.checkpointId === checkpointId && reject(failed.error));
  });
  thread.beginCheckpoint(attempt, checkpointId, [0]);
  const writer = new RowBlockWriter((block) => client.sendBlock(checkpointId, block));
  const task = harness.freeze(checkpointId);
  while (task?.encode(writer, Number.POSITIVE_INFINITY) === false);
  writer.flush();
  client.slotDone(checkpointId, []);
  return written;
}

/** Restores the file and adds one to keys that were counted twice, once and once. */
async function sumsAfterRestore(store: LocalDirectoryStore, object: StoredObject): Promise<number[]> {
  const restore: RestoredRow[] = [];
  await forEachRowOfFile(store, object, ({ stateName }, keyGroup, key, value) => {
    restore.push({ stateName, keyGroup, key: key.slice(), value: value?.slice() ?? null });
  });
  const harness = await OperatorHarness.open({ ...operator, restore });
  for (const number of [4_999, 5_000, keyCount - 1]) await addOne(harness, number, number + 1, false);
  return (harness.values as Reading[]).map(({ value }) => value);
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/**
 * Memory of this thread alone, least of some turns: array buffers are freed in the background. What is on its way to the two
 * threads is bounded by its credit and counts until they have it, so they are asked for an answer first.
 */
async function usedBytes(harness: OperatorHarness<'reduce'>, client: SlotStoreClient): Promise<number> {
  const row = { operatorId: 'none', stateName: 'none', keyGroup: 0, key: new Uint8Array(1) };
  await harness.backend.fetch([row]);
  await client.restore([], [], () => undefined);
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 10; turn++) {
    collectGarbage();
    await new Promise<void>((resolve) => setImmediate(resolve));
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

test('a slot keeps its cache and nothing per evicted row, with and without a completed checkpoint', async () => {
  const { directory, thread, client, harness } = await startSlot();
  await addOne(harness, 0, 10_000);
  const before = await usedBytes(harness, client);
  await addOne(harness, 10_000, keyCount);
  expect((await usedBytes(harness, client)) - before).toBeLessThan(keptBytesMax);
  // Some keys once more: their rows are in the checkpoint twice, and the later counts.
  await addOne(harness, 0, 5_000);
  const { file } = await checkpoint(thread, client, harness, 1);
  if (file === null) throw new Error('the checkpoint has rows');
  expect(file.rows).toBeGreaterThan(keyCount);
  const base = await thread.merge(attempt, 1, [file.object]);
  expect(base.rows).toBe(keyCount);
  harness.operator.checkpointCompleted(1);
  await addOne(harness, 0, 20_000);
  expect((await usedBytes(harness, client)) - before).toBeLessThan(keptBytesMax);
  // Files of evicted rows have no name.
  expect(await readdir(directory)).toEqual(['job']);
  expect(await sumsAfterRestore(new LocalDirectoryStore(directory), file.object)).toEqual([3, 2, 2]);
}, 60_000);
