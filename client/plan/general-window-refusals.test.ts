/** What windows, triggers and joins refuse at definition, with the words of each refusal, and what they plan. */
import { describe, expect, test } from 'vitest';
import {
  continuousEventTime,
  continuousProcessingTime,
  count,
  countEvictor,
  countTrigger,
  countWindow,
  defineJob,
  deltaEvictor,
  deltaTrigger,
  emits,
  globalWindow,
  type JobEnvironment,
  type KeyedStream,
  outputTag,
  purging,
  session,
  timeEvictor,
  tumbling,
  valueState,
} from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
}

const keyed = (env: JobEnvironment): KeyedStream<Reading, string> =>
  env.from(testSource<Reading>()).keyBy((reading) => reading.sensor);
const last = (_left: Reading, right: Reading): Reading => right;
const plan = (define: (env: JobEnvironment) => void) => defineJob('job', define).plan({ parallelism: 2 });

describe('planning refuses', () => {
  const cases: [string, (env: JobEnvironment) => unknown, RegExp][] = [
    [
      'a global window without a trigger',
      (env) => keyed(env).window(globalWindow()).aggregate({ n: count() }),
      /globalWindow\(\) never ends, so it needs a trigger/,
    ],
    [
      'sessions with a trigger that cannot merge',
      (env) =>
        keyed(env)
          .window(session(5))
          .trigger(deltaTrigger<Reading>(1, () => 0))
          .reduce(last),
      /the trigger 'delta' has no onMerge/,
    ],
    [
      'sessions with a trigger that wraps one that cannot merge',
      (env) =>
        keyed(env)
          .window(session(5))
          .trigger(purging({ onElement: () => 'fire' }))
          .reduce(last),
      /the trigger 'purging' has no onMerge/,
    ],
    [
      'sessions with state per window',
      (env) =>
        keyed(env)
          .window(session(5))
          .process({ windowState: { seen: valueState<number>() }, onWindow: () => {} }),
      /windowState on session windows.*use state/,
    ],
    [
      'a count window with a trigger',
      (env) => keyed(env).window(countWindow(5)).trigger(countTrigger(1)).reduce(last),
      /has a trigger of its own; use globalWindow\(\) with yours/,
    ],
    [
      'a count window with an evictor',
      (env) => keyed(env).window(countWindow(5, 2)).evictor(countEvictor(1)).reduce(last),
      /has a trigger and an evictor of its own/,
    ],
    [
      'a count window with lateness',
      (env) => keyed(env).window(countWindow(5)).allowedLateness(1),
      /a count window: only event-time/,
    ],
    [
      'a processing-time window with lateness',
      (env) =>
        keyed(env)
          .window(tumbling(5, { time: 'processing' }))
          .allowedLateness(1),
      /of processing time: only event-time/,
    ],
    [
      'a trigger that is none',
      (env) =>
        keyed(env)
          .window(tumbling(5))
          .trigger({} as never),
      /an object with onElement\(value, context\)/,
    ],
    [
      'an evictor that is none',
      (env) => keyed(env).window(tumbling(5)).evictor({}),
      /an object with evictBefore or evictAfter/,
    ],
    [
      'a window function that is none',
      (env) =>
        keyed(env)
          .window(tumbling(5))
          .process({} as never),
      /an object with onWindow/,
    ],
    [
      'a function where process needs an object',
      (env) =>
        keyed(env)
          .window(tumbling(5))
          .process((() => 1) as never),
      /an object with onWindow/,
    ],
    [
      'window state that is not declared',
      (env) =>
        keyed(env)
          .window(tumbling(5))
          .process({ windowState: { seen: 1 as never }, onWindow: () => {} }),
      /windowState 'seen' is not declared/,
    ],
    [
      'a side output that a window without a function never sends to',
      (env) => keyed(env).window(tumbling(5)).trigger(countTrigger(1)).reduce(last).sideOutput(outputTag('t')).print(),
      /reads side output 't' of 'window-1'/,
    ],
    ['a count trigger of nothing', () => countTrigger(0), /count is 0; use a whole number of 1 or more/],
    ['a count evictor of nothing', () => countEvictor(0.5), /count is 0.5/],
    ['a time evictor of nothing', () => timeEvictor(0), /0 is not a whole number of milliseconds/],
    ['an interval of nothing', () => continuousEventTime(0), /continuousEventTime: interval 0/],
    ['an interval that is none', () => continuousProcessingTime('x' as never), /interval x/],
    ['a delta trigger without a function', () => deltaTrigger(1, undefined as never), /threshold that is a number/],
    ['a delta evictor without a threshold', () => deltaEvictor(Number.NaN, () => 1), /threshold that is a number/],
    ['purging nothing', () => purging(undefined as never), /purging\(\.\.\.\) needs a trigger/],
    [
      'a join in count windows',
      (env) => keyed(env).windowJoin(keyed(env), countWindow(2), {}, (a) => a),
      /windowJoin: a count window counts the records of one stream/,
    ],
    [
      'a join of an unknown type',
      (env) => keyed(env).windowJoin(keyed(env), tumbling(2), { type: 'outer' as never }, (a) => a),
      /type is "outer"; use 'inner'/,
    ],
    [
      'a join with a stream that has no key',
      (env) => keyed(env).windowJoin(env.from(testSource<Reading>()) as never, tumbling(2), {}, (a) => a),
      /windowJoin needs a keyed stream/,
    ],
    [
      'a co-group without a function',
      (env) => keyed(env).coGroup(keyed(env), tumbling(2), undefined as never),
      /coGroup needs a function/,
    ],
    [
      'a co-group of sessions whose trigger cannot merge',
      (env) => keyed(env).coGroup(keyed(env), session(5), () => [], { trigger: deltaTrigger<Reading>(1, () => 0) }),
      /has no onMerge/,
    ],
    ['a tag with the name of late records', () => outputTag('late-second'), /'late-second' is reserved/],
  ];
  test.each(cases)('%s', (_name, define, message) => {
    expect(() => plan((env) => void define(env))).toThrow(message);
  });
});

test('a window with a function has trigger, evictor and states in the graph', () => {
  const { graph, warnings } = plan((env) => {
    const out = keyed(env)
      .window(session(5, { time: 'processing' }))
      .trigger(purging(countTrigger(3)))
      .evictor(countEvictor(2))
      .process(emits<string>(), { state: { total: valueState<number>() }, onWindow: () => {} })
      .uid('out');
    out.print();
  });
  const node = graph.vertices.flatMap((vertex) => vertex.operators).find((operator) => operator.id === 'out');
  expect(node?.config).toEqual({
    window: { kind: 'session', time: 'processing', gapMs: 5 },
    allowedLatenessMs: 0,
    trigger: { kind: 'purging', of: { kind: 'count', count: 3 }, states: { count: 'value' } },
    evictor: { kind: 'count', count: 2, after: false },
    contents: 'records',
    states: { total: 'value' },
    windowStates: {},
    lateTag: null,
    onError: 'fail',
  });
  expect(warnings.filter((warning) => warning.includes('withTimestamps'))).toEqual([]);
});

test('a join is one vertex that both streams reach by key, with late outputs for both', () => {
  const { graph, warnings } = plan((env) => {
    const out = keyed(env)
      .windowJoin(keyed(env), tumbling(10), { type: 'full' }, (a, b) => `${a?.value} ${b?.value}`)
      .uid('out');
    out.print();
    out.lateFirst().map((reading) => reading.value);
    out.lateSecond().print();
  });
  const edges = graph.edges.filter((edge) => edge.targetVertex === 'out');
  expect(edges.map(({ partitioner, targetInput }) => [partitioner, targetInput])).toEqual([
    ['hash', 0],
    ['hash', 1],
  ]);
  const vertex = graph.vertices.find((candidate) => candidate.id === 'out');
  expect(vertex?.operators[0]?.config).toMatchObject({ type: 'full', lateTag: 'late', lateSecondTag: 'late-second' });
  expect(warnings.some((warning) => /'out' reads .* without withTimestamps/.test(warning))).toBe(true);
});

test('windowAll runs in one subtask, and plain aggregates stay on the incremental path', () => {
  const { graph } = plan((env) => {
    env.from(testSource<Reading>()).windowAll(tumbling(5)).aggregate({ n: count() }).uid('all').rebalance().print();
    keyed(env)
      .window(tumbling(5))
      .aggregate({ n: count() }, ({ n }) => n)
      .uid('made')
      .print();
  });
  const vertices = new Map(graph.vertices.map((vertex) => [vertex.id, vertex]));
  expect(vertices.get('all')?.parallelism).toBe(1);
  expect(vertices.get('all')?.operators[0]?.kind).toBe('window-aggregate');
  expect(vertices.get('made')?.operators[0]?.kind).toBe('window');
});
