import { expect, test } from 'vitest';
import { EngineError, toWireError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type { AttemptRef, Manifest } from '../../proto/messages.ts';
import { JobMaster } from './job-master.ts';
import {
  type CheckpointPointer,
  type JobMasterAction,
  type JobMasterEvent,
  jobMasterSettingsDefault,
  type RestoredPointer,
} from './job-master-protocol.ts';

const subtask = { vertexId: 'v', subtaskIndex: 0 };
const ref = { name: 'x', sha256: 'x', bytes: 1 };
const failure = toWireError(new EngineError('USER_FUNCTION_FAILED', 'boom', { retry: 'backoff' }));

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
  const vertices = [{ id: 'v', name: 'v', operators: [], parallelism: 1 }];
  return { formatVersion: 1, name: 'job', parameters: {}, options, vertices, edges: [] };
}

/** A job master of one subtask whose actions are noted; timers fire when a test says so. */
class Driver {
  readonly master: JobMaster;

  constructor(storeFailuresMax: number | null = null, newestAttempt = 0, restored: RestoredPointer | null = null) {
    this.master = new JobMaster({
      jobId: 'job',
      graph: graph(),
      graphHash: 'h',
      restorableGraphHashes: [],
      graphRef: ref,
      artifactRef: ref,
      workingDirectory: '',
      newestAttempt,
      leaderEpoch: 7,
      objectPrefix: '',
      restored,
      settings: { ...jobMasterSettingsDefault, storeFailuresMax },
    });
  }

  readonly actions: JobMasterAction[] = [];
  nowMs = 0;
  /** Who gives all slots that are asked for, at once. */
  grants: string | null = 'tm';
  readonly counters = { attempt: 0, checkpoint: 0 };

  /** Steps, and answers counters at once. */
  step(event: JobMasterEvent): this {
    const actions = this.master.step(event, { nowMs: this.nowMs, random: 0.5 });
    this.actions.push(...actions);
    for (const action of actions) {
      if (action.kind === 'give-up-task-manager') this.grants = null;
      if (action.kind === 'request-slots' && this.grants !== null) this.grant(this.grants);
      if (action.kind !== 'advance-counter') continue;
      this.step({ kind: 'counter-advanced', counter: action.counter, value: ++this.counters[action.counter] });
    }
    return this;
  }

  /** All slots that were asked for, on one task manager. */
  grant(taskManagerId: string): this {
    const asked = this.last((action) => action.kind === 'request-slots');
    const slotCount = asked.kind === 'request-slots' ? asked.count : 0;
    return this.step({ kind: 'slots-granted', offers: [{ taskManagerId, slotCount }] });
  }

  fire(timer: string): this {
    const set = this.last((action) => action.kind === 'set-timer' && action.timer === timer);
    if (set.kind !== 'set-timer') throw new Error('not a timer');
    this.nowMs += set.delayMs;
    return this.step({ kind: 'timer-fired', timer: set.timer, generation: set.generation });
  }

  last(predicate: (action: JobMasterAction) => boolean): JobMasterAction {
    const found = this.actions.findLast(predicate);
    if (found === undefined)
      throw new Error(`no such action among ${this.actions.map((action) => action.kind).join(', ')}`);
    return found;
  }

  get calls(): string[] {
    return this.actions.flatMap((action) =>
      action.kind === 'call' ? [`${action.call.method} ${action.call.request.attempt.attempt}`] : [],
    );
  }

  get restoredFrom(): string | null {
    const deploy = this.last((action) => action.kind === 'call' && action.call.method === 'deploySlots');
    if (deploy.kind !== 'call' || deploy.call.method !== 'deploySlots') throw new Error('not a deployment');
    return deploy.call.request.restoreManifest?.name ?? null;
  }

  at(attempt: number, leaderEpoch = 7): AttemptRef {
    return { leaderEpoch, jobId: 'job', attempt };
  }

  state(attempt: number, state: 'running' | 'failed' | 'finished', leaderEpoch = 7): this {
    const error = state === 'failed' ? failure : null;
    const report = {
      attempt: this.at(attempt, leaderEpoch),
      taskManagerId: 'tm',
      subtask,
      state,
      inputEnded: false,
      error,
    };
    return this.step({ kind: 'subtask-state', report });
  }

  /** From deployment to running. */
  run(attempt: number): this {
    const address = { slotIndex: 0, host: 'h', port: 1 };
    this.step({ kind: 'slot-listening', report: { attempt: this.at(attempt), taskManagerId: 'tm', address } });
    return this.state(attempt, 'running');
  }

  slotEnded(attempt: number): this {
    return this.step({
      kind: 'slot-ended',
      report: { attempt: this.at(attempt), taskManagerId: 'tm', slotIndex: 0, error: null },
    });
  }

  /** Takes a checkpoint up to the moment when its pointer is being set. */
  checkpoint(attempt: number, checkpointId: number): this {
    this.fire('checkpoint-due');
    const info = { subtask, afterEnd: false, rows: 0, bytes: 0, alignmentMs: 0, sourceRecords: 0 };
    const report = { attempt: this.at(attempt), taskManagerId: 'tm', checkpointId, subtasks: [info], file: null };
    this.step({ kind: 'checkpoint-acknowledged', report });
    return this.step({ kind: 'manifest-written', checkpointId, manifest: { ...ref, name: `m${checkpointId}` } });
  }

  get pointer(): CheckpointPointer {
    const set = this.last((action) => action.kind === 'set-pointer');
    if (set.kind !== 'set-pointer') throw new Error('no pointer is being set');
    return set.pointer;
  }
}

function running(storeFailuresMax: number | null = null): Driver {
  return new Driver(storeFailuresMax).step({ kind: 'started' }).run(1);
}

test('FLINK-5197: a late report of an older attempt changes nothing', () => {
  const driver = running().state(1, 'failed').slotEnded(1).fire('restart-delay').run(2);
  expect(driver.master.state).toBe('running');
  driver.state(1, 'failed').slotEnded(1);
  expect([driver.master.state, driver.master.attempt]).toEqual(['running', 2]);
});

test('a message of another epoch is refused and changes nothing', () => {
  const driver = running();
  expect(() => driver.state(1, 'failed', 6)).toThrowError(expect.objectContaining({ code: 'STALE_EPOCH' }));
  expect(driver.master.state).toBe('running');
});

test('FLINK-19816: a restart goes on from the newest checkpoint, not from an older retained one', () => {
  const driver = running();
  for (const checkpointId of [1, 2]) {
    driver.checkpoint(1, checkpointId).step({ kind: 'pointer-set', checkpointId, result: 'done' });
  }
  driver.state(1, 'failed').slotEnded(1).fire('restart-delay');
  expect(driver.pointer.retained.map((one) => one.checkpointId)).toEqual([1, 2]);
  expect(driver.restoredFrom).toBe('m2');
});

test('a checkpoint is complete only with its pointer, and notified only then', () => {
  const driver = running().checkpoint(1, 1);
  expect(driver.calls).not.toContain('notifyCheckpointComplete 1');
  driver.step({ kind: 'pointer-set', checkpointId: 1, result: 'done' });
  expect(driver.calls).toContain('notifyCheckpointComplete 1');
});

test('a restart waits until it is known whether the checkpoint in flight became complete', () => {
  const driver = running().checkpoint(1, 1).state(1, 'failed').slotEnded(1);
  expect(driver.actions.some((action) => action.kind === 'set-timer' && action.timer === 'restart-delay')).toBe(false);
  driver.step({ kind: 'pointer-set', checkpointId: 1, result: 'unknown' });
  driver.step({ kind: 'pointer-read', checkpointId: 1, pointer: driver.pointer });
  driver.fire('restart-delay');
  expect(driver.restoredFrom).toBe('m1');
});

test('an ambiguous pointer is set again with the same content when it is not there', () => {
  const driver = running().checkpoint(1, 1);
  const first = driver.pointer;
  driver
    .step({ kind: 'pointer-set', checkpointId: 1, result: 'unknown' })
    .step({ kind: 'pointer-read', checkpointId: 1, pointer: null });
  driver.actions.length = 0;
  driver.step({ kind: 'timer-fired', timer: 'pointer-retry', generation: 1 });
  expect(driver.pointer).toEqual(first);
});

const full = toWireError(new EngineError('STORAGE_FULL', 'no room', { domain: 'external', retry: 'backoff' }));

/** The pointer of checkpoint 1 is not written, and read back as it was. */
function failPointer(driver: Driver, generation: number): void {
  driver
    .step({ kind: 'pointer-set', checkpointId: 1, result: 'unknown', error: full })
    .step({ kind: 'pointer-read', checkpointId: 1, pointer: null })
    .step({ kind: 'timer-fired', timer: 'pointer-retry', generation });
}

test('a pointer that cannot be written ends the job after the failures it may have, and deletes what it would name', () => {
  const driver = running(2).checkpoint(1, 1);
  failPointer(driver, 1);
  expect(driver.master.state).toBe('running');
  failPointer(driver, 2);
  driver.slotEnded(1);
  expect(driver.actions).toContainEqual(
    expect.objectContaining({ kind: 'record-terminal', state: 'failed', error: { ...full, retry: 'never' } }),
  );
  expect(driver.calls).toContain('notifyCheckpointAborted 1');
});

test('a pointer that cannot be written is tried for ever when there is no limit', () => {
  const driver = running().checkpoint(1, 1);
  for (let generation = 1; generation <= 50; generation++) failPointer(driver, generation);
  expect(driver.master.state).toBe('running');
});

test('the end of a job that cannot be recorded is told with the error of the storage after the failures it may have', () => {
  const driver = running(2).state(1, 'finished').slotEnded(1);
  driver.step({ kind: 'terminal-failed', error: full });
  expect(driver.actions.some((action) => action.kind === 'job-ended')).toBe(false);
  driver.step({ kind: 'terminal-failed', error: full });
  expect(driver.actions.at(-1)).toEqual({ kind: 'job-ended', state: 'failed', error: full });
});

test('a job manager whose pointer was moved by another one stops and records nothing', () => {
  const driver = running().checkpoint(1, 1);
  const foreign = { ...driver.pointer, checkpointId: 9, attempt: 5, leaderEpoch: 8 };
  driver
    .step({ kind: 'pointer-set', checkpointId: 1, result: 'conflict' })
    .step({ kind: 'pointer-read', checkpointId: 1, pointer: foreign });
  expect(driver.actions.at(-1)).toMatchObject({ kind: 'step-down', error: { code: 'STALE_EPOCH' } });
  expect(driver.actions.some((action) => action.kind === 'record-terminal')).toBe(false);
});

test('a checkpoint that is declined beyond the tolerated number fails the attempt, and its file is deleted', () => {
  const driver = running().fire('checkpoint-due');
  driver.step({
    kind: 'checkpoint-declined',
    report: { attempt: driver.at(1), taskManagerId: 'tm', checkpointId: 1, error: failure },
  });
  expect(driver.master.state).toBe('restarting');
  const file = { object: { ...ref, name: 'late-file' }, rows: 1, keyGroupFirst: 0, keyGroupLast: 1 };
  const late = { attempt: driver.at(1), taskManagerId: 'tm', checkpointId: 1, subtasks: [], file };
  driver.step({ kind: 'checkpoint-acknowledged', report: late });
  expect(driver.actions.at(-1)).toEqual({ kind: 'delete-objects', names: ['late-file'] });
});

test('a stop whose last checkpoint fails ends the job as stopped, to go on from the checkpoint before', () => {
  const driver = running().step({ kind: 'stop-requested' }).fire('checkpoint-due');
  driver.step({
    kind: 'checkpoint-declined',
    report: { attempt: driver.at(1), taskManagerId: 'tm', checkpointId: 1, error: failure },
  });
  driver.slotEnded(1).step({ kind: 'terminal-recorded', result: 'done' });
  expect(driver.master.state).toBe('stopped');
});

test('a task manager that does not end its slots in time is not used for the next attempt', () => {
  const driver = running().state(1, 'failed').fire('cancel-deadline').fire('restart-delay');
  expect(driver.calls.filter((call) => call.startsWith('deploySlots'))).toEqual(['deploySlots 1']);
  expect(driver.actions).toContainEqual(expect.objectContaining({ kind: 'give-up-task-manager', taskManagerId: 'tm' }));
  driver.grant('tm2');
  expect(driver.calls.filter((call) => call.startsWith('deploySlots'))).toEqual(['deploySlots 1', 'deploySlots 2']);
});

test('a deployment that is refused leaves no slots to wait for, before and while the attempt is being canceled', () => {
  const refuse = (driver: Driver): void => {
    const deploy = driver.last((action) => action.kind === 'call' && action.call.method === 'deploySlots');
    if (deploy.kind !== 'call') throw new Error('not a call');
    const error = toWireError(new EngineError('STORAGE_FAILED', 'no artifact', { retry: 'backoff' }));
    driver.step({ kind: 'call-ended', taskManagerId: 'tm', call: deploy.call, error });
  };
  const restarted = new Driver().step({ kind: 'started' });
  refuse(restarted);
  restarted.fire('restart-delay');
  expect(restarted.master.attempt).toBe(2);
  restarted.step({ kind: 'cancel-requested' });
  refuse(restarted);
  restarted.step({ kind: 'terminal-recorded', result: 'done' });
  expect(restarted.master.state).toBe('canceled');
});

/** Time until the checkpoint that is set to come next. */
function dueIn(driver: Driver): number {
  const set = driver.last((action) => action.kind === 'set-timer' && action.timer === 'checkpoint-due');
  return set.kind === 'set-timer' ? set.delayMs : Number.NaN;
}

const triggered = (driver: Driver): number =>
  driver.calls.filter((call) => call.startsWith('triggerCheckpoint')).length;

test('a checkpoint is due at once when one is requested, and the next one an interval later', () => {
  const driver = running();
  expect(dueIn(driver)).toBe(100);
  driver.nowMs = 30;
  driver.step({ kind: 'checkpoint-requested' });
  expect(dueIn(driver)).toBe(0);
  driver.checkpoint(1, 1).step({ kind: 'pointer-set', checkpointId: 1, result: 'done' });
  expect(dueIn(driver)).toBe(100);
});

test('a checkpoint that is requested during another one follows it, one for all requests', () => {
  const driver = running().checkpoint(1, 1);
  driver.actions.length = 0;
  driver.step({ kind: 'checkpoint-requested' }).step({ kind: 'checkpoint-requested' });
  expect(driver.actions).toEqual([]);
  driver.step({ kind: 'pointer-set', checkpointId: 1, result: 'done' });
  expect(dueIn(driver)).toBe(jobMasterSettingsDefault.checkpointMinPauseMs);
  driver.checkpoint(1, 2).step({ kind: 'pointer-set', checkpointId: 2, result: 'done' });
  expect(triggered(driver)).toBe(1);
  expect(dueIn(driver)).toBe(100);
});

test('a requested checkpoint is forgotten with its attempt, and the next attempt has its own interval', () => {
  const driver = running().state(1, 'failed').step({ kind: 'checkpoint-requested' }).slotEnded(1);
  expect(triggered(driver)).toBe(0);
  driver.fire('restart-delay').run(2);
  expect(dueIn(driver)).toBe(100);
});

/** What the checkpoints that were triggered said to task managers. */
function triggers(driver: Driver): { readonly stop: boolean; readonly drain: boolean }[] {
  return driver.actions.flatMap((action) =>
    action.kind === 'call' && action.call.method === 'triggerCheckpoint'
      ? [{ stop: action.call.request.stop, drain: action.call.request.drain }]
      : [],
  );
}

const pinnedBy = (pointer: CheckpointPointer): number[] => (pointer.pinned ?? []).map((one) => one.checkpointId);
const done = (checkpointId: number) => ({ kind: 'pointer-set', checkpointId, result: 'done' }) as const;

test('a savepoint is pinned by its own pointer and by every later one, until it is given up', () => {
  const driver = running().step({ kind: 'savepoint-requested' }).checkpoint(1, 1);
  expect(pinnedBy(driver.pointer)).toEqual([1]);
  for (const checkpointId of [2, 3, 4]) driver.step(done(checkpointId - 1)).checkpoint(1, checkpointId);
  expect([pinnedBy(driver.pointer), driver.pointer.retained.map((one) => one.checkpointId)]).toEqual([[1], [3, 4]]);
  driver.step(done(4)).step({ kind: 'savepoint-disposed', checkpointId: 1 }).checkpoint(1, 5);
  expect(pinnedBy(driver.pointer)).toEqual([]);
  expect(driver.actions).not.toContainEqual({ kind: 'delete-objects', names: ['m1'] });
  driver.step(done(5));
  expect(driver.actions).toContainEqual({ kind: 'delete-objects', names: expect.arrayContaining(['m1']) });
});

test('a savepoint that is asked for during a checkpoint is the next one', () => {
  const driver = running().fire('checkpoint-due').step({ kind: 'savepoint-requested' });
  const info = { subtask, afterEnd: false, rows: 0, bytes: 0, alignmentMs: 0, sourceRecords: 0 };
  const report = { attempt: driver.at(1), taskManagerId: 'tm', checkpointId: 1, subtasks: [info], file: null };
  driver.step({ kind: 'checkpoint-acknowledged', report });
  driver.step({ kind: 'manifest-written', checkpointId: 1, manifest: { ...ref, name: 'm1' } });
  expect(pinnedBy(driver.pointer)).toEqual([]);
  driver.step(done(1)).checkpoint(1, 2);
  expect(pinnedBy(driver.pointer)).toEqual([2]);
});

test('FLINK-10354: a stop whose savepoint fails is none, and the job goes on', () => {
  const driver = running().step({ kind: 'stop-requested', savepoint: true }).fire('checkpoint-due');
  expect(driver.master.state).toBe('stopping');
  driver.state(1, 'failed').slotEnded(1).fire('restart-delay').run(2);
  expect(driver.master.state).toBe('running');
  driver.checkpoint(2, 2);
  expect([pinnedBy(driver.pointer), triggers(driver).at(-1)?.stop]).toEqual([[], false]);
});

test('a stop with a savepoint pins its own checkpoint, and not one that was begun before', () => {
  const driver = running();
  // Its number is being made when the wish comes.
  driver.master.step({ kind: 'timer-fired', timer: 'checkpoint-due', generation: 1 }, { nowMs: 100, random: 0.5 });
  driver.step({ kind: 'stop-requested', savepoint: true });
  driver.step({ kind: 'counter-advanced', counter: 'checkpoint', value: ++driver.counters.checkpoint });
  const info = { subtask, afterEnd: false, rows: 0, bytes: 0, alignmentMs: 0, sourceRecords: 0 };
  const report = { attempt: driver.at(1), taskManagerId: 'tm', checkpointId: 1, subtasks: [info], file: null };
  driver.step({ kind: 'checkpoint-acknowledged', report });
  driver.step({ kind: 'manifest-written', checkpointId: 1, manifest: { ...ref, name: 'm1' } });
  expect(pinnedBy(driver.pointer)).toEqual([]);
  driver.step(done(1)).checkpoint(1, 2);
  expect([pinnedBy(driver.pointer), triggers(driver).map(({ stop }) => stop)]).toEqual([[2], [false, true]]);
});

test('FLINK-10354: a stop whose savepoint is complete is one, although the attempt has failed', () => {
  const driver = running().step({ kind: 'stop-requested', savepoint: true }).checkpoint(1, 1);
  driver.state(1, 'failed').slotEnded(1).step(done(1));
  expect(driver.actions).toContainEqual(expect.objectContaining({ kind: 'record-terminal', state: 'stopped' }));
  expect(pinnedBy(driver.pointer)).toEqual([1]);
});

test('a job that is drained says so to sources in every attempt, and in its pointer', () => {
  const driver = running().step({ kind: 'stop-requested', drain: true }).fire('checkpoint-due');
  driver.state(1, 'failed').slotEnded(1).fire('restart-delay').run(2).checkpoint(2, 2);
  expect(triggers(driver).map(({ drain }) => drain)).toEqual([true, true]);
  expect([driver.master.state, driver.pointer.draining]).toEqual(['running', true]);
  const pointer = { ...driver.pointer, leaderEpoch: 6 };
  const manifests = [driver.master.newestCheckpoint?.manifest ?? written(driver)];
  const next = new Driver(null, 0, { pointer, manifests });
  Object.assign(next.counters, { attempt: 2, checkpoint: 2 });
  next.step({ kind: 'started' }).run(3).fire('checkpoint-due');
  expect(triggers(next)).toEqual([{ stop: false, drain: true }]);
});

function written(driver: Driver): Manifest {
  const write = driver.last((action) => action.kind === 'write-manifest');
  if (write.kind !== 'write-manifest') throw new Error('no manifest was written');
  return write.manifest;
}

test('a job that starts from the savepoint of another one restores it, replaces no pointer, and deletes nothing of it', () => {
  const source = running().step({ kind: 'savepoint-requested' }).checkpoint(1, 1);
  const pointer = { ...source.pointer, leaderEpoch: 0, retained: source.pointer.pinned ?? [] };
  const driver = new Driver(null, 0, { pointer, manifests: [written(source)], isForeign: true });
  Object.assign(driver.counters, { attempt: 1, checkpoint: 1 });
  driver.step({ kind: 'started' });
  expect(driver.restoredFrom).toBe('m1');
  driver.run(2).checkpoint(2, 2);
  expect(driver.last((action) => action.kind === 'set-pointer')).toMatchObject({ expected: null });
  expect(driver.pointer.retained.map((one) => one.checkpointId)).toEqual([2]);
  driver.step(done(2)).checkpoint(2, 3).step(done(3)).checkpoint(2, 4).step(done(4));
  const deleted = driver.actions.flatMap((action) => (action.kind === 'delete-objects' ? action.names : []));
  expect(deleted).toEqual(['m2']);
});
