/** What cannot be planned, with the words of each refusal. */
import { describe, expect, test } from 'vitest';
import { count, defineJob, type JobEnvironment, outputTag, tumbling, valueState } from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

const refusal =
  (define: (env: JobEnvironment) => void): (() => unknown) =>
  () =>
    defineJob('job', define).plan({ parallelism: 2 });

describe('planning refuses', () => {
  const cases: [string, (env: JobEnvironment) => void, RegExp][] = [
    ['a job without a source', () => {}, /no source/],
    ['a job without a sink', (env) => void env.from(testSource<Reading>()).map((r) => r), /no sink/],
    [
      'two operators of one id, naming both',
      (env) =>
        void env
          .from(testSource<Reading>())
          .map((r) => r)
          .uid('x')
          .filter(() => true)
          .uid('x')
          .print(),
      /map \(operator 2.*filter \(operator 3.*'x'/,
    ],
    [
      'an id taken by the planner of a source',
      (env) =>
        void env
          .from(testSource<Reading>(), { uid: 'a' })
          .map((r) => r)
          .uid('a-planner')
          .print(),
      /the planner of source 'test'.*'a-planner'/,
    ],
    [
      'parallelism above maxParallelism',
      (env) => {
        env.options({ maxParallelism: 4 });
        env
          .from(testSource<Reading>())
          .map((r) => r)
          .uid('m')
          .parallelism(5)
          .print();
      },
      /'m' has parallelism 5, more than maxParallelism 4/,
    ],
    [
      'a side output nobody sends to',
      (env) =>
        void env
          .from(testSource<Reading>())
          .map((r) => r)
          .uid('m')
          .sideOutput(outputTag('t'))
          .print(),
      /reads side output 't' of 'm'/,
    ],
    [
      'timestamps after a key',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .reduce((l) => l)
          .withTimestamps((r) => r.time, { outOfOrderness: 0 })
          .print(),
      /after 'reduce-1'.*before the first exchange/,
    ],
    [
      'timestamps after a union',
      (env) => {
        const s = env.from(testSource<Reading>());
        s.union(s)
          .withTimestamps((r) => r.time, { outOfOrderness: 0 })
          .print();
      },
      /after a union/,
    ],
    [
      'timestamps after a rebalance',
      (env) =>
        void env
          .from(testSource<Reading>())
          .rebalance()
          .withTimestamps((r) => r.time, { outOfOrderness: 0 })
          .print(),
      /after an exchange \('rebalance'/,
    ],
    [
      'timestamps after a change of parallelism',
      (env) =>
        void env
          .from(testSource<Reading>(), { parallelism: 1 })
          .map((r) => r)
          .withTimestamps((r) => r.time, { outOfOrderness: 0 })
          .print(),
      /has parallelism 1, 'map-1' 2/,
    ],
    [
      'timestamps twice',
      (env) =>
        void env
          .from(testSource<Reading>())
          .withTimestamps((r) => r.time, { outOfOrderness: 0 })
          .withTimestamps((r) => r.time, { outOfOrderness: 0 })
          .print(),
      /a second time/,
    ],
    [
      'timestamps on a stream with another reader',
      (env) => {
        const s = env.from(testSource<Reading>());
        s.print();
        s.withTimestamps((r) => r.time, { outOfOrderness: 0 }).print();
      },
      /one of several readers of 'source-test-1'/,
    ],
    [
      'timestamps with an own parallelism',
      (env) =>
        void env
          .from(testSource<Reading>())
          .withTimestamps((r) => r.time, { outOfOrderness: 0 })
          .parallelism(1)
          .print(),
      /after an exchange: 'source-test-1' has parallelism 2/,
    ],
    [
      'an unbounded side',
      (env) =>
        void env
          .from(testSource<Reading>())
          .broadcastInput(env.from(testSource<string>({ boundedness: 'unbounded' })), (all) => all)
          .map((r) => r)
          .print(),
      /unbounded source 'test' \(operator 2/,
    ],
    [
      'a side that shares a source',
      (env) => {
        const s = env.from(testSource<Reading>());
        s.map((r) => r)
          .broadcastInput(
            s.filter(() => true),
            (all) => all,
          )
          .map((r) => r)
          .print();
      },
      /both in its main stream and in its side/,
    ],
    [
      'a window of size 0',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .window(tumbling(0)),
      /size 0/,
    ],
    ['a window of a negative size', () => void tumbling(-5), /size -5/],
    ['a window of no number', () => void tumbling(Number.NaN), /size NaN/],
    ['a window offset that is not whole', () => void tumbling(5, { offset: 0.5 }), /offset 0.5/],
    [
      'negative allowed lateness',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .window(tumbling(5))
          .allowedLateness(-1),
      /allowedLateness is -1/,
    ],
    [
      'an empty name',
      (env) =>
        void env
          .from(testSource<Reading>())
          .map((r) => r)
          .name(' '),
      /is not a name/,
    ],
    [
      'a uid with a slash',
      (env) =>
        void env
          .from(testSource<Reading>())
          .map((r) => r)
          .uid('a/b'),
      /"a\/b" is not an id/,
    ],
    [
      'parallelism 0',
      (env) =>
        void env
          .from(testSource<Reading>())
          .map((r) => r)
          .parallelism(0),
      /parallelism is 0/,
    ],
    [
      'no aggregates',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .aggregate({}),
      /computes nothing/,
    ],
    [
      'an aggregate named key',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .aggregate({ key: count() }),
      /'key' is a field/,
    ],
    [
      'something that is not an aggregate',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .aggregate({ n: count as never }),
      /'n' is not an aggregate/,
    ],
    ['something that is not a source', (env) => void env.from({} as never), /needs a source/],
    ['something that is not a sink', (env) => void env.from(testSource<Reading>()).to({} as never), /needs a sink/],
    [
      'something that is not a function',
      (env) => void env.from(testSource<Reading>()).map('x' as never),
      /map needs a function/,
    ],
    [
      'an unknown option',
      (env) => env.options({ checkpointIntervall: 5 } as never),
      /unknown option 'checkpointIntervall'/,
    ],
    ['an option out of range', (env) => env.options({ maxParallelism: 40_000 }), /maxParallelism is 40000/],
    [
      'a restart strategy of no kind',
      (env) => env.options({ restart: { kind: 'never' } as never }),
      /restart needs a kind/,
    ],
    [
      'a restart option out of range',
      (env) => env.options({ restart: { kind: 'fixed-delay', delayMs: -1, attemptsMax: 3 } }),
      /restart.delayMs is -1/,
    ],
    [
      'a hand-made window of size 0',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .window({ kind: 'tumbling', time: 'event', sizeMs: 0, offsetMs: 0 }),
      /size 0/,
    ],
    [
      'a state with the name of timers',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .process({ state: { 'timers-event': valueState<number>() }, onRecord: () => {} }),
      /engine's own timers/,
    ],
    [
      'an undeclared state',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .process({ state: { n: {} as never }, onRecord: () => {} }),
      /state 'n' is not declared/,
    ],
    [
      'a process function without onRecord',
      (env) =>
        void env
          .from(testSource<Reading>())
          .keyBy((r) => r.sensor)
          .process({} as never),
      /onRecord needs a function/,
    ],
    [
      'a definition that throws',
      () => {
        throw new TypeError('broken');
      },
      /'job': its definition threw: broken/,
    ],
    ['the reserved output tag', () => void outputTag('late'), /'late' is reserved/],
    [
      'a reaction to errors that does not exist',
      (env) =>
        void env
          .from(testSource<Reading>())
          .map((r) => r)
          .onError('ignore' as never),
      /onError takes/,
    ],
    [
      'a key after broadcast',
      (env) =>
        void env
          .from(testSource<Reading>())
          .broadcast()
          .keyBy((r) => r.sensor),
      /remove broadcast\(\)/,
    ],
    ['an asynchronous definition', (async () => {}) as never, /asynchronous/],
  ];
  test.each(cases)('%s', (_what, define, message) => {
    const attempt = refusal((env) => {
      const returned: unknown = define(env);
      // Options are only resolved once there is something to plan.
      if (returned === undefined && /option|restart|maxParallelism is/.test(message.source))
        env.from(testSource()).print();
      return returned as never;
    });
    expect(attempt).toThrow(expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringMatching(message) }));
  });

  test('a change when the definition has returned', () => {
    let kept: JobEnvironment | undefined;
    refusal((env) => {
      kept = env;
      env.from(testSource()).print();
    })();
    expect(() => kept?.from(testSource())).toThrow(/after its definition returned/);
  });

  test('a stream of another run of the definition', () => {
    const streams: ReturnType<JobEnvironment['from']>[] = [];
    const define = (env: JobEnvironment): void => {
      const stream = env.from(testSource());
      streams.push(stream);
      stream.union(streams[0] ?? stream).print();
    };
    refusal(define)();
    expect(refusal(define)).toThrow(/another job definition/);
  });

  test('a job name with a slash', () => {
    expect(() => defineJob('a/b', () => {})).toThrow(/job name "a\/b"/);
  });
});
