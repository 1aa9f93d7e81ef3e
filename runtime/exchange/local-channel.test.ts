import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Batch, StreamElement } from '../../core/stream/batch.ts';
import { defaultExchangeLimits } from './exchange-limits.ts';
import { LocalChannel } from './local-channel.ts';

const batchOf = (values: readonly unknown[]): Batch => ({
  values,
  length: values.length,
  timestamps: null,
  splitWatermarks: null,
  rowKinds: null,
  watermark: Number.NEGATIVE_INFINITY,
});
const batch = (values: readonly unknown[]): StreamElement => ({ kind: 'batch', batch: batchOf(values) });

function channel(limits = defaultExchangeLimits) {
  const calls = { readable: 0, writable: 0 };
  const local = new LocalChannel(
    {
      onReadable: () => {
        calls.readable += 1;
      },
      onWritable: () => {
        calls.writable += 1;
      },
    },
    limits,
  );
  return { local, calls };
}

describe('local channel', () => {
  it('hands over the same objects in order when written and polled in any interleaving', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 300 }), (steps) => {
        const { local } = channel();
        const written: StreamElement[] = [];
        const polled: StreamElement[] = [];
        for (const write of steps) {
          if (write) {
            const element = batch([written.length]);
            written.push(element);
            local.write(element);
          } else {
            const element = local.poll();
            if (element !== null) polled.push(element);
          }
        }
        for (let element = local.poll(); element !== null; element = local.poll()) polled.push(element);
        expect(polled).toHaveLength(written.length);
        expect(polled.every((element, i) => element === written[i])).toBe(true);
        expect(local.queuedBytes).toBe(0);
      }),
    );
  });

  it('has no room when the estimated bytes exceed the credit, and tells the writer when it has again', () => {
    const { local, calls } = channel({
      ...defaultExchangeLimits,
      channelCreditBytes: 100_000,
      localBatchesMax: 1_000_000,
    });
    let written = 0;
    while (local.hasRoom) {
      local.write(batch([{ text: 'x'.repeat(1000) }]));
      written += 1;
    }
    expect(written).toBeGreaterThan(80);
    expect(written).toBeLessThan(110);
    expect(calls.writable).toBe(0);
    local.poll();
    expect(local.hasRoom).toBe(true);
    expect(calls.writable).toBe(1);
    local.poll();
    expect(calls.writable).toBe(1);
  });

  it('has no room when there are too many batches, however small', () => {
    const { local } = channel();
    for (let i = 0; i < defaultExchangeLimits.localBatchesMax; i++) local.write(batch([]));
    expect(local.hasRoom).toBe(false);
    local.poll();
    expect(local.hasRoom).toBe(true);
  });

  it('takes barriers, idleness and the end when it has no room, and they cost nothing', () => {
    const { local } = channel({ ...defaultExchangeLimits, channelCreditBytes: 1 });
    local.write(batch([1]));
    const queued = local.queuedBytes;
    local.write({ kind: 'idle', idle: true });
    local.write({ kind: 'barrier', barrier: { checkpointId: 1, triggeredAtMs: 0 } });
    local.write({ kind: 'end' });
    expect(local.queuedBytes).toBe(queued);
    expect(
      [local.poll(), local.poll(), local.poll(), local.poll(), local.poll()].map((element) => element?.kind),
    ).toEqual(['batch', 'idle', 'barrier', 'end', undefined]);
  });

  it('tells the reader once when elements arrive in an empty channel', () => {
    const { local, calls } = channel();
    local.write(batch([1]));
    local.write(batch([2]));
    expect(calls.readable).toBe(1);
    local.poll();
    local.poll();
    local.write(batch([3]));
    expect(calls.readable).toBe(2);
  });

  it('believes a large record at once when the records before were small', () => {
    const { local } = channel();
    for (let i = 0; i < 10; i++) local.write(batch(new Array(256).fill(1)));
    const before = local.queuedBytes;
    local.write(batch(['x'.repeat(2 * 1024 * 1024)]));
    expect(local.queuedBytes - before).toBeGreaterThan(2 * 1024 * 1024);
    expect(local.hasRoom).toBe(false);
  });
});
