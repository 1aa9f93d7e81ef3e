import { describe, expect, test } from 'vitest';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import {
  count,
  defineJob,
  emits,
  type FailedRecord,
  type JobEnvironment,
  outputTag,
  sideOutput,
  sum,
  tumbling,
  valueState,
  type JobDefinition,
} from '../index.ts';
import { testSink, testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

const job = (define: (env: JobEnvironment) => void): JobDefinition => defineJob('job', define);
const plan = (define: (env: JobEnvironment) => void, parallelism = 2): JobGraph =>
  job(define).plan({ parallelism }).graph;

/** `vertex parallelism: operator < upstream index [tag], ...` for each vertex. */
function vertices(graph: JobGraph): string[] {
  return graph.vertices.map((vertex) => {
    const operators = vertex.operators.map(
      ({ id, upstreamIndex, upstreamTag }) =>
        `${id}${upstreamIndex < 0 ? '' : `<${upstreamIndex}`}${upstreamTag === null ? '' : `[${upstreamTag}]`}`,
    );
    return `${vertex.parallelism}: ${operators.join(' ')}`;
  });
}
function edges(graph: JobGraph): string[] {
  return graph.edges.map(
    (edge) =>
      `${edge.sourceVertex}.${edge.sourceOperatorIndex}${edge.sourceTag === null ? '' : `[${edge.sourceTag}]`} ${edge.partitioner} ${edge.targetVertex}.${edge.targetInput}`,
  );
}

describe('planning', () => {
  test('chains record-by-record operators as a tree when parallelism is the same', () => {
    const graph = plan((env) => {
      const readings = env
        .from(testSource<Reading>(), { uid: 'in' })
        .filter((r) => r.value > 0)
        .uid('positive');
      readings
        .map((r) => r.value)
        .uid('values')
        .to(testSink())
        .uid('out-a');
      readings
        .flatMap((r) => [r.sensor])
        .uid('sensors')
        .to(testSink({ commits: true }))
        .uid('out-b');
    });
    expect(vertices(graph)).toEqual([
      '1: in-planner',
      '2: in positive<0 values<1 out-a<2 sensors<1 out-b<4',
      '1: out-b-committer',
    ]);
    expect(edges(graph)).toEqual(['in-planner.0 split in.0', 'in.5 rebalance out-b-committer.0']);
    expect(graph.vertices[1]?.operators.map((operator) => operator.stateful)).toEqual([
      true,
      false,
      false,
      true,
      false,
      true,
    ]);
  });

  test('starts a vertex when parallelism differs, a stream is rebalanced, broadcast or keyed', () => {
    const graph = plan((env) => {
      const readings = env.from(testSource<Reading>(), { uid: 'in' });
      readings
        .map((r) => r.value)
        .uid('four')
        .parallelism(4)
        .to(testSink())
        .uid('out-1')
        .parallelism(4);
      readings
        .rebalance()
        .map((r) => r.value)
        .uid('spread')
        .to(testSink())
        .uid('out-2');
      readings
        .broadcast()
        .map((r) => r.value)
        .uid('all')
        .to(testSink())
        .uid('out-3');
      readings
        .keyBy((r) => r.sensor)
        .reduce((left) => left)
        .uid('keyed')
        .to(testSink())
        .uid('out-4');
    });
    expect(vertices(graph)).toEqual([
      '1: in-planner',
      '2: in',
      '4: four out-1<0',
      '2: spread out-2<0',
      '2: all out-3<0',
      '2: keyed out-4<0',
    ]);
    expect(edges(graph)).toEqual([
      'in-planner.0 split in.0',
      'in.0 rebalance four.0',
      'in.0 rebalance spread.0',
      'in.0 broadcast all.0',
      'in.0 hash keyed.0',
    ]);
  });

  test('gives a union several edges into one input', () => {
    const graph = plan((env) => {
      const left = env.from(testSource<Reading>(), { uid: 'left' });
      const right = env.from(testSource<Reading>(), { uid: 'right', parallelism: 1 });
      left
        .union(right)
        .map((r) => r.value)
        .uid('both')
        .to(testSink())
        .uid('out');
      left
        .union(right)
        .keyBy((r) => r.sensor)
        .aggregate({ n: count() })
        .uid('counts')
        .to(testSink())
        .uid('out-counts');
    });
    expect(edges(graph).slice(2)).toEqual([
      'left.0 forward both.0',
      'right.0 rebalance both.0',
      'left.0 hash counts.0',
      'right.0 hash counts.0',
    ]);
  });

  test('connects side outputs by their tag when late, failed and tagged records are read', () => {
    const bad = outputTag<FailedRecord<Reading>>('bad');
    const alarm = outputTag<string>('alarm');
    const graph = plan((env) => {
      const readings = env
        .from(testSource<Reading>(), { uid: 'in' })
        .withTimestamps((r) => r.time, { outOfOrderness: 5 })
        .uid('times');
      const checked = readings
        .filter((r) => r.value > 0)
        .uid('checked')
        .onError(sideOutput(bad));
      checked.sideOutput(bad).to(testSink()).uid('out-bad');
      const totals = checked
        .keyBy((r) => r.sensor)
        .window(tumbling(10))
        .allowedLateness(3)
        .aggregate({ total: sum((r) => r.value) })
        .uid('totals');
      totals.late().to(testSink()).uid('out-late').parallelism(1);
      const watched = totals
        .keyBy((t) => t.key)
        .process(emits<number>(), {
          state: { n: valueState<number>() },
          onRecord: (t, context) => context.output(alarm, t.key),
        })
        .uid('watch');
      watched.to(testSink()).uid('out');
      watched.sideOutput(alarm).to(testSink()).uid('out-alarm');
    });
    expect(vertices(graph)).toEqual([
      '1: in-planner',
      '2: in times<0 checked<1 out-bad<2[bad]',
      '2: totals',
      '1: out-late',
      '2: watch out<0 out-alarm<0[alarm]',
    ]);
    expect(edges(graph)).toEqual([
      'in-planner.0 split in.0',
      'in.2 hash totals.0',
      'totals.0[late] rebalance out-late.0',
      'totals.0 hash watch.0',
    ]);
  });

  test('writes the documented config of every kind', () => {
    const bad = outputTag<FailedRecord>('bad');
    const graph = plan((env) => {
      const readings = env.from(testSource<Reading>({ kind: 'files', options: { path: 'in' } }), { uid: 'in' });
      const side = env.from(testSource<string>({ kind: 'names' }), { uid: 'names' });
      const timed = readings
        .withTimestamps((r) => r.time, { outOfOrderness: 5, idleTimeout: 7, onBadTimestamp: 'skip' })
        .uid('times');
      timed
        .broadcastInput(side, (all) => all.length)
        .filter((_r, n) => n > 0)
        .uid('side')
        .onError('skip')
        .to(testSink({ kind: 'print', options: { prefix: '>' } }))
        .uid('out');
      const keyed = timed.keyBy((r) => r.sensor);
      keyed
        .reduce((left) => left)
        .uid('reduced')
        .print()
        .uid('p1');
      keyed.aggregate({ n: count() }).uid('rolling').print().uid('p2');
      keyed
        .window(tumbling(10, { offset: -3 }))
        .aggregate({ n: count() })
        .uid('windows')
        .print()
        .uid('p3');
      const process = keyed
        .process({ state: { seen: valueState<number>() }, onRecord: () => {} })
        .uid('process')
        .onError(sideOutput(bad));
      process.sideOutput(bad).print().uid('p4');
    });
    const configs = Object.fromEntries(
      graph.vertices.flatMap((vertex) => vertex.operators).map((operator) => [operator.id, operator.config]),
    );
    expect(configs).toMatchObject({
      'in-planner': { source: 'files', options: { path: 'in' }, boundedness: 'bounded' },
      in: { source: 'files', options: { path: 'in' }, boundedness: 'bounded' },
      times: { outOfOrdernessMs: 5, idleTimeoutMs: 7, onBadTimestamp: 'skip', onError: 'fail' },
      side: { onError: 'skip' },
      out: { sink: 'print', options: { prefix: '>' } },
      reduced: { onError: 'fail' },
      rolling: { aggregates: { n: { kind: 'count' } }, onError: 'fail' },
      windows: {
        window: { kind: 'tumbling', sizeMs: 10, offsetMs: 7 },
        allowedLatenessMs: 0,
        aggregates: { n: { kind: 'count' } },
        lateTag: null,
        onError: 'fail',
      },
      process: { states: { seen: 'value' }, onError: { sideOutput: 'bad' } },
    });
  });

  test('gives broadcastInput its side as input 1 and starts a vertex', () => {
    const graph = plan((env) => {
      const main = env.from(testSource<Reading>({ boundedness: 'unbounded' }), { uid: 'main' });
      const side = env.from(testSource<string>(), { uid: 'side', parallelism: 1 });
      main
        .broadcastInput(side, (names) => new Set(names))
        .map((r, names) => names.has(r.sensor))
        .uid('join')
        .to(testSink())
        .uid('out');
    });
    expect(vertices(graph)).toEqual(['1: main-planner', '2: main', '1: side-planner', '1: side', '2: join out<0']);
    expect(edges(graph).slice(2)).toEqual(['main.0 forward join.0', 'side.0 broadcast join.1']);
  });

  test('gives functions for every operator and the same graph when it runs again', () => {
    const definition = job((env) => {
      env
        .from(testSource<Reading>())
        .keyBy((r) => r.sensor)
        .aggregate({ n: count() })
        .to(testSink({ commits: true }));
    });
    const first = definition.plan({ parallelism: 3 });
    const second = definition.plan({ parallelism: 3 });
    expect(second.graph).toEqual(first.graph);
    const operators = first.graph.vertices.flatMap((vertex) => vertex.operators);
    expect([...first.functions].map(([id, functions]) => [id, functions.kind])).toEqual(
      operators.map(({ id, kind }) => [id, kind]),
    );
    expect(Object.isFrozen(first.graph.vertices[0]?.operators)).toBe(true);
  });

  test('calls the function of a side input with the side object', () => {
    const { functions } = job((env) => {
      const side = env.from(testSource<number>());
      const main = env.from(testSource<number>());
      main
        .broadcastInput(side, (all) => all.length)
        .filter((n, size) => n < size)
        .uid('few')
        .print();
      main
        .broadcastInput(side, (all) => all.length)
        .map((n, size) => n * size)
        .uid('product')
        .print();
    }).plan({});
    const run = (id: string, value: number): unknown[] => {
      const operator = functions.get(id);
      if (operator?.kind !== 'broadcast-input' || typeof operator.flatMap !== 'function')
        throw new Error(`no side input ${id}`);
      return [...operator.flatMap(value as never, operator.build([1, 2, 3] as never) as never)];
    };
    expect([run('few', 2), run('few', 3), run('product', 5)]).toEqual([[2], [], [15]]);
  });

  test('derives ids from kind, name and ordinal when no uid is given', () => {
    const { graph, warnings } = job((env) => {
      const readings = env.from(testSource<Reading>({ kind: 'files.csv' }), { name: 'sensor data' });
      readings
        .map((r) => r)
        .map((r) => r)
        .name('clean up!')
        .map((r) => r)
        .print();
    }).plan({});
    expect(vertices(graph)[1]).toBe('1: source-sensor-data-1 map-1<0 map-clean-up--1<1 map-2<2 sink-print-1<3');
    expect(warnings.join()).toContain("'source-sensor-data-1'");
    expect(warnings.join()).toContain("give each a .uid('...')");
  });

  test('warns of nothing when ids are explicit and everything is read', () => {
    const { warnings } = job((env) => {
      env
        .from(testSource<Reading>(), { uid: 'in' })
        .withTimestamps((r) => r.time, { outOfOrderness: 1 })
        .uid('t')
        .keyBy((r) => r.sensor)
        .window(tumbling(5))
        .aggregate({ n: count() })
        .uid('w')
        .print()
        .uid('out');
    }).plan({});
    expect(warnings).toEqual([]);
  });

  test('warns when an output is not read or a window has no timestamps', () => {
    const { warnings } = job((env) => {
      const readings = env.from(testSource<Reading>(), { uid: 'in' });
      readings.map((r) => r).uid('lost');
      readings
        .keyBy((r) => r.sensor)
        .window(tumbling(5))
        .aggregate({ n: count() })
        .uid('w')
        .print()
        .uid('out');
    }).plan({});
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain("'lost'");
    expect(warnings[1]).toContain("window 'w' reads 'in' without withTimestamps");
  });

  test('warns when failed records go to a side output nobody reads', () => {
    const { warnings } = job((env) => {
      const bad = outputTag<FailedRecord>('bad');
      env
        .from(testSource<Reading>(), { uid: 'in' })
        .map((r) => r)
        .uid('m')
        .onError(sideOutput(bad))
        .print()
        .uid('out');
    }).plan({});
    expect(warnings).toEqual([expect.stringContaining("failed records of 'm' go to side output 'bad'")]);
  });

  test('carries resolved options when job, definition and command line set them', () => {
    const definition = defineJob(
      'job',
      (env) => {
        env.options({ checkpointInterval: 500, parallelism: 3 });
        env.from(testSource<Reading>()).print();
        expect(env.parallelism).toBe(8);
      },
      { checkpointInterval: 100, maxParallelism: 64 },
    );
    const { options } = definition.plan({ parallelism: 5, options: { parallelism: 8, bufferTimeoutMs: 1 } }).graph;
    expect(options).toMatchObject({
      checkpointIntervalMs: 500,
      maxParallelism: 64,
      parallelism: 8,
      bufferTimeoutMs: 1,
    });
  });
});
