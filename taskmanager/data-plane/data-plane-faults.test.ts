/** What a network does to a connection, at every byte of it. */
import { afterEach, describe, expect, it } from 'vitest';
import type { DataPlaneOptions } from './data-plane.ts';
import { batchOf } from '../../testing/exchange/batches.ts';
import { closeSlots, drain, fill, ignore, type Slot, slot, until, valuesOf } from '../../testing/exchange/slots.ts';
import { startTcpFaultProxy, type TcpFault, type TcpFaultProxy } from '../../testing/tcp-fault-proxy.ts';

const proxies: TcpFaultProxy[] = [];

afterEach(async () => {
  await closeSlots();
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
});

interface Faulty {
  readonly sender: Slot;
  readonly receiver: Slot;
  readonly proxy: TcpFaultProxy;
}

async function through(fault: TcpFault, options: Partial<DataPlaneOptions> = {}): Promise<Faulty> {
  const sender = await slot(0, options);
  const receiver = await slot(1, options);
  const proxy = await startTcpFaultProxy(receiver.endpoint, fault);
  proxies.push(proxy);
  return { sender, receiver, proxy };
}

const elements = [
  { kind: 'batch', batch: batchOf([1]) },
  { kind: 'barrier', barrier: { checkpointId: 1, triggeredAtMs: 0 } },
  { kind: 'batch', batch: batchOf(['two']) },
] as const;

/** Bytes of a connection that sends `elements`: of its handshake, and of all. */
async function sizes(): Promise<{ hello: number; all: number }> {
  const { sender, receiver, proxy } = await through({ kind: 'none' });
  await sender.plane.connect(new Map([[1, proxy]]));
  const hello = proxy.bytesSeen;
  const writer = sender.plane.writer(1, 0, 'map', ignore);
  const reader = receiver.plane.reader(0, 0, ignore);
  for (const element of elements) writer.write(element);
  await until(() => receiver.plane.queuedBytes().inbound > 0, 'the elements arrive');
  for (let count = 0; count < elements.length; ) {
    if (reader.poll() === null) await until(() => true, '');
    else count += 1;
  }
  const all = proxy.bytesSeen;
  await closeSlots();
  return { hello, all };
}

/** Sends `elements` through a fault; what both ends noticed, and what was delivered. */
async function send(
  fault: TcpFault,
): Promise<{ dialError: string; sender: string[]; receiver: string[]; delivered: unknown[] }> {
  const { sender, receiver, proxy } = await through(fault);
  const delivered: unknown[] = [];
  const reader = receiver.plane.reader(0, 0, ignore);
  const writer = sender.plane.writer(1, 0, 'map', ignore);
  for (const element of elements) writer.write(element);
  let dialError = '';
  await sender.plane.connect(new Map([[1, proxy]])).catch((error) => {
    dialError = error.code;
  });
  await until(
    () => {
      for (let element = reader.poll(); element !== null; element = reader.poll()) delivered.push(element);
      return dialError !== '' || sender.failures.length > 0;
    },
    `the sender notices ${JSON.stringify(fault)}`,
  );
  // The receiver has noticed by the time a new connection is answered, or had never known the sender.
  await until(() => receiver.failures.length > 0 || dialError !== '', `the receiver notices ${JSON.stringify(fault)}`);
  for (let element = reader.poll(); element !== null; element = reader.poll()) delivered.push(element);
  const codes = [sender.failures.map((e) => e.code), receiver.failures.map((e) => e.code)] as const;
  await closeSlots();
  expect([sender.failures.length, receiver.failures.length]).toEqual([codes[0].length, codes[1].length]);
  await Promise.all(proxies.splice(0).map((each) => each.close()));
  return { dialError, sender: codes[0], receiver: codes[1], delivered };
}

describe('data plane under faults', () => {
  it.each(['reset', 'truncate'] as const)(
    'delivers whole elements only and reports once when the connection meets a %s at any byte',
    async (kind) => {
      const { hello, all } = await sizes();
      expect(all).toBeGreaterThan(hello + 72);
      for (let afterBytes = 0; afterBytes <= all; afterBytes++) {
        const outcome = await send({ kind, afterBytes });
        const where = `${kind} at byte ${afterBytes}`;
        expect(outcome.delivered, where).toEqual(elements.slice(0, outcome.delivered.length));
        if (afterBytes < all) expect(outcome.delivered.length, where).toBeLessThan(elements.length);
        if (afterBytes < hello)
          expect(outcome, where).toEqual({ dialError: 'TRANSPORT_FAILED', sender: [], receiver: [], delivered: [] });
        else if (outcome.dialError === '')
          expect([outcome.sender, outcome.receiver], where).toEqual([['TRANSPORT_FAILED'], ['TRANSPORT_FAILED']]);
      }
    },
  );

  it('never delivers a damaged element when a bit is turned over at any byte', async () => {
    const { hello, all } = await sizes();
    for (let atByte = 0; atByte < all; atByte++) {
      const outcome = await send({ kind: 'flip', atByte, bit: atByte & 7 });
      const where = `flip at byte ${atByte}`;
      expect(outcome.delivered, where).toEqual(elements.slice(0, outcome.delivered.length));
      if (atByte < hello)
        expect(outcome, where).toEqual({ dialError: 'TRANSPORT_FAILED', sender: [], receiver: [], delivered: [] });
      else expect(outcome.receiver, where).toEqual(['PROTOCOL']);
    }
  });

  it('names both slots in what it reports when a connection breaks', async () => {
    const { sender, receiver, proxy } = await through({ kind: 'none' });
    await sender.plane.connect(new Map([[1, proxy]]));
    await proxy.close();
    await until(() => sender.failures.length > 0 && receiver.failures.length > 0, 'both ends notice');
    for (const { failures } of [sender, receiver]) {
      expect(failures).toHaveLength(1);
      expect(failures[0]).toMatchObject({
        code: 'TRANSPORT_FAILED',
        retry: 'backoff',
        ids: { fromSlot: 0, toSlot: 1, attempt: 1 },
      });
      expect(failures[0]?.message).toMatch(/from slot 0 to slot 1/);
    }
  });

  it('bounds what waits at the sender and resumes when a half-open connection comes back', async () => {
    const { sender, receiver, proxy } = await through(
      { kind: 'stall', afterBytes: 200_000 },
      { limits: { channelCreditBytes: 1_000_000 } },
    );
    await sender.plane.connect(new Map([[1, proxy]]));
    const writer = sender.plane.writer(1, 0, 'map', ignore);
    const reader = receiver.plane.reader(0, 0, ignore);
    const text = 'x'.repeat(10_000);
    const read: unknown[] = [];
    const poll = (): void => {
      for (let element = reader.poll(); element !== null; element = reader.poll()) read.push(...valuesOf([element]));
    };
    let written = 0;
    await until(() => {
      written += fill(writer, () => text);
      poll();
      return read.length >= 18;
    }, 'what passed the stall has arrived');
    written += fill(writer, () => text);
    expect(writer.hasRoom).toBe(false);
    expect(written * 10_000).toBeLessThan(1_300_000);
    writer.write({ kind: 'end' });
    proxy.heal();
    const rest = valuesOf(await drain(reader, 'end'));
    expect(read.length + rest.length).toBe(written);
    expect([...sender.failures, ...receiver.failures]).toEqual([]);
  });

  it('stops the writer while the socket holds back and tells it when room is back, whatever credit is left', async () => {
    const { sender, receiver, proxy } = await through(
      { kind: 'stall', afterBytes: 100_000 },
      { limits: { channelCreditBytes: 200_000_000 } },
    );
    await sender.plane.connect(new Map([[1, proxy]]));
    let writable = 0;
    const writer = sender.plane.writer(1, 0, 'map', () => {
      writable += 1;
    });
    const block = new Uint8Array(100_000);
    let written = 0;
    // The kernel takes some megabytes before the socket holds back.
    for (let turns = 0; turns < 50; turns++) {
      written += fill(writer, () => block);
      await until(() => true, '');
    }
    written += fill(writer, () => block);
    expect(writer.hasRoom).toBe(false);
    expect(written * 100_000).toBeLessThan(100_000_000);
    expect(sender.plane.queuedBytes().outbound).toBeLessThan(10_000_000);
    const before = writable;
    proxy.heal();
    await until(() => writable > before, 'the writer is told');
    expect(writer.hasRoom).toBe(true);
    await until(
      () => receiver.plane.queuedBytes().inbound > written * 100_000,
      'all has arrived, with no credit given back',
    );
  });

  it('hands over everything in order when the network is slow', async () => {
    const { sender, receiver, proxy } = await through(
      { kind: 'delay', delayMs: 3 },
      { limits: { channelCreditBytes: 2000 } },
    );
    await sender.plane.connect(new Map([[1, proxy]]));
    const writer = sender.plane.writer(1, 0, 'map', ignore);
    const reader = receiver.plane.reader(0, 0, ignore);
    const read: unknown[] = [];
    let sent = 0;
    await until(() => {
      while (writer.hasRoom && sent < 300) writer.write({ kind: 'batch', batch: batchOf([sent++]) });
      for (let element = reader.poll(); element !== null; element = reader.poll()) read.push(...valuesOf([element]));
      return read.length === 300;
    }, 'all arrived');
    expect(read).toEqual(Array.from({ length: 300 }, (_, i) => i));
  });

  it('gives up dialing within its deadline when the network swallows the handshake', async () => {
    const { sender, receiver, proxy } = await through({ kind: 'stall', afterBytes: 10 }, { connectTimeoutMs: 50 });
    await expect(sender.plane.connect(new Map([[1, proxy]]))).rejects.toMatchObject({
      code: 'TRANSPORT_FAILED',
      message: expect.stringMatching(/no answer within 50 ms/),
    });
    expect([...sender.failures, ...receiver.failures]).toEqual([]);
  });

  it('reports once when several connections break', async () => {
    const { sender, receiver, proxy } = await through({ kind: 'none' });
    const third = await slot(2);
    await sender.plane.connect(
      new Map([
        [1, proxy],
        [2, third.endpoint],
      ]),
    );
    await third.plane.connect(new Map([[0, sender.endpoint]]));
    await receiver.plane.connect(new Map([[0, sender.endpoint]]));
    const other = await startTcpFaultProxy(receiver.endpoint, { kind: 'none' });
    proxies.push(other);
    await third.plane.connect(new Map([[1, other]]));
    await Promise.all([proxy.close(), other.close()]);
    await until(() => sender.failures.length > 0 && third.failures.length > 0, 'both senders notice');
    await until(() => receiver.failures.length > 0, 'the receiver notices');
    // Any further report has been made by the time everything is closed.
    await closeSlots();
    expect([sender, receiver, third].map(({ failures }) => failures.length)).toEqual([1, 1, 1]);
  });

  it('reports nothing when the connection breaks while closing waits for a reader', async () => {
    const { sender, proxy } = await through({ kind: 'none' }, { limits: { channelCreditBytes: 1000 } });
    await sender.plane.connect(new Map([[1, proxy]]));
    const writer = sender.plane.writer(1, 0, 'map', ignore);
    for (let i = 0; i < 10; i++) writer.write({ kind: 'batch', batch: batchOf(['x'.repeat(1000)]) });
    writer.write({ kind: 'end' });
    const closed = sender.plane.close();
    await proxy.close();
    await closed;
    expect(sender.failures).toEqual([]);
  });

  it('reports nothing when the connection breaks after it was closed', async () => {
    const { sender, receiver, proxy } = await through({ kind: 'none' });
    await sender.plane.connect(new Map([[1, proxy]]));
    const closing = [sender.plane.close(), receiver.plane.close()];
    await proxy.close();
    await Promise.all(closing);
    expect([...sender.failures, ...receiver.failures]).toEqual([]);
  });
});
