/** Partitioners, chaining and slot-sharing groups: what is planned, what is refused, and what a hash sees of it. */
import { describe, expect, test } from 'vitest';
import { graphHash } from '../../core/graph/graph-hash.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { slotsNeeded } from '../../core/graph/slot-sharing.ts';
import { defineJob, type JobEnvironment, renderPlan, type Stream } from '../index.ts';
import { testSink, testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

const plan = (define: (env: JobEnvironment) => void, parallelism = 2): JobGraph =>
  defineJob('job', define).plan({ parallelism }).graph;

const chains = (graph: JobGraph): string[] =>
  graph.vertices.map((vertex) => vertex.operators.map((operator) => operator.id).join(' '));

const edgesInto = (graph: JobGraph, target: string): string[] =>
  graph.edges.filter((edge) => edge.targetVertex === target).map((edge) => `${edge.sourceVertex} ${edge.partitioner}`);

/** source → map a → map b → sink, with hints on any of them. */
const line =
  (hints: Partial<Record<'in' | 'a' | 'b' | 'out', 'startNewChain' | 'disableChaining'>>, chaining?: boolean) =>
  (env: JobEnvironment): void => {
    if (chaining !== undefined) env.options({ chaining });
    const source = env.from(testSource<Reading>(), { uid: 'in' });
    if (hints.in !== undefined) source[hints.in]();
    const a = source.map((r) => r).uid('a');
    if (hints.a !== undefined) a[hints.a]();
    const b = a.map((r) => r).uid('b');
    if (hints.b !== undefined) b[hints.b]();
    const out = b.to(testSink()).uid('out');
    if (hints.out !== undefined) out[hints.out]();
  };

describe('chaining', () => {
  const cases: [string, (env: JobEnvironment) => void, string[]][] = [
    ['chains everything when nothing is said', line({}), ['in a b out']],
    ['starts a chain that others may join', line({ a: 'startNewChain' }), ['in', 'a b out']],
    ['starts a chain at a sink', line({ out: 'startNewChain' }), ['in a b', 'out']],
    ['leaves an operator alone', line({ a: 'disableChaining' }), ['in', 'a', 'b out']],
    ['leaves a source alone', line({ in: 'disableChaining' }), ['in', 'a b out']],
    ['leaves a sink alone', line({ out: 'disableChaining' }), ['in a b', 'out']],
    ['starts no chain at a source, which is one already', line({ in: 'startNewChain' }), ['in a b out']],
    ['chains nothing when the job says so', line({}, false), ['in', 'a', 'b', 'out']],
  ];
  test.each(cases)('%s', (_, define, expected) => {
    const graph = plan(define);
    expect(chains(graph).slice(1)).toEqual(expected);
    expect(graphHash(graph)).toBe(graphHash(plan(line({}))));
  });

  test('keeps the stronger hint when both are given', () => {
    const define = (first: 'disableChaining' | 'startNewChain', second: 'disableChaining' | 'startNewChain') =>
      chains(
        plan((env) => {
          const a = env
            .from(testSource<Reading>(), { uid: 'in' })
            .map((r) => r)
            .uid('a');
          a[first]()[second]();
          a.map((r) => r)
            .uid('b')
            .print();
        }),
      ).slice(1, 3);
    expect(define('disableChaining', 'startNewChain')).toEqual(['in', 'a']);
    expect(define('startNewChain', 'disableChaining')).toEqual(['in', 'a']);
  });

  test('keeps timestamps and what is before them with their source when the job chains nothing', () => {
    const graph = plan((env) => {
      env.options({ chaining: false });
      env
        .from(testSource<Reading>(), { uid: 'in' })
        .filter((r) => r.value > 0)
        .uid('positive')
        .withTimestamps((r) => r.time, { outOfOrderness: 0 })
        .uid('times')
        .map((r) => r)
        .uid('a')
        .to(testSink())
        .uid('out');
    });
    expect(chains(graph).slice(1)).toEqual(['in positive times', 'a', 'out']);
  });

  test('lets an asynchronous operator begin a chain', () => {
    const graph = plan((env) => {
      env
        .from(testSource<Reading>(), { uid: 'in' })
        .asyncMap((r) => Promise.resolve(r))
        .uid('lookup')
        .map((r) => r)
        .uid('a')
        .to(testSink())
        .uid('out');
    });
    expect(chains(graph).slice(1)).toEqual(['in', 'lookup a out']);
    expect(edgesInto(graph, 'lookup')).toEqual(['in forward']);
  });
});

describe('partitioners', () => {
  const spreadBy = (spread: (stream: Stream<Reading>) => Stream<Reading>, parallelism = 2): JobGraph =>
    plan((env) => {
      spread(env.from(testSource<Reading>(), { uid: 'in' }))
        .map((r) => r)
        .uid('a')
        .parallelism(parallelism)
        .to(testSink())
        .uid('out');
    });

  test.each(['rescale', 'shuffle', 'global', 'rebalance', 'broadcast'] as const)('%s starts a vertex', (name) => {
    const graph = spreadBy((stream) => stream[name]());
    expect([chains(graph).slice(1), edgesInto(graph, 'a')]).toEqual([['in', 'a out'], [`in ${name}`]]);
  });

  test('forward chains, and is an edge where a chain begins', () => {
    const graph = spreadBy((stream) => stream.forward());
    expect(chains(graph).slice(1)).toEqual(['in a out']);
    const apart = plan((env) => {
      env
        .from(testSource<Reading>(), { uid: 'in' })
        .forward()
        .map((r) => r)
        .uid('a')
        .startNewChain()
        .to(testSink());
    });
    expect(edgesInto(apart, 'a')).toEqual(['in forward']);
  });

  test('partitionCustom keeps the functions of each edge with the operator that it feeds', () => {
    const { graph, functions } = defineJob('job', (env) => {
      const left = env.from(testSource<Reading>(), { uid: 'left' });
      const right = env.from(testSource<Reading>(), { uid: 'right' });
      left
        .partitionCustom(
          (r) => r.sensor,
          (key) => key.length,
        )
        .union(
          right.partitionCustom(
            (r) => r.value,
            (key, count) => key % count,
          ),
        )
        .map((r) => r)
        .uid('a')
        .print();
    }).plan({ parallelism: 2 });
    const edges = graph.edges.filter((edge) => edge.targetVertex === 'a');
    expect(edges.map((edge) => [edge.sourceVertex, edge.partitioner, edge.partitionIndex])).toEqual([
      ['left', 'custom', 0],
      ['right', 'custom', 1],
    ]);
    const partitions = functions.get('a')?.partitions ?? [];
    const reading = { sensor: 'abc', value: 5, time: 0 } as never;
    expect(partitions.map(({ keyOf }) => keyOf(reading))).toEqual(['abc', 5]);
    expect(partitions.map(({ partition }) => partition('abc' as never, 2))).toEqual([3, Number.NaN]);
  });

  test('the hash sees whom all records go to, and not how they are spread', () => {
    const hashes = (names: readonly ('rescale' | 'shuffle' | 'global' | 'rebalance' | 'forward')[]) =>
      names.map((name) => graphHash(spreadBy((stream) => stream[name]())));
    expect(new Set(hashes(['rescale', 'shuffle', 'rebalance', 'forward'])).size).toBe(1);
    expect(new Set(hashes(['rescale', 'global'])).size).toBe(2);
  });
});

describe('slot-sharing groups', () => {
  const grouped = (): JobGraph =>
    plan((env) => {
      const readings = env.from(testSource<Reading>(), { uid: 'in' });
      const lookups = readings
        .map((r) => r)
        .uid('lookup')
        .slotSharingGroup('io')
        .map((r) => r)
        .uid('after');
      const others = readings.filter((r) => r.value > 0).uid('others');
      lookups.to(testSink({ commits: true })).uid('out-io');
      lookups
        .union(others)
        .map((r) => r)
        .uid('joined')
        .parallelism(3)
        .to(testSink())
        .uid('out')
        .parallelism(3);
    });

  test('are inherited where the inputs agree, are default where they do not, and are never chained together', () => {
    const graph = grouped();
    expect(graph.vertices.map((vertex) => `${vertex.id}: ${vertex.slotSharingGroup ?? '-'}`)).toEqual([
      'in-planner: -',
      'in: -',
      'lookup: io',
      'out-io-committer: io',
      'joined: -',
    ]);
    expect(chains(graph)).toContain('lookup after out-io');
    expect(edgesInto(graph, 'lookup')).toEqual(['in forward']);
    expect(slotsNeeded(graph)).toBe(5);
  });

  test('are shown as the second of two inputs, or as the side that is read first', () => {
    const text = renderPlan(
      plan((env) => {
        const read = (uid: string): Stream<Reading> => env.from(testSource<Reading>(), { uid });
        read('main')
          .broadcastInput(read('side'), (rows) => rows.length)
          .map((r) => r)
          .keyBy((r) => r.sensor)
          .intervalJoin(
            read('table').keyBy((r) => r.sensor),
            { lower: 0, upper: 1 },
            (r) => r,
          )
          .print();
      }),
    );
    expect(text).toMatch(/from table \(second input\)/);
    expect(text).toMatch(/from side \(side input\)/);
  });

  test('are shown in the plan with chaining hints and tuning, and leave no trace in a plan without them', () => {
    const text = renderPlan(
      plan((env) => {
        env.options({ chaining: false });
        env
          .from(testSource<Reading>(), { uid: 'in' })
          .asyncMap((r) => Promise.resolve(r), { capacity: 7 })
          .uid('lookup')
          .slotSharingGroup('io')
          .map((r) => r)
          .uid('a')
          .disableChaining()
          .map((r) => r)
          .uid('b')
          .startNewChain()
          .print();
      }),
    );
    expect(text).toMatch(/ms, chaining off\n/);
    expect(text).toMatch(/slots 4, by slot-sharing group: default 2, io 2/);
    expect(text).toMatch(/lookup \(parallelism 2, slot-sharing group io\)/);
    expect(text).toMatch(/lookup: async-map, state \{.*"order":"ordered"\} \{"capacity":7/);
    expect(text).toMatch(/a: map, chained to nothing/);
    expect(text).toMatch(/b: map, starts a chain/);
    expect(renderPlan(plan(line({})))).not.toMatch(/slots|chain|group/);
  });
});
