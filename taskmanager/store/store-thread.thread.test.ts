/** The store thread as a real worker thread, run from `dist/` (build first). Both clients run in this thread. */
import { readFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { EngineError } from '../../core/errors.ts';
import { forEachRow, RowBlockWriter, type RowBlock } from '../../runtime/checkpoint/row-block.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { collectObjectNames } from '../../storage/object-store-samples.test-support.ts';
import { SlotStoreClient } from './slot-store-client.ts';
import { applied, blocksOf, rowsOfFile, type SampleRow } from './state-file-samples.test-support.ts';
import type { StateFile } from './state-file.ts';
import { startStoreThread, type CheckpointWritten, type StoreThread } from './store-client.ts';
import { restoreCreditBytes, slotCreditBytes, type StoredSubtaskSnapshot } from './store-messages.ts';

const attempt = { jobName: 'job', attempt: 3 };
const row = (keyGroup: number, key: string, value: string | null): SampleRow => ({
  operatorId: 'count',
  stateName: 'rows',
  keyGroup,
  key,
  value,
});
const snapshot = (subtaskIndex: number): StoredSubtaskSnapshot => ({
  subtask: { vertexId: 'count', subtaskIndex },
  afterEnd: false,
  rows: 1,
  bytes: 20,
  alignmentMs: 2,
  sourceRecords: 7,
});

/** A started thread over a new directory, and promises of what it reports. */
class Fixture {
  readonly directory: string;
  readonly thread: StoreThread;
  readonly store: LocalDirectoryStore;
  readonly #clients: SlotStoreClient[] = [];

  private constructor(directory: string, thread: StoreThread) {
    this.directory = directory;
    this.thread = thread;
    this.store = new LocalDirectoryStore(directory);
  }

  static async start(): Promise<Fixture> {
    const directory = await mkdtemp(join(tmpdir(), 'millrace-thread-'));
    return new Fixture(
      directory,
      await startStoreThread({ storage: { kind: 'directory', directory }, taskManagerId: 'tm-1' }),
    );
  }

  slot(slotIndex: number, of = attempt): SlotStoreClient {
    const client = new SlotStoreClient(this.thread.attachSlot(of, slotIndex));
    this.#clients.push(client);
    return client;
  }

  written(checkpointId: number): Promise<CheckpointWritten> {
    return new Promise((resolve) =>
      this.thread.onWritten((written) => written.checkpointId === checkpointId && resolve(written)),
    );
  }

  failed(checkpointId: number): Promise<EngineError> {
    return new Promise((resolve) =>
      this.thread.onFailed((failed) => failed.checkpointId === checkpointId && resolve(failed.error)),
    );
  }

  /** Writes one checkpoint of one slot. */
  async checkpoint(
    slot: SlotStoreClient,
    slotIndex: number,
    checkpointId: number,
    blocks: readonly RowBlock[],
  ): Promise<StateFile | null> {
    const written = this.written(checkpointId);
    this.thread.beginCheckpoint(attempt, checkpointId, [slotIndex]);
    for (const block of blocks) slot.sendBlock(checkpointId, block);
    slot.slotDone(checkpointId, [snapshot(slotIndex)]);
    return (await written).file;
  }

  async close(): Promise<void> {
    await this.thread.stop();
    for (const client of this.#clients) client.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

const fixtures: Fixture[] = [];
const start = async (): Promise<Fixture> => {
  const fixture = await Fixture.start();
  fixtures.push(fixture);
  return fixture;
};
afterEach(async () => {
  for (const fixture of fixtures.splice(0)) await fixture.close();
});

/** All rows a restore delivers. */
async function restoreRows(
  slot: SlotStoreClient,
  files: readonly StateFile[],
  first: number,
  last: number,
  operatorId = 'count',
): Promise<SampleRow[]> {
  const rows: SampleRow[] = [];
  await slot.restore(files, [{ operatorId, keyGroups: [{ first, last }] }], (block) => {
    forEachRow(block.bytes, (keyGroup, key, value) => {
      rows.push({
        ...block,
        keyGroup,
        key: Buffer.from(key).toString(),
        value: value && Buffer.from(value).toString(),
      });
    });
  });
  return rows.map(({ operatorId: id, stateName, keyGroup, key, value }) => ({
    operatorId: id,
    stateName,
    keyGroup,
    key,
    value,
  }));
}

const bigBlocks = (bytes: number): RowBlock[] => {
  const blocks: RowBlock[] = [];
  const writer = new RowBlockWriter((block) => blocks.push(block));
  writer.startTable('count', 'rows');
  const value = new Uint8Array(1_000);
  for (let index = 0; writer.bytesWritten < bytes; index++)
    writer.writeRow(index % 128, Buffer.from(`key ${index}`), value);
  writer.flush();
  return blocks;
};

describe('the store thread', () => {
  test('writes the rows of two slots into one file and restores what each slot owns', async () => {
    const fixture = await start();
    const [left, right] = [fixture.slot(0), fixture.slot(1)];
    const written = fixture.written(1);
    fixture.thread.beginCheckpoint(attempt, 1, [0, 1]);
    for (const block of blocksOf([row(0, 'a', '1'), row(63, 'b', '2'), row(0xffff, 'position', '9')]))
      left.sendBlock(1, block);
    for (const block of blocksOf([row(64, 'c', '3')])) right.sendBlock(1, block);
    left.slotDone(1, [snapshot(0)]);
    right.slotDone(1, [snapshot(1)]);
    const { file, subtasks, attempt: of } = await written;
    expect(of).toEqual(attempt);
    expect(subtasks).toEqual([snapshot(0), snapshot(1)]);
    expect(file).toMatchObject({ rows: 4, keyGroupFirst: 0, keyGroupLast: 0xffff });
    expect(file?.object.name).toMatch(/^job\/state\/3-1-tm-1-[0-9a-f-]+\.rows$/);
    if (file === null) return;
    await fixture.store.get(file.object);
    expect(await restoreRows(left, [file], 0, 63)).toEqual([
      row(0, 'a', '1'),
      row(63, 'b', '2'),
      row(0xffff, 'position', '9'),
    ]);
    expect(await restoreRows(right, [file], 64, 127)).toEqual([row(64, 'c', '3'), row(0xffff, 'position', '9')]);
    expect(await restoreRows(right, [file], 0, 127, 'other')).toEqual([]);
  });

  test('reports no file when no slot had a changed row', async () => {
    const fixture = await start();
    expect(await fixture.checkpoint(fixture.slot(0), 0, 1, [])).toBeNull();
    expect(await collectObjectNames(fixture.store, '')).toEqual([]);
  });

  test('restores files in order so that the newest row comes last', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    const files: StateFile[] = [];
    for (const [index, rows] of [
      [row(1, 'a', '1'), row(2, 'b', '1')],
      [row(1, 'a', null)],
      [row(2, 'b', '2')],
    ].entries()) {
      const file = await fixture.checkpoint(slot, 0, index + 1, blocksOf(rows));
      if (file !== null) files.push(file);
    }
    const rows = await restoreRows(slot, files, 0, 127);
    expect(rows).toHaveLength(4);
    expect([...applied(rows).values()]).toEqual(['2']);
    const base = await fixture.thread.merge(
      attempt,
      8,
      files.map((file) => file.object),
    );
    expect(base.object.name).toMatch(/^job\/state\/3-merge8-tm-1-/);
    expect(await rowsOfFile(fixture.store, base.object)).toEqual([row(2, 'b', '2')]);
  });

  test('bounds what is under way in both directions when blocks exceed the credit', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    const written = fixture.written(1);
    fixture.thread.beginCheckpoint(attempt, 1, [0]);
    const blocks = bigBlocks(slotCreditBytes + 8 * 1024 * 1024);
    let waits = 0;
    for (const block of blocks) {
      if (!slot.hasCredit) {
        waits++;
        await new Promise<void>((resolve) => {
          slot.onCredit = resolve;
        });
      }
      slot.sendBlock(1, block);
    }
    slot.slotDone(1, []);
    const { file } = await written;
    expect(waits).toBeGreaterThan(0);
    if (file === null) throw new Error('the checkpoint has rows');
    expect(file.object.bytes).toBeGreaterThan(restoreCreditBytes * 2);
    expect(await restoreRows(slot, [file], 0, 127)).toHaveLength(file.rows);
  });

  test('keeps no file of an aborted checkpoint and goes on with the next', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    fixture.thread.beginCheckpoint(attempt, 1, [0]);
    for (const block of blocksOf([row(1, 'a', '1')])) slot.sendBlock(1, block);
    fixture.thread.abortCheckpoint(attempt, 1);
    slot.slotDone(1, []);
    const file = await fixture.checkpoint(slot, 0, 2, blocksOf([row(1, 'a', '2')]));
    await fixture.thread.stop();
    expect(await readdir(join(fixture.directory, 'job', 'state'))).toEqual([file?.object.name.split('/').at(-1)]);
  });

  test('reports a write error once, refuses the rest of that checkpoint and writes the next one when storage works again', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    // A file where the directory of the job should be.
    await writeFile(join(fixture.directory, 'job'), '');
    const failed = fixture.failed(1);
    fixture.thread.beginCheckpoint(attempt, 1, [0]);
    for (const block of blocksOf([row(1, 'a', '1')])) slot.sendBlock(1, block);
    expect(await failed).toMatchObject({ code: 'STORAGE_FAILED' });
    await rm(join(fixture.directory, 'job'));
    slot.slotDone(1, []);
    const reports: number[] = [];
    fixture.thread.onWritten(({ checkpointId }) => reports.push(checkpointId));
    await fixture.checkpoint(slot, 0, 2, blocksOf([row(1, 'a', '2')]));
    expect(reports).toEqual([2]);
  });

  test('takes what a slot sent before it ended', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    const written = fixture.written(1);
    fixture.thread.beginCheckpoint(attempt, 1, [0]);
    for (const block of bigBlocks(3_000_000)) slot.sendBlock(1, block);
    slot.slotDone(1, [snapshot(0)]);
    slot.close();
    expect((await written).file?.rows).toBeGreaterThan(2_000);
  });

  test('fails a checkpoint when the slot ends before it is done', async () => {
    const fixture = await start();
    const [left, right] = [fixture.slot(0), fixture.slot(1)];
    const failed = fixture.failed(1);
    fixture.thread.beginCheckpoint(attempt, 1, [0, 1]);
    left.slotDone(1, []);
    right.close();
    expect(await failed).toMatchObject({ code: 'CHECKPOINT_FAILED', message: expect.stringContaining('slot 1') });
  });

  test('refuses to restore from or merge a damaged file, naming it', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    const file = await fixture.checkpoint(slot, 0, 1, blocksOf([row(1, 'a', '1')]));
    if (file === null) throw new Error('the checkpoint has rows');
    const path = join(fixture.directory, file.object.name);
    const bytes = await readFile(path);
    bytes[20] = (bytes[20] as number) ^ 1;
    await writeFile(path, bytes);
    const expected = { code: 'CHECKPOINT_UNREADABLE', message: expect.stringContaining(file.object.name) };
    await expect(restoreRows(slot, [file], 0, 127)).rejects.toMatchObject(expected);
    await expect(fixture.thread.merge(attempt, 1, [file.object])).rejects.toMatchObject(expected);
  });

  test('rejects a restore with what its reader threw and serves the next one', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    const file = await fixture.checkpoint(slot, 0, 1, bigBlocks(restoreCreditBytes + 1_000_000));
    if (file === null) throw new Error('the checkpoint has rows');
    const reason = new Error('no such operator');
    const refuse = (): never => {
      throw reason;
    };
    await expect(
      slot.restore([file], [{ operatorId: 'count', keyGroups: [{ first: 0, last: 127 }] }], refuse),
    ).rejects.toBe(reason);
    expect(await restoreRows(slot, [file], 0, 127)).toHaveLength(file.rows);
  });

  test('rejects restores and merges that are under way when it stops', async () => {
    const fixture = await start();
    const slot = fixture.slot(0);
    const file = await fixture.checkpoint(slot, 0, 1, bigBlocks(1_000_000));
    if (file === null) throw new Error('the checkpoint has rows');
    const closed = new Promise((resolve) => {
      slot.onClosed = resolve;
    });
    const stopped = fixture.thread.stop();
    const restore = expect(restoreRows(slot, [file], 0, 127)).rejects.toMatchObject({ domain: 'internal' });
    await stopped;
    await restore;
    expect(await closed).toMatchObject({ code: 'INTERNAL' });
    await expect(fixture.thread.merge(attempt, 1, [file.object])).rejects.toMatchObject({ code: 'CANCELED' });
  });
});
