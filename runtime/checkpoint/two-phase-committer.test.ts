import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Committable } from '../../core/connector/index.ts';
import { TwoPhaseCommitter } from './two-phase-committer.ts';

const committable = (checkpointId: number, data: string, subtaskIndex = 0): Committable => {
  return { checkpointId, subtaskIndex, data };
};

test('a committer commits only what a completed checkpoint contains', () => {
  const committer = new TwoPhaseCommitter();
  const first = committable(1, 'a');
  const second = committable(2, 'b');
  committer.received(first);
  committer.freeze(1);
  committer.received(second);
  expect(committer.completed(1)).toEqual({ upToCheckpointId: 1, committables: [first] });
  expect(committer.commitSucceeded()).toEqual({ committed: [first], next: null });
  expect(committer.pending).toEqual([second]);
});

test('a committer commits once when a notification is repeated, late or subsumes others', () => {
  const committer = new TwoPhaseCommitter();
  for (const id of [1, 2]) {
    committer.received(committable(id, `${id}`));
    committer.freeze(id);
  }
  expect(committer.completed(2)?.committables).toHaveLength(2);
  expect(committer.completed(2)).toBeNull();
  expect(committer.completed(1)).toBeNull();
  expect(committer.commitSucceeded().next).toBeNull();
  expect(committer.completed(2)).toBeNull();
});

test('a committer tries the same batch again after a failure, whatever completed meanwhile', () => {
  const committer = new TwoPhaseCommitter();
  committer.received(committable(1, 'a'));
  committer.freeze(1);
  const batch = committer.completed(1);
  committer.received(committable(2, 'b'));
  committer.freeze(2);
  expect(committer.completed(2)).toBeNull();
  expect(committer.commitFailed()).toBe(batch);
  expect(committer.commitSucceeded().next).toEqual({ upToCheckpointId: 2, committables: [committable(2, 'b')] });
});

test('a committer refuses a committable that follows the barrier of its checkpoint', () => {
  const committer = new TwoPhaseCommitter();
  committer.freeze(3);
  expect(() => committer.received(committable(3, 'late'))).toThrowError(/precedes its barrier/);
});

/** Every committable is committed exactly once in the world of an idempotent sink, however often the committer crashes. */
test('a committer loses and repeats nothing when it crashes at any point', () => {
  const step = fc.constantFrom('write', 'snapshot', 'complete', 'abort', 'succeed', 'fail', 'crash');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      let committer = new TwoPhaseCommitter();
      let written: string[] = [];
      let inProgress: ReturnType<TwoPhaseCommitter['completed']> = null;
      let nextId = 1;
      let open: { id: number; pending: readonly Committable[]; written: readonly string[] } | null = null;
      let pointer: { id: number; pending: readonly Committable[]; written: readonly string[] } | null = null;
      const visible = new Set<string>();
      const act = (kind: string): void => {
        if (kind === 'write') {
          written.push(`${nextId}-${written.length}`);
          committer.received(committable(nextId, `${nextId}-${written.length - 1}`));
        } else if (kind === 'snapshot' && open === null) {
          committer.freeze(nextId);
          open = { id: nextId, pending: committer.pending, written: [...written] };
          nextId++;
        } else if (kind === 'complete' && open !== null) {
          pointer = open;
          open = null;
          inProgress = committer.completed(pointer.id) ?? inProgress;
        } else if (kind === 'abort') open = null;
        else if (kind === 'succeed' && inProgress !== null) {
          for (const one of inProgress.committables) visible.add(String(one.data));
          inProgress = committer.commitSucceeded().next;
        } else if (kind === 'fail' && inProgress !== null) inProgress = committer.commitFailed();
        else if (kind === 'crash') {
          committer = new TwoPhaseCommitter();
          open = null;
          written = [...(pointer?.written ?? [])];
          // Ids are never reused.
          nextId++;
          inProgress = pointer === null ? null : committer.restored(pointer.id, pointer.pending);
        }
        for (const one of visible) expect(pointer?.written).toContain(one);
      };
      steps.forEach(act);
      ['abort', 'snapshot', 'complete'].forEach(act);
      while (inProgress !== null) act('succeed');
      expect([...visible].sort()).toEqual([...written].sort());
    }),
    { numRuns: 500 },
  );
});
