/** Every example runs as a user runs it, and its results are those worked out here by other means. Needs the build. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCommitted } from 'millrace/files';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const output = mkdtempSync(join(tmpdir(), 'millrace-examples-'));

beforeAll(() => {
  expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
});
afterAll(() => rmSync(output, { recursive: true, force: true }));

/** Runs an example with its own default input; a failure shows what it printed. */
function run(name: string, ...parameters: readonly string[]): { readonly recordsIn: number } {
  const command = [join(root, 'bin/millrace.js'), 'run', `examples/${name}.ts`, '--json'];
  const args = [...command, '--', '--output', join(output, name), ...parameters];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' })) as { recordsIn: number };
}

async function resultsOf(...path: readonly string[]): Promise<readonly unknown[]> {
  const results: unknown[] = [];
  for await (const { line } of readCommitted(join(output, ...path))) results.push(JSON.parse(line));
  return results;
}

const lines = (path: string): readonly string[] => readFileSync(join(root, path), 'utf8').trim().split('\n');

test('word count counts every word of a day once', { timeout: 60_000 }, async () => {
  const expected = new Map<string, number>();
  const entries = lines('examples/data/diary.jsonl').map((line) => JSON.parse(line) as { at: string; text: string });
  for (const { at, text } of entries) {
    for (const word of text
      .toLowerCase()
      .split(/[^a-z]+/)
      .filter((part) => part !== '')) {
      const key = `${at.slice(0, 10)} ${word}`;
      expected.set(key, (expected.get(key) ?? 0) + 1);
    }
  }
  run('word-count');
  const words = (await resultsOf('word-count', 'words')) as { day: string; word: string; times: number }[];
  expect(words).toHaveLength(expected.size);
  expect(new Map(words.map(({ day, word, times }) => [`${day} ${word}`, times]))).toEqual(expected);
  expect(await resultsOf('word-count', 'top')).toEqual([
    { day: '2026-03-01', words: ['the', 'is', 'rain'] },
    { day: '2026-03-02', words: ['leaves', 'the', 'is'] },
  ]);
});

test('sessions end at a gap, and clicks out of order join the session they belong to', {
  timeout: 60_000,
}, async () => {
  run('sessions', '--gap', '30m');
  const day = '2026-03-01T';
  const results = (await resultsOf('sessions')) as { user: string; from: string }[];
  expect([...results].sort((a, b) => `${a.user} ${a.from}`.localeCompare(`${b.user} ${b.from}`))).toEqual([
    { user: 'ada', from: `${day}10:00:00.000Z`, to: `${day}10:10:00.000Z`, clicks: 3, pages: ['/', '/docs'] },
    { user: 'ada', from: `${day}11:45:00.000Z`, to: `${day}11:45:00.000Z`, clicks: 1, pages: ['/prices'] },
    { user: 'bob', from: `${day}10:02:00.000Z`, to: `${day}10:31:00.000Z`, clicks: 2, pages: ['/', '/prices'] },
    { user: 'bob', from: `${day}11:30:00.000Z`, to: `${day}11:59:00.000Z`, clicks: 2, pages: ['/docs'] },
    { user: 'cyd', from: `${day}12:00:00.000Z`, to: `${day}12:29:59.000Z`, clicks: 2, pages: ['/', '/prices'] },
  ]);
});

test('routes has every route between known airports, with cities and distance', { timeout: 60_000 }, async () => {
  const data = 'node_modules/vega-datasets/data';
  const known = new Set(lines(`${data}/airports.csv`).map((line) => line.slice(0, line.indexOf(','))));
  const routes = lines(`${data}/flights-airport.csv`)
    .slice(1)
    .map((line) => line.split(','));
  const wanted = routes.filter(
    ([from, to, count]) => known.has(from ?? '') && known.has(to ?? '') && Number(count) >= 500,
  );
  run('routes', '--least-flights', '500');
  const results = (await resultsOf('routes')) as { from: string; to: string; flights: number; kilometers: number }[];
  const codes = results.map(({ from, to, flights }) => [from, to, flights].join(' ').replace(/[^(]*\((\w+)\)/g, '$1 '));
  expect(codes.map((text) => text.split(/ +/)).sort()).toEqual(wanted.map((route) => [...route]).sort());
  const losAngelesNewYork = results.find(({ from, to }) => from.endsWith('(LAX)') && to.endsWith('(JFK)'));
  expect(losAngelesNewYork).toMatchObject({ from: 'Los Angeles, CA (LAX)', to: 'New York, NY (JFK)' });
  // 2475 miles by the tables of the airports' authorities.
  expect(Math.abs((losAngelesNewYork?.kilometers ?? 0) - 3983)).toBeLessThan(10);
});

interface OrderLine {
  order: number;
  customer: string;
  product: string;
  amount: number;
  at: string;
}

const parsed = <T>(path: string): T[] => lines(path).map((line) => JSON.parse(line) as T);

/** The table that the changes of a directory describe, row by row as text. */
async function tableOf(...path: readonly string[]): Promise<unknown[]> {
  const rows = new Map<string, unknown>();
  for (const { op, row } of (await resultsOf(...path)) as { op: string; row: unknown }[]) {
    const text = JSON.stringify(row);
    if (op === '+I' || op === '+U') rows.set(text, row);
    else expect(rows.delete(text), `taken back: ${text}`).toBe(true);
  }
  return [...rows.values()];
}

test('top products ends with the table of all orders', { timeout: 60_000 }, async () => {
  const orders = parsed<OrderLine>('examples/data/shop-orders.jsonl');
  const products = [...new Set(orders.map(({ product }) => product))].map((product) => {
    const own = orders.filter((order) => order.product === product);
    return {
      product,
      revenue: own.reduce((total, { amount }) => total + amount, 0),
      customers: new Set(own.map(({ customer }) => customer)).size,
      large: own.filter(({ amount }) => amount >= 100).length,
    };
  });
  products.sort((left, right) => right.revenue - left.revenue || (left.product < right.product ? -1 : 1));
  run('top-products');
  const table = (await tableOf('top-products')) as { rank: number }[];
  table.sort((left, right) => left.rank - right.rank);
  expect(table).toEqual(products.slice(0, 3).map((product, index) => ({ rank: index + 1, ...product })));
});

test('enriched orders have the newest city of their customer, or none', { timeout: 60_000 }, async () => {
  const cities = new Map(
    parsed<{ customer: string; city: string | null }>('examples/data/customers.jsonl').map(({ customer, city }) => [
      customer,
      city,
    ]),
  );
  const expected = parsed<OrderLine>('examples/data/shop-orders.jsonl').map(({ order, customer, amount }) => ({
    order,
    customer,
    amount,
    city: cities.get(customer) ?? null,
  }));
  run('enrich-orders');
  const table = (await tableOf('enrich-orders')) as { order: number }[];
  expect(table.sort((left, right) => left.order - right.order)).toEqual(expected);
});

test('the interval join pairs orders with payments in time only', { timeout: 60_000 }, async () => {
  run('interval-join');
  const pairs = (await resultsOf('interval-join')) as { order: number; afterMinutes: number }[];
  expect(pairs.sort((left, right) => left.order - right.order || left.afterMinutes - right.afterMinutes)).toEqual([
    { order: 1, paid: 30, afterMinutes: 2 },
    { order: 3, paid: 40, afterMinutes: 3 },
    { order: 3, paid: 40, afterMinutes: 5 },
    { order: 4, paid: 30, afterMinutes: 30 },
    { order: 5, paid: 60, afterMinutes: 1 },
  ]);
});

test('the README names every example', () => {
  const examples = readdirSync(join(root, 'examples')).filter((name) => /^[^.]+\.ts$/.test(name));
  expect(examples.length).toBeGreaterThan(3);
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  for (const name of examples) expect(readme.includes(`examples/${name}`), name).toBe(true);
});
