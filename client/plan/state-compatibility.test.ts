/** What becomes of state when a job changes, on plans of the public API. */
import { describe, expect, test } from 'vitest';
import { compareState, type StateVerdict } from '../../core/graph/state-compatibility.ts';
import {
  count,
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
