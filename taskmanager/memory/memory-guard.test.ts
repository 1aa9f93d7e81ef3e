import { expect, test } from 'vitest';
import { MemoryGuard, readingsAboveMin, readingsOfGrace, type SlotMemory } from './memory-guard.ts';

interface Slot extends SlotMemory {
  readonly name: string;
}

const slot = (name: string, heapBytes: number, externalBytes: number, isSilent = false): Slot => {
  return { name, heapBytes, externalBytes, isSilent };
};

/** Limit 1,000, idle 200: slots must answer for 400 of it. */
const guard = (): MemoryGuard => new MemoryGuard(1_000, 200);

/** What is done by the reading that decides. */
function decided(slots: readonly Slot[]): string {
  const one = guard();
  for (let count = 1; count < readingsAboveMin; count++)
    expect(one.look({ residentBytes: 1_001, slots }).kind).toBe('fine');
  const decision = one.look({ residentBytes: 1_001, slots });
  return decision.kind === 'end-slot' ? decision.slot.name : decision.kind;
}

test('the slot that holds most outside of its heap is ended, also when another one has a larger heap', () => {
  expect(decided([slot('state', 500, 10), slot('leaks', 20, 300), slot('more', 20, 200)])).toBe('leaks');
});

test('the largest slot is ended when it is the heaps that are large', () => {
  expect(decided([slot('buffers', 20, 30), slot('state', 600, 10)])).toBe('state');
});

test('nobody is ended when the slots do not answer for what is used, and it is said once', () => {
  const slots = [slot('small', 100, 100), slot('smaller', 50, 50)];
  expect(decided(slots)).toBe('unexplained');
  const one = guard();
  const kinds = Array.from({ length: 10 }, () => one.look({ residentBytes: 2_000, slots }).kind);
  expect(kinds.filter((kind) => kind === 'unexplained')).toHaveLength(1);
  expect(one.look({ residentBytes: 900, slots }).kind).toBe('fine');
  one.look({ residentBytes: 2_000, slots });
  expect(one.look({ residentBytes: 2_000, slots }).kind).toBe('unexplained');
  expect(decided([])).toBe('unexplained');
});

test('a slot that is in one call all the time is ended when the others do not answer for what is used', () => {
  expect(decided([slot('small', 100, 100), slot('silent', 20, 1, true)])).toBe('silent');
  expect(decided([slot('large', 100, 700), slot('silent', 20, 1, true)])).toBe('large');
});

test('one reading above the limit ends nobody, and after an end the next one waits', () => {
  const one = guard();
  const slots = [slot('a', 10, 500), slot('b', 10, 400)];
  const look = (residentBytes: number) => one.look({ residentBytes, slots }).kind;
  expect([look(1_001), look(1_000), look(1_001)]).toEqual(['fine', 'fine', 'fine']);
  expect(look(1_001)).toBe('end-slot');
  const after = Array.from({ length: readingsOfGrace }, () => look(1_001));
  expect(after).toEqual([...Array<string>(readingsOfGrace - 1).fill('fine'), 'end-slot']);
});
