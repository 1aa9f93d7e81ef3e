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

test('async lookup asks again when the service is busy and keeps the order of the clicks', {
  timeout: 60_000,
}, async () => {
  const titles = new Map([
    ['/', 'Welcome'],
    ['/docs', 'Documentation'],
  ]);
  const clicks = lines('examples/data/clicks.jsonl').map((line) => JSON.parse(line) as { page: string });
  run('async-lookup');
  const known = clicks.filter(({ page }) => titles.has(page));
  expect(known.length).toBeGreaterThan(5);
  expect(await resultsOf('async-lookup', 'titled')).toEqual(
    known.map((click) => ({ ...click, title: titles.get(click.page) })),
  );
  const unknown = clicks.filter(({ page }) => !titles.has(page));
  expect(await resultsOf('async-lookup', 'unknown')).toEqual(
    unknown.map((click) => ({ ...click, message: `404 for ${click.page}` })),
  );
});

test('partitioning packs the orders of a warehouse in one lane and inspects large ones in one place', {
  timeout: 60_000,
}, async () => {
  run('partitioning', '--orders', '500');
  const packed = (await resultsOf('partitioning', 'packed')) as PackedOrder[];
  expect(packed.map((order) => order.id).sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, id) => id));
  const lanes = new Map(packed.map((order) => [order.warehouse, order.lane]));
  expect(Object.fromEntries(lanes)).toEqual({ Lagos: 0, Lima: 1, Lille: 0, Linz: 1, Luanda: 0 });
  expect(packed.every((order) => order.lane === lanes.get(order.warehouse))).toBe(true);
  const priceOf = ({ pieces }: PackedOrder): number => (pieces <= 50 ? pieces * 20 : pieces * 20 - 100);
  expect(packed.every((order) => order.price === priceOf(order))).toBe(true);
  const inspected = (await resultsOf('partitioning', 'inspected')) as PackedOrder[];
  const large = packed.filter((order) => priceOf(order) > 1_800).map((order) => order.id);
  expect(large.length).toBeGreaterThan(5);
  expect(inspected.map((order) => order.id).sort((a, b) => a - b)).toEqual(large.sort((a, b) => a - b));
  expect(inspected.every((order) => order.lane === 0)).toBe(true);
});

interface PackedOrder {
  readonly id: number;
  readonly warehouse: string;
  readonly pieces: number;
  readonly price: number;
  readonly lane: number;
}

test('late data splits readings into those on time, late by their own station, and impossible', {
  timeout: 60_000,
}, async () => {
  const hours = new Map<string, number>();
  const [late, impossible]: [unknown[], unknown[]] = [[], []];
  for (const station of ['north', 'south']) {
    let complete = 0;
    for (const line of lines(`examples/data/meters-${station}.jsonl`)) {
      const entry = JSON.parse(line) as { complete?: string; meter: string; kwh: number; at: string };
      if (entry.complete !== undefined) {
        complete = Date.parse(entry.complete);
        continue;
      }
      const at = Date.parse(entry.at);
      const hourEnd = (Math.floor(at / 3_600_000) + 1) * 3_600_000;
      if (!(at < Date.UTC(2030, 0))) impossible.push(entry);
      else if (hourEnd <= complete) late.push(entry);
      else {
        const key = `${entry.meter.slice(0, 1)} ${new Date(hourEnd - 3_600_000).toISOString()}`;
        hours.set(key, (hours.get(key) ?? 0) + entry.kwh);
      }
    }
  }
  run('late-data');
  const results = (await resultsOf('late-data', 'hours')) as { station: string; hour: string; kwh: number }[];
  expect(new Map(results.map(({ station, hour, kwh }) => [`${station} ${hour}`, kwh]))).toEqual(hours);
  expect(results).toHaveLength(hours.size);
  const sorted = (values: readonly unknown[]): string[] => values.map((value) => JSON.stringify(value)).sort();
  expect(late).toHaveLength(3);
  expect(sorted(await resultsOf('late-data', 'late'))).toEqual(sorted(late));
  expect(impossible).toHaveLength(2);
  expect(sorted(await resultsOf('late-data', 'impossible'))).toEqual(sorted(impossible));
});

test('orders and payments are matched by event time, whichever stream is read first', { timeout: 60_000 }, async () => {
  run('orders-and-payments');
  const results = (await resultsOf('orders-and-payments')) as { order: string; result: string }[];
  expect([...results].sort((a, b) => `${a.order} ${a.result}`.localeCompare(`${b.order} ${b.result}`))).toEqual([
    { order: 'o1', result: 'paid', payments: 2 },
    { order: 'o2', result: 'unpaid', missing: 500 },
    { order: 'o3', result: 'stray', payment: 'p5' },
    { order: 'o3', result: 'unpaid', missing: 700 },
    { order: 'o4', result: 'unpaid', missing: 4200 },
    { order: 'o5', result: 'paid', payments: 1 },
    { order: 'o9', result: 'stray', payment: 'p2' },
  ]);
});

test('fraud rules find every account above a rule once, whether payments or rules come first', {
  timeout: 60_000,
}, async () => {
  const rows = <T>(path: string): T[] => lines(path).map((line) => JSON.parse(line) as T);
  const spent = new Map<string, number>();
  for (const { account, country, cents } of rows<{ account: string; country: string; cents: number }>(
    'examples/data/card-payments.jsonl',
  ))
    spent.set(`${account} ${country}`, (spent.get(`${account} ${country}`) ?? 0) + cents);
  const expected: string[] = [];
  for (const { rule, country, cents } of rows<{ rule: string; country: string; cents: number }>(
    'examples/data/fraud-rules.jsonl',
  )) {
    for (const [key, total] of spent)
      if (key.endsWith(` ${country}`) && total > cents) expected.push(`${key.split(' ')[0]} ${rule}`);
  }
  run('fraud-rules');
  const alerts = (await resultsOf('fraud-rules')) as { account: string; rule: string }[];
  expect(expected.length).toBeGreaterThan(5);
  expect(alerts.map(({ account, rule }) => `${account} ${rule}`).sort()).toEqual(expected.sort());
});

test('the README names every example', () => {
  const examples = readdirSync(join(root, 'examples')).filter((name) => /^[^.]+\.ts$/.test(name));
  expect(examples.length).toBeGreaterThan(3);
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  for (const name of examples) expect(readme.includes(`examples/${name}`), name).toBe(true);
});
