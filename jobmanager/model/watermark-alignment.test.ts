import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WatermarkAlignment } from './watermark-alignment.ts';

const group = 'g';
const say = (model: WatermarkAlignment, slotIndex: number, watermarkMs: number, attempt = 1): number | undefined =>
  model.reported({ attempt, slotIndex, groups: [{ group, watermarkMs }] })[0]?.watermarkMs;

test('a report is answered with the slowest source of the other slots', () => {
  const model = new WatermarkAlignment();
  expect(say(model, 0, 5)).toBe(Number.POSITIVE_INFINITY);
  expect(say(model, 1, 100)).toBe(5);
  expect(say(model, 2, 50)).toBe(5);
  expect(say(model, 0, 70)).toBe(50);
});

test('groups are apart', () => {
  const model = new WatermarkAlignment();
  say(model, 0, 5);
  const answer = model.reported({
    attempt: 1,
    slotIndex: 1,
    groups: [
      { group: 'other', watermarkMs: 7 },
      { group, watermarkMs: 8 },
    ],
  });
  expect(answer).toEqual([
    { group: 'other', watermarkMs: Number.POSITIVE_INFINITY },
    { group, watermarkMs: 5 },
  ]);
});

test('a slot in which nobody counts, or that has ended, is waited for no longer', () => {
  const model = new WatermarkAlignment();
  say(model, 0, 5);
  expect(say(model, 1, 100)).toBe(5);
  say(model, 0, Number.POSITIVE_INFINITY);
  expect(say(model, 1, 100)).toBe(Number.POSITIVE_INFINITY);
  say(model, 0, 6);
  model.slotEnded(1, 0);
  expect(say(model, 1, 100)).toBe(Number.POSITIVE_INFINITY);
  // A report that was on its way when the slot ended.
  expect(say(model, 0, 6)).toBeUndefined();
  expect(say(model, 1, 100)).toBe(Number.POSITIVE_INFINITY);
});

test('a slot of a new attempt begins without reports, and one of an attempt before is ignored', () => {
  const model = new WatermarkAlignment();
  say(model, 0, 5);
  model.slotEnded(1, 1);
  // Slot 0 may be of another region, which runs on.
  expect(say(model, 1, 100, 2)).toBe(5);
  model.slotEnded(1, 1);
  expect(say(model, 0, 5)).toBe(100);
  model.attemptsStarted([2]);
  expect(say(model, 1, 100, 2)).toBe(Number.POSITIVE_INFINITY);
  expect(say(model, 0, 5, 3)).toBe(100);
  expect(say(model, 0, 5, 1)).toBeUndefined();
});

test('NaN stops nobody', () => {
  const model = new WatermarkAlignment();
  say(model, 0, Number.NaN);
  expect(say(model, 1, 1)).toBe(Number.POSITIVE_INFINITY);
});

test('slots that read as far as they may all come to the end, whichever reports and answers are lost', () => {
  const turn = fc.record({ slot: fc.nat(3), lost: fc.constantFrom('nothing', 'nothing', 'report', 'answer') });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 20 }), fc.array(turn, { maxLength: 60 }), (maxDrift, turns) => {
      const model = new WatermarkAlignment();
      const slots = [0, 1, 2, 3].map(() => ({ at: 0, others: Number.POSITIVE_INFINITY }));
      const goal = 100;
      const step = (index: number, lost: string): void => {
        const slot = slots[index] as { at: number; others: number };
        const limit = Math.min(slot.at, slot.others) + maxDrift;
        // A batch is read while the watermark is not above the limit.
        if (slot.at <= limit) slot.at = Math.min(goal, slot.at + 7);
        if (lost === 'report') return;
        const answer = say(model, index, slot.at === goal ? Number.POSITIVE_INFINITY : slot.at);
        if (lost === 'nothing' && answer !== undefined) slot.others = answer;
      };
      for (const { slot, lost } of turns) step(slot, lost);
      for (let round = 0; round < 200; round++) for (const index of slots.keys()) step(index, 'nothing');
      expect(slots.map((slot) => slot.at)).toEqual([goal, goal, goal, goal]);
    }),
    { numRuns: 200 },
  );
});
