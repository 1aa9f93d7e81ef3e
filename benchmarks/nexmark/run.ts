/** The rows of `npm run bench -- nexmark`: how fast each query is, or with `--check` whether it is right. */
import { type BenchmarkRow, benchmarkRow, cpuSecondsOf } from '../row.ts';
import { isChecked, rememberChecked } from './checked-build.ts';
import { checkQuery } from './oracle/check-query.ts';
import { EventTables } from './oracle/event-tables.ts';
import { timeQuery } from './run-query.ts';

/** Events in a second of event time. */
const rate = 100_000;
const checkedEvents = 1_000_000;
const checkpointIntervalMs = 10_000;

/** Runs a query for a time with its rows dropped. */
export async function timedRow(query: string, seconds: number, parallelism: number): Promise<BenchmarkRow> {
  const result = await timeQuery({ query, seconds, rate, parallelism, checkpointIntervalMs });
  return benchmarkRow({
    benchmark: 'nexmark',
    case: query,
    parallelism,
    events: result.progress.recordsIn,
    seconds: result.seconds,
    cpuSeconds: result.cpuSeconds,
    checkpoints: result.checkpoints,
    checked: isChecked(`${query} at ${parallelism}`),
  });
}

/**
 * Compares the results of a query over a million events with those of SQL.
 * @throws Error when they differ
 */
export async function checkedRow(query: string, parallelism: number): Promise<BenchmarkRow> {
  const run = { events: checkedEvents, rate, splits: parallelism };
  const tables = await EventTables.of(run);
  try {
    const began = { ms: performance.now(), cpuSeconds: cpuSecondsOf() };
    const wrong = await checkQuery(query, run, tables);
    if (wrong !== null) throw new Error(`${query} is wrong: ${wrong}`);
    rememberChecked(`${query} at ${parallelism}`);
    const seconds = (performance.now() - began.ms) / 1000;
    return benchmarkRow({
      benchmark: 'nexmark',
      case: query,
      parallelism,
      events: checkedEvents,
      seconds,
      cpuSeconds: cpuSecondsOf() - began.cpuSeconds,
      checkpoints: 0,
      checked: true,
    });
  } finally {
    tables.close();
  }
}
