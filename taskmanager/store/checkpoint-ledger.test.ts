import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toWireError } from '../../core/errors.ts';
import { CheckpointLedger, type LedgerAction, type LedgerEvent } from './checkpoint-ledger.ts';
import type { StateFile } from './state-file.ts';
import type { StoredSubtaskSnapshot } from './store-messages.ts';

const attempt = { jobName: 'job', attempt: 1 };
const checkpoint = (checkpointId: number) => ({ ...attempt, checkpointId });
const slot = (slotIndex: number) => ({ ...attempt, slotIndex });
const block = { operatorId: 'count', stateName: 'rows', rowCount: 1, bytes: new Uint8Array(12) };
const info = (slotIndex: number): StoredSubtaskSnapshot => ({
  subtask: { vertexId: 'v', subtaskIndex: slotIndex },
  afterEnd: false,
  rows: 1,
  bytes: 12,
  alignmentMs: 0,
  sourceRecords: 0,
});
const fileOf = (checkpointId: number): StateFile => ({
  object: { name: `${checkpointId}.rows`, sha256: '', bytes: 1 },
  rows: 1,
  keyGroupFirst: 0,
  keyGroupLast: 0,
});

const attached = (slotIndex: number): LedgerEvent => ({ kind: 'slotAttached', slot: slot(slotIndex) });
const gone = (slotIndex: number): LedgerEvent => ({ kind: 'slotGone', slot: slot(slotIndex) });
const left = (slotIndex: number): LedgerEvent => ({ kind: 'slotLeft', slot: slot(slotIndex) });
const begun = (id: number, slotIndexes: number[]): LedgerEvent => ({
  kind: 'begun',
  checkpoint: checkpoint(id),
  slotIndexes,
});
const rows = (id: number, slotIndex: number): LedgerEvent => ({
  kind: 'block',
  checkpoint: checkpoint(id),
  slotIndex,
  block,
});
const done = (id: number, slotIndex: number): LedgerEvent => ({
  kind: 'slotDone',
  checkpoint: checkpoint(id),
  slotIndex,
  subtasks: [info(slotIndex)],
});
const written = (id: number): LedgerEvent => ({ kind: 'fileWritten', checkpoint: checkpoint(id), file: fileOf(id) });
const failed = (id: number): LedgerEvent => ({
  kind: 'fileFailed',
  checkpoint: checkpoint(id),
  error: toWireError(new Error('disk')),
});
const aborted = (id: number): LedgerEvent => ({ kind: 'aborted', checkpoint: checkpoint(id) });

/** Kinds of the actions of each event. */
const run = (events: LedgerEvent[], ledger = new CheckpointLedger()): string[][] =>
  events.map((event) => ledger.apply(event).map((action) => action.kind));

describe('the checkpoint ledger', () => {
  test('writes one file of two slots and reports it once it is durable', () => {
    const events = [
      attached(0),
      attached(1),
      begun(1, [0, 1]),
      rows(1, 0),
      rows(1, 1),
      done(1, 1),
      done(1, 0),
      written(1),
    ];
    expect(run(events)).toEqual([[], [], [], ['openFile', 'append'], ['append'], [], ['endFile'], ['reportWritten']]);
  });

  test('reports the snapshots of all slots in order of the slots', () => {
    const ledger = new CheckpointLedger();
    run([attached(0), attached(1), begun(1, [0, 1]), done(1, 1)], ledger);
    expect(ledger.apply(done(1, 0))).toEqual([
      { kind: 'reportWritten', checkpoint: checkpoint(1), file: null, subtasks: [info(0), info(1)] },
    ]);
  });

  test('takes rows and ends of slots that overtake the beginning', () => {
    const events = [attached(0), rows(1, 0), done(1, 0), begun(1, [0]), written(1)];
    expect(run(events)).toEqual([[], ['openFile', 'append'], [], ['endFile'], ['reportWritten']]);
  });

  test('stays failed after a write error whatever the slots still send', () => {
    const events = [attached(0), begun(1, [0]), rows(1, 0), failed(1), rows(1, 0), done(1, 0), written(1)];
    expect(run(events).slice(3)).toEqual([['discardFile', 'reportFailed'], ['returnCredit'], [], ['deleteFile']]);
  });

  test('discards an aborted checkpoint and deletes its file when that becomes durable at the same moment', () => {
    const events = [attached(0), begun(1, [0]), rows(1, 0), done(1, 0), aborted(1), written(1), aborted(1)];
    expect(run(events).slice(4)).toEqual([['discardFile'], ['deleteFile'], []]);
  });

  test('never deletes a file that was reported when an abort comes late', () => {
    const events = [attached(0), begun(1, [0]), rows(1, 0), done(1, 0), written(1), aborted(1)];
    expect(run(events).slice(4)).toEqual([['reportWritten'], []]);
  });

  test('fails a checkpoint when a slot ends before it is done, and not when it ends after', () => {
    expect(run([attached(0), attached(1), begun(1, [0, 1]), done(1, 0), gone(0), gone(1)]).slice(4)).toEqual([
      [],
      ['reportFailed'],
    ]);
    expect(run([attached(0), begun(1, [0, 1])]).at(-1)).toEqual(['reportFailed']);
  });

  test('waits for no share of a slot when all its subtasks have finished, before or after the beginning', () => {
    const both = [attached(0), attached(1)];
    expect(run([...both, begun(1, [0, 1]), left(0), gone(0), done(1, 1)]).slice(3)).toEqual([
      [],
      [],
      ['reportWritten'],
    ]);
    expect(run([...both, begun(1, [0, 1]), done(1, 1), left(0), gone(0)]).slice(4)).toEqual([['reportWritten'], []]);
    expect(run([...both, left(0), gone(0), begun(1, [0, 1]), done(1, 1)]).slice(4)).toEqual([[], ['reportWritten']]);
    expect(run([...both, begun(1, [0, 1]), rows(1, 0), left(0), gone(0), done(1, 1)]).slice(4)).toEqual([
      [],
      [],
      ['endFile'],
    ]);
  });

  test('drops rows of checkpoints that never began when a later one begins or the slots end', () => {
    expect(run([attached(0), rows(1, 0), begun(2, [0]), rows(1, 0)]).slice(2)).toEqual([
      ['discardFile'],
      ['returnCredit'],
    ]);
    expect(run([attached(0), rows(1, 0), gone(0)]).at(-1)).toEqual(['discardFile']);
  });

  test('refuses rows of a slot that was done, and a beginning out of order', () => {
    expect(run([attached(0), begun(1, [0]), rows(1, 0), done(1, 0), rows(1, 0)]).at(-1)).toEqual([
      'returnCredit',
      'discardFile',
      'reportFailed',
    ]);
    expect(run([attached(0), begun(2, [0]), done(2, 0), begun(1, [0])]).at(-1)).toEqual(['reportFailed']);
  });

  test('tells of a failure before the beginning when the checkpoint begins', () => {
    expect(run([attached(0), rows(1, 0), failed(1), rows(1, 0), done(1, 0), begun(1, [0])]).slice(2)).toEqual([
      ['discardFile'],
      ['returnCredit'],
      [],
      ['reportFailed'],
    ]);
  });

  test('keeps attempts apart', () => {
    const other = { jobName: 'job', attempt: 2, checkpointId: 1 };
    const ledger = new CheckpointLedger();
    run([attached(0), begun(1, [0])], ledger);
    ledger.apply({ kind: 'slotAttached', slot: { jobName: 'job', attempt: 2, slotIndex: 0 } });
    ledger.apply({ kind: 'slotDone', checkpoint: other, slotIndex: 0, subtasks: [] });
    expect(ledger.apply(done(1, 0)).map((action) => action.kind)).toEqual(['reportWritten']);
  });

  test('loses no block, reports each checkpoint at most once and only with all its slots, whatever the order of events', () => {
    const id = fc.integer({ min: 1, max: 3 });
    const index = fc.integer({ min: 0, max: 1 });
    const event = fc.oneof(
      { arbitrary: fc.tuple(id, index).map(([at, by]) => rows(at, by)), weight: 4 },
      { arbitrary: fc.tuple(id, index).map(([at, by]) => done(at, by)), weight: 4 },
      { arbitrary: id.map((at) => begun(at, [0, 1])), weight: 2 },
      id.map(written),
      id.map(failed),
      id.map(aborted),
      index.map(left),
      index.map(gone),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const ledger = new CheckpointLedger();
        const world = new ShellModel();
        for (const each of [attached(0), attached(1), ...events])
          if (world.isPossible(each)) world.act(each, ledger.apply(each));
        for (const each of [gone(0), gone(1), ...[1, 2, 3].filter((at) => world.files.has(at)).map(failed)]) {
          if (world.isPossible(each)) world.act(each, ledger.apply(each));
        }
        expect(ledger.attemptCount).toBe(0);
        expect(world.blocksIn).toBe(world.blocksOut);
      }),
      { numRuns: 2_000 },
    );
  });
});

/** What the shell would do: lets files end only when they were told to, and checks what must never happen. */
class ShellModel {
  blocksIn = 0;
  blocksOut = 0;
  /** Open files, and whether they were ended. */
  readonly files = new Map<number, 'writing' | 'ended' | 'discarded'>();
  readonly #slots = new Set([0, 1]);
  readonly #left = new Set<number>();
  readonly #reported = new Set<number>();
  readonly #reportedFiles = new Set<string>();
  readonly #done = new Map<number, Set<number>>();
  readonly #aborted = new Set<number>();
  #begunMax = 0;

  isPossible(event: LedgerEvent): boolean {
    switch (event.kind) {
      case 'begun':
        return event.checkpoint.checkpointId > this.#begunMax;
      case 'block':
      case 'slotDone':
        return this.#slots.has(event.slotIndex) && !this.#left.has(event.slotIndex);
      case 'slotLeft':
      case 'slotGone':
        return this.#slots.has(event.slot.slotIndex);
      case 'fileWritten':
        // Ended files become durable, also when they were discarded at that moment.
        return (
          this.files.get(event.checkpoint.checkpointId) === 'ended' ||
          this.files.get(event.checkpoint.checkpointId) === 'discarded'
        );
      case 'fileFailed':
        return this.files.has(event.checkpoint.checkpointId);
      default:
        return true;
    }
  }

  act(event: LedgerEvent, actions: readonly LedgerAction[]): void {
    this.#note(event);
    for (const action of actions) {
      if (action.kind === 'returnCredit') this.blocksOut++;
      if (action.kind === 'openFile') this.files.set(action.checkpoint.checkpointId, 'writing');
      if (action.kind === 'append') {
        expect(this.files.get(action.checkpoint.checkpointId)).toBe('writing');
        this.blocksOut++;
      }
      if (action.kind === 'endFile') this.files.set(action.checkpoint.checkpointId, 'ended');
      if (action.kind === 'discardFile' && this.files.has(action.checkpoint.checkpointId))
        this.files.set(action.checkpoint.checkpointId, 'discarded');
      if (action.kind === 'deleteFile') expect(this.#reportedFiles.has(action.file.object.name)).toBe(false);
      if (action.kind === 'reportWritten' || action.kind === 'reportFailed') this.#report(action);
    }
  }

  #note(event: LedgerEvent): void {
    if (event.kind === 'block') this.blocksIn++;
    if (event.kind === 'slotGone') this.#slots.delete(event.slot.slotIndex);
    if (event.kind === 'slotLeft') this.#left.add(event.slot.slotIndex);
    if (event.kind === 'begun') this.#begunMax = event.checkpoint.checkpointId;
    if (event.kind === 'aborted') this.#aborted.add(event.checkpoint.checkpointId);
    if (event.kind === 'fileWritten' || event.kind === 'fileFailed') this.files.delete(event.checkpoint.checkpointId);
    if (event.kind === 'slotDone') {
      const { checkpointId } = event.checkpoint;
      this.#done.set(checkpointId, (this.#done.get(checkpointId) ?? new Set()).add(event.slotIndex));
    }
  }

  #report(action: Extract<LedgerAction, { kind: 'reportWritten' | 'reportFailed' }>): void {
    const { checkpointId } = action.checkpoint;
    expect(this.#reported.has(checkpointId)).toBe(false);
    this.#reported.add(checkpointId);
    if (action.kind === 'reportFailed') return;
    if (action.file !== null) this.#reportedFiles.add(action.file.object.name);
    expect(this.#aborted.has(checkpointId)).toBe(false);
    expect(new Set([...(this.#done.get(checkpointId) ?? []), ...this.#left]).size).toBe(2);
    expect(this.#begunMax).toBeGreaterThanOrEqual(checkpointId);
  }
}
