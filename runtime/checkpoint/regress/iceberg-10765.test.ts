import { expect, test } from 'vitest';
import { TwoPhaseCommitter } from '../two-phase-committer.ts';

/** In the Iceberg sink files of an aborted checkpoint were merged into the next commit under its id, or lost. */
test('committables of two aborted checkpoints are committed once by the third, under their own checkpoints', () => {
  const committer = new TwoPhaseCommitter();
  for (const checkpointId of [1, 2, 3]) {
    committer.received({ checkpointId, subtaskIndex: 0, data: `file of ${checkpointId}` });
    committer.freeze(checkpointId);
  }
  const batch = committer.completed(3);
  expect(batch?.committables.map((one) => [one.checkpointId, one.data])).toEqual([
    [1, 'file of 1'],
    [2, 'file of 2'],
    [3, 'file of 3'],
  ]);
  expect(committer.commitSucceeded().next).toBeNull();
  expect(committer.completed(4)).toBeNull();
});
