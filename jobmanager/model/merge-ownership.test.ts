import { expect, test } from 'vitest';
import type { Manifest, ManifestFile, StateFile } from '../../proto/messages.ts';
import { deltaCheckpointsMax, isMergeDue, mergeBytesMin, MergeOwnership, mergeTimeoutMs } from './merge-ownership.ts';

const stateFile = (name: string, bytes = 10): StateFile => ({
  object: { name, sha256: name, bytes },
  rows: 1,
  keyGroupFirst: 0,
  keyGroupLast: 1,
});
const delta = (checkpointId: number, bytes?: number): ManifestFile => ({
  file: stateFile(`d${checkpointId}`, bytes),
  base: false,
  checkpointId,
});
const manifest = (checkpointId: number, files: readonly ManifestFile[]): Manifest => ({
  formatVersion: 1,
  jobName: 'job',
  graphHash: 'h',
  attempt: 1,
  checkpointId,
  triggeredAtMs: 0,
  completedAtMs: 0,
  maxParallelism: 128,
  files,
  finished: [],
  subtasks: [],
  vertexParallelism: {},
});
const deltas = (count: number): ManifestFile[] => Array.from({ length: count }, (_, index) => delta(index + 1));
const many = deltaCheckpointsMax + 1;

test('a merge is due past eight deltas, or when deltas are above half of the base', () => {
  expect([isMergeDue(deltas(many - 1)), isMergeDue(deltas(many))]).toEqual([false, true]);
  const base: ManifestFile = { file: stateFile('b', 4 * mergeBytesMin), base: true, checkpointId: 1 };
  expect(isMergeDue([base, delta(2, 2 * mergeBytesMin)])).toBe(false);
  expect(isMergeDue([base, delta(2, 2 * mergeBytesMin + 1)])).toBe(true);
});

test('a merged base takes the place of exactly its inputs in the next manifest, and only there', () => {
  const merges = new MergeOwnership();
  const { order } = merges.completed(manifest(many, deltas(many)), 0);
  expect(order?.inputs.map((input) => input.name)).toEqual(deltas(many).map((entry) => entry.file.object.name));
  // The next checkpoint completes before the merge has ended.
  const longer = deltas(many + 1);
  expect(merges.filesForNext(longer)).toEqual(longer);
  expect(merges.completed(manifest(many + 1, longer), 0)).toEqual({ order: null, garbage: null });
  expect(merges.reported({ mergeId: order?.mergeId ?? 0, base: stateFile('base') })).toBeNull();
  const next = merges.filesForNext(longer);
  expect(next.map((entry) => [entry.file.object.name, entry.base])).toEqual([
    ['base', true],
    [`d${many + 1}`, false],
  ]);
  expect(merges.completed(manifest(many + 2, [...next, delta(many + 2)]), 0).garbage).toBeNull();
  expect(merges.filesForNext(next)).toEqual(next);
});

test('a base is garbage when the attempt ended, when it comes late, or when the merge was given up', () => {
  const merges = new MergeOwnership();
  merges.completed(manifest(many, deltas(many)), 0);
  merges.attemptEnded();
  expect(merges.reported({ mergeId: 1, base: stateFile('late') })).toBe('late');
  const second = merges.completed(manifest(many, deltas(many)), 0).order;
  merges.completed(manifest(many, deltas(many)), mergeTimeoutMs + 1);
  expect(merges.reported({ mergeId: second?.mergeId ?? 0, base: stateFile('slow') })).toBe('slow');
});

test('a failed merge is tried again after a pause that doubles', () => {
  const merges = new MergeOwnership();
  const pauses: number[] = [];
  for (let failures = 0, waited = 0; failures < 4; waited++) {
    const { order } = merges.completed(manifest(many, deltas(many)), 0);
    if (order === null) continue;
    pauses.push(waited);
    waited = -1;
    failures++;
    merges.reported({ mergeId: order.mergeId, base: null });
  }
  expect(pauses).toEqual([0, 1, 2, 4]);
});
