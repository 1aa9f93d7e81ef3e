import { expect, test } from 'vitest';
import { EngineError } from '../../core/errors.ts';
import type { TaskManagerGateway } from '../services.ts';
import { inProcessTaskManager } from './in-process.ts';

const attempt = { leaderEpoch: 1, jobId: 'job', attempt: 1 };

function recordingGateway(calls: string[]): TaskManagerGateway {
  const note = async (call: string): Promise<object> => {
    calls.push(call);
    return {};
  };
  return {
    deploySlots: () => note('deploy'),
    connectSlots: () => note('connect'),
    cancelAttempt: () => Promise.reject(new EngineError('STALE_EPOCH', 'epoch 1 is over', { ids: { epoch: 2 } })),
    triggerCheckpoint: (request) => note(`trigger ${request.checkpointId}`),
    notifyCheckpointComplete: (request) => note(`complete ${request.checkpointId}`),
    notifyCheckpointAborted: (request) => note(`aborted ${request.checkpointId}`),
    mergeFiles: () => note('merge'),
    adoptAttempt: () => note('adopt'),
  };
}

test('an in-process task manager gets calls in order and never inside the stack of the caller', async () => {
  const calls: string[] = [];
  const gateway = inProcessTaskManager(recordingGateway(calls));
  const pending = [
    gateway.connectSlots({ attempt, slots: [], slices: [] }),
    gateway.triggerCheckpoint({ attempt, checkpointId: 1, triggeredAtMs: 0, stop: false, drain: false }),
    gateway.notifyCheckpointAborted({ attempt, checkpointId: 1 }),
    gateway.triggerCheckpoint({ attempt, checkpointId: 2, triggeredAtMs: 0, stop: false, drain: false }),
    gateway.notifyCheckpointComplete({ attempt, checkpointId: 2 }),
  ];
  expect(calls).toEqual([]);
  await Promise.all(pending);
  expect(calls).toEqual(['connect', 'trigger 1', 'aborted 1', 'trigger 2', 'complete 2']);
});

test('an in-process task manager passes on the code and ids of an error', async () => {
  const gateway = inProcessTaskManager(recordingGateway([]));
  const refusal = gateway.cancelAttempt({ attempt, cancelTimeoutMs: 1 });
  await expect(refusal).rejects.toMatchObject({ name: 'EngineError', code: 'STALE_EPOCH', ids: { epoch: '2' } });
});
