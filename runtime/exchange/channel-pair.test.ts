/** Both ends of a TCP channel, with the wires between them held in memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ByteSink, ByteWriter } from '../../core/codec/byte-sink.ts';
import { decodeValue, encodeValue } from '../../core/codec/value-codec.ts';
import type { Batch, StreamElement } from '../../core/stream/batch.ts';
import { defaultExchangeLimits, type ExchangeLimits } from './exchange-limits.ts';
import { frameKind, type FrameOutput, FrameParser, FrameWriter } from './frame.ts';
import { InboundChannel } from './inbound-channel.ts';
import { OutboundChannel } from './outbound-channel.ts';

const batchOf = (values: readonly unknown[]): Batch => ({
  values,
  length: values.length,
  timestamps: null,
  splitWatermarks: null,
  rowKinds: null,
  watermark: Number.NEGATIVE_INFINITY,
});
const batch = (...values: unknown[]): StreamElement => ({ kind: 'batch', batch: batchOf(values) });

class MemoryOutput extends ByteWriter implements FrameOutput {
  startFrame(): void {}
  frameWritten(): void {}
}

class Pair {
  readonly gate = { open: true };
  readonly grants: number[] = [];
  readonly calls = { readable: 0, writable: 0 };
  readonly writer: OutboundChannel;
  readonly reader: InboundChannel;
  readonly #output = new MemoryOutput();
  readonly #parser: FrameParser;

  constructor(limits: ExchangeLimits) {
    const { gate } = this;
    const frames = new FrameWriter(this.#output);
    const encoder = { encode: (b: Batch, sink: ByteSink) => encodeValue(b.values, sink) };
    const decoder = { decode: (bytes: Uint8Array) => batchOf(decodeValue(bytes) as unknown[]) };
    const onWritable = (): void => {
      this.calls.writable += 1;
    };
    this.writer = new OutboundChannel({
      channelId: 4,
      operatorName: 'enrich',
      limits,
      encoder,
      frames,
      gate,
      creditBytes: 0,
      onWritable,
    });
    this.reader = new InboundChannel({
      channelId: 4,
      limits,
      decoder,
      grants: { grant: (_, bytes) => void this.grants.push(bytes) },
    });
    this.reader.attach(() => {
      this.calls.readable += 1;
    });
    this.#parser = new FrameParser(
      { payloadMaxBytes: limits.frameMaxBytes, channelsMax: 1 },
      { frame: (_, kind, payload) => this.reader.accept(kind, payload) },
    );
  }

  get wireBytes(): number {
    return this.#output.position;
  }

  deliver(): void {
    this.#parser.push(this.#output.take());
  }

  credit(): void {
    const bytes = this.grants.shift();
    if (bytes !== undefined) this.writer.grant(bytes);
  }
}

const small = { ...defaultExchangeLimits, channelCreditBytes: 300, frameMaxBytes: 50 };

const element: fc.Arbitrary<StreamElement> = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.string({ maxLength: 40 }), { maxLength: 8 }).map((values) => batch(...values)) },
  { weight: 1, arbitrary: fc.boolean().map((idle) => ({ kind: 'idle' as const, idle })) },
  {
    weight: 1,
    arbitrary: fc
      .nat()
      .map((checkpointId) => ({ kind: 'barrier' as const, barrier: { checkpointId, triggeredAtMs: 5 } })),
  },
);

describe('channel over the wire', () => {
  it('hands over every element once and in order when writes, arrivals, polls and credits interleave', () => {
    const step = fc.oneof(element, fc.constantFrom('deliver' as const, 'poll' as const, 'credit' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), fc.nat(100), (steps, connectAt) => {
        const pair = new Pair(small);
        const written: StreamElement[] = [];
        const polled: StreamElement[] = [];
        const poll = (): void => {
          const next = pair.reader.poll();
          if (next !== null) polled.push(next);
        };
        for (const [i, action] of steps.entries()) {
          if (i === connectAt) pair.writer.connected(small.channelCreditBytes);
          if (action === 'poll') poll();
          else if (action === 'deliver' || action === 'credit') pair[action]();
          else {
            written.push(action);
            pair.writer.write(action);
          }
          // One batch of eight strings has at most 1000 bytes and 20 frame headers.
          expect(pair.reader.queuedBytes).toBeLessThan(small.channelCreditBytes + 1500);
        }
        if (steps.length <= connectAt) pair.writer.connected(small.channelCreditBytes);
        pair.writer.write({ kind: 'end' });
        written.push({ kind: 'end' });
        for (let rounds = 0; polled.length < written.length; rounds++) {
          expect(rounds, 'the channel is stuck').toBeLessThan(1000);
          pair.deliver();
          while (pair.reader.queuedBytes > 0) poll();
          poll();
          pair.credit();
        }
        expect(polled).toEqual(written);
        expect(pair.writer.finished).toBe(true);
      }),
    );
  });

  it('sends barriers, idleness and the end at once when there is no credit and nothing waits', () => {
    const pair = new Pair(small);
    pair.writer.connected(300);
    pair.writer.write(batch('x'.repeat(400)));
    expect(pair.writer.hasRoom).toBe(false);
    pair.writer.write({ kind: 'barrier', barrier: { checkpointId: 1, triggeredAtMs: 0 } });
    pair.writer.write({ kind: 'end' });
    pair.deliver();
    expect([pair.reader.poll(), pair.reader.poll(), pair.reader.poll()].map((e) => e?.kind)).toEqual([
      'batch',
      'barrier',
      'end',
    ]);
  });

  it('tells the writer once when room comes back, not when the gate is closed', () => {
    const pair = new Pair(small);
    pair.writer.connected(300);
    expect(pair.calls.writable).toBe(1);
    pair.writer.write(batch('x'.repeat(400)));
    pair.deliver();
    pair.reader.poll();
    pair.gate.open = false;
    pair.credit();
    expect(pair.calls.writable).toBe(1);
    pair.gate.open = true;
    pair.writer.roomChanged();
    pair.writer.roomChanged();
    expect(pair.calls.writable).toBe(2);
  });

  it('delivers nothing of a batch when a part is missing', () => {
    const pair = new Pair(small);
    pair.reader.accept(frameKind.batchPart, new Uint8Array(50));
    pair.reader.accept(frameKind.batchPart, new Uint8Array(50));
    expect(pair.reader.poll()).toBe(null);
    expect(() => pair.reader.accept(frameKind.end, new Uint8Array(0))).toThrow(/interrupted/);
  });

  it('refuses a batch when it grows beyond the limit or comes without credit', () => {
    const pair = new Pair({ ...small, batchMaxBytes: 120 });
    pair.reader.accept(frameKind.batchPart, new Uint8Array(50));
    pair.reader.accept(frameKind.batchPart, new Uint8Array(50));
    expect(() => pair.reader.accept(frameKind.batch, new Uint8Array(50))).toThrow(/more than 120 bytes/);
    const other = new Pair(small);
    other.reader.accept(frameKind.batch, new Uint8Array(400));
    expect(() => other.reader.accept(frameKind.batch, new Uint8Array(1))).toThrow(/without credit/);
  });

  it('refuses frames when they follow the end', () => {
    const pair = new Pair(small);
    pair.reader.accept(frameKind.end, new Uint8Array(0));
    expect(() => pair.reader.accept(frameKind.batch, new Uint8Array(1))).toThrow(/after its end/);
  });

  it('refuses a record naming operator and size when it is too large, and all writes after it', () => {
    const pair = new Pair({ ...defaultExchangeLimits, recordMaxBytes: 1000 });
    pair.writer.connected(1000);
    const expected = {
      code: 'RECORD_TOO_LARGE',
      message: expect.stringMatching(/operator enrich emitted a record of 15\d\d bytes/),
    };
    expect(() => pair.writer.write(batch('x'.repeat(1500)))).toThrow(expect.objectContaining(expected));
    expect(() => pair.writer.write(batch('y'))).toThrow(expect.objectContaining(expected));
    expect(pair.wireBytes).toBe(0);
  });

  it('takes a batch when it is larger than a record may be but none of its records is', () => {
    const pair = new Pair({ ...defaultExchangeLimits, recordMaxBytes: 1000 });
    pair.writer.connected(1_000_000);
    pair.writer.write(batch(...new Array(10).fill('x'.repeat(500))));
    expect(() => pair.writer.write(batch('x', 'y'.repeat(1200)))).toThrow(
      /operator enrich emitted a record of 12\d\d bytes/,
    );
  });

  it('fails the writer naming the operator when one step emits more than may wait', () => {
    const pair = new Pair({ ...small, pendingMaxBytes: 1000 });
    pair.writer.connected(300);
    const writeMuch = (): void => {
      for (let i = 0; i < 20; i++) pair.writer.write(batch('x'.repeat(100)));
    };
    expect(writeMuch).toThrow(/operator enrich emitted \d+ bytes beyond the credit/);
  });

  it('names the operator when a value cannot be encoded', () => {
    const pair = new Pair(small);
    pair.writer.connected(300);
    const expected = { code: 'VALUE_NOT_ENCODABLE', message: expect.stringMatching(/operator enrich/) };
    expect(() => pair.writer.write(batch({ f: () => 1 }))).toThrow(expect.objectContaining(expected));
    expect(pair.wireBytes).toBe(0);
  });
});
