/** States of a job and of a subtask, with the legal moves as tables. An illegal move throws. */
import { assert } from '../../core/errors.ts';
import type { SubtaskState } from '../../proto/messages.ts';

/**
 * - created: waits for slots, nothing was deployed yet
 * - deploying: slots start, connect, restore and open
 * - running: every subtask runs (or has finished); checkpoints are taken
 * - restarting: the failed attempt is being ended, or its successor waits for its delay or for slots
 * - stopping: one last checkpoint is taken, without final watermark
 * - canceling: the attempt is being ended and none follows
 * - finished: all input was processed and committed. stopped: may be resumed. failed, canceled: ended otherwise
 */
export const jobStates = [
  'created',
  'deploying',
  'running',
  'restarting',
  'stopping',
  'canceling',
  'finished',
  'failed',
  'canceled',
  'stopped',
] as const;
export type JobState = (typeof jobStates)[number];
export type TerminalJobState = 'finished' | 'failed' | 'canceled' | 'stopped';

const jobMoves: Readonly<Record<JobState, readonly JobState[]>> = {
  // A job whose attempt was found running by a new leader goes on running.
  created: ['running', 'deploying', 'restarting', 'canceling', 'failed', 'canceled', 'stopped'],
  deploying: ['running', 'restarting', 'canceling'],
  running: ['restarting', 'stopping', 'canceling', 'finished'],
  restarting: ['deploying', 'canceling', 'failed', 'canceled', 'stopped'],
  // A stop whose savepoint failed is none.
  stopping: ['running', 'restarting', 'canceling', 'finished'],
  canceling: ['failed', 'canceled', 'stopped'],
  finished: [],
  failed: [],
  canceled: [],
  stopped: [],
};

export function isTerminal(state: JobState): state is TerminalJobState {
  return jobMoves[state].length === 0;
}

/** The state after a move. @throws EngineError INTERNAL when the move is not legal */
export function moveJob(from: JobState, to: JobState): JobState {
  assert(jobMoves[from].includes(to), `a job moves from ${from} to one of ${jobMoves[from].join(', ')}, not to ${to}`);
  return to;
}

/** True when a job may move from one state to the other; for checkers. */
export function isLegalJobMove(from: JobState, to: JobState): boolean {
  return jobMoves[from].includes(to);
}

const subtaskMoves: Readonly<Record<SubtaskState, readonly SubtaskState[]>> = {
  created: ['scheduled', 'canceled'],
  scheduled: ['deploying', 'canceled'],
  deploying: ['running', 'canceling', 'canceled', 'failed'],
  running: ['finished', 'canceling', 'canceled', 'failed'],
  // What was on its way when the cancel request was sent still counts.
  canceling: ['finished', 'canceled', 'failed'],
  finished: [],
  canceled: [],
  failed: [],
};

export function isLegalSubtaskMove(from: SubtaskState, to: SubtaskState): boolean {
  return subtaskMoves[from].includes(to);
}

export function isTerminalSubtask(state: SubtaskState): boolean {
  return subtaskMoves[state].length === 0;
}
