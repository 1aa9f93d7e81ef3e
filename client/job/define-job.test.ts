import { describe, expect, expectTypeOf, test } from 'vitest';
import type { Sink, Source } from '../../core/connector/index.ts';
import { avg, count, defineJob, hours, tumbling } from '../index.ts';

function source<T>(): { readonly source: Source<T> } {
  const made = {
    type: 'source',
    kind: 'test',
    options: {},
    boundedness: 'bounded',
    openSplitsMax: 1,
  } as unknown as Source<T>;
  return { source: made };
}
function sink<T>(): { readonly sink: Sink<T> } {
  return { sink: { type: 'sink', kind: 'test', options: {}, createCommitter: () => ({}) } as unknown as Sink<T> };
}

describe('define job', () => {
  test('the example of the design is planned when written as it is', () => {
    const job = defineJob('airport-delays', (env) => {
      const results = env
        .from(source<{ date: number; delay: number; origin: string }>())
        .withTimestamps((f) => f.date + f.delay * 60_000, { outOfOrderness: hours(24) })
        .keyBy((f) => f.origin)
        .window(tumbling(hours(1)))
        .aggregate({ flights: count(), mean: avg((f) => f.delay) });
      expectTypeOf(results).toExtend<{
        map(
          fn: (v: { key: string; windowStart: number; windowEnd: number; flights: number; mean: number }) => number,
        ): unknown;
      }>();
      results.to(sink());
    });
    const { graph } = job.plan({ parallelism: 2 });
    expect(graph.vertices.map((v) => [v.parallelism, v.operators.map((o) => o.id)])).toEqual([
      [1, ['source-test-1-planner']],
      [2, ['source-test-1', 'timestamps-1']],
      [2, ['window-aggregate-1', 'sink-test-1']],
      [1, ['sink-test-1-committer']],
    ]);
    expect(graph.edges.map((e) => [e.sourceVertex, e.sourceOperatorIndex, e.partitioner])).toEqual([
      ['source-test-1-planner', 0, 'split'],
      ['source-test-1', 1, 'hash'],
      ['window-aggregate-1', 1, 'rebalance'],
    ]);
  });
});
