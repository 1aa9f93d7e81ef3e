import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { collectObjectNames } from '../../storage/object-store-samples.test-support.ts';
import { blocksOf, rowsOfFile, sampleRows, type SampleRow } from './state-file-samples.test-support.ts';
import type { StateFile } from './state-file.ts';
import type { StoreToMain, StoreToSlot } from './store-messages.ts';
import { StoreService } from './store-service.ts';

const attempt = { jobName: 'job', attempt: 1 };

/** A service over a file system that a test can make fail, with two slots, and everything it said. */
class World {
  readonly files = new MemoryFileSystem();
  readonly store = new LocalDirectoryStore('/state', this.files);
  readonly said: StoreToMain[] = [];
  readonly saidToSlots: StoreToSlot[] = [];
  bytesSent = 0;
  #names = 0;
  readonly service = new StoreService({
    store: this.store,
    openScratch: () => this.store.createScratch(),
    taskManagerId: 'tm',
    post: (message) => this.said.push(message),
    uniqueName: () => String(this.#names++),
  });

  constructor() {
    this.files.pause = () => turns(1);
    for (const slotIndex of [0, 1]) {
      const port = { post: (message: StoreToSlot) => this.saidToSlots.push(message), close: () => undefined };
      this.service.attachSlot({ ...attempt, slotIndex }, port);
    }
  }

  send(slotIndex: number, checkpointId: number, rows: readonly SampleRow[]): void {
    for (const block of blocksOf(rows)) {
      this.bytesSent += block.bytes.length;
      this.service.onSlotMessage({ ...attempt, slotIndex }, { kind: 'block', checkpointId, block });
    }
  }

  done(slotIndex: number, checkpointId: number): void {
    this.service.onSlotMessage({ ...attempt, slotIndex }, { kind: 'slotDone', checkpointId, subtasks: [] });
  }

  get bytesCredited(): number {
    return this.saidToSlots.reduce((sum, message) => sum + (message.kind === 'credit' ? message.bytes : 0), 0);
  }

  writtenFile(checkpointId: number): StateFile | null | undefined {
    const written = this.said.find((message) => message.kind === 'written' && message.checkpointId === checkpointId);
    return written?.kind === 'written' ? written.file : undefined;
  }

  reportsOf(checkpointId: number): string[] {
    return this.said.flatMap((message) =>
      'checkpointId' in message && message.checkpointId === checkpointId ? [message.kind] : [],
    );
  }
}

/** Lets the service run: a turn of the event loop is enough for some steps of a write, never for all. */
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
};

interface CheckpointPlan {
  readonly left: SampleRow[];
  readonly right: SampleRow[];
  /** This operation of the file system fails once. */
  readonly fault: string | null;
  readonly abort: 'never' | 'between' | 'late';
  readonly turns: number;
}

const plan: fc.Arbitrary<CheckpointPlan> = fc.record({
  left: sampleRows,
  right: sampleRows,
  fault: fc.constantFrom(null, null, 'create', 'append', 'sync', 'rename', 'syncDirectory'),
  abort: fc.constantFrom('never', 'never', 'between', 'late'),
  turns: fc.nat(12),
});

async function runCheckpoint(
  world: World,
  checkpointId: number,
  { left, right, fault, abort, turns: pause }: CheckpointPlan,
): Promise<void> {
  let faultsLeft = fault === null ? 0 : 1;
  world.files.fault = (operation) => (operation === fault && faultsLeft-- > 0 ? 'EIO' : null);
  const abortNow = (): void => world.service.onMainMessage({ kind: 'abortCheckpoint', attempt, checkpointId });
  world.service.onMainMessage({ kind: 'beginCheckpoint', attempt, checkpointId, slotIndexes: [0, 1] });
  world.send(0, checkpointId, left);
  await turns(pause);
  if (abort === 'between') abortNow();
  world.done(0, checkpointId);
  world.send(1, checkpointId, right);
  world.done(1, checkpointId);
  await turns(pause);
  if (abort === 'late') abortNow();
}

test('whatever fails or is aborted, reported files hold their rows, nothing else is left, and every credit comes back', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(plan, { minLength: 1, maxLength: 4 }), async (plans) => {
      const world = new World();
      for (const [index, each] of plans.entries()) await runCheckpoint(world, index + 1, each);
      await turns(100);
      expect(world.bytesCredited).toBe(world.bytesSent);
      await world.service.stop();
      const reported: string[] = [];
      for (const [index, { left, right, abort }] of plans.entries()) {
        const reports = world.reportsOf(index + 1);
        expect(reports.length).toBeLessThanOrEqual(1);
        if (abort === 'never') expect(reports).toHaveLength(1);
        const file = world.writtenFile(index + 1);
        if (file === null) expect(left.length + right.length).toBe(0);
        if (file === null || file === undefined) continue;
        reported.push(file.object.name);
        const rows = await rowsOfFile(world.store, file.object);
        expect(rows.map((row) => JSON.stringify(row)).sort()).toEqual(
          [...left, ...right].map((row) => JSON.stringify(row)).sort(),
        );
      }
      expect(await collectObjectNames(world.store, '')).toEqual(reported.sort());
      expect(world.files.paths).toHaveLength(reported.length);
      expect(world.files.openFileCount).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test('a restore stops sending when the slot gives no credit back, and ends when the slot is gone', async () => {
  const world = new World();
  const rows = Array.from({ length: 40 }, (_, index): SampleRow => {
    return { operatorId: 'count', stateName: 'rows', keyGroup: index, key: `${index}`, value: 'v'.repeat(1024 * 1024) };
  });
  await runCheckpoint(world, 1, { left: rows, right: [], fault: null, abort: 'never', turns: 100 });
  const file = world.writtenFile(1);
  if (file === null || file === undefined) throw new Error('the checkpoint was written');
  const slot = { ...attempt, slotIndex: 0 };
  const wanted = [{ operatorId: 'count', keyGroups: [{ first: 0, last: 127 }] }];
  world.service.onSlotMessage(slot, { kind: 'restore', restoreId: 1, files: [file], wanted });
  await turns(200);
  const restored = (): number => world.saidToSlots.filter((message) => message.kind === 'restoreBlock').length;
  expect(restored()).toBe(16);
  world.service.onSlotMessage(slot, { kind: 'restoreCredit', restoreId: 1, bytes: 3 * 1024 * 1024 });
  await turns(50);
  expect(restored()).toBe(19);
  world.service.slotClosed(slot);
  await world.service.stop();
  expect(world.files.openFileCount).toBe(0);
  expect(restored()).toBe(19);
});

test('credit of spilled rows comes back when they are in a file, and the slot hears when they are lost', async () => {
  const world = new World();
  const slot = { ...attempt, slotIndex: 0 };
  const row = { operatorId: 'count', stateName: 'rows', keyGroup: 1, key: 'a', value: '1' };
  const [block] = blocksOf([row]);
  if (block === undefined) throw new Error('there is a row');
  const spill = (): void => world.service.onSlotMessage(slot, { kind: 'spill', owner: 1, epoch: 1, block });
  spill();
  await turns(20);
  expect(world.saidToSlots).toEqual([{ kind: 'credit', bytes: block.bytes.length }]);
  world.files.fault = (operation) => (operation === 'append' ? 'ENOSPC' : null);
  spill();
  await turns(20);
  expect(world.saidToSlots.slice(1)).toMatchObject([{ kind: 'spillFailed', error: { code: 'STORAGE_FULL' } }]);
  await world.service.stop();
  expect(world.files.openFileCount).toBe(0);
  expect(world.files.paths).toEqual([]);
});

test('a slot that is gone after it was done leaves its spilled rows to the checkpoint', async () => {
  const world = new World();
  const slot = { ...attempt, slotIndex: 0 };
  const row = { operatorId: 'count', stateName: 'rows', keyGroup: 1, key: 'a', value: '1' };
  for (const block of blocksOf([row])) world.service.onSlotMessage(slot, { kind: 'spill', owner: 1, epoch: 1, block });
  world.service.onMainMessage({ kind: 'beginCheckpoint', attempt, checkpointId: 1, slotIndexes: [0, 1] });
  const range = { owner: 1, from: 0, to: 1 };
  world.service.onSlotMessage(slot, { kind: 'includeSpilled', checkpointId: 1, range });
  world.send(0, 1, [{ ...row, value: '2' }]);
  world.done(0, 1);
  world.service.slotClosed(slot);
  world.done(1, 1);
  await turns(100);
  const file = world.writtenFile(1);
  if (file === null || file === undefined) throw new Error('the checkpoint was written');
  expect(await rowsOfFile(world.store, file.object)).toEqual([row, { ...row, value: '2' }]);
  await world.service.stop();
  expect(world.files.openFileCount).toBe(0);
});
