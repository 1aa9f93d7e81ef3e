import { expect, test } from 'vitest';
import type { RunningAttempt, SubtaskRef } from '../proto/messages.ts';
import type { JobMasterEvent, TaskManagerCall } from './model/job-master-protocol.ts';
import { SubtaskBoard } from './subtask-board.ts';

const subtask = (subtaskIndex: number): SubtaskRef => ({ vertexId: 'v', subtaskIndex });
const ref = (attempt: number) => ({ jobId: 'job', attempt, leaderEpoch: 1 });
const object = { name: 'x', sha256: 'y', bytes: 1 };

/** Slot i of an attempt has subtask i. */
function deploy(attempt: number, ...slots: readonly number[]): TaskManagerCall {
  const slices = slots.map((slotIndex) => ({ slotIndex, subtasks: [subtask(slotIndex)] }));
  const request = {
    attempt: ref(attempt),
    graph: object,
    artifact: object,
    slices,
    restoreManifest: null,
    finished: [],
    workingDirectory: '',
    graphHash: 'hash',
    currentAttempts: [attempt],
  };
  return { method: 'deploySlots', request };
}

function reported(attempt: number, index: number, state: 'running' | 'finished' | 'failed'): JobMasterEvent {
  const told = { taskManagerId: 'a', subtask: subtask(index), state, inputEnded: false, error: null };
  return { kind: 'subtask-state', report: { attempt: ref(attempt), ...told } };
}

const slotEnded = (attempt: number, slotIndex: number): JobMasterEvent => {
  return { kind: 'slot-ended', report: { attempt: ref(attempt), taskManagerId: 'a', slotIndex, error: null } };
};

const seen = (board: SubtaskBoard): string[] =>
  board.subtasks.map((one) => `${one.subtask.subtaskIndex} ${one.taskManagerId} ${one.state}`);

test('the board tells where subtasks are and what they were heard to do', () => {
  const board = new SubtaskBoard();
  board.called('a', deploy(1, 0, 1));
  board.called('b', deploy(1, 2));
  board.saw(reported(1, 0, 'running'));
  board.saw(reported(1, 2, 'finished'));
  expect(seen(board)).toEqual(['0 a running', '1 a deploying', '2 b finished']);
});

test('the board keeps what finished or failed when its slot or task manager is gone', () => {
  const board = new SubtaskBoard();
  board.called('a', deploy(1, 0, 1, 2, 3));
  board.called('b', deploy(1, 4));
  board.saw(reported(1, 0, 'failed'));
  board.saw(reported(1, 1, 'finished'));
  board.saw(slotEnded(1, 0));
  board.saw(slotEnded(1, 2));
  board.saw({ kind: 'task-manager-lost', taskManagerId: 'a', reason: 'silent' });
  expect(seen(board)).toEqual(['0 a failed', '1 a finished', '2 a ended', '3 a ended', '4 b deploying']);
});

test('the board forgets the attempt before when another is deployed, and takes nothing of it any more', () => {
  const board = new SubtaskBoard();
  board.called('a', deploy(1, 0, 1));
  board.called('b', deploy(2, 0));
  board.saw(reported(1, 0, 'failed'));
  board.saw(slotEnded(1, 0));
  board.called('a', deploy(1, 1));
  expect(seen(board)).toEqual(['0 b deploying']);
});

test('the board takes over what a task manager tells when an attempt was found running', () => {
  const board = new SubtaskBoard();
  const running: RunningAttempt = {
    attempt: ref(4),
    graphSha256: 'hash',
    slices: [{ slotIndex: 0, subtasks: [subtask(0)] }],
    subtasks: [{ subtask: subtask(0), state: 'running', inputEnded: false, error: null }],
    pendingCheckpointIds: [],
    endedSlots: [],
    currentAttempts: [4],
  };
  board.saw({ kind: 'attempt-reported', taskManagerId: 'a', running });
  expect(seen(board)).toEqual(['0 a running']);
});
