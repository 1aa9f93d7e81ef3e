/** Gateways for tests of transports: they note what they are asked and answer what they are told. */
import type { TaskManagerGateway } from '../../services.ts';

export const attempt = { leaderEpoch: 1, jobId: 'job.1', attempt: 1 };
const object = { name: 'job/object', sha256: 'ab', bytes: 12 };

/** A deployment whose message has about that many bytes. */
export function deployment(bytes: number) {
  const subtask = { vertexId: 'v'.repeat(1000), subtaskIndex: 0 };
  const subtasks = Array.from({ length: Math.ceil(bytes / 1006) }, () => subtask);
  const slices = [{ slotIndex: 0, subtasks }];
  const origin = { workingDirectory: '', graphHash: 'hash' };
  return { attempt, graph: object, artifact: object, restoreManifest: null, slices, finished: [], ...origin };
}

/** A gateway that puts the name of every call into a list, and answers as `answer` does. */
export function notingTaskManager(
  calls: string[],
  answer: (call: string) => Promise<object> = async () => ({}),
): TaskManagerGateway {
  const note = (call: string): Promise<object> => {
    calls.push(call);
    return answer(call);
  };
  return {
    deploySlots: (request) => note(`deploy ${request.attempt.attempt}`),
    connectSlots: () => note('connect'),
    cancelAttempt: (request) => note(`cancel ${request.attempt.attempt}`),
    triggerCheckpoint: (request) => note(`trigger ${request.checkpointId}`),
    notifyCheckpointComplete: (request) => note(`complete ${request.checkpointId}`),
    notifyCheckpointAborted: (request) => note(`aborted ${request.checkpointId}`),
    mergeFiles: () => note('merge'),
    adoptAttempt: (request) => note(`adopt ${request.attempt.leaderEpoch}`),
  };
}
