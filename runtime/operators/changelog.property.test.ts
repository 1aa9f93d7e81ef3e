/**
 * The law of operators that emit changes: after every change of the input, the table that the output describes is what a batch
 * computation of the input so far gives. On all backends, over a checkpoint restored into two subtasks.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { avg, count, countDistinct, filtered, max, min, sum } from '../../client/index.ts';
import type { HarnessOptions, TestedBackend } from '../../testing/operator-harness.ts';
import { byKey, type Drawn, type Row, rowsAfter, runScript, validScript } from './changes.test-support.ts';
import { createDedupOperator } from './dedup.ts';
import { createJoinOperator } from './join.ts';
import { createTopNOperator } from './top-n.ts';
import { createUpdatingAggregateOperator } from './updating-aggregate.ts';
import { createUpsertsOperator } from './upserts.ts';

const keyOf = ((row: Row) => row.k) as never;
const number = (row: Row): number => row.n;

function drawn(takesBack: boolean): fc.Arbitrary<Drawn[]> {
  const one = fc.record({
    input: fc.constantFrom(0 as const, 1 as const),
    k: fc.integer({ min: 0, max: 3 }),
    n: fc.integer({ min: 0, max: 6 }),
    take: takesBack ? fc.option(fc.nat(), { freq: 2 }) : fc.constant(null),
  });
  return fc.array(one, { maxLength: 40 });
}

const sorted = (rows: readonly unknown[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

/** Checks a property with drawn scripts and cuts. */
async function holds(takesBack: boolean, property: (changes: Drawn[], cut: number) => Promise<void>): Promise<void> {
  const cuts = fc.nat({ max: 40 });
  await fc.assert(fc.asyncProperty(drawn(takesBack), cuts, property), { numRuns: 40 });
}

const even = (row: Row): boolean => row.n % 2 === 0;

function results(k: unknown, rows: readonly Row[]): unknown {
  const numbers = rows.map(number);
  const total = numbers.reduce((left, right) => left + right, 0);
  return {
    key: k,
    count: rows.length,
    sum: total,
    mean: total / rows.length,
    least: Math.min(...numbers),
    most: Math.max(...numbers),
    kinds: new Set(numbers).size,
    evens: rows.filter(even).length,
    evenSum: rows.filter(even).reduce((left, { n }) => left + n, 0),
    evenKinds: new Set(rows.filter(even).map(number)).size,
  };
}

function aggregate(backend: TestedBackend, changelog: boolean): HarnessOptions<'updating-aggregate'> {
  return {
    create: createUpdatingAggregateOperator,
    backend,
    config: changelog ? { changelog: 'retract' } : {},
    functions: {
      kind: 'updating-aggregate',
      keyOf,
      aggregates: {
        count: count(),
        sum: sum(number),
        mean: avg(number),
        least: min(number),
        most: max(number),
        kinds: countDistinct(number),
        evens: filtered(count(), even),
        evenSum: filtered(sum(number), even),
        evenKinds: filtered(countDistinct(number), even),
      },
    },
  };
}

const joinTypes = ['inner', 'left', 'right', 'full'] as const;

function joined(type: string, first: readonly Row[], second: readonly Row[]): unknown[] {
  const seconds = byKey(second);
  const firsts = byKey(first);
  const pairs: unknown[] = first.flatMap((a): unknown[] => (seconds.get(a.k) ?? []).map((b) => [a, b]));
  if (type === 'left' || type === 'full') pairs.push(...first.filter((a) => !seconds.has(a.k)).map((a) => [a, null]));
  if (type === 'right' || type === 'full') pairs.push(...second.filter((b) => !firsts.has(b.k)).map((b) => [null, b]));
  return pairs;
}

describe.each(['memory', 'cold', 'resting'] as const)(
  'the table of the output is that of a batch on the %s backend',
  (backend) => {
    test.each([false, true])(
      'updating-aggregate agrees after every change when records are taken back: %s',
      async (takesBack) => {
        await holds(takesBack, async (changes, cut) => {
          const script = validScript(changes.map((change) => ({ ...change, input: 0 as const })));
          await runScript(aggregate(backend, takesBack), script, cut, (table, upTo) => {
            const groups = byKey(rowsAfter(script, upTo));
            expect(table.rows).toEqual(sorted([...groups].map(([k, rows]) => results(k, rows))));
          });
        });
      },
    );

    test.each([
      ['append', false, true],
      ['append', false, false],
      ['retract', true, true],
      ['retract', true, false],
    ] as const)(
      'top-n agrees after every change when its input is %s (%s) and rank is %s',
      async (_, takesBack, rank) => {
        const options: HarnessOptions<'top-n'> = {
          create: createTopNOperator,
          backend,
          config: { n: 3, order: 'desc', rank, ...(takesBack ? { changelog: 'retract' } : {}) },
          functions: { kind: 'top-n', keyOf, by: number as never, ties: null, uniqueBy: null },
        };
        await holds(takesBack, async (changes, cut) => {
          const script = validScript(changes.map((change) => ({ ...change, input: 0 as const })));
          await runScript(options, script, cut, (table, upTo) => {
            const best = [...byKey(rowsAfter(script, upTo)).values()].flatMap((rows) =>
              rows
                .sort((left, right) => right.n - left.n)
                .slice(0, 3)
                .map((record, index) => (rank ? { rank: index + 1, record } : record)),
            );
            expect(table.rows).toEqual(sorted(best));
          });
        });
      },
    );

    test.each([true, false])('top-n keeps the newest row of a unique key when rank is %s', async (rank) => {
      const options: HarnessOptions<'top-n'> = {
        create: createTopNOperator,
        backend,
        config: { n: 2, order: 'asc', rank },
        functions: {
          kind: 'top-n',
          keyOf: (() => 'all') as never,
          by: number as never,
          ties: ((row: Row) => row.k) as never,
          uniqueBy: keyOf,
        },
      };
      await holds(false, async (changes, cut) => {
        const script = changes.map(({ k, n }) => ({ value: { k, n }, kind: 0 as const }));
        // One key for all: the subtask is chosen by it, not by the unique key.
        await runScript(
          { ...options, maxParallelism: 2 },
          script.map((change) => change),
          Math.max(cut, 100),
          (table, upTo) => {
            const newest = new Map(script.slice(0, upTo).map(({ value }) => [value.k, value]));
            const best = [...newest.values()]
              .sort((left, right) => left.n - right.n || Number(left.k) - Number(right.k))
              .slice(0, 2)
              .map((record, index) => (rank ? { rank: index + 1, record } : record));
            expect(table.rows).toEqual(sorted(best));
          },
        );
      });
    });

    test.each(joinTypes)('join (%s) agrees after every change when both sides change', async (type) => {
      const options: HarnessOptions<'join'> = {
        create: createJoinOperator,
        backend,
        config: { type, ttlMs: null },
        functions: { kind: 'join', keyOf, keyOfSecond: keyOf, join: ((a: Row, b: Row) => [a, b]) as never },
      };
      await holds(true, async (changes, cut) => {
        const script = validScript(changes);
        await runScript(options, script, cut, (table, upTo) => {
          expect(table.rows).toEqual(sorted(joined(type, rowsAfter(script, upTo), rowsAfter(script, upTo, 1))));
        });
      });
    });

    test('dedup keeps the newest by time, of equal times the last to come, when it keeps the last', async () => {
      const options: HarnessOptions<'dedup'> = {
        create: createDedupOperator,
        backend,
        config: { keep: 'last', by: 'time', ttlMs: null },
        functions: { kind: 'dedup', keyOf },
      };
      await holds(false, async (changes, cut) => {
        const script = changes.map(({ k, n }, index) => ({
          value: { k, n: index },
          kind: 0 as const,
          timestamp: n,
        }));
        await runScript(options, script, cut, (table, upTo) => {
          const newest = new Map<unknown, (typeof script)[number]>();
          for (const change of script.slice(0, upTo)) {
            const known = newest.get(change.value.k);
            if (known === undefined || change.timestamp >= known.timestamp) newest.set(change.value.k, change);
          }
          expect(table.rows).toEqual(sorted([...newest.values()].map(({ value }) => value)));
        });
      });
    });

    test('dedup tells the newest of each key as upserts when it tells no record before', async () => {
      const options: HarnessOptions<'dedup'> = {
        create: createDedupOperator,
        backend,
        config: { keep: 'last', by: 'time', ttlMs: null, emitBefore: false },
        functions: { kind: 'dedup', keyOf },
      };
      await holds(false, async (changes, cut) => {
        const script = changes.map(({ k, n }, index) => ({ value: { k, n: index }, kind: 0 as const, timestamp: n }));
        const right = new Map<unknown, (typeof script)[number]>();
        for (const change of script) {
          const known = right.get(change.value.k);
          if (known === undefined || change.timestamp >= known.timestamp) right.set(change.value.k, change);
        }
        const told = new Map<unknown, unknown>();
        for (const { value, rowKind } of await runScript(options, script, cut, () => undefined)) {
          const { k } = value as Row;
          expect(rowKind ?? 0).toBe(told.has(k) ? 2 : 0);
          told.set(k, value);
        }
        expect(sorted([...told.values()])).toEqual(sorted([...right.values()].map(({ value }) => value)));
      });
    });

    test('upserts keep the newest row of each key and tell the rows they replace when rows come and go', async () => {
      const options: HarnessOptions<'upserts'> = {
        create: createUpsertsOperator,
        backend,
        config: { deletes: 'function' },
        functions: { kind: 'upserts', keyOf, isDelete: ((row: Row) => row.n === 0) as never },
      };
      await holds(false, async (changes, cut) => {
        const script = changes.map(({ k, n }) => ({ value: { k, n }, kind: 0 as const }));
        await runScript(options, script, cut, (table, upTo) => {
          const newest = new Map(script.slice(0, upTo).map(({ value }) => [value.k, value]));
          expect(table.rows).toEqual(sorted([...newest.values()].filter(({ n }) => n !== 0)));
        });
      });
    });
  },
);
