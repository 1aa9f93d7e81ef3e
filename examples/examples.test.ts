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

/** What an example prints that runs with its own default input; a failure shows it. */
function printedBy(name: string, ...options: readonly string[]): readonly string[] {
  const args = [join(root, 'bin/millrace.js'), 'run', `examples/${name}.ts`, '--json', ...options];
  return execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' }).trim().split('\n');
}

/** Runs an example that writes results. */
function run(name: string, ...parameters: readonly string[]): void {
  printedBy(name, '--', '--output', join(output, name), ...parameters);
}

async function resultsOf(...path: readonly string[]): Promise<readonly unknown[]> {
  const results: unknown[] = [];
  for await (const { line } of readCommitted(join(output, ...path))) results.push(JSON.parse(line));
  return results;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
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

test('session windows take the gap of each click, and clicks out of order join their session', {
  timeout: 60_000,
}, async () => {
  run('web-sessions', '--gap', '30m');
  const day = '2026-03-01T';
  const results = (await resultsOf('web-sessions')) as { user: string; from: string }[];
  expect([...results].sort((a, b) => `${a.user} ${a.from}`.localeCompare(`${b.user} ${b.from}`))).toEqual([
    { user: 'ada', from: `${day}10:00:00.000Z`, until: `${day}10:40:00.000Z`, clicks: 3 },
    { user: 'ada', from: `${day}11:45:00.000Z`, until: `${day}12:45:00.000Z`, clicks: 1 },
    { user: 'bob', from: `${day}10:02:00.000Z`, until: `${day}11:02:00.000Z`, clicks: 2 },
    { user: 'bob', from: `${day}11:30:00.000Z`, until: `${day}12:29:00.000Z`, clicks: 2 },
    { user: 'cyd', from: `${day}12:00:00.000Z`, until: `${day}13:29:59.000Z`, clicks: 2 },
  ]);
});

test('sliding averages are those of all measurements in each window', { timeout: 60_000 }, async () => {
  const begin = Date.parse('2026-03-01T00:00:00Z');
  const expected = new Map<string, number[]>();
  for (let index = 0; index < 1500; index++) {
    const at = begin + index * 1000 - (index % 7 === 0 ? 4000 : 0);
    for (let start = Math.floor(at / 120_000) * 120_000; start > at - 600_000; start -= 120_000) {
      const key = `server-${index % 3} ${new Date(start).toISOString()} ${new Date(start + 600_000).toISOString()}`;
      expected.set(key, [...(expected.get(key) ?? []), (index * 37) % 101]);
    }
  }
  run('sliding-averages', '--measurements', '1500');
  const results = (await resultsOf('sliding-averages')) as {
    server: string;
    from: string;
    to: string;
    measurements: number;
    mean: number;
    highest: number;
  }[];
  const found = results.map(({ server, from, to, ...rest }) => [`${server} ${from} ${to}`, rest] as const);
  const wanted = [...expected].map(([key, loads]) => {
    const mean = loads.reduce((left, right) => left + right, 0) / loads.length;
    return [key, { measurements: loads.length, mean, highest: Math.max(...loads) }] as const;
  });
  expect(found).toHaveLength(wanted.length);
  expect(new Map(found)).toEqual(new Map(wanted));
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

test('triggers has a result of a page at every second click, and one of the whole day', {
  timeout: 60_000,
}, async () => {
  const clicksOf = new Map<string, number>();
  for (const line of lines('examples/data/clicks.jsonl')) {
    const { page } = JSON.parse(line) as { page: string };
    clicksOf.set(page, (clicksOf.get(page) ?? 0) + 1);
  }
  run('triggers', '--every', '2');
  const results = (await resultsOf('triggers')) as { page: string; day: string; clicks: number; early: boolean }[];
  expect(new Set(results.map((result) => result.day))).toEqual(new Set(['2026-03-01']));
  for (const [page, clicks] of clicksOf) {
    const ofPage = results.filter((result) => result.page === page).sort((a, b) => a.clicks - b.clicks);
    const early = ofPage.filter((result) => result.early).map((result) => result.clicks);
    expect(early).toEqual(Array.from({ length: Math.floor(clicks / 2) }, (_, index) => (index + 1) * 2));
    expect(ofPage.filter((result) => !result.early).map((result) => result.clicks)).toEqual([clicks]);
  }
});

test('window join has every order with the clicks of its user in its hour, and what came late apart', {
  timeout: 60_000,
}, async () => {
  type Line = { id: number; user: string; page: string; at: string };
  const hourOf = ({ user, at }: Line): string => `${user} ${at.slice(0, 13)}`;
  const endOfHour = ({ at }: Line): number => Date.parse(`${at.slice(0, 13)}:00:00Z`) + 3_600_000;
  const late: Record<string, Line[]> = { clicks: [], purchases: [] };
  const [clicks, orders] = ['clicks', 'purchases'].map((name) =>
    [name, `phone-${name}`].flatMap((file) => {
      let newest = Number.NEGATIVE_INFINITY;
      return parsed<Line>(`examples/data/${file}.jsonl`).filter((line) => {
        const isLate = endOfHour(line) <= newest - 10 * minuteMs;
        newest = Math.max(newest, Date.parse(line.at));
        if (isLate) late[name]?.push(line);
        return !isLate;
      });
    }),
  ) as [Line[], Line[]];
  const expected = orders.flatMap((order) => {
    const seen = clicks.filter((click) => hourOf(click) === hourOf(order));
    return seen.length === 0 ? [`${order.id} null`] : seen.map((click) => `${order.id} ${click.page}`);
  });
  run('window-join');
  const results = (await resultsOf('window-join', 'joined')) as { order: number; page: string | null }[];
  expect(expected.some((text) => text.endsWith('null'))).toBe(true);
  expect(results.map(({ order, page }) => `${order} ${page}`).sort()).toEqual(expected.sort());
  expect([late['clicks']?.length, late['purchases']?.length]).toEqual([1, 1]);
  expect(await resultsOf('window-join', 'late-clicks')).toEqual(late['clicks']);
  expect(await resultsOf('window-join', 'late-orders')).toEqual(late['purchases']);
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

const minuteMs = 60_000;

test('the app of fraud alerts finds the pairs of charges that the rules of their time describe', {
  timeout: 60_000,
}, async () => {
  type Charge = { id: string; card: string; cents: number; at: string };
  const data = 'examples/apps/fraud-alerts/data';
  const rules = parsed<{ from: string; smallCents: number; largeCents: number; withinSeconds: number }>(
    `${data}/rules.jsonl`,
  );
  const [onTime, late]: [Charge[], Charge[]] = [[], []];
  let newest = Number.NEGATIVE_INFINITY;
  for (const charge of parsed<Charge>(`${data}/transactions.jsonl`)) {
    const at = Date.parse(charge.at);
    (at < newest - minuteMs / 2 ? late : onTime).push(charge);
    newest = Math.max(newest, at);
  }
  const expected = onTime.flatMap((large) => {
    const at = Date.parse(large.at);
    const ruleAt = (time: number) => rules.findLast((rule) => Date.parse(rule.from) <= time);
    const small = onTime
      .filter(({ card, at: time }) => card === large.card && Date.parse(time) < at)
      .filter(({ cents, at: time }) => cents <= (ruleAt(Date.parse(time))?.smallCents ?? 0))
      .sort((left, right) => Date.parse(left.at) - Date.parse(right.at))
      .at(-1);
    const rule = ruleAt(at);
    if (small === undefined || rule === undefined || large.cents < rule.largeCents) return [];
    return at - Date.parse(small.at) <= rule.withinSeconds * 1000 ? [`${small.id} ${large.id}`] : [];
  });
  run('apps/fraud-alerts/job');
  const alerts = (await resultsOf('apps/fraud-alerts/job', 'alerts')) as { small: string; large: string }[];
  expect(expected.length).toBeGreaterThan(5);
  expect(alerts.map(({ small, large }) => `${small} ${large}`).sort()).toEqual(expected.sort());
  expect(late.length).toBe(3);
  expect(await resultsOf('apps/fraud-alerts/job', 'suspicious')).toEqual(late.filter(({ cents }) => cents >= 20_000));
});

test('the app of web sessions has the sessions, top pages and bounces of a log', { timeout: 60_000 }, async () => {
  const log = lines('examples/apps/web-sessions/data/access.log');
  const hits = log.flatMap((line) => {
    const [, ip, day, time, path, status] =
      /^(\S+) .*\[(\d\d)\/Mar\/2026:(\S+) \+0000\] "GET ([^ ?]+)\S* .*" (\d+) \d/.exec(line) ?? [];
    const at = Date.parse(`2026-03-${day}T${time}Z`);
    return Number.isNaN(at) ? [] : [{ visitor: ip ?? '', at, page: path ?? '', status }];
  });
  const views = hits.filter(({ status, page }) => status === '200' && !page.startsWith('/assets/'));
  const sessions: { visitor: string; from: number; until: number; views: number }[] = [];
  for (const { visitor, at, page } of [...views].sort((left, right) => left.at - right.at)) {
    const until = at + (page.startsWith('/docs') ? 30 : 10) * minuteMs;
    const open = sessions.find((session) => session.visitor === visitor && session.until >= at);
    if (open === undefined) sessions.push({ visitor, from: at, until, views: 1 });
    else Object.assign(open, { until: Math.max(open.until, until), views: open.views + 1 });
  }
  run('apps/web-sessions/job');
  const name = 'apps/web-sessions/job';
  const rows: string[] = [];
  for await (const { line } of readCommitted(join(output, name, 'sessions'))) rows.push(line);
  const iso = (at: number): string => new Date(at).toISOString();
  const wanted = sessions.map((one) => `${one.visitor},${iso(one.from)},${iso(one.until)},${one.views}`);
  expect(sessions.some((one) => one.views > 3)).toBe(true);
  expect(rows.map((row) => row.split(',').slice(0, 4).join(',')).sort()).toEqual(
    [...wanted, 'visitor,from,until,views'].sort(),
  );

  const bounces = (await resultsOf(name, 'bounces')) as { sessions: number; bounces: number }[];
  expect(bounces.reduce((total, hour) => total + hour.sessions, 0)).toBe(sessions.length);
  expect(bounces.reduce((total, hour) => total + hour.bounces, 0)).toBe(
    sessions.filter((one) => one.views === 1).length,
  );

  const ends = new Set(
    views.flatMap(({ at }) => [1, 2].map((n) => (Math.floor(at / (5 * minuteMs)) + n) * 5 * minuteMs)),
  );
  const top = [...ends].sort().map((end) => {
    const counts = new Map<string, number>();
    for (const { at, page } of views)
      if (at < end && at >= end - 10 * minuteMs) counts.set(page, (counts.get(page) ?? 0) + 1);
    const best = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).slice(0, 3);
    return { until: iso(end), top: best.map(([page, n]) => ({ page, views: n })) };
  });
  expect(await resultsOf(name, 'top-pages')).toEqual(top);
  const malformed = (await resultsOf(name, 'malformed')) as { line: string }[];
  expect(malformed.map(({ line }) => line)).toHaveLength(log.length - hits.length);
  expect(malformed).toHaveLength(3);
});

test('the app of enrichment has totals by the country of then and the segment of now', {
  timeout: 60_000,
}, async () => {
  type Shopped = { order: number; customer: string; cents: number; at: string };
  type Shopper = { customer: string; country: string | null; segment: string; at: string };
  const data = 'examples/apps/enrichment/data';
  const orders = parsed<Shopped>(`${data}/orders.jsonl`);
  const shoppers = parsed<Shopper>(`${data}/customers.jsonl`);
  const service = new Map([
    ['gil', 'PT'],
    ['hal', 'NO'],
    ['ivy', 'PT'],
    ['kim', 'unknown'],
  ]);
  const newestOf = (customer: string, before: string): Shopper | undefined =>
    shoppers.findLast((one) => one.customer === customer && Date.parse(one.at) <= Date.parse(before));
  const totals = (groupOf: (order: Shopped) => string | undefined): Map<string, string> => {
    const sums = new Map<string, [number, number]>();
    for (const order of orders) {
      const group = groupOf(order);
      if (group === undefined) continue;
      const [count, cents] = sums.get(group) ?? [0, 0];
      sums.set(group, [count + 1, cents + order.cents]);
    }
    return new Map([...sums].map(([group, sum]) => [group, sum.join(' ')]));
  };
  run('apps/enrichment/job');
  const found = async (name: string): Promise<Map<string, string>> => {
    const rows = (await tableOf('apps/enrichment/job', name)) as Record<string, string>[];
    return new Map(rows.map((row) => [row['country'] ?? row['segment'] ?? '', `${row['orders']} ${row['cents']}`]));
  };
  const countries = totals(({ customer, at }) => newestOf(customer, at)?.country ?? service.get(customer));
  expect(await found('countries')).toEqual(countries);
  expect([...countries.keys()].sort()).toEqual(['DE', 'FR', 'IT', 'NO', 'PT', 'unknown']);
  const now = (customer: string): Shopper | undefined => newestOf(customer, '2100-01-01');
  const segments = totals(({ customer }) => (now(customer)?.country == null ? 'none' : now(customer)?.segment));
  expect(await found('segments')).toEqual(segments);
  const unknown = (await resultsOf('apps/enrichment/job', 'unknown')) as { customer: string; message: string }[];
  expect(new Set(unknown.map(({ message }) => message))).toEqual(
    new Set(['404: no customer dan', '404: no customer lou']),
  );
});

test('co-group counts the clicks and the orders of each user and hour', { timeout: 60_000 }, async () => {
  const expected = new Map<string, [number, number]>();
  const put = (path: string, place: 0 | 1): void => {
    for (const line of lines(path)) {
      const { user, at } = JSON.parse(line) as { user: string; at: string };
      const key = `${user} ${new Date(Date.parse(at)).toISOString().slice(0, 13)}`;
      const counts = expected.get(key) ?? [0, 0];
      counts[place]++;
      expected.set(key, counts);
    }
  };
  put('examples/data/clicks.jsonl', 0);
  put('examples/data/purchases.jsonl', 1);
  run('co-group');
  const rows = (await resultsOf('co-group')) as { user: string; hour: string; clicks: number; orders: number }[];
  expect(new Map(rows.map((row) => [`${row.user} ${row.hour.slice(0, 13)}`, [row.clicks, row.orders]]))).toEqual(
    expected,
  );
  expect(rows).toHaveLength(expected.size);
});

test('visits finds first visits, every third click and profiles', { timeout: 60_000 }, async () => {
  const clicks = lines('examples/data/clicks.jsonl').map(
    (line) => JSON.parse(line) as { user: string; page: string; at: string },
  );
  run('visits');
  const first = new Map(clicks.toReversed().map((click) => [`${click.user} ${click.page}`, click]));
  const found = (await resultsOf('visits', 'first')) as typeof clicks;
  expect(found).toHaveLength(first.size);
  for (const click of found) expect(click).toEqual(first.get(`${click.user} ${click.page}`));

  const ofUser = new Map<string, typeof clicks>();
  for (const click of clicks) ofUser.set(click.user, [...(ofUser.get(click.user) ?? []), click]);
  const thirds = [...ofUser].flatMap(([user, all]) =>
    Array.from({ length: Math.floor(all.length / 3) }, (_, index) => {
      const three = all.slice(index * 3, index * 3 + 3);
      return `${user} ${new Set(three.map(({ page }) => page)).size} ${three[2]?.at}`;
    }),
  );
  const counted = (await resultsOf('visits', 'thirds')) as { key: string; pages: number; newest: string }[];
  expect(thirds.length).toBeGreaterThan(0);
  expect(counted.map(({ key, pages, newest }) => `${key} ${pages} ${newest}`).sort()).toEqual(thirds.sort());

  const profiles = (await resultsOf('visits', 'profiles')) as { user: string; clicks: number; newest: string }[];
  expect(profiles).toHaveLength(clicks.length);
  for (const [user, all] of ofUser) {
    const newest = all.map(({ at }) => at).reduce((left, right) => (left < right ? right : left));
    expect(profiles.filter((profile) => profile.user === user).at(-1)).toEqual({ user, clicks: all.length, newest });
  }
});

test('the README names every example', () => {
  const examples = readdirSync(join(root, 'examples')).filter((name) => /^[^.]+\.ts$/.test(name));
  expect(examples.length).toBeGreaterThan(3);
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const apps = readdirSync(join(root, 'examples/apps')).map((name) => `apps/${name}`);
  expect(apps.length).toBeGreaterThan(2);
  for (const name of [...examples, ...apps]) expect(readme.includes(`examples/${name}`), name).toBe(true);
});

test('recent clicks has the newest three pages of each click, pairs, the last half hour and hours of all', {
  timeout: 60_000,
}, async () => {
  type Click = { user: string; page: string; at: string };
  const clicks = lines('examples/data/clicks.jsonl').map((line) => JSON.parse(line) as Click);
  const byUser = groupBy(clicks, (click) => click.user);
  const expected = { lastThree: [] as unknown[], pairs: [] as unknown[], lastHalfHour: [] as unknown[] };
  for (const [user, ofUser] of byUser) {
    const pages = ofUser.map((click) => click.page);
    const newest = Math.max(...ofUser.map((click) => Date.parse(click.at)));
    pages.forEach((_, index) =>
      expected.lastThree.push({ user, pages: pages.slice(Math.max(0, index - 2), index + 1) }),
    );
    for (let index = 0; index + 2 <= pages.length; index += 2)
      expected.pairs.push({ user, pages: pages.slice(index, index + 2) });
    const recent = ofUser.filter((click) => Date.parse(click.at) > newest - 30 * 60_000).map((click) => click.page);
    expected.lastHalfHour.push({ user, pages: recent });
  }
  run('recent-clicks');
  const results = (name: string) =>
    resultsOf('recent-clicks', name).then((found) => found.map((one) => JSON.stringify(one)).sort());
  const sorted = (values: readonly unknown[]) => values.map((value) => JSON.stringify(value)).sort();
  expect(await results('last-three')).toEqual(sorted(expected.lastThree));
  expect(await results('pairs')).toEqual(sorted(expected.pairs));
  expect(await results('last-half-hour')).toEqual(sorted(expected.lastHalfHour));
  const hourOf = ({ at }: Click): string => `${at.slice(0, 13)}:00:00.000Z`;
  const perHour = [...groupBy(clicks, hourOf)].map(([hour, ofHour]) => ({
    hour,
    clicks: ofHour.length,
    users: new Set(ofHour.map((click) => click.user)).size,
    longest: ofHour.reduce((longest, { page }) => (page.length > longest.length ? page : longest), ''),
  }));
  expect(await results('per-hour')).toEqual(sorted(perHour));
});

test('parcels has every part of every order in a full box on its belt, but for the last ones', {
  timeout: 60_000,
}, async () => {
  type Box = { belt: string; parts: readonly { order: number; part: string }[] };
  const pieces: Record<string, number> = { lamp: 2, desk: 3, chair: 2 };
  const orders = lines('examples/data/shop-orders.jsonl').map(
    (line) => JSON.parse(line) as { order: number; product: string },
  );
  const owners = orders.flatMap(({ order, product }) => Array.from({ length: pieces[product] ?? 0 }, () => order));
  run('parcels');
  const boxes = (await resultsOf('parcels')) as readonly Box[];
  expect(boxes.every(({ parts }) => parts.length === 3)).toBe(true);
  const packed = boxes.flatMap(({ parts }) => parts.map(({ order }) => order)).sort((a, b) => a - b);
  expect(packed).toEqual(owners.slice(0, owners.length - (owners.length % 3)));
  const directories = readdirSync(join(output, 'parcels')).filter((name) => name.startsWith('belt-'));
  expect(directories.sort()).toEqual([...new Set(boxes.map(({ belt }) => belt))].sort());
  for (const belt of directories) {
    const folder = join(output, 'parcels', belt);
    const inFolder = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'));
    expect(inFolder.map((line) => (JSON.parse(line) as Box).belt)).toEqual(
      boxes.filter((box) => box.belt === belt).map(() => belt),
    );
  }
});

test('power meters has every hour in full at last, readings like the newest one, and readings up to each jump', {
  timeout: 60_000,
}, async () => {
  type Reading = { meter: string; kwh: number; at: string };
  const readings = ['north', 'south']
    .flatMap((region) => lines(`examples/data/meters-${region}.jsonl`).map((line) => JSON.parse(line) as Reading))
    .filter(({ at = '' }) => Date.parse(at) < Date.UTC(3000, 0));
  run('power-meters');
  type Spread = { windowStart: number; readings: number; middle: number };
  const spreads = (await resultsOf('power-meters', 'spread')) as readonly Spread[];
  const hours = groupBy(readings, ({ at }) => String(Date.parse(`${at.slice(0, 13)}:00:00Z`)));
  expect(new Set(spreads.map(({ windowStart }) => String(windowStart)))).toEqual(new Set(hours.keys()));
  for (const [hour, ofHour] of hours) {
    const results = spreads.filter(({ windowStart }) => String(windowStart) === hour);
    const last = results.reduce((most, next) => (next.readings > most.readings ? next : most));
    expect(last.readings).toBe(ofHour.length);
    const sorted = ofHour.map(({ kwh }) => kwh).sort((a, b) => a - b);
    const middle = sorted[Math.ceil(sorted.length / 2) - 1] as number;
    expect(Math.abs(last.middle - middle) / middle).toBeLessThanOrEqual(0.011);
  }
  const alike: unknown[] = [];
  const jumps: unknown[] = [];
  for (const [meter, ofMeter] of groupBy(readings, (reading) => reading.meter)) {
    const all = ofMeter.map(({ kwh }) => kwh);
    const newest = all.at(-1) as number;
    alike.push({ meter, kwh: all.filter((kwh) => kwh === newest || kwh === newest - 1 || kwh === newest + 1) });
    let from = 0;
    let level = all[0] as number;
    for (const [index, kwh] of all.entries()) {
      if (kwh - level <= 1 && level - kwh <= 1) continue;
      jumps.push({ meter, kwh: all.slice(from, index + 1) });
      from = index + 1;
      level = kwh;
    }
  }
  const texts = (values: readonly unknown[]) => values.map((value) => JSON.stringify(value)).sort();
  expect(texts(await resultsOf('power-meters', 'alike'))).toEqual(texts(alike));
  expect(texts(await resultsOf('power-meters', 'jumps'))).toEqual(texts(jumps));
});

test('stock has the table of all rows, every change on the way there, and what ran out', { timeout: 60_000 }, () => {
  type ShelfChange = { op: string; shelf: string; article: string; pieces: number };
  type Row = { article: string; shelves: number; pieces: number };
  const shelves = new Map<string, ShelfChange>();
  const rowOf = (article: string): Row | null => {
    const own = [...shelves.values()].filter((row) => row.article === article);
    const row = { article, shelves: own.length, pieces: own.reduce((total, { pieces }) => total + pieces, 0) };
    return own.length === 0 ? null : row;
  };
  const history: unknown[] = [];
  const ranOut: string[] = [];
  const articles = new Set<string>();
  for (const change of parsed<ShelfChange>('examples/data/shelf-changes.jsonl')) {
    const { article, op, shelf } = change;
    articles.add(article);
    const before = rowOf(article);
    if (op === 'delete' || op === 'updateBefore') shelves.delete(shelf);
    else shelves.set(shelf, change);
    const after = rowOf(article);
    if (before !== null) history.push({ kind: after === null ? 'delete' : 'updateBefore', ...before });
    if (after !== null) history.push({ kind: before === null ? 'insert' : 'updateAfter', ...after });
    if (after?.pieces === 0) ranOut.push(article);
  }
  const stock = [...articles].sort().flatMap((article) => rowOf(article) ?? []);
  const printed = printedBy('stock');
  const { results } = JSON.parse(printed.at(-1) ?? '') as { results: Record<string, Row[]> };
  const byArticle = (one: Row, other: Row): number => (one.article < other.article ? -1 : 1);
  expect([...(results['stock'] ?? [])].sort(byArticle)).toEqual(stock);
  expect(stock.length).toBeLessThan(articles.size);
  expect(results['history']).toEqual(history);
  expect(ranOut.length).toBeGreaterThan(0);
  expect(printed.slice(0, -1)).toEqual(ranOut.map((article) => `ran out: ${JSON.stringify(article)}`));
});

test('activity has the revenue of each hour and who was there, though the clicks are out of order', {
  timeout: 60_000,
}, async () => {
  const hourOf = ({ at }: { at: string }): string => `${at.slice(0, 13)}:00:00.000Z`;
  const orders = parsed<OrderLine>('examples/data/shop-orders.jsonl');
  const clicks = parsed<{ user: string; at: string }>('examples/data/clicks.jsonl');
  run('activity');
  const revenue = [...groupBy(orders, hourOf)].map(([from, ofHour]) => {
    return { from, orders: ofHour.length, revenue: ofHour.reduce((total, { amount }) => total + amount, 0) };
  });
  expect(await resultsOf('activity', 'revenue')).toEqual(revenue);
  const present = [...new Set(clicks.map((click) => `${click.user} ${hourOf(click)}`))].sort();
  const found = (await resultsOf('activity', 'presence')) as { user: string; from: string }[];
  expect(found.map(({ user, from }) => `${user} ${from}`).sort()).toEqual(present);
});

test('batches has each reading in one batch that is not too large, and counts that grow to all of them', {
  timeout: 60_000,
}, async () => {
  run('batches', '--readings', '900');
  const batches = (await resultsOf('batches', 'batches')) as { station: string; readings: number[] }[];
  const sent = batches.flatMap(({ readings }) => readings).sort((a, b) => a - b);
  expect(sent).toEqual(Array.from({ length: 900 }, (_, id) => id));
  const sizes = batches.map(({ readings }) => readings.length);
  expect(Math.max(...sizes)).toBe(40);
  expect(Math.min(...sizes)).toBeGreaterThan(0);
  const counts = (await resultsOf('batches', 'so-far')) as { windowStart: number; readings: number }[];
  // A run at midnight has two days.
  const days = [...groupBy(counts, ({ windowStart }) => String(windowStart)).values()].map((ofDay) =>
    ofDay.map(({ readings }) => readings),
  );
  for (const ofDay of days) expect(ofDay).toEqual([...ofDay].sort((a, b) => a - b));
  expect(days.reduce((total, ofDay) => total + (ofDay.at(-1) ?? 0), 0)).toBe(900);
  // One for each quarter of a second, and the last one: not one for each that is left of the day.
  expect(counts.length).toBeLessThan(1_000);
});

test('thumbnails are made by both workers alike, of a single camera and of every second large picture', {
  timeout: 60_000,
}, async () => {
  type Thumbnail = { id: number; pixels: number; worker: number; signedBy: number };
  run('thumbnails', '--pictures', '2000');
  const door = (await resultsOf('thumbnails', 'door')) as Thumbnail[];
  const ids = (first: number, step: number): number[] =>
    Array.from({ length: 2_000 / step }, (_, n) => first + n * step);
  expect(door.map(({ id }) => id).sort((a, b) => a - b)).toEqual(ids(0, 4));
  expect(door.filter(({ worker }) => worker === 0)).toHaveLength(250);
  expect(door.every(({ worker, signedBy }) => worker === signedBy)).toBe(true);
  const yard = (await resultsOf('thumbnails', 'yard')) as Thumbnail[];
  expect(yard.map(({ id }) => id).sort((a, b) => a - b)).toEqual(ids(1, 2));
  const large = yard.filter(({ pixels }) => pixels > 1_000);
  expect(large).toHaveLength(500);
  const ofFirst = large.filter(({ worker }) => worker === 0).length;
  // In turn it would be none or all; by chance 250, give or take a few deviations of 11.
  expect(ofFirst).toBeGreaterThan(190);
  expect(ofFirst).toBeLessThan(310);
});
