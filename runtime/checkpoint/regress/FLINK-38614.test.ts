import { expect, test } from 'vitest';
import { BarrierAligner } from '../barrier-aligner.ts';
import { TwoPhaseCommitter } from '../two-phase-committer.ts';

/**
 * In Flink the end of data overtook the last commit messages of a bounded job and the global committer dropped them. Here a
 * writer sends its last committables before its end, and the committer's snapshot of that checkpoint contains them.
 */
test('the committables of the last checkpoint of a bounded job are committed', () => {
  const aligner = new BarrierAligner(2, { hasOwnInput: false });
  const committer = new TwoPhaseCommitter();
  // The announcement of the final checkpoint reaches the committer before the ends of its writers.
  expect(aligner.announced(7)).toBeNull();
  committer.received({ checkpointId: 7, subtaskIndex: 0, data: 'last of writer 0' });
  expect(aligner.ended(0)).toBeNull();
  committer.received({ checkpointId: 7, subtaskIndex: 1, data: 'last of writer 1' });
  expect(aligner.ended(1)).toEqual({ checkpointId: 7, afterEnd: true });
  committer.freeze(7);
  expect(committer.completed(7)?.committables.map((one) => one.data)).toEqual(['last of writer 0', 'last of writer 1']);
});
