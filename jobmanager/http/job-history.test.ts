import { expect, test } from 'vitest';
import { toWireError } from '../../core/errors.ts';
import type { JobNotice } from '../model/job-master-protocol.ts';
import { historyEntriesMax, historyJobsMax, JobHistory } from './job-history.ts';

const completed = (checkpointId: number): JobNotice => {
  return { kind: 'checkpoint-completed', checkpointId, bytes: 10, durationMs: 5 };
};

test('history keeps the newest entries and counts all when there are more than it holds', () => {
  const history = new JobHistory(() => 9);
  for (let id = 1; id <= historyEntriesMax + 3; id++) history.noticed(completed(id), 'job', null);
  const { checkpoints, completedCheckpoints } = history.of('job');
  expect(completedCheckpoints).toBe(historyEntriesMax + 3);
  expect(checkpoints).toHaveLength(historyEntriesMax);
  expect(checkpoints[0]).toEqual({
    id: historyEntriesMax + 3,
    status: 'completed',
    endedAtMs: 9,
    durationMs: 5,
    bytes: 10,
    stateBytes: null,
    alignmentMs: null,
    reason: null,
  });
});

test('history counts restarts and not the failure that ended the job', () => {
  const history = new JobHistory(() => 9);
  const error = toWireError(new Error('odd'));
  const failed = { kind: 'attempt-failed', error, next: '' } as const;
  history.noticed({ ...failed, attempts: [1], restarts: true }, 'job', null);
  history.noticed({ ...failed, attempts: [2], restarts: false }, 'job', null);
  history.noticed({ kind: 'checkpoint-aborted', checkpointId: 4, reason: 'late' }, 'job', null);
  const { restarts, exceptions, failedCheckpoints, checkpoints } = history.of('job');
  expect(restarts).toBe(1);
  expect(exceptions.map(({ attempt }) => attempt)).toEqual([2, 1]);
  expect(failedCheckpoints).toBe(1);
  expect(checkpoints[0]).toMatchObject({ id: 4, status: 'failed', reason: 'late' });
});

test('history forgets the job heard of least recently when there are too many', () => {
  const history = new JobHistory(() => 9);
  history.noticed(completed(1), 'first', null);
  history.noticed(completed(1), 'second', null);
  for (let index = 2; index < historyJobsMax; index++) history.noticed(completed(1), `job-${index}`, null);
  history.noticed(completed(2), 'first', null);
  history.noticed(completed(1), 'one more', null);
  expect(history.of('first').completedCheckpoints).toBe(2);
  expect(history.of('second').completedCheckpoints).toBe(0);
});
