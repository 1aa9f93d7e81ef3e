/** What becomes of state when a job changes, on plans of the public API. */
import { describe, expect, test } from 'vitest';
import { compareState, type StateVerdict } from '../../core/graph/state-compatibility.ts';
import {
  count,
  countEvictor,
  countTrigger,
  defineJob,
  type JobEnvironment,
  type JobGraph,
  mapState,
  minutes,
  seconds,
  sum,
  tumbling,
  valueState,
} from '../index.ts';
import { testSink, testSource } from '../test-connectors.test-support.ts';

interface Reading {
  sensor: string;
  value: number;
  time: number;
}

interface Variant {
  name?: string;
  maxParallelism?: number;
  parallelism?: number;
  path?: string;
  size?: number;
  total?: boolean;
  seen?: 'value' | 'map' | 'none';
  more?: boolean;
  processUid?: string | null;
  filter?: boolean;
  secondProcess?: boolean;
  body?: string;
  outOfOrderness?: number;
}

function graphOf(variant: Variant = {}): JobGraph {
  const definition = defineJob(variant.name ?? 'readings', (env) => define(env, variant), {
    maxParallelism: variant.maxParallelism ?? 128,
  });
  return definition.plan({ parallelism: variant.parallelism ?? 1 }).graph;
}

function define(env: JobEnvironment, variant: Variant): void {
  const all = env.from(testSource<Reading>({ options: { path: variant.path ?? 'in' } }), { uid: 'in' });
  const timed = all
    .withTimestamps((r) => r.time, { outOfOrderness: seconds(variant.outOfOrderness ?? 1) })
    .uid('times');
  const read = variant.filter === true ? timed.filter((r) => r.value > 0) : timed;
  const keyed = read.keyBy((r) => r.sensor);
  const seen = { value: { seen: valueState<number>() }, map: { seen: mapState<number, number>() }, none: {} };
  const state = { ...seen[variant.seen ?? 'value'], ...(variant.more === true ? { more: valueState<string>() } : {}) };
  const processed = keyed.process({ state, onRecord: () => {} });
  if (variant.processUid !== null) processed.uid(variant.processUid ?? 'process');
  processed.to(testSink()).uid('out');
  if (variant.secondProcess === true) keyed.process({ state, onRecord: () => {} }).print();
  keyed
    .window(tumbling(minutes(variant.size ?? 1)))
    .aggregate({ n: count(), ...(variant.total === true ? { total: sum((r: Reading) => r.value) } : {}) })
    .uid('windows')
    .to(testSink())
    .uid('windows-out');
}

const changed = (before: Variant, after: Variant): StateVerdict[] => compareState(graphOf(before), graphOf(after));
const verdictOf = (verdicts: readonly StateVerdict[], id: string): StateVerdict | undefined =>
  verdicts.find(({ operatorId }) => operatorId === id);
const allRestored = (verdicts: readonly StateVerdict[]): boolean =>
  verdicts.length > 0 && verdicts.every(({ verdict }) => verdict === 'restore');

describe('state of a changed job', () => {
  test.each([
    ['nothing changed', {}],
    ['a stateless operator was added', { filter: true }],
    ['the parallelism changed', { parallelism: 4 }],
    ['how late records may be changed', { outOfOrderness: 60 }],
  ] satisfies [string, Variant][])('is restored when %s', (_, after) => {
    expect(allRestored(changed({}, after))).toBe(true);
  });

  test('starts empty for an operator that is new, and is restored for the others', () => {
    const verdicts = changed({}, { secondProcess: true });
    const added = verdicts.filter(({ verdict }) => verdict === 'start-empty').map(({ operatorId }) => operatorId);
    expect(added).toEqual(['process-2', 'sink-print-1']);
    expect(verdicts.some(({ verdict }) => verdict === 'refused')).toBe(false);
  });

  test('is restored, the new one starting empty, when a process function declares one state more', () => {
    expect(allRestored(changed({}, { more: true }))).toBe(true);
  });

  test.each([
    ['an operator is gone', { processUid: 'other' }, 'process', /no longer in the job.*bring it back/],
    ['a declared state is gone', { seen: 'none' }, 'process', /state 'seen' is no longer declared/],
    ['a declared state has another kind', { seen: 'map' }, 'process', /state 'seen' was .*value.* and is .*map/],
    ['a window has another size', { size: 5 }, 'windows', /its window was .*60000.* and is .*300000/],
    ['there is another aggregate', { total: true }, 'windows', /its aggregates was/],
    ['a source reads something else', { path: 'elsewhere' }, 'in', /its options was/],
  ] satisfies [string, Variant, string, RegExp][])('is refused, saying what to do, when %s', (_, after, id, reason) => {
    const verdicts = changed({}, after);
    expect(verdictOf(verdicts, id)).toMatchObject({ verdict: 'refused', reason: expect.stringMatching(reason) });
  });

  test('is refused for every operator when it belongs to another job or maxParallelism changed', () => {
    for (const [after, reason] of [
      [{ name: 'other' }, /belongs to the job 'readings'/],
      [{ maxParallelism: 64 }, /maxParallelism was 128/],
    ] satisfies [Variant, RegExp][]) {
      for (const verdict of changed({}, after)) {
        expect(verdict).toMatchObject({ verdict: 'refused', reason: expect.stringMatching(reason) });
      }
    }
  });

  test('is refused under a derived id that is fed by others than before', () => {
    const verdicts = changed({ processUid: null }, { processUid: null, filter: true });
    expect(verdictOf(verdicts, 'process-1')).toMatchObject({
      verdict: 'refused',
      reason: expect.stringMatching(/derived.*uid/),
    });
    expect(allRestored(changed({ processUid: null }, { processUid: null }))).toBe(true);
  });
});

/** Plans of one operator under the id `it`, before and after a change of its options. */
type Streams = ReturnType<typeof keyedReadings>;
const keyedReadings = (env: JobEnvironment, uid: string) =>
  env
    .from(testSource<Reading>(), { uid })
    .withTimestamps((r) => r.time, { outOfOrderness: 0 })
    .uid(`${uid}-times`)
    .keyBy((r) => r.sensor);
const verdictOfOne = (before: (left: Streams, right: Streams) => void, after: typeof before): StateVerdict => {
  const plan = (define: typeof before): JobGraph =>
    defineJob('one', (env) => define(keyedReadings(env, 'left'), keyedReadings(env, 'right'))).plan({}).graph;
  return verdictOf(compareState(plan(before), plan(after)), 'it') as StateVerdict;
};
const window = tumbling(minutes(1));
const one = countTrigger(1);
const both = (left: Reading | null, right: Reading | null) => ({ left, right });

interface Change {
  readonly before: (left: Streams, right: Streams) => void;
  readonly after: (left: Streams, right: Streams) => void;
}

describe('state of an operator whose options changed', () => {
  test.each<[string, Change]>([
    [
      'a time to live is longer',
      {
        before: (left) =>
          left
            .dedup({ keep: 'last', ttl: minutes(1) })
            .uid('it')
            .print(),
        after: (left) =>
          left
            .dedup({ keep: 'last', ttl: minutes(5) })
            .uid('it')
            .print(),
      },
    ],
    [
      'an evictor keeps more',
      {
        before: (left) =>
          left
            .window(window)
            .trigger(one)
            .evictor(countEvictor(2))
            .reduce((a) => a)
            .uid('it')
            .print(),
        after: (left) =>
          left
            .window(window)
            .trigger(one)
            .evictor(countEvictor(9))
            .reduce((a) => a)
            .uid('it')
            .print(),
      },
    ],
    [
      'a window function declares one state more',
      {
        before: (left) =>
          left
            .window(window)
            .process({ onWindow: () => {} })
            .uid('it')
            .print(),
        after: (left) =>
          left
            .window(window)
            .process({ state: { more: valueState<number>() }, onWindow: () => {} })
            .uid('it')
            .print(),
      },
    ],
    [
      'late records of the second stream of a join are read',
      {
        before: (left, right) => left.windowJoin(right, window, {}, both).uid('it').print(),
        after: (left, right) => {
          const joined = left.windowJoin(right, window, {}, both).uid('it');
          joined.print();
          joined.lateSecond().print();
        },
      },
    ],
    [
      'answers of calls come in another order and a timeout is handled otherwise',
      {
        before: (left) =>
          left
            .reduce((a) => a)
            .asyncMap((r) => Promise.resolve(r))
            .uid('it')
            .print(),
        after: (left) =>
          left
            .reduce((a) => a)
            .asyncMap((r) => Promise.resolve(r), { order: 'unordered', onTimeout: 'skip', capacity: 7 })
            .uid('it')
            .print(),
      },
    ],
  ])('is restored when %s', (_, { before, after }) => {
    expect(verdictOfOne(before, after)).toMatchObject({ verdict: 'restore' });
  });

  test.each<[string, Change, RegExp]>([
    [
      'there is a time to live where there was none',
      {
        before: (left) => left.dedup({ keep: 'last' }).uid('it').print(),
        after: (left) =>
          left
            .dedup({ keep: 'last', ttl: minutes(5) })
            .uid('it')
            .print(),
      },
      /its ttlMs was null and is 300000/,
    ],
    [
      'windows keep their records for an evictor',
      {
        before: (left) =>
          left
            .window(window)
            .trigger(one)
            .reduce((a) => a)
            .uid('it')
            .print(),
        after: (left) =>
          left
            .window(window)
            .trigger(one)
            .evictor(countEvictor(2))
            .reduce((a) => a)
            .uid('it')
            .print(),
      },
      /its evictor was null/,
    ],
    [
      'a trigger counts to another number',
      {
        before: (left) =>
          left
            .window(window)
            .trigger(one)
            .reduce((a) => a)
            .uid('it')
            .print(),
        after: (left) =>
          left
            .window(window)
            .trigger(countTrigger(2))
            .reduce((a) => a)
            .uid('it')
            .print(),
      },
      /its trigger was/,
    ],
    [
      'the bounds of an interval join changed',
      {
        before: (left, right) => left.intervalJoin(right, { lower: 0, upper: 5 }, both).uid('it').print(),
        after: (left, right) => left.intervalJoin(right, { lower: 0, upper: 9 }, both).uid('it').print(),
      },
      /its upperMs was 5 and is 9/,
    ],
  ])('is refused when %s', (_, { before, after }, reason) => {
    expect(verdictOfOne(before, after)).toMatchObject({ verdict: 'refused', reason: expect.stringMatching(reason) });
  });
});
