import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ValveSpecification } from '../../testing/simulator/valve-specification.ts';
import { type ValveLayout, WatermarkValve } from './watermark-valve.ts';

const time = fc.oneof(
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_SAFE_INTEGER, -8.64e15),
);
const event = fc.record({
  channel: fc.nat(4),
  kind: fc.constantFrom('advance', 'advance', 'advance', 'idle', 'active', 'end'),
  watermark: time,
});

type ValveEvent = typeof event extends fc.Arbitrary<infer E> ? E : never;
const channelsMax = 5;
const groupsMax = 3;
const someGroups = fc.uniqueArray(fc.nat(groupsMax - 1));
const layout = fc.record({
  groupOf: fc.array(fc.nat(groupsMax - 1), { minLength: channelsMax, maxLength: channelsMax }),
  groups: fc.array(fc.record({ wakesWith: someGroups, endsWith: someGroups }), {
    minLength: groupsMax,
    maxLength: groupsMax,
  }),
});

function compare(channelCount: number, events: readonly ValveEvent[], given?: ValveLayout): void {
  const valve = new WatermarkValve(channelCount, given);
  const specification = new ValveSpecification(channelCount, given ?? null);
  const ended = new Set<number>();
  let before = specification.current;
  for (const { channel, kind, watermark } of events) {
    if (channel >= channelCount || ended.has(channel)) continue;
    let changed: boolean;
    if (kind === 'advance') {
      specification.watermark(channel, watermark);
      changed = valve.watermark(channel, watermark);
    } else if (kind === 'end') {
      ended.add(channel);
      specification.ended(channel);
      changed = valve.ended(channel);
    } else {
      specification.idle(channel, kind === 'idle');
      changed = valve.idle(channel, kind === 'idle');
    }
    const after = specification.current;
    expect({ watermark: valve.current, idle: valve.isIdle }).toEqual(after);
    expect(changed).toBe(before.watermark !== after.watermark || before.idle !== after.idle);
    before = after;
  }
}

test('a valve equals its specification after every event', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(event, { maxLength: 60 }), (channelCount, events) =>
      compare(channelCount, events),
    ),
    { numRuns: 500 },
  );
});

test('a valve equals its specification after every event when channels wake and end together', () => {
  fc.assert(
    fc.property(layout, fc.array(event, { maxLength: 60 }), (given, events) => compare(channelsMax, events, given)),
    { numRuns: 1000 },
  );
});

const siblings = (channelCount: number): ValveLayout => ({
  groupOf: new Array<number>(channelCount).fill(0),
  groups: [{ wakesWith: [0], endsWith: [0] }],
});

test('a valve waits for a sibling that still counts as idle when another one has woken', () => {
  const valve = new WatermarkValve(2, siblings(2));
  for (const channel of [0, 1]) {
    valve.watermark(channel, 10);
    valve.idle(channel, true);
  }
  expect(valve.current).toBe(10);
  valve.idle(0, false);
  valve.watermark(0, 100);
  expect(valve.current).toBe(10);
  valve.idle(1, false);
  valve.watermark(1, 90);
  expect(valve.current).toBe(90);
});

test('a valve waits for a sibling that has not heard of it when one woke and fell silent again', () => {
  const valve = new WatermarkValve(2, siblings(2));
  for (const channel of [0, 1]) valve.idle(channel, true);
  valve.idle(0, false);
  valve.watermark(0, 100);
  valve.idle(0, true);
  expect({ watermark: valve.current, idle: valve.isIdle }).toEqual({ watermark: Number.NEGATIVE_INFINITY, idle: true });
  valve.idle(1, false);
  valve.watermark(1, 100);
  valve.idle(1, true);
  expect(valve.current).toBe(100);
});

test('a valve waits for an idle channel whose sibling has ended and that is about to end', () => {
  const valve = new WatermarkValve(3, {
    groupOf: [0, 0, 1],
    groups: [
      { wakesWith: [0], endsWith: [0] },
      { wakesWith: [], endsWith: [] },
    ],
  });
  valve.watermark(1, 5);
  valve.idle(1, true);
  valve.watermark(2, 1_000);
  expect(valve.current).toBe(Number.NEGATIVE_INFINITY);
  valve.ended(0);
  expect(valve.current).toBe(5);
  valve.ended(1);
  expect(valve.current).toBe(1_000);
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
