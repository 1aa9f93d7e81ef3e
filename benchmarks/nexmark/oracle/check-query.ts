/** Runs a query over a number of events and compares what it gave with what SQL gives over the same events. */
import { dirname, join } from 'node:path';
import { readCommitted } from '../../../connectors/files/index.ts';
import { bidsDirectory } from '../defaults.ts';
import { captureQuery } from '../run-query.ts';
import type { ResultRow } from '../result-sink.ts';
import type { EventRun, EventTables } from './event-tables.ts';
import { checkQ12 } from './check-q12.ts';
import { expected } from './expected.ts';

type Row = Readonly<Record<string, unknown>>;

/** What is wrong with a query's result; null when nothing is. */
export async function checkQuery(query: string, run: EventRun, tables: EventTables): Promise<string | null> {
  const beganMs = Date.now();
  const written: Row[] = [];
  const { rows, progress } = await captureQuery({
    ...run,
    query,
    parallelism: run.splits,
    checkpointIntervalMs: 1000,
    inspect: async (directory) => {
      if (query === 'q10') for await (const row of writtenRows(join(directory, bidsDirectory))) written.push(row);
    },
  });
  if (progress.lateRecords !== 0) return `${progress.lateRecords} records were late, although they come in order`;
  if (query === 'q12') return (await checkClockOfRun(rows, tables, beganMs)) ?? (await checkQ12(run));
  const right = expected[query];
  if (right === undefined) throw new Error(`nobody knows what ${query} must give`);
  if (query === 'q10') return tables.difference(right.sql, written);
  const final = right.key === undefined ? rows.map(([, row]) => row) : lastByKey(rows, right.key);
  return tables.difference(right.sql, final);
}

/** The bids in committed files, which must lie in the directories of their minutes. */
async function* writtenRows(directory: string): AsyncIterable<Row> {
  for await (const { file, line } of readCommitted(directory)) {
    if (line.startsWith('auction,')) continue;
    const [auction, bidder, price, dateTime, extra, dt, hm] = line.split(',');
    if (dirname(file) !== `dt=${dt}/hm=${hm}`) throw new Error(`${line} is in ${file}`);
    yield { auction, bidder, price, dateTime, extra, dt, hm };
  }
}

/** Row kinds of a change, as in {@link ResultRow}. */
const updateBefore = 1;
const removed = 3;

/** The rows that no later one of the same key replaced or took away. */
function lastByKey(rows: readonly ResultRow[], key: readonly string[]): Iterable<Row> {
  const last = new Map<string, Row>();
  for (const [rowKind, row] of rows) {
    const text = key.map((column) => String(row[column])).join('\n');
    if (rowKind === removed) last.delete(text);
    else if (rowKind !== updateBefore) last.set(text, row);
  }
  return last.values();
}

/**
 * Windows of the real clock differ from run to run: what stays is that they lie on the grid, at the time of the run, and count
 * every bid once. What each holds is checked under a clock of its own.
 */
async function checkClockOfRun(
  rows: readonly ResultRow[],
  tables: EventTables,
  beganMs: number,
): Promise<string | null> {
  const endedMs = Date.now();
  const windows = new Set<string>();
  const bids = new Map<unknown, { bidder: unknown; bids: number }>();
  for (const [, row] of rows) {
    const { bidder, windowStart, windowEnd } = row as Record<string, number>;
    if ((windowStart as number) % 10_000 !== 0 || (windowEnd as number) - (windowStart as number) !== 10_000)
      return `the window ${windowStart} to ${windowEnd} is not on the grid`;
    if ((windowEnd as number) <= beganMs || (windowStart as number) > endedMs)
      return `the window ${windowStart} to ${windowEnd} is not of the time of the run`;
    if (windows.size === windows.add(`${bidder} ${windowStart}`).size)
      return `window ${windowStart} fired twice for ${bidder}`;
    const sum = bids.get(bidder) ?? { bidder, bids: 0 };
    sum.bids += row['bids'] as number;
    bids.set(bidder, sum);
  }
  return tables.difference('SELECT bidder, count(*) AS bids FROM bid GROUP BY bidder', bids.values());
}
