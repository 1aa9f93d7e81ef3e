/**
 * One of the two slots of the exchange benchmark, in a thread of its own: the sender writes prepared batches for a time,
 * the receiver polls them and reads a field of every record. Both report what they counted, so the row can say that
 * nothing was lost.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Batch } from '../core/stream/batch.ts';
import { createDataPlane, type SlotEndpoint } from '../taskmanager/data-plane/data-plane.ts';
import { bidBatches, type Bid } from './exchange-bids.ts';

/** What a slot of the benchmark is started with. */
export interface ExchangeWorkerData {
  readonly role: 'sender' | 'receiver';
  readonly channels: number;
  readonly seconds: number;
  /** Where the receiver listens; for the sender. */
  readonly endpoint: SlotEndpoint | null;
}

/** What a slot posts: first that it is ready, at the end what it counted. */
export type ExchangeWorkerMessage =
  | { readonly kind: 'listening'; readonly endpoint: SlotEndpoint }
  | { readonly kind: 'connected' }
  | { readonly kind: 'counted'; readonly records: number; readonly price: number };

const port = parentPort;
if (port === null) throw new Error('this file is started as a worker thread');
const post = (message: ExchangeWorkerMessage): void => port.postMessage(message);
const data = workerData as ExchangeWorkerData;

const plane = createDataPlane({
  clusterId: 'benchmark',
  jobName: 'exchange',
  attempt: 1,
  self: data.role === 'sender' ? 0 : 1,
  onFailure: (error) => {
    throw error;
  },
});

const priceOf = (batch: Batch): number => {
  let price = 0;
  const values = batch.values as readonly Bid[];
  for (let i = 0; i < values.length; i++) price += (values[i] as Bid).price;
  return price;
};

async function send(endpoint: SlotEndpoint): Promise<void> {
  const batches = bidBatches(64);
  const prices = batches.map(priceOf);
  await plane.connect(new Map([[1, endpoint]]));
  post({ kind: 'connected' });
  await new Promise((resolve) => port?.once('message', resolve));
  const deadline = performance.now() + data.seconds * 1000;
  let records = 0;
  let price = 0;
  let next = 0;
  let open = data.channels;
  for (let id = 0; id < data.channels; id++) {
    let ended = false;
    const pump = (): void => {
      while (!ended && writer.hasRoom) {
        if (performance.now() >= deadline) {
          ended = true;
          open -= 1;
          writer.write({ kind: 'end' });
          break;
        }
        const index = next++ & 63;
        writer.write({ kind: 'batch', batch: batches[index] as Batch });
        records += (batches[index] as Batch).length;
        price += prices[index] as number;
      }
      if (open === 0) {
        open = -1;
        post({ kind: 'counted', records, price });
        void plane.close();
      }
    };
    const writer = plane.writer(1, id, 'bids', pump);
    setImmediate(pump);
  }
}

async function receive(): Promise<void> {
  let records = 0;
  let price = 0;
  let open = data.channels;
  for (let id = 0; id < data.channels; id++) {
    let due = false;
    const run = (): void => {
      due = false;
      for (let element = reader.poll(); element !== null; element = reader.poll()) {
        if (element.kind === 'batch') {
          records += element.batch.length;
          price += priceOf(element.batch);
        }
        if (element.kind === 'end') open -= 1;
      }
      if (open === 0) {
        post({ kind: 'counted', records, price });
        void plane.close();
      }
    };
    const readable = (): void => {
      if (!due) setImmediate(run);
      due = true;
    };
    const reader = plane.reader(0, id, readable);
  }
  post({ kind: 'listening', endpoint: await plane.listen('127.0.0.1') });
}

if (data.role === 'receiver') await receive();
else if (data.endpoint !== null) await send(data.endpoint);
