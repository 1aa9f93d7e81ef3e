/** Every query as a job of its own, against SQL over the same events. Needs the build. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { queryNames } from './defaults.ts';
import { checkQuery } from './oracle/check-query.ts';
import { type EventRun, EventTables } from './oracle/event-tables.ts';
import { expected } from './oracle/expected.ts';

/** Twenty seconds of event time: several windows, a day's end, sessions that are over before the input is. */
const run: EventRun = { events: 100_000, rate: 5_000, splits: 1 };
let tables: EventTables;

beforeAll(async () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
  tables = await EventTables.of(run);
});
afterAll(() => tables.close());

describe('Nexmark', () => {
  it.each(queryNames)('%s gives what SQL gives when run over the same events', { timeout: 60_000 }, async (query) => {
    expect(await checkQuery(query, run, tables)).toBeNull();
  });

  it('finds rows that are missing, too many or different when results are compared', async () => {
    const sql = 'SELECT 1 AS id, 0.5::DOUBLE AS mean UNION ALL SELECT 1, 0.5';
    const row = { id: 1, mean: 0.5 };
    expect(await tables.difference(sql, [row, row])).toBeNull();
    expect(await tables.difference(sql, [row])).toContain('missing: 1');
    expect(await tables.difference(sql, [row, row, row])).toContain('too many: 1');
    expect(await tables.difference(sql, [row, { id: 1, mean: 0.5000000000000001 }])).toMatch(/missing: 1.*too many: 1/);
  });

  it('has a result worth comparing when SQL is asked for each query', async () => {
    for (const [query, { sql }] of Object.entries(expected)) {
      const [rows] = await tables.numbers(`SELECT count(*) FROM (${sql})`);
      expect(rows, query).toBeGreaterThan(query === 'q15' || query === 'q7' ? 1 : 4);
    }
  });
});
