/**
 * Evicted changes through the real parts in one thread: table, ledger, client, service and state files. Whatever is changed,
 * evicted, frozen, aborted or completed in whatever order, the files hold the state of the barrier.
 */
import { MessageChannel } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeKey } from '../../core/codec/key-codec.ts';
import { RowBlockWriter } from '../../runtime/checkpoint/row-block.ts';
import type { SnapshotTask } from '../../runtime/operators/operator.ts';
import { memoryBackend, type StateBackend } from '../../runtime/state/backend.ts';
import { ChangeLedger } from '../../runtime/state/change-ledger.ts';
import { createColdTestBackend } from '../../runtime/state/cold-test-backend.ts';
import { ObjectTable } from '../../runtime/state/object-table.ts';
import type { RowWrite, TableOwner } from '../../runtime/state/row-table.ts';
import type { StoredObject } from '../../storage/object-store.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { SlotStoreClient } from './slot-store-client.ts';
import { forEachRowOfFile } from './state-file.ts';
import type { SlotToStore, StoreToMain, StoreToSlot } from './store-messages.ts';
import { StoreService } from './store-service.ts';

const attempt = { jobName: 'job', attempt: 1 };
const slot = { ...attempt, slotIndex: 0 };
const keys = ['a', 'b', 'c', 'd', 'e'];

type Step =
  | { readonly step: 'put'; readonly key: string; readonly value: string }
  | { readonly step: 'delete'; readonly key: string }
  | { readonly step: 'evict'; readonly count: number }
  | { readonly step: 'freeze' }
  | { readonly step: 'slice'; readonly which: number }
  | { readonly step: 'abort'; readonly which: number }
  | { readonly step: 'complete'; readonly which: number };

const key = fc.constantFrom(...keys);
const which = fc.nat(5);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ step: fc.constant('put'), key, value: fc.string({ maxLength: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ step: fc.constant('delete'), key }) },
  { weight: 5, arbitrary: fc.record({ step: fc.constant('evict'), count: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('freeze') }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('slice'), which }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('abort'), which }) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('complete'), which }) },
) as fc.Arbitrary<Step>;

interface Pending {
  readonly id: number;
  readonly task: SnapshotTask | null;
  readonly writer: RowBlockWriter;
  readonly model: ReadonlyMap<string, string>;
  done: boolean;
}

class World {
  readonly files = new MemoryFileSystem();
  readonly #store = new LocalDirectoryStore('/state', this.files);
  readonly #said: StoreToMain[] = [];
  #names = 0;
  readonly #service = new StoreService({
    store: this.#store,
    openScratch: () => this.#store.createScratch(),
    taskManagerId: 'tm',
    post: (message) => this.#said.push(message),
    uniqueName: () => String(this.#names++),
  });
  readonly #client: SlotStoreClient;
  readonly #backend: StateBackend;
  readonly #ledger: ChangeLedger;
  readonly #owner: TableOwner;
  readonly #table: ObjectTable;
  readonly #model = new Map<string, string>();
  #pending: Pending[] = [];
  #nextId = 1;
  readonly #completedFiles: StoredObject[] = [];

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#service.attachSlot(slot, {
      post: (message: StoreToSlot, transfer) => port1.postMessage(message, [...transfer]),
      close: () => port1.close(),
    });
    port1.on('message', (message: SlotToStore) => this.#service.onSlotMessage(slot, message));
    port1.on('close', () => this.#service.slotClosed(slot));
    this.#client = new SlotStoreClient(port2);
    const cold = createColdTestBackend(3);
    this.#backend = {
      resident: false,
      cachedRowsMax: 3,
      spill: this.#client,
      fetch: (rows) => cold.fetch(rows),
      readBlocking: (row) => cold.readBlocking(row),
      scanBlocking: (prefix) => cold.scanBlocking(prefix),
      write: (rows) => cold.write(rows),
      close: () => cold.close(),
    };
    this.#ledger = new ChangeLedger('operator', this.#client);
    const keyGroups = { first: 0, last: 3 };
    this.#owner = {
      operatorId: 'operator',
      maxParallelism: 4,
      keyGroups,
      backend: this.#backend,
      ledger: this.#ledger,
    };
    this.#table = new ObjectTable(this.#owner, 'state');
  }

  async take(next: Step): Promise<void> {
    switch (next.step) {
      case 'put':
        this.#table.set(next.key, next.value);
        return void this.#model.set(next.key, next.value);
      case 'delete': {
        const place = this.#table.find(next.key);
        if (place >= 0) this.#table.deleteRow(place);
        return void this.#model.delete(next.key);
      }
      case 'evict': {
        const writes: RowWrite[] = [];
        this.#table.evictSome(next.count, writes);
        return this.#backend.write(writes);
      }
      case 'freeze':
        return this.#freeze();
      case 'slice':
        return this.#encode(this.#chosen(next.which), 0);
      case 'abort':
        return this.#abort(this.#chosen(next.which));
      case 'complete':
        return this.#complete(this.#chosen(next.which));
    }
  }

  /** A last checkpoint holds the state; then nothing is left of the spill but what has no name. */
  async finish(): Promise<void> {
    this.#freeze();
    await this.#complete(this.#pending.at(-1));
    const named = [...this.files.paths];
    this.#client.close();
    await this.#service.stop();
    expect(named.every((path) => path.endsWith('.rows'))).toBe(true);
    expect(this.files.openFileCount).toBe(0);
  }

  #chosen(which: number): Pending | undefined {
    return this.#pending[which % Math.max(this.#pending.length, 1)];
  }

  #freeze(): void {
    const id = this.#nextId++;
    this.#service.onMainMessage({ kind: 'beginCheckpoint', attempt, checkpointId: id, slotIndexes: [0] });
    const writer = new RowBlockWriter((block) => this.#client.sendBlock(id, block), 64);
    this.#pending.push({ id, task: this.#ledger.freeze(id), writer, model: new Map(this.#model), done: false });
  }

  #encode(pending: Pending | undefined, deadlineMs: number): void {
    if (pending === undefined || pending.done) return;
    pending.done = pending.task?.encode(pending.writer, deadlineMs) ?? true;
    if (!pending.done) return;
    pending.writer.flush();
    this.#client.slotDone(pending.id, []);
  }

  #abort(pending: Pending | undefined): void {
    if (pending === undefined) return;
    this.#pending = this.#pending.filter((other) => other !== pending);
    this.#service.onMainMessage({ kind: 'abortCheckpoint', attempt, checkpointId: pending.id });
    this.#ledger.aborted(pending.id);
  }

  async #complete(pending: Pending | undefined): Promise<void> {
    if (pending === undefined) return;
    while (!pending.done) this.#encode(pending, Number.POSITIVE_INFINITY);
    const file = await this.#written(pending.id);
    for (const { id } of this.#pending)
      if (id < pending.id) this.#service.onMainMessage({ kind: 'abortCheckpoint', attempt, checkpointId: id });
    this.#pending = this.#pending.filter((other) => other.id > pending.id);
    this.#ledger.completed(pending.id);
    if (file !== null) this.#completedFiles.push(file);
    expect(await this.#restored()).toEqual(pending.model);
  }

  /** What a restore from the completed files finds. */
  async #restored(): Promise<Map<string, unknown>> {
    const owner = { ...this.#owner, backend: memoryBackend, ledger: new ChangeLedger('operator') };
    const table = new ObjectTable(owner, 'state');
    for (const file of this.#completedFiles) {
      await forEachRowOfFile(this.#store, file, (_, keyGroup, bytes, value) =>
        table.restoreRow(decodeKey(bytes).key, keyGroup, value),
      );
    }
    return new Map(keys.filter((name) => table.find(name) >= 0).map((name) => [name, table.get(name)]));
  }

  async #written(checkpointId: number): Promise<StoredObject | null> {
    for (;;) {
      for (const message of this.#said) {
        if (!('checkpointId' in message) || message.checkpointId !== checkpointId) continue;
        if (message.kind !== 'written') throw new Error(`checkpoint ${checkpointId}: ${message.kind}`);
        return message.file?.object ?? null;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test('files hold the state of the barrier whatever is changed, evicted, aborted and completed', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 20, maxLength: 60 }), async (steps) => {
      const world = new World();
      for (const next of steps) await world.take(next);
      await world.finish();
    }),
    { numRuns: 300 },
  );
});
