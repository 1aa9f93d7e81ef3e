/** Which streams are changelogs when a job is planned, and what is refused, with the words of each refusal. */
import { describe, expect, test } from 'vitest';
import {
  aggregateOf,
  type ChangelogStream,
  count,
  defineJob,
  hours,
  type JobEnvironment,
  max,
  quantile,
  sum,
  topN,
  tumbling,
} from '../index.ts';
import { testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

type Env = JobEnvironment;
const readings = (env: Env) => env.from(testSource<Reading>());
const totals = (env: Env, emitBefore = true): ChangelogStream<{ key: string; total: number }> =>
  readings(env)
    .keyBy((r) => r.sensor)
    .aggregate({ total: sum((r) => r.value) }, { updating: true, emitBefore })
    .uid('totals');
const planOf = (define: (env: Env) => void) => defineJob('job', define).plan({ parallelism: 2 });
const configOf = (define: (env: Env) => void, id: string) =>
  planOf(define)
    .graph.vertices.flatMap((vertex) => vertex.operators)
    .find((operator) => operator.id === id)?.config;

describe('planning refuses', () => {
  const cases: [string, (env: Env) => void, RegExp][] = [
    [
      'a rolling aggregate of an updating stream',
      (env) =>
        void totals(env)
          .keyBy((t) => t.total)
          .aggregate({ n: count() })
          .uid('histogram')
          .print(),
      /'histogram' \(aggregate\) reads the updating stream 'totals'.*\{ updating: true \}/,
    ],
    [
      'a reduce of an updating stream',
      (env) =>
        void totals(env)
          .map((t) => t)
          .uid('mapped')
          .keyBy((t) => t.key)
          .reduce((left) => left)
          .print(),
      /\(reduce\) reads the updating stream 'mapped'/,
    ],
    [
      'a window over an updating stream',
      (env) =>
        void totals(env)
          .keyBy((t) => t.key)
          .window(tumbling(hours(1)))
          .aggregate({ n: count() })
          .print(),
      /\(window-aggregate\).*'totals'.*\.changes\(\)/,
    ],
    [
      'collect without a key',
      (env) => void totals(env).collect('t'),
      /sink 'collect'.*'totals'.*collect\(name, \{ key \}\)/,
    ],
    [
      'an aggregate of upserts',
      (env) =>
        void totals(env, false)
          .keyBy((t) => t.key)
          .aggregate({ n: count() }, { updating: true })
          .print(),
      /upserts of 'totals'.*fromUpserts.*emitBefore/,
    ],
    [
      'a flatMap of upserts',
      (env) =>
        void totals(env, false)
          .flatMap((t) => [t])
          .print(),
      /\(flat-map\).*fromUpserts/,
    ],
    [
      'dedup of an updating stream',
      (env) =>
        void totals(env)
          .keyBy((t) => t.key)
          .dedup({ keep: 'last', by: 'arrival' })
          .print(),
      /\(dedup\).*topN\(1/,
    ],
    [
      'an interval join of an updating stream',
      (env) => {
        const keyed = totals(env).keyBy((t) => t.key);
        keyed.intervalJoin(keyed, { lower: 0, upper: 1 }, (a) => a).print();
      },
      /\(interval-join\).*'totals'/,
    ],
    ['a rebalance of an updating stream', (env) => void totals(env).rebalance().print(), /lose their order/],
    [
      'another parallelism after an updating stream',
      (env) =>
        void totals(env)
          .map((t) => t)
          .uid('m')
          .parallelism(3)
          .print(),
      /'totals' has parallelism 2, it has 3.*use the same parallelism, or 1/,
    ],
    [
      'a union of upserts and complete updates',
      (env) =>
        void totals(env)
          .union(
            readings(env)
              .map((r) => ({ key: r.sensor, total: r.value }))
              .toChangelog(() => 'updateAfter', { mode: 'upsert' }),
          )
          .print(),
      /union.*fromUpserts/,
    ],
    [
      'an aggregate that cannot take back, naming it',
      (env) =>
        void totals(env)
          .keyBy((t) => t.key)
          .aggregate({ median: quantile(0.5, (t) => t.total) }, { updating: true })
          .uid('medians')
          .print(),
      /'medians'.*'median' \(quantile\) cannot take a record back.*retract/,
    ],
    [
      'an updating stream as the side of broadcastInput',
      (env) =>
        void readings(env)
          .broadcastInput(totals(env), () => 0)
          .map((r) => r)
          .print(),
      /as its side/,
    ],
  ];
  test.each(cases)('%s', (_, define, message) => {
    expect(() => planOf(define)).toThrow(
      expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringMatching(message) }),
    );
  });
});

describe('a definition refuses', () => {
  const cases: [string, (env: Env) => void, RegExp][] = [
    [
      'topN of 0 rows',
      (env) =>
        void readings(env)
          .keyBy((r) => r.sensor)
          .topN(0, { by: (r) => r.value }),
      /topN: n is 0/,
    ],
    [
      'an order that is none',
      (env) =>
        void readings(env)
          .keyBy((r) => r.sensor)
          .topN(1, { by: (r) => r.value, order: 'up' as never }),
      /topN: order is "up"; use 'desc' or 'asc'/,
    ],
    [
      'topN without ranks that leaves out rows before',
      (env) =>
        void readings(env)
          .keyBy((r) => r.sensor)
          .topN(1, { by: (r) => r.value, rank: false, emitBefore: false }),
      /topN: emitBefore is true or false, and false only with ranks/,
    ],
    [
      'dedup to the first that leaves out records before',
      (env) =>
        void readings(env)
          .keyBy((r) => r.sensor)
          .dedup({ keep: 'first', emitBefore: false }),
      /dedup: emitBefore is true or false, and false only with keep: 'last'/,
    ],
    [
      'dedup without options',
      (env) =>
        void readings(env)
          .keyBy((r) => r.sensor)
          .dedup(undefined as never),
      /dedup needs options/,
    ],
    [
      'a ttl of 0',
      (env) =>
        void readings(env)
          .keyBy((r) => r.sensor)
          .dedup({ keep: 'first', ttl: 0 }),
      /dedup: ttl is 0/,
    ],
    [
      'a join of something not keyed',
      (env) =>
        void readings(env)
          .keyBy((r) => r.sensor)
          .join(readings(env) as never, { type: 'inner' }, () => 0),
      /needs a keyed stream/,
    ],
    [
      'a type of join that is none',
      (env) => {
        const keyed = readings(env).keyBy((r) => r.sensor);
        keyed.join(keyed, { type: 'outer' as never }, () => 0);
      },
      /join: type is "outer"/,
    ],
    [
      'an interval without a time in it',
      (env) => {
        const keyed = readings(env).keyBy((r) => r.sensor);
        keyed.intervalJoin(keyed, { lower: 5, upper: 5, lowerExclusive: true }, () => 0);
      },
      /no difference of times is between lower 5 \(exclusive\) and upper 5/,
    ],
    [
      'fromUpserts with isDelete on a stream that has kinds',
      (env) =>
        void totals(env, false).fromUpserts(
          (t) => t.key,
          () => true,
        ),
      /leave isDelete away/,
    ],
  ];
  test.each(cases)('%s', (_, define, message) => {
    expect(() => planOf(define)).toThrow(
      expect.objectContaining({ code: 'JOB_INVALID', message: expect.stringMatching(message) }),
    );
  });
});

describe('the plan', () => {
  test('tells an operator that its input changes, and says nothing where it does not', () => {
    expect(
      configOf(
        (env) =>
          void totals(env)
            .filter(() => true)
            .uid('f')
            .print(),
        'f',
      ),
    ).toMatchObject({ changelog: 'retract' });
    expect(
      configOf(
        (env) =>
          void totals(env, false)
            .filter(() => true)
            .uid('f')
            .print(),
        'f',
      ),
    ).toMatchObject({ changelog: 'upsert' });
    expect(
      configOf(
        (env) =>
          void readings(env)
            .filter(() => true)
            .uid('f')
            .print(),
        'f',
      ),
    ).toEqual({ onError: 'fail' });
  });

  test('takes a join of new records as new records, and any other as changes', () => {
    const join = (type: 'inner' | 'left') => (env: Env) => {
      const a = readings(env).keyBy((r) => r.sensor);
      const b = env.from(testSource<Reading>(), { uid: 'b' }).keyBy((r) => r.sensor);
      a.join(b, { type }, (x, y) => ({ x, y }))
        .uid('joined')
        .collect('c');
    };
    expect(() => planOf(join('inner'))).not.toThrow();
    expect(() => planOf(join('left'))).toThrow(/'joined' is an updating stream/);
  });

  test('lets changes through keys, one subtask, side outputs and changes()', () => {
    const define = (env: Env) => {
      const all = totals(env);
      all
        .keyBy((t) => t.total)
        .aggregate({ n: count(), top: max((t) => t.total) }, { updating: true })
        .collect('h', { key: (h) => h.key });
      all
        .map((t) => t)
        .parallelism(1)
        .print()
        .parallelism(1);
      all.changes().collect('every-change');
      all
        .keyBy((t) => t.key)
        .topN(3, { by: (t) => t.total })
        .print('top');
    };
    expect(() => planOf(define)).not.toThrow();
  });

  test('takes aggregates of the user that can take back', () => {
    const last = aggregateOf<{ total: number }, number[], number>({
      create: () => [],
      add: (all, { total }) => [...all, total],
      retract: (all, { total }) => all.filter((one) => one !== total),
      merge: (left, right) => [...left, ...right],
      result: (all) => all.length,
    });
    const define = (env: Env) =>
      void totals(env)
        .keyBy((t) => t.key)
        .aggregate({ last }, { updating: true })
        .print();
    expect(() => planOf(define)).not.toThrow();
    const refused = (env: Env) =>
      void totals(env)
        .keyBy((t) => t.key)
        .aggregate({ best: topN(1, (t) => t.total) }, { updating: true })
        .print();
    expect(() => planOf(refused)).toThrow(/'best' \(topN\)/);
  });
});

describe('planning warns', () => {
  const warningsOf = (boundedness: 'bounded' | 'unbounded', ttl?: number): readonly string[] =>
    planOf((env) => {
      const side = (name: string) =>
        env.from(testSource<Reading>({ boundedness }), { uid: name }).keyBy((reading) => reading.sensor);
      side('left')
        .join(side('right'), { type: 'inner', ...(ttl === undefined ? {} : { ttl }) }, (a, b) => [a.value, b.value])
        .uid('pairs')
        .print();
    }).warnings;

  test('of a join without ttl behind a source without end', () => {
    expect(warningsOf('unbounded')).toContainEqual(expect.stringMatching(/^join 'pairs' keeps every row .*set ttl/));
    expect(warningsOf('unbounded', hours(1)).join()).not.toMatch(/keeps every row/);
    expect(warningsOf('bounded').join()).not.toMatch(/keeps every row/);
  });
});
