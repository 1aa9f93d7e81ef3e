/**
 * The events of a run as tables of DuckDB, and tables of results to compare. Everything goes through CSV files, which
 * DuckDB reads a hundred times faster than it takes rows one by one.
 */
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { firstEventTimeMs } from '../defaults.ts';
import { EventMaker } from '../event-maker.ts';
import { auctionType, type NexmarkEvent, personType } from '../model.ts';

export interface EventRun {
  readonly events: number;
  /** Events in a second of event time. */
  readonly rate: number;
  readonly splits: number;
}

const tables = {
  person: `id BIGINT, name VARCHAR, emailAddress VARCHAR, creditCard VARCHAR, city VARCHAR, state VARCHAR,
    dateTime BIGINT, extra VARCHAR`,
  auction: `id BIGINT, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT, dateTime BIGINT,
    expires BIGINT, seller BIGINT, category BIGINT, extra VARCHAR`,
  bid: `auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, dateTime BIGINT, extra VARCHAR`,
} as const;

type Row = Readonly<Record<string, unknown>>;

/** A database with the events of a run. */
export class EventTables {
  readonly #connection: DuckDBConnection;
  readonly #directory: string;

  private constructor(connection: DuckDBConnection, directory: string) {
    this.#connection = connection;
    this.#directory = directory;
  }

  static async of(run: EventRun): Promise<EventTables> {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const made = new EventTables(connection, mkdtempSync(join(tmpdir(), 'millrace-nexmark-')));
    try {
      for (const [table, columns] of Object.entries(tables)) {
        await connection.run(`CREATE TABLE ${table} (n BIGINT, ${columns})`);
        const names = columns.split(',').map((column) => column.trim().split(' ')[0] as string);
        await made.#load(table, ['n', ...names], numberedRows(run, table));
      }
      return made;
    } catch (error) {
      made.close();
      throw error;
    }
  }

  async numbers(sql: string): Promise<readonly number[]> {
    const rows = (await this.#connection.runAndReadAll(sql)).getRows();
    return (rows[0] ?? []).map(Number);
  }

  /**
   * How the rows differ from what a query gives, as multisets; null when they do not.
   */
  async difference(sql: string, rows: Iterable<Row>): Promise<string | null> {
    await this.#connection.run(`CREATE OR REPLACE TABLE expected AS ${sql}`);
    await this.#connection.run('CREATE OR REPLACE TABLE actual AS SELECT * FROM expected LIMIT 0');
    const description = await this.#connection.runAndReadAll('DESCRIBE expected');
    await this.#load(
      'actual',
      description.getRows().map(([name]) => String(name)),
      rows,
    );
    const missing = await this.#rowsOf('SELECT * FROM expected EXCEPT ALL SELECT * FROM actual');
    const surplus = await this.#rowsOf('SELECT * FROM actual EXCEPT ALL SELECT * FROM expected');
    if (missing === null && surplus === null) return null;
    return `missing: ${missing ?? 'nothing'}; too many: ${surplus ?? 'nothing'}`;
  }

  close(): void {
    this.#connection.closeSync();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #rowsOf(sql: string): Promise<string | null> {
    const [count] = await this.numbers(`SELECT count(*) FROM (${sql})`);
    if (count === 0) return null;
    const examples = await this.#connection.runAndReadAll(`${sql} LIMIT 3`);
    return `${count}, such as ${JSON.stringify(examples.getRowsJson())}`;
  }

  async #load(table: string, columns: readonly string[], rows: Iterable<Row>): Promise<void> {
    const path = join(this.#directory, `${table}.csv`);
    const file = createWriteStream(path);
    let text = '';
    for (const row of rows) {
      text += `${columns.map((column) => cell(row, column)).join(',')}\n`;
      if (text.length < chunkChars) continue;
      if (!file.write(text)) await once(file, 'drain');
      text = '';
    }
    file.end(text);
    await once(file, 'close');
    await this.#connection.run(`COPY ${table} FROM '${path}' (FORMAT csv, HEADER false, DELIMITER ',', QUOTE '"')`);
    rmSync(path);
  }
}

const chunkChars = 1024 * 1024;

function cell(row: Row, column: string): string {
  const value = row[column];
  if (value === undefined) throw new Error(`a row has no column ${column}: ${JSON.stringify(row)}`);
  return typeof value === 'string' ? `"${value}"` : String(value);
}

/** The events of one table, as a source with as many splits makes them. */
function* numberedRows({ events, rate, splits }: EventRun, table: string): Iterable<Row> {
  const share = Math.floor(events / splits);
  for (let split = 0; split < splits; split++) {
    const firstEventId = split * share;
    const interEventDelayUs = (1e6 / rate) * splits;
    const maker = new EventMaker({ seed: 1, baseTimeMs: firstEventTimeMs, interEventDelayUs, firstEventId });
    const count = split === splits - 1 ? events - firstEventId : share;
    for (let number = 0; number < count; number++) {
      const event = maker.make(number);
      if (tableOf(event) === table) yield { n: firstEventId + number, ...event };
    }
  }
}

const tableOf = ({ eventType }: NexmarkEvent): string =>
  eventType === personType ? 'person' : eventType === auctionType ? 'auction' : 'bid';
