/** How many records pass between two slots: over TCP between two threads, and by reference within one. */
import { Worker } from 'node:worker_threads';
import type { Batch } from '../core/stream/batch.ts';
import { LocalChannel } from '../runtime/exchange/local-channel.ts';
import { bidBatches } from './exchange-bids.ts';
import { type BenchmarkRow, benchmarkRow, cpuSecondsOf } from './row.ts';
import type { ExchangeWorkerData, ExchangeWorkerMessage } from './exchange-worker.ts';

interface Counts {
  readonly records: number;
  readonly price: number;
}

/** One row a case; needs the compiled files, because the slots are threads. */
export async function runExchangeBenchmark(options: { seconds: number }): Promise<BenchmarkRow[]> {
  return [
    await overTcp('bid-7-fields tcp', 1, options.seconds),
    await overTcp('bid-7-fields tcp 4 channels', 4, options.seconds),
    withinSlot(options.seconds),
  ];
}

function startSlot(data: ExchangeWorkerData): Worker {
  return new Worker(new URL('./exchange-worker.js', import.meta.url), { workerData: data });
}

/** The next message of a slot, which must be of the kind that is due. */
function expectMessage<Kind extends ExchangeWorkerMessage['kind']>(
  worker: Worker,
  kind: Kind,
): Promise<Extract<ExchangeWorkerMessage, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (message: ExchangeWorkerMessage) => {
      worker.off('error', reject);
      if (message.kind === kind) resolve(message as Extract<ExchangeWorkerMessage, { kind: Kind }>);
      else reject(new Error(`a slot of the benchmark said ${message.kind} where ${kind} was due`));
    });
  });
}

/** The clock runs from the first batch to the last record polled; the threads are connected before. */
async function overTcp(name: string, channels: number, seconds: number): Promise<BenchmarkRow> {
  const receiver = startSlot({ role: 'receiver', channels, seconds, endpoint: null });
  const { endpoint } = await expectMessage(receiver, 'listening');
  const sender = startSlot({ role: 'sender', channels, seconds, endpoint });
  await expectMessage(sender, 'connected');
  const cpuBefore = cpuSecondsOf();
  const start = performance.now();
  sender.postMessage('go');
  const [sent, received]: Counts[] = await Promise.all([
    expectMessage(sender, 'counted'),
    expectMessage(receiver, 'counted'),
  ]);
  const elapsed = { seconds: (performance.now() - start) / 1000, cpuSeconds: cpuSecondsOf() - cpuBefore };
  await Promise.all([sender.terminate(), receiver.terminate()]);
  const checked = sent !== undefined && sent.records === received?.records && sent.price === received.price;
  return benchmarkRow({
    benchmark: 'exchange',
    case: name,
    parallelism: 2,
    events: received?.records ?? 0,
    ...elapsed,
    checkpoints: 0,
    checked,
  });
}

function withinSlot(seconds: number): BenchmarkRow {
  const batches = bidBatches(64);
  const ignore = (): void => {};
  const channel = new LocalChannel({ onReadable: ignore, onWritable: ignore });
  const cpuBefore = cpuSecondsOf();
  const start = performance.now();
  let sent = 0;
  let received = 0;
  let next = 0;
  while (performance.now() - start < seconds * 1000) {
    while (channel.hasRoom) {
      const batch = batches[next++ & 63] as Batch;
      sent += batch.length;
      channel.write({ kind: 'batch', batch });
    }
    for (let element = channel.poll(); element !== null; element = channel.poll())
      if (element.kind === 'batch') received += element.batch.length;
  }
  const elapsed = { seconds: (performance.now() - start) / 1000, cpuSeconds: cpuSecondsOf() - cpuBefore };
  const checked = sent === received;
  return benchmarkRow({
    benchmark: 'exchange',
    case: 'bid-7-fields same slot',
    parallelism: 1,
    events: received,
    ...elapsed,
    checkpoints: 0,
    checked,
  });
}
