/** Which inputs wake together, for the shapes that jobs have. */
import { expect, test } from 'vitest';
import { count, defineJob, type JobEnvironment, type Stream, tumbling } from '../../client/index.ts';
import { testSource } from '../../client/test-connectors.test-support.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { valveLayout } from './input-lineage.ts';

interface Reading {
  readonly key: string;
  readonly at: number;
}

const graphOf = (define: (env: JobEnvironment) => void, parallelism = 2): JobGraph =>
  defineJob('lineage', define).plan({ parallelism }).graph;
const read = (env: JobEnvironment, uid: string) =>
  env.from(testSource<Reading>(), { uid }).withTimestamps((reading) => reading.at, { outOfOrderness: 0 });
const perKey = (stream: Stream<Reading>, uid: string) =>
  stream
    .keyBy((reading) => reading.key)
    .window(tumbling(10))
    .aggregate({ n: count() })
    .uid(uid);

test('readers are idle on their own, and so is what they feed over a forward edge', () => {
  const graph = graphOf((env) => {
    perKey(
      read(env, 'a')
        .union(read(env, 'b'))
        .map((reading) => reading)
        .uid('both'),
      'window',
    ).print();
  });
  expect(valveLayout(graph, 'both', [1, 1])).toEqual({
    groupOf: [0, 1],
    groups: [
      { wakesWith: [], endsWith: [] },
      { wakesWith: [], endsWith: [] },
    ],
  });
  expect(valveLayout(graph, 'window', [2])).toEqual({ groupOf: [0, 0], groups: [{ wakesWith: [], endsWith: [] }] });
});

test('subtasks behind an exchange wake and end with their siblings', () => {
  const graph = graphOf((env) => {
    const window = perKey(read(env, 'a'), 'first');
    window
      .keyBy((result) => result.n)
      .aggregate({ n: count() })
      .uid('second')
      .print();
  });
  expect(valveLayout(graph, 'second', [2]).groups).toEqual([{ wakesWith: [0], endsWith: [0] }]);
});

test('an input that depends on more sources wakes with one that depends on fewer, and the other way round ends', () => {
  const graph = graphOf((env) => {
    const [a, b] = [read(env, 'a'), read(env, 'b')];
    const [narrow, wide] = [perKey(a, 'narrow'), perKey(a.union(b), 'wide')];
    narrow
      .union(wide)
      .keyBy((result) => result.n)
      .aggregate({ n: count() })
      .uid('last')
      .print();
  });
  const edges = graph.edges.filter((edge) => edge.targetVertex === 'last').map((edge) => edge.sourceVertex);
  expect(edges).toEqual(['narrow', 'wide']);
  expect(valveLayout(graph, 'last', [2, 2])).toEqual({
    groupOf: [0, 0, 1, 1],
    groups: [
      { wakesWith: [0], endsWith: [0, 1] },
      { wakesWith: [0, 1], endsWith: [1] },
    ],
  });
});

test('a reader that is read beside its own window makes that wait, not the other way round', () => {
  const graph = graphOf((env) => {
    const a = read(env, 'a');
    const window = perKey(a, 'window')
      .map((result): Reading => ({ key: result.key, at: result.n }))
      .uid('mapped');
    a.union(window)
      .keyBy((reading) => reading.key)
      .reduce((left) => left)
      .uid('last')
      .print();
  });
  expect(valveLayout(graph, 'last', [2, 2]).groups).toEqual([
    { wakesWith: [], endsWith: [] },
    { wakesWith: [0, 1], endsWith: [1] },
  ]);
});
