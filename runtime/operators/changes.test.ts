/** What the properties of changes do not say: kinds and their order, time, time to live, refusals, errors. */
import { describe, expect, test } from 'vitest';
import { max, sum } from '../../client/index.ts';
import {
  CheckpointImage,
  engineErrorOf,
  type HarnessOptions,
  OperatorHarness,
} from '../../testing/operator-harness.ts';
import { createDedupOperator } from './dedup.ts';
import { ChangelogFilterOperator, ChangesOperator, ToChangelogOperator } from './row-kinds.ts';
import { createTopNOperator } from './top-n.ts';
import { createUpdatingAggregateOperator } from './updating-aggregate.ts';

interface Row {
  readonly k: string;
  readonly n: number;
}

const keyOf = ((row: Row) => row.k) as never;
const number = (row: Row): number => row.n;
const row = (k: string, n: number, rowKind: 0 | 1 | 2 | 3 = 0) => ({ value: { k, n }, rowKind });
const signs = ['+I', '-U', '+U', '-D'];
const told = ({ outputs }: { readonly outputs: OperatorHarness<'filter'>['outputs'] }) =>
  outputs.map(({ value, rowKind = 0 }) => `${signs[rowKind]} ${JSON.stringify(value)}`);

function aggregate(config: Record<string, string | boolean>): HarnessOptions<'updating-aggregate'> {
  return {
    create: createUpdatingAggregateOperator,
    config,
    functions: { kind: 'updating-aggregate', keyOf, aggregates: { most: max(number), n: sum(() => 0) } },
  };
}

const filter = (changelog: string): HarnessOptions<'filter'> => ({
  create: (context) => new ChangelogFilterOperator(context),
  config: { changelog },
  functions: { kind: 'filter', filter: ((value: number) => value > 0) as never },
});

describe('the filter of a changelog', () => {
  test('tells updates as deletes and inserts, so that either half may be missing', async () => {
    const harness = await OperatorHarness.open(filter('retract'));
    await harness.process(
      { value: 1 },
      { value: 1, rowKind: 1 },
      { value: -1, rowKind: 2 },
      { value: -1, rowKind: 1 },
      { value: 2, rowKind: 2 },
      { value: 2, rowKind: 3 },
    );
    expect(told(harness)).toEqual(['+I 1', '-D 1', '+I 2', '-D 2']);
  });

  test('deletes a row that no longer passes when the stream is one of upserts', async () => {
    const harness = await OperatorHarness.open(filter('upsert'));
    await harness.process(
      { value: 1, rowKind: 2 },
      { value: -1, rowKind: 2 },
      { value: -2, rowKind: 3 },
      { value: -1 },
    );
    expect(told(harness)).toEqual(['+U 1', '-D -1', '-D -2']);
  });
});

describe('kinds of rows', () => {
  test('come from the record and become records again', async () => {
    const to = await OperatorHarness.open({
      create: (context) => new ToChangelogOperator(context),
      functions: { kind: 'to-changelog', kindOf: ((value: { kind: string }) => value.kind) as never },
    });
    await to.process({ value: { kind: 'updateBefore' } }, { value: { kind: 'delete' } });
    expect(told(to)).toEqual(['-U {"kind":"updateBefore"}', '-D {"kind":"delete"}']);
    const error = await engineErrorOf(to.process({ value: { kind: 'upsert' } }));
    expect(error.message).toContain("'insert', 'updateBefore', 'updateAfter' or 'delete'");
    const from = await OperatorHarness.open({
      create: (context) => new ChangesOperator(context),
      functions: { kind: 'changes' },
    });
    await from.process({ value: 1, rowKind: 2 });
    expect(told(from)).toEqual(['+I {"kind":"updateAfter","value":1}']);
  });
});

describe.each(['memory', 'cold', 'resting'] as const)('on the %s backend', (backend) => {
  test('an updating aggregate tells nothing when the result stays, and no row before when it need not', async () => {
    const harness = await OperatorHarness.open({ ...aggregate({}), backend });
    await harness.process(row('a', 3), row('a', 2), row('a', 4));
    expect(told(harness)).toEqual([
      '+I {"key":"a","most":3,"n":0}',
      '-U {"key":"a","most":3,"n":0}',
      '+U {"key":"a","most":4,"n":0}',
    ]);
    const upserts = await OperatorHarness.open({ ...aggregate({ emitBefore: false, changelog: 'retract' }), backend });
    await upserts.process(row('a', 3), row('a', 4), row('a', 4, 3), row('a', 3, 3), row('a', 3, 3), row('a', 1));
    expect(told(upserts).map((text) => text.slice(0, 24))).toEqual([
      '+I {"key":"a","most":3,"',
      '+U {"key":"a","most":4,"',
      '+U {"key":"a","most":3,"',
      '-D {"key":"a","most":3,"',
      '+I {"key":"a","most":1,"',
    ]);
    expect(upserts.counter('retractionsWithoutRow')).toBe(1);
  });

  test('an updating aggregate leaves no trace of a key that was taken back when a checkpoint follows', async () => {
    const harness = await OperatorHarness.open({ ...aggregate({ changelog: 'retract' }), backend });
    const image = new CheckpointImage();
    await harness.process(row('a', 3), row('b', 3));
    image.apply(harness.checkpoint(1));
    const task = harness.freeze(2);
    await harness.process(row('a', 3, 3));
    image.apply(harness.encode(task));
    harness.operator.checkpointCompleted(2);
    image.apply(harness.checkpoint(3));
    expect(image.rows).toHaveLength(1);
  });

  test('top-n leaves out rows that are replaced when only the new ones are asked for', async () => {
    const harness = await OperatorHarness.open({
      create: createTopNOperator,
      backend,
      config: { n: 2, order: 'desc', rank: true, emitBefore: false },
      functions: { kind: 'top-n', keyOf, by: number as never, ties: null, uniqueBy: null },
    });
    await harness.process(row('a', 1), row('a', 2));
    expect(told(harness)).toEqual([
      '+I {"rank":1,"record":{"k":"a","n":1}}',
      '+U {"rank":1,"record":{"k":"a","n":2}}',
      '+I {"rank":2,"record":{"k":"a","n":1}}',
    ]);
  });

  test('top-n tells ranks in order and refuses what has no place', async () => {
    const options: HarnessOptions<'top-n'> = {
      create: createTopNOperator,
      backend,
      config: { n: 2, order: 'desc', rank: true },
      functions: { kind: 'top-n', keyOf, by: number as never, ties: null, uniqueBy: null },
    };
    const harness = await OperatorHarness.open(options);
    await harness.process(row('a', 1), row('a', 2), row('a', 0), row('a', 3));
    expect(told(harness)).toEqual([
      '+I {"rank":1,"record":{"k":"a","n":1}}',
      '-U {"rank":1,"record":{"k":"a","n":1}}',
      '+U {"rank":1,"record":{"k":"a","n":2}}',
      '+I {"rank":2,"record":{"k":"a","n":1}}',
      '-U {"rank":1,"record":{"k":"a","n":2}}',
      '+U {"rank":1,"record":{"k":"a","n":3}}',
      '-U {"rank":2,"record":{"k":"a","n":1}}',
      '+U {"rank":2,"record":{"k":"a","n":2}}',
    ]);
    harness.room = 1;
    await harness.process(row('a', 9));
    expect(harness.operator.pending).toBe(true);
    harness.room = 100;
    harness.operator.resume?.();
    expect(harness.outputs).toHaveLength(12);
    expect((await engineErrorOf(harness.process(row('a', Number.NaN)))).message).toMatch(/'by' gave NaN/);
  });

  function dedup(keep: string, by: string, ttlMs: number | null = null): HarnessOptions<'dedup'> {
    return { create: createDedupOperator, backend, config: { keep, by, ttlMs }, functions: { kind: 'dedup', keyOf } };
  }

  test('dedup hands on the earliest by time once the watermark is there, and drops late ones', async () => {
    const harness = await OperatorHarness.open(dedup('first', 'time'));
    const at = (n: number, splitWatermark = Number.NaN) => ({ ...row('a', n), timestamp: n, splitWatermark });
    await harness.process(at(20), at(10), at(15), at(5, 6));
    await harness.watermark(9);
    expect(harness.outputs).toEqual([]);
    const image = new CheckpointImage();
    image.apply(harness.checkpoint(1));
    const restored = await OperatorHarness.open({ ...dedup('first', 'time'), restore: image.rows });
    await restored.watermark(10);
    await restored.process(at(12), at(30));
    await restored.watermark(100);
    expect(restored.outputs).toEqual([{ value: { k: 'a', n: 10 }, timestamp: 10, splitWatermark: Number.NaN }]);
    expect(harness.metrics.lateRecords).toBe(1);
    expect((await engineErrorOf(restored.process(row('a', 1)))).message).toContain("by: 'arrival'");
  });

  test('dedup stops at a timer and goes on when room runs out', async () => {
    const harness = await OperatorHarness.open(dedup('first', 'time'));
    for (let n = 0; n < 250; n++) await harness.process({ ...row(`k${n}`, n), timestamp: n % 20 });
    harness.room = 60;
    let turns = 1;
    for (; !(await harness.watermark(50)); turns++) harness.room = 60;
    expect(turns).toBe(5);
    expect(new Set(harness.values.map((value) => (value as Row).k)).size).toBe(250);
    expect(harness.outputs).toHaveLength(250);
  });

  test('dedup by arrival hands on the first of a key, again after its time to live', async () => {
    const harness = await OperatorHarness.open({ ...dedup('first', 'arrival', 100), nowMs: 1000 });
    await harness.process(row('a', 1), row('a', 2));
    await harness.processingTime(1099);
    await harness.process(row('a', 3));
    await harness.processingTime(1100);
    await harness.process(row('a', 4));
    expect(harness.values).toEqual([
      { k: 'a', n: 1 },
      { k: 'a', n: 4 },
    ]);
    expect(harness.counter('duplicates')).toBe(2);
  });

  test('dedup replaces the last by one of the same time, as an update', async () => {
    const harness = await OperatorHarness.open(dedup('last', 'time'));
    const at = (n: number, timestamp: number) => ({ ...row('a', n), timestamp });
    await harness.process(at(1, 10), at(2, 10), at(3, 9));
    expect(told(harness)).toEqual(['+I {"k":"a","n":1}', '-U {"k":"a","n":1}', '+U {"k":"a","n":2}']);
  });

  test('dedup tells only the newest when the record before is not asked for, and a checkpoint has that of its barrier', async () => {
    const options = dedup('last', 'time');
    const upserts = { ...options, config: { ...options.config, emitBefore: false } };
    const harness = await OperatorHarness.open(upserts);
    const at = (k: string, n: number, timestamp: number) => ({ ...row(k, n), timestamp });
    await harness.process(at('a', 1, 10), at('a', 2, 11), at('a', 3, 10.5));
    await harness.process(at('a', 4, 9), at('b', 5, -1), at('a', 6, 11));
    const task = harness.freeze(1);
    await harness.process(at('a', 7, 12), at('c', 8, 1));
    const image = new CheckpointImage();
    image.apply(harness.encode(task));
    expect(told(harness)).toEqual([
      '+I {"k":"a","n":1}',
      '+U {"k":"a","n":2}',
      '+I {"k":"b","n":5}',
      '+U {"k":"a","n":6}',
      '+U {"k":"a","n":7}',
      '+I {"k":"c","n":8}',
    ]);
    // Rows are the same whoever reads them: what was written without records before is taken up with them.
    const restored = await OperatorHarness.open({ ...options, restore: image.rows });
    await restored.process(at('a', 9, 10), at('a', 10, 11), at('c', 11, 0));
    expect(told(restored)).toEqual(['-U {"k":"a","n":6}', '+U {"k":"a","n":10}', '+I {"k":"c","n":11}']);
  });

  test('dedup forgets the last of a key after its time to live when the record before is not asked for', async () => {
    const options = dedup('last', 'arrival', 100);
    const harness = await OperatorHarness.open({
      ...options,
      config: { ...options.config, emitBefore: false },
      nowMs: 1000,
    });
    await harness.process(row('a', 1));
    await harness.processingTime(1060);
    await harness.process(row('a', 2));
    await harness.processingTime(1150);
    await harness.process(row('a', 3));
    await harness.processingTime(1260);
    await harness.process(row('a', 4));
    expect(told(harness)).toEqual([
      '+I {"k":"a","n":1}',
      '+U {"k":"a","n":2}',
      '+U {"k":"a","n":3}',
      '+I {"k":"a","n":4}',
    ]);
  });
});
