/** Nothing kept in state may hold the batch it was cut from: heap per kept record is bounded. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { memoryBackend } from './backend.ts';
import { ChangeLedger } from './change-ledger.ts';
import { MapTable } from './map-table.ts';
import { ObjectTable } from './object-table.ts';
import type { TableOwner } from './row-table.ts';

const recordCount = 400;
const batchChars = 100_000;
const keptBytesMax = 4_000;

function owner(): TableOwner {
  const ledger = new ChangeLedger('operator');
  return {
    operatorId: 'operator',
    maxParallelism: 4,
    keyGroups: { first: 0, last: 3 },
    backend: memoryBackend,
    ledger,
  };
}

/** A slice of a large text of its own, as a decoded string is a slice of its batch. */
function sliceOfBatch(index: number): string {
  const batch = Buffer.alloc(batchChars, `record ${index} of a batch; `).toString('latin1');
  return batch.slice(0, 60);
}

const bytesOfBatch = (): Uint8Array => new Uint8Array(new ArrayBuffer(batchChars), 10, 20);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Least memory in use over some turns: array buffers are freed in the background, so one look says too much. */
async function usedBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 10; turn++) {
    collectGarbage();
    await new Promise<void>((resolve) => setImmediate(resolve));
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

async function keptBytesPerRecord(keep: (index: number) => void): Promise<number> {
  const before = await usedBytes();
  for (let index = 0; index < recordCount; index++) keep(index);
  return ((await usedBytes()) - before) / recordCount;
}

test('a value keeps none of the batch it came from when it enters value state', async () => {
  const table = new ObjectTable(owner(), 'state');
  const kept = await keptBytesPerRecord((index) =>
    table.set(index, { text: sliceOfBatch(index), parts: [sliceOfBatch(index)], bytes: bytesOfBatch() }),
  );
  expect(kept).toBeLessThan(keptBytesMax);
  expect(table.get(7)).toMatchObject({ text: expect.stringContaining('record 7') });
});

test('a key keeps none of the batch it came from when it enters a table', async () => {
  const table = new ObjectTable(owner(), 'state');
  const kept = await keptBytesPerRecord((index) => table.set(sliceOfBatch(index), 1));
  expect(kept).toBeLessThan(keptBytesMax);
  expect(table.usedCount).toBe(recordCount);
});

test('an entry keeps none of the batch it came from when it enters map state, inline or a row', async () => {
  const table = new MapTable(owner(), 'state');
  const kept = await keptBytesPerRecord((index) =>
    table.set(index < 200 ? index % 2 : index, sliceOfBatch(index), sliceOfBatch(index)),
  );
  expect(kept).toBeLessThan(keptBytesMax);
  expect([...table.entries(0)].length).toBeGreaterThan(64);
});
