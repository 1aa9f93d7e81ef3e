import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareBytes, encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import type { Key } from '../../core/operators.ts';
import { memoryBackend } from '../state/backend.ts';
import { ChangeLedger } from '../state/change-ledger.ts';
import { type Timer, TimerService } from './timer-service.ts';
import { TimeHeap } from './time-heap.ts';

function newTimers(): TimerService {
  const ledger = new ChangeLedger('operator');
  return new TimerService(
    { operatorId: 'operator', maxParallelism: 4, keyGroups: { first: 0, last: 3 }, backend: memoryBackend, ledger },
    'event',
  );
}

function fireAll(timers: TimerService, target: number): Timer[] {
  const fired: Timer[] = [];
  for (let timer = timers.takeDue(target); timer !== null; timer = timers.takeDue(target)) fired.push(timer);
  return fired;
}

describe('timer service', () => {
  test('fires what is registered and due, in the order of time and key bytes', () => {
    const timer = fc.record({
      time: fc.integer({ min: -5, max: 20 }),
      key: fc.constantFrom<Key>('a', 'b', 3, -3, '\uffee', '\ud83d\ude00', true, ['a', 1]),
      remove: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(timer, { maxLength: 80, size: 'max' }),
        fc.integer({ min: -5, max: 20 }),
        (steps, target) => {
          const timers = newTimers();
          const model = new Map<string, { time: number; key: Key; bytes: Uint8Array }>();
          for (const { time, key, remove } of steps) {
            const bytes = encodeKeyToBytes(key);
            const id = `${time} ${Buffer.from(bytes).toString('hex')}`;
            if (remove) timers.delete(time, key);
            else timers.register(time, key);
            if (remove) model.delete(id);
            else model.set(id, { time, key, bytes });
          }
          const due = [...model.values()].filter(({ time }) => time <= target);
          due.sort((left, right) => left.time - right.time || compareBytes(left.bytes, right.bytes));
          expect(fireAll(timers, target)).toEqual(due.map(({ time, key }) => ({ time, key })));
          expect(fireAll(timers, 100)).toHaveLength(model.size - due.length);
          expect(timers.size).toBe(0);
        },
      ),
    );
  });

  test('passes over any number of times whose timers were deleted', () => {
    const timers = newTimers();
    for (let time = 0; time < 50_000; time++) {
      timers.register(time, 'session');
      if (time < 49_999) timers.delete(time, 'session');
    }
    expect(timers.size).toBe(1);
    expect(fireAll(timers, 100_000)).toEqual([{ time: 49_999, key: 'session' }]);
  });

  test('holds what a callback registers at its own time until the next advance, deleted or not', () => {
    const timers = newTimers();
    for (const key of ['a', 'b']) timers.register(5, key);
    expect(timers.takeDue(10)).toEqual({ time: 5, key: 'a' });
    timers.delete(5, 'b');
    for (const key of ['a', 'b', 'c']) timers.register(5, key);
    timers.register(6, 'a');
    timers.delete(5, 'c');
    expect(timers.earliest).toBe(5);
    expect(fireAll(timers, 10)).toEqual([{ time: 6, key: 'a' }]);
    expect(fireAll(timers, 10)).toEqual([
      { time: 5, key: 'a' },
      { time: 5, key: 'b' },
    ]);
    expect(timers.earliest).toBe(Number.POSITIVE_INFINITY);
  });

  test('refuses a time that is not a number', () => {
    expect(() => newTimers().register(Number.NaN, 'a')).toThrow(RangeError);
    expect(() => newTimers().register('1' as unknown as number, 'a')).toThrow(RangeError);
  });
});

test('a time heap gives times in order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer()), (times) => {
      const heap = new TimeHeap();
      for (const time of times) heap.push(time);
      const sorted = [...times].sort((left, right) => left - right);
      expect(heap.upTo(0)).toEqual(sorted.filter((time) => time <= 0));
      const popped: number[] = [];
      for (; heap.size > 0; heap.pop()) popped.push(heap.earliest);
      expect(popped).toEqual(sorted);
    }),
  );
});
