/**
 * The flights job computed a second time, by SQL over the same file: hourly lines, late flights and the worst airports of
 * each day. Shares nothing with the engine; what a late flight is comes from the definition in words (a flight is late when
 * the end of its hour - 1 ms is not after the largest event time of the flights before it in the file - 24 h - 1 ms).
 */
import { DuckDBInstance } from '@duckdb/node-api';

export interface FlightsOracle {
  /** Canonical lines, sorted. */
  readonly hourly: string[];
  readonly late: string[];
  readonly worst: string[];
}

const flights = (path: string): string => `
  CREATE TABLE flights AS
  WITH numbered AS (
    SELECT epoch_ms("date") AS scheduled, CAST(delay AS BIGINT) AS delay, origin, row_number() OVER () AS n
    FROM read_parquet('${path.replaceAll("'", "''")}')
  ), timed AS (SELECT *, scheduled + delay * 60000 AS ts FROM numbered),
  seen AS (
    SELECT *, max(ts) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS newest FROM timed
  )
  SELECT scheduled, delay, origin, ts, CAST(floor(ts / 3600000.0) AS BIGINT) * 3600000 AS hour,
    newest IS NOT NULL AND (CAST(floor(ts / 3600000.0) AS BIGINT) + 1) * 3600000 - 1 <= newest - 86400000 - 1 AS late
  FROM seen`;

const hourly = `
  SELECT origin, hour, count(*) AS flights, sum(delay) AS delay_sum, max(delay) AS worst,
    list_sort(list(delay))[CAST(ceil(0.95 * count(*)) AS INTEGER)] AS p95
  FROM flights WHERE NOT late GROUP BY origin, hour`;

const worst = `
  WITH days AS (
    SELECT origin, CAST(floor(hour / 86400000.0) AS BIGINT) * 86400000 AS day, sum(flights) AS flights, sum(delay_sum) AS delay_sum
    FROM hourly GROUP BY ALL HAVING sum(flights) >= 10
  ), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY day ORDER BY CAST(delay_sum AS DOUBLE) / CAST(flights AS DOUBLE) DESC, origin) AS rank FROM days
  ) SELECT * FROM ranked WHERE rank <= 10 ORDER BY day, rank`;

/** @param path the Parquet file */
export async function computeFlightsOracle(path: string): Promise<FlightsOracle> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', preserve_insertion_order: 'true' });
  const connection = await instance.connect();
  await connection.run(flights(path));
  await connection.run(`CREATE TABLE hourly AS ${hourly}`);
  const rows = async (sql: string) =>
    (await connection.runAndReadAll(sql)).getRowObjectsJS() as Record<string, unknown>[];
  const oracle = {
    hourly: (await rows('SELECT * FROM hourly')).map(hourlyLine).sort(),
    late: (await rows('SELECT scheduled AS "date", delay, origin FROM flights WHERE late')).map(lateLine).sort(),
    worst: worstLines(await rows(worst)),
  };
  connection.closeSync();
  return oracle;
}

function hourlyLine(row: Record<string, unknown>): string {
  const [flightCount, delaySum] = [Number(row['flights']), Number(row['delay_sum'])];
  return JSON.stringify({
    origin: row['origin'],
    hour: new Date(Number(row['hour'])).toISOString(),
    flights: flightCount,
    delaySum,
    mean: delaySum / flightCount,
    p95: Number(row['p95']),
    worst: Number(row['worst']),
  });
}

function lateLine(row: Record<string, unknown>): string {
  return JSON.stringify({ date: Number(row['date']), delay: Number(row['delay']), origin: row['origin'] });
}

function worstLines(rows: readonly Record<string, unknown>[]): string[] {
  const byDay = new Map<string, { origin: unknown; flights: number; mean: number }[]>();
  for (const row of rows) {
    const day = new Date(Number(row['day'])).toISOString().slice(0, 10);
    const list = byDay.get(day) ?? [];
    const flightCount = Number(row['flights']);
    list.push({ origin: row['origin'], flights: flightCount, mean: Number(row['delay_sum']) / flightCount });
    byDay.set(day, list);
  }
  return [...byDay].map(([day, worstOfDay]) => JSON.stringify({ day, worst: worstOfDay })).sort();
}
