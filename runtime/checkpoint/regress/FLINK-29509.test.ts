import { expect, test } from 'vitest';
import { TwoPhaseCommitter } from '../two-phase-committer.ts';

/** In Flink restored committables were filed under the restoring subtask and the restored checkpoint. */
test('committables of two checkpoints keep their own checkpoint and subtask when restored by one committer', () => {
  const committables = [
    { checkpointId: 9, subtaskIndex: 3, data: 'd' },
    { checkpointId: 8, subtaskIndex: 3, data: 'c' },
    { checkpointId: 8, subtaskIndex: 1, data: 'b' },
  ];
  const batch = new TwoPhaseCommitter().restored(9, committables);
  expect(batch?.committables).toEqual([committables[1], committables[2], committables[0]]);
});
