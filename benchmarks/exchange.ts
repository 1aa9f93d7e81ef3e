/** How many records pass between two slots: over TCP between two threads, and by reference within one. */
import { Worker } from 'node:worker_threads';
import type { Batch } from '../core/stream/batch.ts';
import { LocalChannel } from '../runtime/exchange/local-channel.ts';
import type { SlotEndpoint } from '../taskmanager/data-plane/data-plane.ts';
import { bidBatches } from './exchange-bids.ts';
import type { ExchangeWorkerData, ExchangeWorkerMessage } from './exchange-worker.ts';

export interface BenchmarkRow {
  benchmark: string;
  case: string;
  parallelism: number;
  events: number;
  seconds: number;
  cpuSeconds: number;
  eventsPerSecond: number;
  eventsPerCoreSecond: number;
  peakRssMiB: number;
  checkpoints: number;
  checked: boolean;
}

interface Measured {
  readonly name: string;
  readonly parallelism: number;
  readonly events: number;
  readonly checked: boolean;
}

/** One row a case; needs the compiled files, because the slots are threads. */
export async function runExchangeBenchmark(options: { seconds: number }): Promise<BenchmarkRow[]> {
  return [
    await measure(() => overTcp('bid-7-fields tcp', 1, options.seconds)),
    await measure(() => overTcp('bid-7-fields tcp 4 channels', 4, options.seconds)),
    await measure(() => Promise.resolve(withinSlot(options.seconds))),
  ];
}

async function measure(run: () => Promise<Measured>): Promise<BenchmarkRow> {
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  const measured = await run();
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  const cpuSeconds = (cpu.user + cpu.system) / 1e6;
  return {
    benchmark: 'exchange',
    case: measured.name,
    parallelism: measured.parallelism,
    events: measured.events,
    seconds,
    cpuSeconds,
    eventsPerSecond: measured.events / seconds,
    eventsPerCoreSecond: measured.events / cpuSeconds,
    peakRssMiB: process.resourceUsage().maxRSS / 1024,
    checkpoints: 0,
    checked: measured.checked,
  };
}

function startSlot(data: ExchangeWorkerData): Worker {
  return new Worker(new URL('./exchange-worker.js', import.meta.url), { workerData: data });
}

function nextMessage(worker: Worker): Promise<ExchangeWorkerMessage> {
  return new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

async function counted(worker: Worker): Promise<{ records: number; price: number }> {
  const message = await nextMessage(worker);
  if (message.kind !== 'counted') throw new Error(`a slot of the benchmark said ${message.kind} where its counts were due`);
  return message;
}

async function listening(worker: Worker): Promise<SlotEndpoint> {
  const message = await nextMessage(worker);
  if (message.kind !== 'listening') throw new Error(`a slot of the benchmark said ${message.kind} where its address was due`);
  return message.endpoint;
}

async function overTcp(name: string, channels: number, seconds: number): Promise<Measured> {
  const receiver = startSlot({ role: 'receiver', channels, seconds, endpoint: null });
  const endpoint = await listening(receiver);
  const sender = startSlot({ role: 'sender', channels, seconds, endpoint });
  const [sent, received] = await Promise.all([counted(sender), counted(receiver)]);
  await Promise.all([sender.terminate(), receiver.terminate()]);
  return { name, parallelism: 2, events: received.records, checked: sent.records === received.records && sent.price === received.price };
}

function withinSlot(seconds: number): Measured {
  const batches = bidBatches(64);
  const ignore = (): void => {};
  const channel = new LocalChannel({ onReadable: ignore, onWritable: ignore });
  const deadline = performance.now() + seconds * 1000;
  let sent = 0;
  let received = 0;
  let next = 0;
  while (performance.now() < deadline) {
    while (channel.hasRoom) {
      const batch = batches[next++ & 63] as Batch;
      sent += batch.length;
      channel.write({ kind: 'batch', batch });
    }
    for (let element = channel.poll(); element !== null; element = channel.poll()) if (element.kind === 'batch') received += element.batch.length;
  }
  return { name: 'bid-7-fields same slot', parallelism: 1, events: received, checked: sent === received };
}
