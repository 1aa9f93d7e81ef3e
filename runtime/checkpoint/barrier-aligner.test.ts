import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BarrierAligner } from './barrier-aligner.ts';

const channelsOnly = { hasOwnInput: false };

test('an aligner blocks a channel from its barrier until the others have brought theirs', () => {
  const aligner = new BarrierAligner(2, channelsOnly);
  expect(aligner.barrier(0, 1)).toBeNull();
  expect([aligner.isBlocked(0), aligner.isBlocked(1)]).toEqual([true, false]);
  expect(aligner.barrier(1, 1)).toEqual({ checkpointId: 1, afterEnd: false });
  expect([aligner.isBlocked(0), aligner.isBlocked(1)]).toEqual([false, false]);
});

test('an aligner counts an ended channel as aligned when the end comes before or after the barrier of the other', () => {
  const before = new BarrierAligner(2, channelsOnly);
  expect(before.ended(0)).toBeNull();
  expect(before.barrier(1, 1)).toEqual({ checkpointId: 1, afterEnd: false });
  const after = new BarrierAligner(2, channelsOnly);
  expect(after.barrier(1, 1)).toBeNull();
  expect(after.ended(0)).toEqual({ checkpointId: 1, afterEnd: false });
});

test('an aligner does not let an announcement overtake a live channel', () => {
  const aligner = new BarrierAligner(1, channelsOnly);
  expect(aligner.announced(1)).toBeNull();
  expect(aligner.isBlocked(0)).toBe(false);
  expect(aligner.barrier(0, 1)).toEqual({ checkpointId: 1, afterEnd: false });
});

test('an aligner takes a snapshot on announcement alone when all inputs have ended, also when it came first', () => {
  const aligner = new BarrierAligner(2, channelsOnly);
  aligner.ended(0);
  expect(aligner.announced(3)).toBeNull();
  expect(aligner.ended(1)).toEqual({ checkpointId: 3, afterEnd: true });
  expect(aligner.announced(3)).toBeNull();
  expect(aligner.announced(4)).toEqual({ checkpointId: 4, afterEnd: true });
});

test('an aligner of a source reports the end only when the source itself has ended', () => {
  const root = new BarrierAligner(0, { hasOwnInput: true });
  expect(root.announced(1)).toEqual({ checkpointId: 1, afterEnd: false });
  root.ownInputEnded();
  expect(root.announced(2)).toEqual({ checkpointId: 2, afterEnd: true });
  const reader = new BarrierAligner(1, { hasOwnInput: true });
  reader.ended(0);
  expect(reader.announced(1)).toEqual({ checkpointId: 1, afterEnd: false });
});

test('an aligner frees its channels when the checkpoint is aborted and ignores its late barriers (FLINK-4984)', () => {
  const aligner = new BarrierAligner(2, channelsOnly);
  aligner.barrier(0, 1);
  aligner.aborted(1);
  expect(aligner.isBlocked(0)).toBe(false);
  expect(aligner.barrier(1, 1)).toBeNull();
  expect(aligner.isBlocked(1)).toBe(false);
  aligner.barrier(1, 2);
  expect(aligner.barrier(0, 2)).toEqual({ checkpointId: 2, afterEnd: false });
});

test('an aligner gives up an older checkpoint when a newer barrier comes', () => {
  const aligner = new BarrierAligner(3, channelsOnly);
  aligner.barrier(0, 1);
  aligner.barrier(1, 2);
  expect([aligner.isBlocked(0), aligner.isBlocked(1), aligner.isBlocked(2)]).toEqual([false, true, false]);
  expect(aligner.barrier(2, 1)).toBeNull();
  expect(aligner.isBlocked(2)).toBe(false);
  aligner.barrier(0, 2);
  expect(aligner.barrier(2, 2)).toEqual({ checkpointId: 2, afterEnd: false });
});

test('an aligner refuses an element of a channel that has ended', () => {
  const aligner = new BarrierAligner(1, channelsOnly);
  aligner.ended(0);
  expect(() => aligner.barrier(0, 1)).toThrowError(/after its end/);
});

/**
 * The law behind it all: cut every channel at its barrier. What the subtask has read at its snapshot is, per channel, exactly
 * what precedes barrier n; ids of snapshots grow; and when all barriers and ends have been delivered nothing is blocked.
 */
test('an aligner reads exactly what precedes the barrier of each channel, in any interleaving with aborts', () => {
  const channel = fc.array(fc.constantFrom('record' as const, 'barrier' as const), { maxLength: 12 });
  const script = fc.array(fc.record({ channel: fc.nat(3), abort: fc.nat(9) }), { maxLength: 200 });
  fc.assert(
    fc.property(fc.array(channel, { minLength: 1, maxLength: 4 }), script, (channels, steps) => {
      const aligner = new BarrierAligner(channels.length, channelsOnly);
      const position = channels.map(() => 0);
      const barriersRead = channels.map(() => 0);
      const recordsRead = channels.map(() => 0);
      const ended = channels.map(() => false);
      const recordsBefore = (index: number, id: number): number => {
        const elements = channels[index] ?? [];
        let barriers = 0;
        let records = 0;
        for (const element of elements) {
          if (element === 'barrier') barriers++;
          else records++;
          if (barriers === id) break;
        }
        return records;
      };
      let lastSnapshot = 0;
      const step = (index: number): boolean => {
        const elements = channels[index] ?? [];
        if (ended[index] === true || aligner.isBlocked(index)) return false;
        const element = elements[position[index] ?? 0];
        position[index] = (position[index] ?? 0) + 1;
        let decision = null;
        if (element === undefined) {
          ended[index] = true;
          decision = aligner.ended(index);
        } else if (element === 'record') recordsRead[index] = (recordsRead[index] ?? 0) + 1;
        else {
          barriersRead[index] = (barriersRead[index] ?? 0) + 1;
          decision = aligner.barrier(index, barriersRead[index] ?? 0);
        }
        if (decision !== null) {
          expect(decision.checkpointId).toBeGreaterThan(lastSnapshot);
          lastSnapshot = decision.checkpointId;
          channels.forEach((_, i) => expect(recordsRead[i]).toBe(recordsBefore(i, decision.checkpointId)));
        }
        return true;
      };
      for (const { channel: index, abort } of steps) {
        if (index < channels.length) step(index);
        if (abort === 0 && aligner.pendingCheckpointId !== null) aligner.aborted(aligner.pendingCheckpointId);
      }
      for (let progress = true; progress; ) progress = channels.map((_, index) => step(index)).includes(true);
      expect(ended).toEqual(channels.map(() => true));
    }),
  );
});
