/** Changes from a source to a sink, through the client and real subtasks. */
import { describe, expect, test } from 'vitest';
import { collection } from '../../connectors/collection/index.ts';
import { type Change, count, defineJob, filtered, type JobEnvironment, sum } from '../../client/index.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';

interface Sale {
  product: string;
  shop: string;
  amount: number;
  at: number;
}

const sales: Sale[] = Array.from({ length: 600 }, (_, index) => ({
  product: `product ${(index * 7) % 13}`,
  shop: `shop ${index % 3}`,
  amount: ((index * 31) % 17) - 3,
  at: index,
}));

/** What a job delivers, by channel. */
async function run(define: (env: JobEnvironment) => void, cold = false): Promise<Map<string, unknown[]>> {
  const delivered = new Map<string, unknown[]>();
  const harness = new SlotHarness({
    job: defineJob('job', define).plan({ parallelism: 1 }),
    ...(cold ? { backend: createColdTestBackend() } : {}),
    onDelivery: (channel, _id, values) => delivered.set(channel, [...(delivered.get(channel) ?? []), ...values]),
  });
  await harness.start();
  await harness.checkpoint();
  await harness.finish();
  return delivered;
}

/** The table that changes describe. */
function tableOf(changes: readonly unknown[]): unknown[] {
  const rows = new Map<string, unknown>();
  for (const { kind, value } of changes as Change<unknown>[]) {
    const text = JSON.stringify(value);
    if (kind === 'insert' || kind === 'updateAfter') rows.set(text, value);
    else if (!rows.delete(text)) throw new Error(`a row is taken back that is not there: ${text}`);
  }
  return [...rows.values()];
}

function totalsOf(all: readonly Sale[]): Map<string, number> {
  const totals = new Map<string, number>();
  for (const { product, amount } of all) totals.set(product, (totals.get(product) ?? 0) + amount);
  return totals;
}

describe.each([false, true])('a job over changes (cold backend: %s)', (cold) => {
  test('counts products by their total when totals change', async () => {
    const delivered = await run((env) => {
      const totals = env
        .from(collection(sales))
        .keyBy((sale) => sale.product)
        .aggregate({ total: sum((sale) => sale.amount) }, { updating: true });
      const bands = totals
        .filter((row) => row.total > 0)
        .map((row) => ({ band: Math.floor(row.total / 10), total: row.total }))
        .keyBy((row) => row.band)
        .aggregate({ products: count(), odd: filtered(count(), (row) => row.total % 2 === 1) }, { updating: true });
      bands.changes().collect('bands');
      bands.collect('table', { key: (row) => row.key });
    }, cold);
    const expected = new Map<number, { key: number; products: number; odd: number }>();
    for (const total of totalsOf(sales).values()) {
      if (total <= 0) continue;
      const key = Math.floor(total / 10);
      const row = expected.get(key) ?? { key, products: 0, odd: 0 };
      expected.set(key, { key, products: row.products + 1, odd: row.odd + (total % 2 === 1 ? 1 : 0) });
    }
    expect(expected.size).toBeGreaterThan(1);
    const table = tableOf(delivered.get('bands') ?? []);
    expect(table).toHaveLength(expected.size);
    expect(table).toEqual(expect.arrayContaining([...expected.values()]));
    const rows = new Map<string, unknown>();
    for (const { op, key, row } of (delivered.get('table') ?? []) as { op: string; key: string; row: unknown }[]) {
      if (op === '-D') rows.delete(key);
      else rows.set(key, row);
    }
    expect([...rows.values()]).toEqual(expect.arrayContaining([...expected.values()]));
    expect(rows.size).toBe(expected.size);
  });

  test('joins what changes with what changes when both sides are updated', async () => {
    const delivered = await run((env) => {
      const source = env.from(collection(sales));
      const totals = source
        .keyBy((sale) => sale.product)
        .aggregate({ total: sum((sale) => sale.amount) }, { updating: true });
      const best = source
        .filter((sale) => sale.shop !== 'shop 2')
        .keyBy((sale) => sale.product)
        .topN(1, { by: (sale) => sale.amount, ties: (sale) => sale.at, rank: false });
      totals
        .keyBy((row) => row.key)
        .join(
          best.keyBy((sale) => sale.product),
          { type: 'left' },
          (row, sale) => ({ ...row, best: sale?.at ?? null }),
        )
        .changes()
        .collect('joined');
    }, cold);
    const expected = [...totalsOf(sales)].map(([key, total]) => {
      const own = sales.filter((sale) => sale.product === key && sale.shop !== 'shop 2');
      own.sort((left, right) => right.amount - left.amount || left.at - right.at);
      return { key, total, best: own[0]?.at ?? null };
    });
    const table = tableOf(delivered.get('joined') ?? []);
    expect(table).toHaveLength(expected.length);
    expect(table).toEqual(expect.arrayContaining(expected));
  });

  test('takes the last of each key and pairs in time when records have times', async () => {
    const delivered = await run((env) => {
      const timed = env.from(collection(sales)).withTimestamps((sale) => sale.at, { outOfOrderness: 0 });
      timed
        .keyBy((sale) => sale.product)
        .dedup({ keep: 'first' })
        .collect('first');
      timed
        .keyBy((sale) => sale.product)
        .dedup({ keep: 'last' })
        .collect('last', { key: (sale) => sale.product });
      const keyed = timed.keyBy((sale) => sale.product);
      keyed
        .intervalJoin(keyed, { lower: 0, upper: 26, lowerExclusive: true }, (a, b, { timestamp }) => [
          a.at,
          b.at,
          timestamp,
        ])
        .collect('pairs');
    }, cold);
    const first = new Map<string, Sale>();
    for (const sale of sales) if (!first.has(sale.product)) first.set(sale.product, sale);
    expect(delivered.get('first')).toHaveLength(first.size);
    expect(delivered.get('first')).toEqual(expect.arrayContaining([...first.values()]));
    const last = new Map(sales.map((sale) => [sale.product, sale]));
    const rows = new Map((delivered.get('last') as { key: string; row: Sale }[]).map(({ key, row }) => [key, row]));
    expect([...rows.values()]).toEqual(expect.arrayContaining([...last.values()]));
    const pairs = sales.flatMap((a) =>
      sales
        .filter((b) => a.product === b.product && b.at > a.at && b.at <= a.at + 26)
        .map((b) => [a.at, b.at, Math.max(a.at, b.at)]),
    );
    expect(delivered.get('pairs')).toHaveLength(pairs.length);
    expect(delivered.get('pairs')).toEqual(expect.arrayContaining(pairs));
  });
});
