/** Slots with a data plane each, in one process and over loopback TCP, and ways to write to and read from them. */
import type { EngineError } from '../../core/errors.ts';
import type { StreamElement } from '../../core/stream/batch.ts';
import type { ChannelReader, ChannelWriter } from '../../runtime/exchange/channel.ts';
import {
  createDataPlane,
  type DataPlane,
  type DataPlaneOptions,
  type SlotEndpoint,
} from '../../taskmanager/data-plane/data-plane.ts';
import { batchOf } from './batches.ts';

/** One slot of an attempt. */
export interface Slot {
  readonly plane: DataPlane;
  readonly failures: EngineError[];
  readonly endpoint: SlotEndpoint;
}

const open: DataPlane[] = [];
/** A callback for tests that poll. */
export const ignore = (): void => {};

/** A slot that listens. */
export async function slot(self: number, options: Partial<DataPlaneOptions> = {}): Promise<Slot> {
  const failures: EngineError[] = [];
  const onFailure = (error: EngineError): void => void failures.push(error);
  const plane = createDataPlane({ clusterId: 'secret', jobName: 'job', attempt: 1, self, onFailure, ...options });
  open.push(plane);
  return { plane, failures, endpoint: await plane.listen('127.0.0.1') };
}

/** Slots 0 and 1, where 0 is connected to 1. */
export async function pair(options: Partial<DataPlaneOptions> = {}): Promise<[Slot, Slot]> {
  const sender = await slot(0, options);
  const receiver = await slot(1, options);
  await sender.plane.connect(new Map([[1, receiver.endpoint]]));
  return [sender, receiver];
}

/** Waits for a condition; the deadline only ends a test that would hang. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Polls until the element wanted has come; everything polled is kept. */
export async function drain(reader: ChannelReader, kind: StreamElement['kind']): Promise<StreamElement[]> {
  const elements: StreamElement[] = [];
  await until(() => {
    for (let element = reader.poll(); element !== null; element = reader.poll()) elements.push(element);
    return elements.at(-1)?.kind === kind;
  }, `"${kind}" arrives`);
  return elements;
}

/** Writes numbered batches while there is room; returns how many. */
export function fill(writer: ChannelWriter, makeValue: (index: number) => unknown = (index) => index): number {
  let count = 0;
  while (writer.hasRoom) writer.write({ kind: 'batch', batch: batchOf([makeValue(count++)]) });
  return count;
}

/** The records among elements. */
export const valuesOf = (elements: readonly StreamElement[]): unknown[] =>
  elements.flatMap((element) => (element.kind === 'batch' ? element.batch.values : []));

/** Closes every slot made since the last call. */
export async function closeSlots(): Promise<void> {
  await Promise.all(open.splice(0).map((plane) => plane.close()));
}
