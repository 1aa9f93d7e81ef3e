import { expect, test } from 'vitest';
import { TwoPhaseCommitter } from '../two-phase-committer.ts';

/**
 * In Flink the writer's close aborted a transaction that was already pre-committed. Here what was handed to the committer
 * belongs to it: an attempt that fails after the snapshot leaves it in the checkpoint, and the next attempt commits it.
 */
test('what was prepared before a failure is committed by the next attempt when the checkpoint had completed', () => {
  const failed = new TwoPhaseCommitter();
  failed.received({ checkpointId: 5, subtaskIndex: 0, data: 'prepared' });
  failed.freeze(5);
  const snapshot = failed.pending;
  failed.completed(5);
  failed.commitFailed();
  const successor = new TwoPhaseCommitter();
  expect(successor.restored(5, snapshot)?.committables).toEqual(snapshot);
});
