/** What a resumed job may change and what not, on plans of the public API. */
import { describe, expect, test } from 'vitest';
import { describeFunctionDifference, functionsFingerprint, graphHash } from '../../core/graph/graph-hash.ts';
import {
  aggregateOf,
  avg,
  count,
  defineJob,
  type JobEnvironment,
  type PlanOptions,
  type PlannedJob,
  quantile,
  renderPlan,
  tumbling,
} from '../index.ts';
import { testSink, testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

const planned = (define: (env: JobEnvironment) => void, options: PlanOptions = {}): PlannedJob =>
  defineJob('job', define).plan(options);

interface Variant {
  path?: string;
  size?: number;
  lateness?: number;
  outOfOrderness?: number;
  late?: boolean;
  p?: number;
  uid?: string;
  names?: string;
  bodies?: 'old' | 'new';
  extraFilter?: boolean;
  sinkParallelism?: number;
}
function job(variant: Variant = {}): (env: JobEnvironment) => void {
  return (env) => {
    const select = variant.bodies === 'new' ? (r: Reading) => r.value * 2 : (r: Reading) => r.value;
    const source = env.from(testSource<Reading>({ options: { path: variant.path ?? 'in' } }), {
      uid: 'in',
      ...(variant.names === undefined ? {} : { name: variant.names }),
    });
    const read = variant.extraFilter === true ? source.filter((r) => r.value > 0).uid('extra') : source;
    const results = read
      .withTimestamps((r) => r.time, { outOfOrderness: variant.outOfOrderness ?? 1 })
      .uid('times')
      .keyBy((r) => r.sensor)
      .window(tumbling(variant.size ?? 10))
      .allowedLateness(variant.lateness ?? 0)
      .aggregate({ n: count(), p: quantile(variant.p ?? 0.5, select) })
      .uid(variant.uid ?? 'windows');
    results
      .to(testSink({ commits: true }))
      .uid('out')
      .parallelism(variant.sinkParallelism ?? 1);
    if (variant.late === true) results.late().print().uid('late');
  };
}
const hashOf = (variant: Variant, options: PlanOptions = {}): string => graphHash(planned(job(variant), options).graph);

describe('the graph hash', () => {
  test.each<[string, Variant, PlanOptions]>([
    ['parallelism', {}, { parallelism: 4 }],
    ['the parallelism of one operator', { sinkParallelism: 3 }, {}],
    ['checkpoint and restart options', {}, { options: { checkpointIntervalMs: 77, restart: { kind: 'none' } } }],
    ['names', { names: 'sensors' }, {}],
    ['bodies of functions', { bodies: 'new' }, {}],
  ])('is the same when only %s differ', (_what, variant, options) => {
    expect(hashOf(variant, options)).toBe(hashOf({}));
  });

  test.each<[string, Variant, PlanOptions]>([
    ["a connector's option", { path: 'elsewhere' }, {}],
    ['the window', { size: 20 }, {}],
    ['allowed lateness', { lateness: 5 }, {}],
    ['out-of-orderness', { outOfOrderness: 2 }, {}],
    ['late records', { late: true }, {}],
    ['an option of an aggregate', { p: 0.9 }, {}],
    ['an id', { uid: 'other' }, {}],
    ['an operator', { extraFilter: true }, {}],
    ['maxParallelism', {}, { options: { maxParallelism: 64 } }],
  ])('is another when %s differs', (_what, variant, options) => {
    expect(hashOf(variant, options)).not.toBe(hashOf({}));
  });

  test('is the same when independent streams are defined in another order', () => {
    const left = (env: JobEnvironment): void => void env.from(testSource(), { uid: 'l' }).print().uid('lo');
    const right = (env: JobEnvironment): void => void env.from(testSource(), { uid: 'r' }).print().uid('ro');
    const inOrder = planned((env) => [left, right].forEach((define) => define(env)));
    const swapped = planned((env) => [right, left].forEach((define) => define(env)));
    expect(graphHash(swapped.graph)).toBe(graphHash(inOrder.graph));
  });
});

describe('the fingerprint of functions', () => {
  const fingerprintOf = (define: (env: JobEnvironment) => void): ReturnType<typeof functionsFingerprint> =>
    functionsFingerprint(planned(define).functions);

  test('names the operator whose function changed and no other', () => {
    expect(describeFunctionDifference(fingerprintOf(job()), fingerprintOf(job({ bodies: 'new' })))).toEqual([
      "functions of operator 'windows' changed",
    ]);
    expect(describeFunctionDifference(fingerprintOf(job()), fingerprintOf(job()))).toEqual([]);
  });

  test('leaves out operators without user functions', () => {
    expect(Object.keys(fingerprintOf(job()))).toEqual(['times', 'windows']);
  });

  test.each<[string, (env: JobEnvironment, added: number) => void]>([
    [
      'a map',
      (env, added) =>
        void env
          .from(testSource<number>())
          .map(added === 1 ? (n) => n + 1 : (n) => n + 2)
          .uid('x')
          .print(),
    ],
    [
      'a function object',
      (env, added) =>
        void env
          .from(testSource<number>())
          .map(added === 1 ? { call: (n) => n + 1 } : { call: (n) => n + 2 })
          .uid('x')
          .print(),
    ],
    [
      'a class',
      (env, added) => {
        class One {
          call(n: number): number {
            return n + 1;
          }
        }
        class Two {
          call(n: number): number {
            return n + 2;
          }
        }
        env
          .from(testSource<number>())
          .map(added === 1 ? new One() : new Two())
          .uid('x')
          .print();
      },
    ],
    [
      'a key',
      (env, added) =>
        void env
          .from(testSource<number>())
          .keyBy(added === 1 ? (n) => n + 1 : (n) => n + 2)
          .reduce((l) => l)
          .uid('x')
          .print(),
    ],
    [
      'a numeric aggregate',
      (env, added) =>
        void env
          .from(testSource<number>())
          .keyBy((n) => n)
          .aggregate({ m: avg(added === 1 ? (n) => n + 1 : (n) => n + 2) })
          .uid('x')
          .print(),
    ],
    [
      'an own aggregate',
      (env, added) =>
        void env
          .from(testSource<number>())
          .keyBy((n) => n)
          .aggregate({
            m: aggregateOf({
              create: () => 0,
              add: added === 1 ? (t: number, n: number) => t + n + 1 : (t: number, n: number) => t + n + 2,
              merge: (l, r) => l + r,
              result: (t) => t,
            }),
          })
          .uid('x')
          .print(),
    ],
    [
      'a process function',
      (env, added) =>
        void env
          .from(testSource<number>())
          .keyBy((n) => n)
          .process(added === 1 ? { onRecord: () => {} } : { onRecord: () => {}, onTimer: () => {} })
          .uid('x')
          .print(),
    ],
    [
      'a side input',
      (env, added) =>
        void env
          .from(testSource<number>())
          .broadcastInput(env.from(testSource<number>()), (all) => all.length)
          .map(added === 1 ? (n, s) => n + s + 1 : (n, s) => n + s + 2)
          .uid('x')
          .print(),
    ],
  ])('changes when %s changes', (_what, define) => {
    const [one, two] = [fingerprintOf((env) => define(env, 1)), fingerprintOf((env) => define(env, 2))];
    expect(one.x).toMatch(/^[0-9a-f]{16}$/);
    expect(two.x).not.toBe(one.x);
  });
});

describe('the plan as text', () => {
  test('shows vertices, edges, state and config when rendered', () => {
    expect(renderPlan(planned(job({ late: true }), { parallelism: 2 }).graph)).toMatchInlineSnapshot(`
      "job job: 5 vertices, maxParallelism 128, checkpoint every 10000 ms

      1. in planner (parallelism 1)
         in-planner: source-planner, state {"boundedness":"bounded","options":{"path":"in"},"source":"test"}

      2. in → times (parallelism 2)
         ← split from in-planner
         in: source-reader, state {"boundedness":"bounded","options":{"path":"in"},"source":"test"}
         times: timestamps, state ← in {"idleTimeoutMs":null,"onBadTimestamp":"fail","onError":"fail","outOfOrdernessMs":1}

      3. windows → late (parallelism 2)
         ← hash from times
         windows: window-aggregate, state {"aggregates":{"n":{"kind":"count"},"p":{"aggregate":"quantile","kind":"object","p":0.5}},"allowedLatenessMs":0,"lateTag":"late","onError":"fail","window":{"kind":"tumbling","offsetMs":0,"sizeMs":10,"time":"event"}}
         late: sink-writer, state ← windows [late] {"options":{"prefix":""},"sink":"print"}

      4. out (parallelism 1)
         ← rebalance from windows
         out: sink-writer, state {"options":{},"sink":"test"}

      5. out committer (parallelism 1)
         ← rebalance from out
         out-committer: sink-committer, state {"options":{},"sink":"test"}"
    `);
  });
});
