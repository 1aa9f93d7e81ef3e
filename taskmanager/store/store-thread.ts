/**
 * Entry of the store thread: one per task manager. Sorting, hashing, fsync and merging happen here and never in a slot. Started by
 * store-client.ts, from `dist/`.
 */
import { randomUUID } from 'node:crypto';
import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { assert } from '../../core/errors.ts';
import { openStorage } from '../../storage/storage-location.ts';
import type { LedgerSlot } from './checkpoint-ledger.ts';
import type { MainToStore, SlotToStore, StoreThreadData } from './store-messages.ts';
import { StoreService } from './store-service.ts';

assert(parentPort !== null, 'the store thread runs as a worker thread');
const main: MessagePort = parentPort;
const { storage: location, taskManagerId } = workerData as StoreThreadData;

const storage = await openStorage(location);
const service = new StoreService({
  store: storage.store,
  openScratch: () => storage.createScratch(),
  taskManagerId,
  post: (message) => main.postMessage(message),
  uniqueName: () => randomUUID().slice(0, 13),
});

function attach(slot: LedgerSlot, port: MessagePort): void {
  service.attachSlot(slot, {
    post: (message, transfer) => port.postMessage(message, [...transfer]),
    close: () => port.close(),
  });
  port.on('message', (message: SlotToStore) => service.onSlotMessage(slot, message));
  port.on('close', () => service.slotClosed(slot));
}

async function stop(): Promise<void> {
  // What is on its way over a network is not waited for: nobody would hear of it any more.
  storage.close();
  await service.stop();
  main.postMessage({ kind: 'stopped' });
  main.close();
}

main.on('message', (message: MainToStore) => {
  if (message.kind === 'attachSlot') attach({ ...message.attempt, slotIndex: message.slotIndex }, message.port);
  else if (message.kind === 'stop') void stop();
  else service.onMainMessage(message);
});
main.postMessage({ kind: 'ready' });
