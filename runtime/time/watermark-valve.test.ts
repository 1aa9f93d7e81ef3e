import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WatermarkValve } from './watermark-valve.ts';

/** The specification: recomputes the output from the whole history. */
interface ChannelHistory {
  watermark: number;
  status: 'active' | 'idle' | 'ended';
}
function specified(channels: readonly ChannelHistory[], before: number): { watermark: number; idle: boolean } {
  const active = channels.filter((channel) => channel.status === 'active').map((channel) => channel.watermark);
  const idle = channels.filter((channel) => channel.status === 'idle').map((channel) => channel.watermark);
  const all = channels.map((channel) => channel.watermark);
  const merged = active.length > 0 ? Math.min(...active) : Math.max(...(idle.length > 0 ? idle : all));
  return { watermark: Math.max(before, merged), idle: active.length === 0 && idle.length > 0 };
}

const time = fc.oneof(
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_SAFE_INTEGER, -8.64e15),
);
const event = fc.record({
  channel: fc.nat(3),
  kind: fc.constantFrom('advance', 'advance', 'advance', 'idle', 'active', 'end'),
  watermark: time,
});

test('a valve equals its specification after every event', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(event, { maxLength: 60 }), (channelCount, events) => {
      const valve = new WatermarkValve(channelCount);
      const channels = Array.from({ length: channelCount }, (): ChannelHistory => {
        return { watermark: Number.NEGATIVE_INFINITY, status: 'active' };
      });
      let expected = { watermark: Number.NEGATIVE_INFINITY, idle: false };
      for (const { channel: index, kind, watermark } of events) {
        const channel = channels[index];
        if (channel === undefined || channel.status === 'ended') continue;
        let changed: boolean;
        if (kind === 'advance') {
          channel.watermark = Math.max(channel.watermark, watermark);
          changed = valve.watermark(index, watermark);
        } else {
          channel.status = kind === 'end' ? 'ended' : kind === 'idle' ? 'idle' : 'active';
          changed = kind === 'end' ? valve.ended(index) : valve.idle(index, kind === 'idle');
        }
        const before = expected;
        expected = specified(channels, before.watermark);
        expect({ watermark: valve.current, idle: valve.isIdle }).toEqual(expected);
        expect(changed).toBe(before.watermark !== expected.watermark || before.idle !== expected.idle);
      }
    }),
    { numRuns: 500 },
  );
});

test('a valve does not move when a channel ended with the final watermark and the other is only idle', () => {
  const valve = new WatermarkValve(2);
  valve.watermark(0, Number.POSITIVE_INFINITY);
  valve.ended(0);
  valve.watermark(1, 10);
  valve.idle(1, true);
  expect(valve.current).toBe(10);
  valve.idle(1, false);
  valve.watermark(1, 20);
  expect(valve.current).toBe(20);
});

test('a valve refuses a watermark that is not a number', () => {
  expect(() => new WatermarkValve(1).watermark(0, Number.NaN)).toThrowError(/watermark is a number/);
});
