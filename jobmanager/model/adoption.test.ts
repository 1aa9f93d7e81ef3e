import { expect, test } from 'vitest';
import type { JobGraph, OperatorNode } from '../../core/graph/job-graph.ts';
import type { Manifest, RunningAttempt, SubtaskRef, SubtaskState } from '../../proto/messages.ts';
import { Adoption } from './adoption.ts';

const operator = (kind: string) => ({ id: kind, kind, name: kind, config: {} }) as unknown as OperatorNode;
const vertex = (id: string, kind: string, parallelism: number) => ({
  id,
  name: id,
  operators: [operator(kind)],
  parallelism,
});
const graph = {
  name: 'job',
  vertices: [vertex('source', 'source-reader', 2), vertex('committer', 'sink-committer', 1)],
  edges: [{ sourceVertex: 'source', targetVertex: 'committer' }],
} as unknown as JobGraph;

const subtask = (vertexId: string, subtaskIndex: number): SubtaskRef => ({ vertexId, subtaskIndex });
const source0 = subtask('source', 0);
const source1 = subtask('source', 1);
const committer = subtask('committer', 0);

/** What a task manager tells of one slot. */
function running(
  slotIndex: number,
  subtasks: readonly SubtaskRef[],
  more: Partial<RunningAttempt> = {},
): RunningAttempt {
  return {
    attempt: { leaderEpoch: 1, jobId: 'job-1', attempt: 3 },
    graphSha256: 'hash',
    slices: [{ slotIndex, subtasks }],
    subtasks: subtasks.map((one) => ({
      subtask: one,
      state: 'running' as SubtaskState,
      inputEnded: false,
      error: null,
    })),
    pendingCheckpointIds: [],
    endedSlots: [],
    currentAttempts: [3],
    ...more,
  };
}

const adoption = (finished: readonly SubtaskRef[] = []): Adoption =>
  new Adoption(3, graph, 'hash', finished.length === 0 ? null : ({ finished } as unknown as Manifest));

test('an attempt is complete when every subtask was told of, and adopted when every task manager has acknowledged', () => {
  const one = adoption();
  expect(one.reported('a', running(0, [source0, committer]))).toBeNull();
  expect(one.becameComplete()).toBe(false);
  expect(one.missing).toEqual([source1]);
  expect(one.reported('b', running(1, [source1]))).toBeNull();
  expect(one.becameComplete()).toBe(true);
  expect(one.becameComplete()).toBe(false);
  expect([one.answered({ taskManagerId: 'a', attempt: 3 }, null), one.isAcknowledged]).toEqual([null, false]);
  expect([one.answered({ taskManagerId: 'b', attempt: 3 }, null), one.isAcknowledged]).toEqual([null, true]);
  const [execution] = one.executions();
  expect(execution?.taskManagerIds).toEqual(['a', 'b']);
  expect(execution?.allRunning).toBe(true);
  expect(one.gone).toEqual([]);
});

test('a subtask that had ended before the newest checkpoint may be gone, a committer may not', () => {
  const one = adoption([source1, committer]);
  one.reported('a', running(0, [source0]));
  expect(one.missing).toEqual([committer]);
  expect(one.becameComplete()).toBe(false);
  one.reported('b', running(1, [committer]));
  expect(one.becameComplete()).toBe(true);
  expect(one.gone).toEqual([source1]);
});

test.each([
  [
    'of a number nobody gave',
    { attempt: { leaderEpoch: 1, jobId: 'job-1', attempt: 4 } },
    /attempt 4, the newest is 3/,
  ],
  ['of another graph', { graphSha256: 'other' }, /another graph/],
  [
    'with a subtask that is not running yet',
    { subtasks: [{ subtask: source0, state: 'deploying' as const, inputEnded: false, error: null }] },
    /is deploying/,
  ],
])('an attempt %s is not adopted', (_what, more, why) => {
  const one = adoption();
  expect(one.reported('a', running(0, [source0], more))).toMatch(why);
  // What is of a known attempt is ended.
  expect(one.everything()[0]?.openSlots.length ?? 0).toBe(/the newest is/.test(why.source) ? 0 : 1);
});

test('an attempt with subtasks that the graph no longer has is not adopted, and is ended', () => {
  const one = adoption();
  expect(one.reported('a', running(2, [subtask('source', 2)]))).toMatch(/not part of the graph/);
  expect(one.everything()[0]?.taskManagerIds).toEqual(['a']);
});

test('a failure, the end of a slot and the loss of a task manager end the adoption, a regular end does not', () => {
  const begun = (): Adoption => {
    const one = adoption();
    one.reported('a', running(0, [source0]));
    return one;
  };
  const base = { attempt: { leaderEpoch: 2, jobId: 'job-1', attempt: 3 }, taskManagerId: 'a', error: null };
  expect(begun().slotEnded({ ...base, slotIndex: 0 })).toMatch(/slot 0 .* has ended/);
  expect(begun().subtaskState({ ...base, subtask: source0, state: 'failed', inputEnded: false })).toMatch(/failed/);
  const one = begun();
  expect(one.subtaskState({ ...base, subtask: source0, state: 'finished', inputEnded: true })).toBeNull();
  expect(one.slotEnded({ ...base, slotIndex: 0 })).toBeNull();
  expect(one.everything()[0]?.finishedSubtasks).toEqual([source0]);
  expect(one.taskManagerLost('b')).toBeNull();
  expect(one.taskManagerLost('a')).toMatch(/lost/);
});

test('checkpoints under way are collected from all task managers', () => {
  const one = adoption();
  one.reported('a', running(0, [source0], { pendingCheckpointIds: [8, 7] }));
  one.reported('b', running(1, [source1], { pendingCheckpointIds: [8] }));
  expect(one.pendingCheckpointIds).toEqual([7, 8]);
});

const twoRegions = { ...graph, edges: [] } as unknown as JobGraph;
const ofAttempt = (attempt: number, currentAttempts: readonly number[]): Partial<RunningAttempt> => {
  return { attempt: { leaderEpoch: 1, jobId: 'job-1', attempt }, currentAttempts };
};

test('the newest attempt says which others are current, and older ones of the same region are left out', () => {
  const one = new Adoption(3, twoRegions, 'hash', null);
  // The source ran as attempt 1, then as attempt 3; the committer has run as attempt 2 all the time.
  expect(one.reported('sleeper', running(0, [source0, source1], ofAttempt(1, [1, 2])))).toBeNull();
  expect(one.reported('a', running(2, [committer], ofAttempt(2, [1, 2])))).toBeNull();
  expect([one.knowsAttempts, one.becameComplete(), one.missing.length]).toEqual([false, false, 3]);
  expect(one.reported('b', running(0, [source0, source1], ofAttempt(3, [2, 3])))).toBeNull();
  expect(one.becameComplete()).toBe(true);
  expect(one.holders).toEqual([
    { taskManagerId: 'a', attempt: 2 },
    { taskManagerId: 'b', attempt: 3 },
  ]);
  expect(one.superseded).toEqual([{ taskManagerId: 'sleeper', attempt: 1 }]);
  expect(one.executions().map(({ attempt, region }) => [attempt, region])).toEqual([
    [2, 1],
    [3, 0],
  ]);
  expect(one.everything().map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
});

test('the end of an attempt that others have taken the place of ends no adoption', () => {
  const one = new Adoption(3, twoRegions, 'hash', null);
  one.reported('b', running(0, [source0, source1], ofAttempt(3, [2, 3])));
  one.reported('sleeper', running(0, [source0, source1], ofAttempt(1, [1, 2])));
  const base = { attempt: { leaderEpoch: 2, jobId: 'job-1', attempt: 1 }, taskManagerId: 'sleeper', error: null };
  expect(one.subtaskState({ ...base, subtask: source0, state: 'failed', inputEnded: false })).toBeNull();
  expect(one.slotEnded({ ...base, slotIndex: 0 })).toBeNull();
  expect(one.taskManagerLost('sleeper')).toBeNull();
  expect(one.givenUp.size).toBe(0);
  expect(one.taskManagerLost('b')).toBeNull();
  expect([...one.givenUp]).toEqual([[0, 'task manager b is lost']]);
});

test('a region of which something is missing is given up at the deadline, and the others go on', () => {
  const one = new Adoption(2, twoRegions, 'hash', null);
  one.reported('a', running(2, [committer], ofAttempt(2, [1, 2])));
  one.reported('b', running(0, [source0], ofAttempt(1, [1, 2])));
  expect(one.becameComplete()).toBe(false);
  expect(one.deadlinePassed()).toBeNull();
  expect([...one.givenUp]).toEqual([[0, 'subtask 1/source was not heard of']]);
  expect(one.becameComplete()).toBe(true);
  expect(one.holders).toEqual([{ taskManagerId: 'a', attempt: 2 }]);
  expect(one.answered({ taskManagerId: 'a', attempt: 2 }, null)).toBeNull();
  expect(one.isAcknowledged).toBe(true);
  expect(one.executions().map(({ attempt }) => attempt)).toEqual([2]);
  expect(one.abandoned().map(({ attempt }) => attempt)).toEqual([1]);
  expect(one.gone).toEqual([]);
});

test('a region that fails, or whose task manager refuses, is given up; nothing is adopted when no region is left', () => {
  const one = new Adoption(2, twoRegions, 'hash', null);
  one.reported('a', running(2, [committer], ofAttempt(2, [1, 2])));
  one.reported('b', running(0, [source0, source1], ofAttempt(1, [1, 2])));
  expect(one.becameComplete()).toBe(true);
  const base = { attempt: { leaderEpoch: 2, jobId: 'job-1', attempt: 1 }, taskManagerId: 'b', error: null };
  expect(one.slotEnded({ ...base, slotIndex: 0 })).toBeNull();
  expect([one.isAcknowledged, one.holders.length]).toEqual([false, 1]);
  expect(one.answered({ taskManagerId: 'a', attempt: 2 }, 'it knows a newer leader')).toMatch(
    /slot 0 on task manager b has ended; a did not take it over: it knows a newer leader/,
  );
});

test('whoever does not acknowledge by the deadline gives up its region', () => {
  const one = new Adoption(2, twoRegions, 'hash', null);
  one.reported('a', running(2, [committer], ofAttempt(2, [1, 2])));
  one.reported('b', running(0, [source0, source1], ofAttempt(1, [1, 2])));
  one.becameComplete();
  one.answered({ taskManagerId: 'b', attempt: 1 }, null);
  expect(one.deadlinePassed()).toBeNull();
  expect([...one.givenUp]).toEqual([[1, 'not every task manager has answered']]);
  expect(one.isAcknowledged).toBe(true);
});
