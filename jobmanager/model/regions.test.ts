import { expect, test } from 'vitest';
import { EngineError, toWireError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { JobMaster } from './job-master.ts';
import { type JobMasterAction, type JobMasterEvent, jobMasterSettingsDefault } from './job-master-protocol.ts';

const ref = { name: 'x', sha256: 'x', bytes: 1 };
const failure = toWireError(new EngineError('USER_FUNCTION_FAILED', 'boom', { retry: 'backoff' }));

/** Two vertices without an edge: two regions of one subtask, `a` in slot 0 and `b` in slot 1. */
function graph(): JobGraph {
  const restart = { kind: 'fixed-delay', delayMs: 0, attemptsMax: 9 } as const;
  const options = {
    parallelism: 1,
    maxParallelism: 128,
    checkpointIntervalMs: 100,
    checkpointTimeoutMs: 1_000,
    checkpointsRetained: 2,
    checkpointFailuresMax: 0,
    bufferTimeoutMs: 5,
    restart,
  };
  const vertices = ['a', 'b'].map((id) => ({ id, name: id, operators: [], parallelism: 1 }));
  return { formatVersion: 1, name: 'job', parameters: {}, options, vertices, edges: [] };
}

/** A job of two regions on task managers `tm0` (slot 0) and `tm1` (slot 1), whose actions are noted. */
class TwoRegions {
  readonly master = new JobMaster({
    jobId: 'job',
    graph: graph(),
    graphHash: 'h',
    restorableGraphHashes: [],
    graphRef: ref,
    artifactRef: ref,
    workingDirectory: '',
    newestAttempt: 0,
    leaderEpoch: 1,
    restored: null,
    settings: jobMasterSettingsDefault,
  });
  actions: JobMasterAction[] = [];
  #counters = { attempt: 0, checkpoint: 0 };

  constructor() {
    this.step({ kind: 'started' });
    this.grant(['tm0', 'tm1']);
    for (const [attempt, region] of [
      [1, 0],
      [2, 1],
    ] as const)
      this.running(attempt, region);
  }

  step(event: JobMasterEvent): this {
    const actions = this.master.step(event, { nowMs: 0, random: 0.5 });
    this.actions.push(...actions);
    for (const action of actions) {
      if (action.kind === 'advance-counter')
        this.step({ kind: 'counter-advanced', counter: action.counter, value: ++this.#counters[action.counter] });
    }
    return this;
  }

  grant(taskManagerIds: readonly string[]): this {
    const offers = taskManagerIds.map((taskManagerId) => ({ taskManagerId, slotCount: 1 }));
    return this.step({ kind: 'slots-granted', offers });
  }

  fire(timer: string): this {
    const set = this.actions.findLast((action) => action.kind === 'set-timer' && action.timer === timer);
    if (set?.kind !== 'set-timer') throw new Error(`${timer} is not set`);
    return this.step({ kind: 'timer-fired', timer: set.timer, generation: set.generation });
  }

  #base(attempt: number, region: number) {
    return { attempt: { leaderEpoch: 1, jobId: 'job', attempt }, taskManagerId: `tm${region}` };
  }

  state(attempt: number, region: number, state: 'running' | 'failed'): this {
    const subtask = { vertexId: region === 0 ? 'a' : 'b', subtaskIndex: 0 };
    const error = state === 'failed' ? failure : null;
    return this.step({
      kind: 'subtask-state',
      report: { ...this.#base(attempt, region), subtask, state, inputEnded: false, error },
    });
  }

  running(attempt: number, region: number): this {
    const address = { slotIndex: region, host: 'h', port: 1 };
    this.step({ kind: 'slot-listening', report: { ...this.#base(attempt, region), address } });
    return this.state(attempt, region, 'running');
  }

  ended(attempt: number, region: number): this {
    return this.step({
      kind: 'slot-ended',
      report: { ...this.#base(attempt, region), slotIndex: region, error: null },
    });
  }

  acknowledge(attempt: number, region: number, checkpointId: number): this {
    const subtask = { vertexId: region === 0 ? 'a' : 'b', subtaskIndex: 0 };
    const info = { subtask, afterEnd: false, rows: 0, bytes: 0, alignmentMs: 0, sourceRecords: 0 };
    const report = { ...this.#base(attempt, region), checkpointId, subtasks: [info], file: null };
    return this.step({ kind: 'checkpoint-acknowledged', report });
  }

  /** Calls since the last look, as `method task-manager attempt`. */
  calls(): string[] {
    const calls = this.actions.flatMap((action) =>
      action.kind === 'call'
        ? [`${action.call.method} ${action.taskManagerId} ${action.call.request.attempt.attempt}`]
        : [],
    );
    this.actions = this.actions.filter((action) => action.kind !== 'call');
    return calls;
  }
}

test('each region has an attempt of its own, told which others are current', () => {
  const job = new TwoRegions();
  expect([job.master.state, job.master.currentAttempts]).toEqual(['running', [1, 2]]);
  const told = job.actions.flatMap((action) =>
    action.kind === 'call' && action.call.method === 'deploySlots' ? [action.call.request.currentAttempts] : [],
  );
  expect(told).toEqual([
    [1, 2],
    [1, 2],
  ]);
  expect(job.calls()).toEqual(['deploySlots tm0 1', 'deploySlots tm1 2', 'connectSlots tm0 1', 'connectSlots tm1 2']);
});

test('a region that fails is started again alone, in slots beside those that are kept', () => {
  const job = new TwoRegions();
  job.calls();
  job.state(1, 0, 'failed').ended(1, 0).fire('restart-delay');
  expect(job.calls()).toEqual(['cancelAttempt tm0 1']);
  expect(job.actions.findLast((action) => action.kind === 'request-slots')).toEqual({
    kind: 'request-slots',
    count: 1,
    kept: [{ taskManagerId: 'tm1', slotCount: 1 }],
  });
  job.grant(['tm0']);
  expect(job.calls()).toEqual(['deploySlots tm0 3']);
  expect([job.master.state, job.master.currentAttempts]).toEqual(['deploying', [2, 3]]);
  job.running(3, 0);
  expect([job.master.state, job.master.restartCount]).toEqual(['running', 1]);
});

test('no checkpoint is taken while a region is down, and the one under way is aborted everywhere', () => {
  const job = new TwoRegions();
  job.fire('checkpoint-due');
  job.calls();
  job.state(1, 0, 'failed');
  expect(job.calls()).toContain('notifyCheckpointAborted tm1 2');
  job.acknowledge(2, 1, 1);
  expect(job.actions.some((action) => action.kind === 'write-manifest')).toBe(false);
  job.ended(1, 0).fire('restart-delay').grant(['tm0']).running(3, 0).fire('checkpoint-due');
  expect(job.calls()).toEqual(expect.arrayContaining(['triggerCheckpoint tm1 2', 'triggerCheckpoint tm0 3']));
  job.acknowledge(2, 1, 2).acknowledge(3, 0, 2);
  const manifest = job.actions.findLast((action) => action.kind === 'write-manifest');
  expect(manifest).toMatchObject({ manifest: { attempt: 3, checkpointId: 2 } });
});

test('a region that runs on is told of a checkpoint that completes while another one is being ended', () => {
  const job = new TwoRegions();
  job.fire('checkpoint-due').acknowledge(1, 0, 1).acknowledge(2, 1, 1);
  job.step({ kind: 'manifest-written', checkpointId: 1, manifest: ref });
  job.calls();
  job.state(1, 0, 'failed').ended(1, 0);
  job.step({ kind: 'pointer-set', checkpointId: 1, result: 'done' });
  expect(job.calls()).toEqual(['cancelAttempt tm0 1', 'notifyCheckpointComplete tm1 2']);
});

test('a region that fails while another one comes up is started again with it', () => {
  const job = new TwoRegions();
  job.state(1, 0, 'failed').ended(1, 0).fire('restart-delay').grant(['tm0']);
  job.calls();
  job.state(2, 1, 'failed');
  expect(job.calls().sort()).toEqual(['cancelAttempt tm0 3', 'cancelAttempt tm1 2']);
  job.ended(3, 0).ended(2, 1).fire('restart-delay').grant(['tm0', 'tm1']).running(4, 0).running(5, 1);
  expect([job.master.state, job.master.currentAttempts]).toEqual(['running', [4, 5]]);
});

test('the loss of a task manager ends the regions that ran there, for one reason', () => {
  const job = new TwoRegions();
  job.calls();
  job.step({ kind: 'task-manager-lost', taskManagerId: 'tm1', reason: 'gone' });
  job.fire('restart-delay').grant(['tm0']);
  expect(job.calls()).toEqual(['deploySlots tm0 3']);
  expect(job.master.currentAttempts).toEqual([1, 3]);
});

test('a job that is cancelled while a region is down ends the others too', () => {
  const job = new TwoRegions();
  job.state(1, 0, 'failed');
  job.calls();
  job.step({ kind: 'cancel-requested' });
  expect(job.calls()).toEqual(['cancelAttempt tm1 2']);
  job.ended(1, 0).ended(2, 1);
  expect(job.actions.at(-1)).toMatchObject({ kind: 'record-terminal', state: 'canceled' });
});
