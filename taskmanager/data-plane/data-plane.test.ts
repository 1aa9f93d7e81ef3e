import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import type { StreamElement } from '../../core/stream/batch.ts';
import { batchOf } from '../../testing/exchange/batches.ts';
import { closeSlots, drain, fill, ignore, pair, slot, until, valuesOf } from '../../testing/exchange/slots.ts';
import { createDataPlane } from './data-plane.ts';

afterEach(closeSlots);

/** Bytes of array buffers that are reachable. Sweeping them is concurrent, so a second collection waits for the first. */
async function arrayBufferBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  return process.memoryUsage().arrayBuffers;
}

describe('data plane', () => {
  it('hands over every kind of element in order when written at once', async () => {
    const [sender, receiver] = await pair();
    const reader = receiver.plane.reader(0, 7, ignore);
    const writer = sender.plane.writer(1, 7, 'map', ignore);
    const elements: StreamElement[] = [
      {
        kind: 'batch',
        batch: { ...batchOf([1, 'two', { three: 3 }]), timestamps: Float64Array.of(1, 2, 3), watermark: 2 },
      },
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

  it('counts the same bytes at both ends when batches in one and in many frames were sent', async () => {
    const [sender, receiver] = await pair({ limits: { frameMaxBytes: 1_000 } });
    const reader = receiver.plane.reader(0, 7, ignore);
    const writer = sender.plane.writer(1, 7, 'map', ignore);
    expect([writer.bytesSent, reader.bytesReceived]).toEqual([0, 0]);
    writer.write({ kind: 'batch', batch: batchOf(['short']) });
    writer.write({ kind: 'batch', batch: batchOf(['x'.repeat(5_000)]) });
    writer.write({ kind: 'end' });
    await drain(reader, 'end');
    expect(writer.bytesSent).toBeGreaterThan(5_005);
    expect(reader.bytesReceived).toBe(writer.bytesSent);
  });

  it('keeps what arrives before its reader within credit when the reader comes late', async () => {
    const [sender, receiver] = await pair({ limits: { channelCreditBytes: 10_000 } });
    const writer = sender.plane.writer(1, 3, 'map', ignore);
    const written = fill(writer);
    writer.write({ kind: 'end' });
    await until(() => receiver.plane.queuedBytes().inbound >= 10_000, 'the credit is used up');
    let readable = 0;
    const reader = receiver.plane.reader(0, 3, () => {
      readable += 1;
    });
    await until(() => readable === 1, 'the reader is told');
    expect(valuesOf(await drain(reader, 'end'))).toEqual(Array.from({ length: written }, (_, i) => i));
  });

  it('queues writes until connected when the writer is made before', async () => {
    const sender = await slot(0);
    const receiver = await slot(1);
    let writable = 0;
    const writer = sender.plane.writer(1, 0, 'map', () => {
      writable += 1;
    });
    expect(writer.hasRoom).toBe(false);
    writer.write({ kind: 'batch', batch: batchOf(['early']) });
    writer.write({ kind: 'end' });
    const reader = receiver.plane.reader(0, 0, ignore);
    await sender.plane.connect(new Map([[1, receiver.endpoint]]));
    expect(valuesOf(await drain(reader, 'end'))).toEqual(['early']);
    expect(writable).toBe(1);
  });

  it('has room at once and calls nobody back when the writer is made after connecting', async () => {
    const [sender] = await pair();
    let writable = 0;
    const writer = sender.plane.writer(1, 0, 'map', () => {
      writable += 1;
    });
    expect([writer.hasRoom, writable]).toEqual([true, 0]);
  });

  it('sends in both directions when both slots dial', async () => {
    const [a, b] = await pair();
    await b.plane.connect(new Map([[0, a.endpoint]]));
    a.plane.writer(1, 0, 'map', ignore).write({ kind: 'batch', batch: batchOf(['to b']) });
    b.plane.writer(0, 0, 'map', ignore).write({ kind: 'batch', batch: batchOf(['to a']) });
    expect(valuesOf(await drain(b.plane.reader(0, 0, ignore), 'batch'))).toEqual(['to b']);
    expect(valuesOf(await drain(a.plane.reader(1, 0, ignore), 'batch'))).toEqual(['to a']);
  });

  it('lets other channels go on when one reader has stopped, and queues no more than its credit for it', async () => {
    const [sender, receiver] = await pair({ limits: { channelCreditBytes: 100_000 } });
    const stopped = sender.plane.writer(1, 0, 'slow', ignore);
    const going = sender.plane.writer(1, 1, 'fast', ignore);
    const reader = receiver.plane.reader(0, 1, ignore);
    const text = 'x'.repeat(1000);
    const written = fill(stopped, () => text);
    let read = 0;
    let sent = 0;
    await until(() => {
      while (going.hasRoom && sent < 3000) going.write({ kind: 'batch', batch: batchOf([text, sent++]) });
      while (reader.poll() !== null) read += 1;
      return read === 3000;
    }, 'the other channel has passed 3 MB');
    expect(written).toBeGreaterThan(50);
    expect(stopped.hasRoom).toBe(false);
    expect(receiver.plane.queuedBytes().inbound).toBeLessThan(100_000 + 2000);
    const late = receiver.plane.reader(0, 0, ignore);
    stopped.write({ kind: 'end' });
    expect(valuesOf(await drain(late, 'end'))).toHaveLength(written);
    expect(stopped.hasRoom).toBe(true);
  });

  it('keeps no more memory than credit counts when small batches wait among large ones', async () => {
    const [sender, receiver] = await pair();
    const stopped = sender.plane.writer(1, 0, 'slow', ignore);
    const going = sender.plane.writer(1, 1, 'fast', ignore);
    const reader = receiver.plane.reader(0, 1, ignore);
    const large = batchOf([new Uint8Array(60_000)]);
    let read = 0;
    let sent = 0;
    const pass = (count: number): Promise<void> =>
      until(() => {
        while (going.hasRoom && sent < count) {
          stopped.write({ kind: 'batch', batch: batchOf([sent++]) });
          going.write({ kind: 'batch', batch: large });
        }
        while (reader.poll() !== null) read += 1;
        return read === count;
      }, 'the large batches have passed');
    await pass(200);
    const before = await arrayBufferBytes();
    await pass(2200);
    expect(stopped.hasRoom).toBe(true);
    // Each small batch came with 60 KB of its neighbour: 120 MB if it kept them.
    expect((await arrayBufferBytes()) - before).toBeLessThan(20_000_000);
  });

  it('passes a million records once and in order when four channels share a connection', async () => {
    const [sender, receiver] = await pair();
    const perChannel = 250_000;
    const perBatch = 500;
    const ends = [0, 1, 2, 3].map((id) => ({
      writer: sender.plane.writer(1, id, 'map', ignore),
      reader: receiver.plane.reader(0, id, ignore),
      sent: 0,
      read: 0,
      ended: false,
    }));
    await until(() => {
      for (const end of ends) {
        while (end.writer.hasRoom && end.sent < perChannel) {
          const from = end.sent;
          end.writer.write({ kind: 'batch', batch: batchOf(Array.from({ length: perBatch }, (_, i) => from + i)) });
          end.sent += perBatch;
          if (end.sent === perChannel) end.writer.write({ kind: 'end' });
        }
        for (let element = end.reader.poll(); element !== null; element = end.reader.poll()) {
          if (element.kind === 'end') end.ended = true;
          if (element.kind === 'batch')
            for (const value of element.batch.values) if (value !== end.read++) throw new Error('out of order');
        }
      }
      return ends.every((end) => end.ended);
    }, 'every channel has ended');
    expect(ends.map((end) => end.read)).toEqual([perChannel, perChannel, perChannel, perChannel]);
    expect(receiver.plane.queuedBytes()).toEqual({ inbound: 0, outbound: 0 });
  });

  it('passes a record in several frames when it is larger than a frame', async () => {
    const [sender, receiver] = await pair();
    const writer = sender.plane.writer(1, 0, 'map', ignore);
    const record = new Uint8Array(Buffer.alloc(12_000_000, 'seven b'));
    writer.write({ kind: 'batch', batch: batchOf([record]) });
    writer.write({ kind: 'barrier', barrier: { checkpointId: 1, triggeredAtMs: 2 } });
    const [first] = await drain(receiver.plane.reader(0, 0, ignore), 'barrier');
    expect(first?.kind === 'batch' && Buffer.compare(first.batch.values[0] as Uint8Array, record)).toBe(0);
    await until(() => writer.hasRoom, 'the overdraft is paid back');
  });

  it('refuses a record naming operator and size when it is larger than recordMaxBytes', async () => {
    const [sender, receiver] = await pair();
    const writer = sender.plane.writer(1, 0, 'enrich', ignore);
    const other = sender.plane.writer(1, 1, 'other', ignore);
    const write = (): void => writer.write({ kind: 'batch', batch: batchOf(['x'.repeat(17 * 1024 * 1024)]) });
    expect(write).toThrow(
      expect.objectContaining({
        code: 'RECORD_TOO_LARGE',
        message: expect.stringMatching(/enrich emitted a record of 178\d+ bytes/),
      }),
    );
    other.write({ kind: 'batch', batch: batchOf([1]) });
    expect(valuesOf(await drain(receiver.plane.reader(0, 1, ignore), 'batch'))).toEqual([1]);
  });

  it('stops before memory is gone when a batch is endless', async () => {
    const text = 'x'.repeat(1024 * 1024);
    const [sender] = await pair({ limits: { batchMaxBytes: 20 * 1024 * 1024 } });
    const writer = sender.plane.writer(1, 0, 'explode', ignore);
    const write = (): void => writer.write({ kind: 'batch', batch: batchOf(new Array(100).fill(text)) });
    expect(write).toThrow(
      expect.objectContaining({ code: 'RECORD_TOO_LARGE', message: expect.stringMatching(/operator explode/) }),
    );
  });

  it('reports nothing at either end when a slot that has ended its channels closes', async () => {
    const [sender, receiver] = await pair({ limits: { channelCreditBytes: 5000 } });
    const writer = sender.plane.writer(1, 0, 'map', ignore);
    const reader = receiver.plane.reader(0, 0, ignore);
    for (let i = 0; i < 100; i++) writer.write({ kind: 'batch', batch: batchOf([i, 'x'.repeat(200)]) });
    writer.write({ kind: 'end' });
    // Most of it waits for credit: closing has to wait for the reader.
    const closed = sender.plane.close();
    expect(valuesOf(await drain(reader, 'end'))).toHaveLength(200);
    await closed;
    await receiver.plane.close();
    expect([...sender.failures, ...receiver.failures]).toEqual([]);
  });

  it('does not take a close on purpose for a failure when channels are open', async () => {
    const [sender, receiver] = await pair();
    sender.plane.writer(1, 0, 'map', ignore).write({ kind: 'batch', batch: batchOf(['last']) });
    const reader = receiver.plane.reader(0, 0, ignore);
    const read = await drain(reader, 'batch');
    await receiver.plane.close();
    await sender.plane.close();
    expect(valuesOf(read)).toEqual(['last']);
    expect([...sender.failures, ...receiver.failures]).toEqual([]);
  });
});

describe('data plane handshake', () => {
  it.each([
    ['another cluster', { clusterId: 'guess' }, 'PROTOCOL', /wrong cluster/],
    ['another job', { jobName: 'other' }, 'PROTOCOL', /works for job "job"/],
    ['an older attempt', { attempt: 0 }, 'STALE_EPOCH', /runs attempt 1, slot 0 attempt 0, which is over/],
  ])('refuses a slot of %s, with the reason, when it dials', async (_, options, code, message) => {
    const receiver = await slot(1);
    const sender = await slot(0, options);
    const dialed = sender.plane.connect(new Map([[1, receiver.endpoint]]));
    await expect(dialed).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect([...sender.failures, ...receiver.failures]).toEqual([]);
  });

  it('refuses a slot when it listens under the index of another', async () => {
    const receiver = await slot(2);
    const sender = await slot(0);
    await expect(sender.plane.connect(new Map([[1, receiver.endpoint]]))).rejects.toThrow(/this is slot 2, not slot 1/);
  });

  it('refuses a second connection and keeps the first when a slot connects again', async () => {
    const [sender, receiver] = await pair();
    const again = await slot(0);
    await expect(again.plane.connect(new Map([[1, receiver.endpoint]]))).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringMatching(/slot 0 was connected already/),
    });
    sender.plane.writer(1, 0, 'map', ignore).write({ kind: 'batch', batch: batchOf(['still here']) });
    expect(valuesOf(await drain(receiver.plane.reader(0, 0, ignore), 'batch'))).toEqual(['still here']);
    expect(receiver.failures).toEqual([]);
  });

  it('drops a stranger and goes on when it speaks another protocol', async () => {
    const [sender, receiver] = await pair();
    const stranger = connect(receiver.endpoint);
    let gone = false;
    stranger.on('error', ignore);
    stranger.on('close', () => {
      gone = true;
    });
    stranger.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n');
    await until(() => gone, 'the stranger is dropped');
    sender.plane.writer(1, 0, 'map', ignore).write({ kind: 'end' });
    await drain(receiver.plane.reader(0, 0, ignore), 'end');
    expect(receiver.failures).toEqual([]);
  });

  it('cuts a stranger off when it never completes its handshake', async () => {
    const receiver = await slot(1, { connectTimeoutMs: 100 });
    const wrong = await slot(0, { clusterId: 'guess' });
    const stranger = connect(receiver.endpoint);
    let gone = false;
    stranger.on('error', ignore);
    stranger.on('close', () => {
      gone = true;
    });
    stranger.resume();
    // Half a frame header: neither refused nor welcome until the deadline.
    stranger.write(new Uint8Array(10));
    await expect(wrong.plane.connect(new Map([[1, receiver.endpoint]]))).rejects.toThrow(/wrong cluster/);
    await until(() => gone, 'the stranger is cut off');
    expect(receiver.failures).toEqual([]);
  });

  it('names both slots and the address when nobody listens', async () => {
    const sender = await slot(0);
    const gone = await slot(1);
    await gone.plane.close();
    const dialed = sender.plane.connect(new Map([[1, gone.endpoint]]));
    const message = expect.stringMatching(
      new RegExp(`slot 0 cannot connect to slot 1 at 127.0.0.1:${gone.endpoint.port}`),
    );
    await expect(dialed).rejects.toMatchObject({ code: 'TRANSPORT_FAILED', message });
    expect(sender.failures).toEqual([]);
  });

  it('names port and remedy when the port is in use, and takes the next of a range', async () => {
    const first = await slot(0);
    const { port } = first.endpoint;
    const create = () =>
      createDataPlane({ clusterId: 'secret', jobName: 'job', attempt: 1, self: 1, onFailure: ignore });
    await expect(create().listen('127.0.0.1', { first: port, last: port })).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringMatching(new RegExp(`port ${port} .*--data-ports`)),
    });
    const second = create();
    const endpoint = await second.listen('127.0.0.1', { first: port, last: Math.min(port + 20, 65_535) });
    expect(endpoint.port).toBeGreaterThan(port);
    await second.close();
  });

  it('cancels dialing when it is closed meanwhile', async () => {
    const sender = await slot(0);
    const receiver = await slot(1);
    const dialed = sender.plane.connect(new Map([[1, receiver.endpoint]]));
    dialed.catch(ignore);
    await sender.plane.close();
    await expect(dialed).rejects.toMatchObject({ code: 'CANCELED' });
    expect(sender.failures).toEqual([]);
  });
});
