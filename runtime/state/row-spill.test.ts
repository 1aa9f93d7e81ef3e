import { expect, test } from 'vitest';
import { CheckpointImage, OperatorHarness } from '../../testing/operator-harness.ts';
import { createReduceOperator } from '../operators/reduce.ts';
import type { StateBackend } from './backend.ts';
import { createColdTestBackend, MemorySpill } from './cold-test-backend.ts';

/** A spill that a test can fill up. */
class FullSpill extends MemorySpill {
  full = false;
  #waiting: (() => void)[] = [];

  override get hasRoom(): boolean {
    return !this.full;
  }

  override whenRoom(callback: () => void): void {
    this.#waiting.push(callback);
  }

  empty(): void {
    this.full = false;
    for (const callback of this.#waiting.splice(0)) callback();
  }
}

function openReduce(spill: MemorySpill): Promise<OperatorHarness<'reduce'>> {
  const cold = createColdTestBackend(2);
  const backend: StateBackend = {
    resident: false,
    cachedRowsMax: 2,
    spill,
    fetch: (rows) => cold.fetch(rows),
    readBlocking: (row) => cold.readBlocking(row),
    scanBlocking: (prefix) => cold.scanBlocking(prefix),
    write: (rows) => cold.write(rows),
    close: () => cold.close(),
  };
  return OperatorHarness.open({
    create: createReduceOperator,
    functions: {
      kind: 'reduce',
      keyOf: ((value: string) => value) as never,
      reduce: ((left: string) => left) as never,
    },
    backend,
  });
}

const recordsOf = (text: string): { value: string }[] => [...text].map((value) => ({ value }));

test('records wait while the spill has no room and go on when it has', async () => {
  const spill = new FullSpill();
  const harness = await openReduce(spill);
  await harness.process(...recordsOf('ab'));
  spill.full = true;
  const processed = harness.process(...recordsOf('cd'));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(harness.values).toEqual(['a', 'b']);
  spill.empty();
  await processed;
  expect(harness.values).toEqual(['a', 'b', 'c', 'd']);
});

test('spilled rows are in every checkpoint until one with them is complete, and then dropped', async () => {
  const spill = new MemorySpill();
  const harness = await openReduce(spill);
  await harness.process(...recordsOf('abcdef'));
  const imageOf = (rows: ReturnType<typeof harness.encode>): number => {
    const image = new CheckpointImage({ mayRepeat: true });
    image.apply(rows);
    return image.rows.length;
  };
  expect(imageOf(harness.encode(harness.freeze(1)))).toBe(6);
  harness.operator.checkpointAborted(1);
  await harness.process(...recordsOf('gh'));
  expect(imageOf(harness.encode(harness.freeze(2)))).toBe(8);
  expect(spill.blockCount).toBeGreaterThan(0);
  harness.operator.checkpointCompleted(2);
  expect(spill.blockCount).toBe(0);
  expect(harness.encode(harness.freeze(3))).toEqual([]);
});
