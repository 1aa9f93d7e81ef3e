import { afterEach, describe, expect, it } from 'vitest';
import type { EngineError } from '../../core/errors.ts';
import type { StreamElement } from '../../core/stream/batch.ts';
import type { ChannelReader, ChannelWriter } from '../../runtime/exchange/channel.ts';
import { batchOf, plainCodec } from '../../testing/exchange/plain-codec.ts';
import { createDataPlane, type DataPlane, type DataPlaneOptions, type SlotEndpoint } from './data-plane.ts';

interface Slot {
  readonly plane: DataPlane;
  readonly failures: EngineError[];
  readonly endpoint: SlotEndpoint;
}

const open: DataPlane[] = [];
const ignore = (): void => {};

async function slot(self: number, options: Partial<DataPlaneOptions> = {}): Promise<Slot> {
  const failures: EngineError[] = [];
  const onFailure = (error: EngineError): void => void failures.push(error);
  const plane = createDataPlane({ clusterId: 'secret', jobName: 'job', attempt: 1, codec: plainCodec, self, onFailure, ...options });
  open.push(plane);
  return { plane, failures, endpoint: await plane.listen('127.0.0.1') };
}

async function pair(options: Partial<DataPlaneOptions> = {}): Promise<[Slot, Slot]> {
  const sender = await slot(0, options);
  const receiver = await slot(1, options);
  await sender.plane.connect(new Map([[1, receiver.endpoint]]));
  return [sender, receiver];
}

/** Waits for a condition; the deadline only ends a test that would hang. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Polls until the element wanted has come; everything polled is kept. */
async function drain(reader: ChannelReader, kind: StreamElement['kind']): Promise<StreamElement[]> {
  const elements: StreamElement[] = [];
  await until(() => {
    for (let element = reader.poll(); element !== null; element = reader.poll()) elements.push(element);
    return elements.at(-1)?.kind === kind;
  }, `"${kind}" arrives`);
  return elements;
}

/** Writes numbered batches while there is room; returns how many. */
function fill(writer: ChannelWriter, valueOf: (index: number) => unknown = (index) => index): number {
  let count = 0;
  while (writer.hasRoom) writer.write({ kind: 'batch', batch: batchOf([valueOf(count++)]) });
  return count;
}

const valuesOf = (elements: readonly StreamElement[]): unknown[] =>
  elements.flatMap((element) => (element.kind === 'batch' ? element.batch.values : []));

afterEach(async () => {
  await Promise.all(open.splice(0).map((plane) => plane.close()));
});

describe('data plane', () => {
  it('hands over every kind of element in order when written at once', async () => {
    const [sender, receiver] = await pair();
    const reader = receiver.plane.reader(0, 7, ignore);
    const writer = sender.plane.writer(1, 7, 'map', ignore);
    const elements: StreamElement[] = [
      { kind: 'batch', batch: { ...batchOf([1, 'two', { three: 3 }]), timestamps: Float64Array.of(1, 2, 3), watermark: 2 } },
      { kind: 'idle', idle: true },
      { kind: 'idle', idle: false },
      { kind: 'barrier', barrier: { checkpointId: 2 ** 40, triggeredAtMs: 1.5 } },
      { kind: 'batch', batch: batchOf([]) },
      { kind: 'end' },
    ];
    for (const element of elements) writer.write(element);
    expect(await drain(reader, 'end')).toEqual(elements);
    expect(sender.failures).toEqual([]);
    expect(receiver.failures).toEqual([]);
  });

  it('keeps what arrives before its reader within credit when the reader comes late', async () => {
    const [sender, receiver] = await pair({ limits: { channelCreditBytes: 10_000 } });
    const writer = sender.plane.writer(1, 3, 'map', ignore);
    const written = fill(writer);
    writer.write({ kind: 'end' });
    await until(() => receiver.plane.queuedBytes().inbound >= 10_000, 'the credit is used up');
    let readable = 0;
    const reader = receiver.plane.reader(0, 3, () => void (readable += 1));
    await until(() => readable === 1, 'the reader is told');
    expect(valuesOf(await drain(reader, 'end'))).toEqual(Array.from({ length: written }, (_, i) => i));
  });

  it('queues writes until connected when the writer is made before', async () => {
    const sender = await slot(0);
    const receiver = await slot(1);
    let writable = 0;
    const writer = sender.plane.writer(1, 0, 'map', () => void (writable += 1));
    expect(writer.hasRoom).toBe(false);
    writer.write({ kind: 'batch', batch: batchOf(['early']) });
    writer.write({ kind: 'end' });
    const reader = receiver.plane.reader(0, 0, ignore);
    await sender.plane.connect(new Map([[1, receiver.endpoint]]));
    expect(valuesOf(await drain(reader, 'end'))).toEqual(['early']);
    expect(writable).toBe(1);
  });

  it('sends in both directions when both slots dial', async () => {
    const [a, b] = await pair();
    await b.plane.connect(new Map([[0, a.endpoint]]));
    a.plane.writer(1, 0, 'map', ignore).write({ kind: 'batch', batch: batchOf(['to b']) });
    b.plane.writer(0, 0, 'map', ignore).write({ kind: 'batch', batch: batchOf(['to a']) });
    expect(valuesOf(await drain(b.plane.reader(0, 0, ignore), 'batch'))).toEqual(['to b']);
    expect(valuesOf(await drain(a.plane.reader(1, 0, ignore), 'batch'))).toEqual(['to a']);
  });
});
