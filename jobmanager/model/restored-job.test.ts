import { expect, test } from 'vitest';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type { OperatorKind } from '../../core/operators.ts';
import type { Manifest } from '../../proto/messages.ts';
import { finishedVertices, restoreProblem } from './restored-job.ts';

const vertex = (id: string, kind: OperatorKind, parallelism: number): JobGraph['vertices'][number] => {
  const operator = {
    id,
    kind,
    name: id,
    idExplicit: true,
    config: {},
    stateful: true,
    upstreamIndex: -1,
    upstreamTag: null,
  };
  return { id, name: id, operators: [operator], parallelism };
};
const graph = {
  name: 'job',
  options: { maxParallelism: 128 },
  vertices: [vertex('a', 'source-reader', 2), vertex('b', 'map', 1), vertex('c', 'sink-committer', 1)],
  edges: [
    { sourceVertex: 'a', targetVertex: 'b' },
    { sourceVertex: 'b', targetVertex: 'c' },
  ],
} as unknown as JobGraph;

const manifest = (
  finished: readonly string[],
  vertexParallelism: Record<string, number> = { a: 2, b: 1, c: 1 },
): Manifest => {
  const marks = finished.map((text) => ({ vertexId: text.charAt(0), subtaskIndex: Number(text.charAt(1)) }));
  return {
    jobName: 'job',
    graphHash: 'h',
    checkpointId: 4,
    maxParallelism: 128,
    finished: marks,
    vertexParallelism,
  } as unknown as Manifest;
};

test.each([
  [['a0'], []],
  [['a0', 'a1'], ['a']],
  [['a0', 'b0'], []],
  [
    ['a0', 'a1', 'b0'],
    ['a', 'b'],
  ],
  [
    ['a0', 'a1', 'b0', 'c0'],
    ['a', 'b'],
  ],
])('subtasks %j finished means that the vertices %j are not started again', (finished, expected) => {
  expect([...finishedVertices(graph, manifest(finished))]).toEqual(expected);
});

test('every vertex is started again when the parallelism has changed', () => {
  expect(finishedVertices(graph, manifest(['a0', 'a1'], { a: 3, b: 1, c: 1 })).size).toBe(0);
  expect(finishedVertices(graph, null).size).toBe(0);
});

test('a checkpoint of another job, graph or maxParallelism cannot be restored', () => {
  expect(restoreProblem(graph, ['h'], manifest([]))).toBeNull();
  expect(restoreProblem(graph, ['other'], manifest([]))?.message).toContain('another job graph');
  expect(restoreProblem(graph, ['h'], { ...manifest([]), jobName: 'x' })?.message).toContain('belongs to job "x"');
  expect(restoreProblem(graph, ['h'], { ...manifest([]), maxParallelism: 64 })?.message).toContain('maxParallelism');
});
