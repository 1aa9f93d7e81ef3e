import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { recordedContext } from '../../testing/connector-context.ts';
import { drainCursor, drainSource, planAll } from '../../testing/drain.ts';
import { expectExactResume } from '../../testing/resume.ts';
import { temporaryDirectory } from '../../testing/temporary-directory.ts';
import { files } from '../index.ts';

type Columns = Parameters<typeof parquetWriteBuffer>[0]['columnData'];

async function writeParquet(
  directory: string,
  columnData: Columns,
  more: { rowGroupSize?: number; pageSize?: number; name?: string } = {},
): Promise<string> {
  const { name = 'in.parquet', ...options } = more;
  const path = join(directory, name);
  await writeFile(path, Buffer.from(parquetWriteBuffer({ columnData, ...options })));
  return path;
}

const counted = (count: number): bigint[] => Array.from({ length: count }, (_, index) => BigInt(index));

describe('files.parquet', () => {
  it('gives numbers, strings, booleans, epoch milliseconds and nulls when columns have these types', async () => {
    const directory = await temporaryDirectory();
    const path = await writeParquet(directory, [
      { name: 'id', data: [1n, null, -3n], type: 'INT64' },
      { name: 'text', data: ['a', 'ü€😀', null], type: 'STRING' },
      { name: 'flag', data: [true, null, false], type: 'BOOLEAN' },
      { name: 'time', data: [new Date(0), new Date(-1), new Date(978307260000)], type: 'TIMESTAMP' },
      { name: 'value', data: [0.5, -0, null], type: 'DOUBLE' },
      { name: 'small', data: [7, 8, 9], type: 'INT32' },
    ]);
    const { values } = await drainSource(files.parquet(path));
    expect(values).toEqual([
      { id: 1, text: 'a', flag: true, time: 0, value: 0.5, small: 7 },
      { id: null, text: 'ü€😀', flag: null, time: -1, value: -0, small: 8 },
      { id: -3, text: null, flag: false, time: 978307260000, value: null, small: 9 },
    ]);
  });

  it('gives the rows hyparquet gives when encodings, nulls, page sizes and row groups vary', async () => {
    const directory = await temporaryDirectory();
    const rows = 3000;
    const every = <Value>(make: (index: number) => Value): Value[] =>
      Array.from({ length: rows }, (_, index) => make(index));
    const path = await writeParquet(
      directory,
      [
        { name: 'plain', data: every((i) => BigInt(i) * 1_000_003n), type: 'INT64', encoding: 'PLAIN' },
        { name: 'plainNull', data: every((i) => (i % 7 === 0 ? null : BigInt(i))), type: 'INT64', encoding: 'PLAIN' },
        { name: 'delta', data: every((i) => BigInt(i * i)), type: 'INT64', encoding: 'DELTA_BINARY_PACKED' },
        { name: 'dictionary', data: every((i) => `city-${i % 300}`), type: 'STRING', encoding: 'RLE_DICTIONARY' },
        { name: 'dictionaryNull', data: every((i) => (i % 5 === 3 ? null : `k${i % 3}`)), type: 'STRING' },
        { name: 'oneValue', data: every(() => 'same'), type: 'STRING' },
        { name: 'allNull', data: every(() => null), type: 'STRING', nullable: true },
        {
          name: 'strings',
          data: every((i) => `row ${i} ${'x'.repeat(i % 50)}`),
          type: 'STRING',
          encoding: 'DELTA_LENGTH_BYTE_ARRAY',
        },
        { name: 'split', data: every((i) => i / 3), type: 'DOUBLE', encoding: 'BYTE_STREAM_SPLIT' },
        { name: 'flags', data: every((i) => i % 3 === 0), type: 'BOOLEAN' },
      ],
      { rowGroupSize: 1100, pageSize: 700 },
    );
    const oracle = await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors });
    const expected = oracle.map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
      ),
    );
    const { values } = await drainSource(files.parquet(path));
    expect(values).toEqual(expected);
  });

  it('reads lists, structs, dates, timestamps and decimals when DuckDB wrote the file', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'duck.parquet');
    const connection = await (await DuckDBInstance.create()).connect();
    await connection.run(`COPY (
      SELECT i AS id, CASE WHEN i = 1 THEN NULL ELSE [i, NULL, i + 1] END AS list, {'a': i, 'b': 'x' || i} AS struct,
        DATE '1969-12-31' + i::INTEGER AS day, TIMESTAMP '1969-12-31 23:59:59.9985' AS time, (i / 4)::DECIMAL(9, 2) AS price, 'b'::BLOB AS bytes
      FROM range(3) t(i)) TO '${path}' (FORMAT parquet, COMPRESSION zstd)`);
    connection.closeSync();
    const { values } = await drainSource(files.parquet(path));
    const row = (id: number, list: unknown): unknown => ({
      id,
      list,
      struct: { a: id, b: `x${id}` },
      day: (id - 1) * 86_400_000,
      time: -2,
      price: id / 4,
      bytes: new Uint8Array([98]),
    });
    expect(values).toEqual([row(0, [0, null, 1]), row(1, null), row(2, [2, null, 3])]);
  });

  it('names column and row when an integer in a list is beyond 2^53', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, 'duck.parquet');
    const connection = await (await DuckDBInstance.create()).connect();
    await connection.run(
      `COPY (SELECT [i, 9007199254740991 + i] AS list FROM range(2) t(i)) TO '${path}' (FORMAT parquet)`,
    );
    connection.closeSync();
    await expect(drainSource(files.parquet(path))).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      message: expect.stringMatching(/"list".*in row 1\b/),
    });
  });

  it('gives the columns asked for in their order when columns are chosen', async () => {
    const directory = await temporaryDirectory();
    const path = await writeParquet(directory, [
      { name: 'a', data: [1], type: 'INT32' },
      { name: 'b', data: [2], type: 'INT32' },
      { name: 'c', data: [3], type: 'INT32' },
    ]);
    const { values } = await drainSource(files.parquet<{ a: number; c: number }>(path, { columns: ['c', 'a'] }));
    expect(values.map((row) => Object.entries(row))).toEqual([
      [
        ['c', 3],
        ['a', 1],
      ],
    ]);
  });

  it('makes an ordinary property when a column is called __proto__', async () => {
    const directory = await temporaryDirectory();
    const path = await writeParquet(directory, [{ name: '__proto__', data: [1], type: 'INT32' }]);
    const { values } = await drainSource(files.parquet<object>(path));
    expect(Object.entries(values[0] ?? {})).toEqual([['__proto__', 1]]);
    expect(Object.getPrototypeOf(values[0])).toBe(Object.prototype);
  });

  it('names the wrong column and the nearest right ones when a column does not exist', async () => {
    const directory = await temporaryDirectory();
    const path = await writeParquet(directory, [
      { name: 'origin', data: ['A'], type: 'STRING' },
      { name: 'delay', data: [1], type: 'INT32' },
    ]);
    const source = files.parquet<{ orgin: string }>(path, { columns: ['orgin'] });
    await expect(planAll(source, recordedContext())).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
      message: expect.stringMatching(/no column "orgin".*Nearest: "origin"/),
    });
  });

  it.each(['PLAIN', 'RLE_DICTIONARY', 'DELTA_BINARY_PACKED'] as const)(
    'names column and row when a %s integer is beyond 2^53',
    async (encoding) => {
      const directory = await temporaryDirectory();
      const data = [...counted(2000), 2n ** 53n, 2n ** 53n];
      const path = await writeParquet(directory, [{ name: 'big', data, type: 'INT64', encoding }], { pageSize: 500 });
      await expect(drainSource(files.parquet(path))).rejects.toMatchObject({
        code: 'INPUT_MALFORMED',
        message: expect.stringMatching(/"big".*9007199254740992 in row 2000\b.*int64: 'bigint'/),
      });
      const { values } = await drainSource(files.parquet<{ big: bigint }>(path, { int64: 'bigint' }));
      expect(values.map(({ big }) => big)).toEqual(data);
    },
  );

  it('continues with the very next row when opened at the position of any row', async () => {
    const directory = await temporaryDirectory();
    const names = Array.from({ length: 60 }, (_, index) => `name ${index}`);
    const columns: Columns = [
      { name: 'id', data: counted(60), type: 'INT64' },
      { name: 'name', data: names, type: 'STRING' },
    ];
    const path = await writeParquet(directory, columns, { rowGroupSize: 25, pageSize: 64 });
    const values = await expectExactResume(files.parquet<{ name: string }>(path), {}, 7);
    expect(values.map(({ name }) => name)).toEqual(names);
    const byGroup = await expectExactResume(files.parquet<{ name: string }>(path, { splitBy: 'rowGroup' }), {}, 7);
    expect(byGroup).toEqual(values);
  });

  it('cuts a file into its row groups when split by row group', async () => {
    const directory = await temporaryDirectory();
    await writeParquet(directory, [{ name: 'id', data: counted(5), type: 'INT64' }], { rowGroupSize: 2 });
    const source = files.parquet('in.parquet', { splitBy: 'rowGroup' });
    const splits = await planAll(source, recordedContext({ workingDirectory: directory }));
    expect(splits.map((split) => source.splitId(split))).toEqual(['in.parquet#0', 'in.parquet#1', 'in.parquet#2']);
  });

  it('reads the files of a directory in order of name when given a directory', async () => {
    const directory = await temporaryDirectory();
    await mkdir(join(directory, 'in'));
    for (const name of ['b', 'a', 'c'])
      await writeParquet(join(directory, 'in'), [{ name: 'v', data: [name], type: 'STRING' }], {
        name: `${name}.parquet`,
      });
    await writeFile(join(directory, 'in', '_SUCCESS'), '');
    const { values } = await drainSource(files.parquet<{ v: string }>('in'), { workingDirectory: directory });
    expect(values.map(({ v }) => v)).toEqual(['a', 'b', 'c']);
  });

  it('names the absolute path and the working directory when the file is missing', async () => {
    const directory = await temporaryDirectory();
    const planning = planAll(files.parquet('missing.parquet'), recordedContext({ workingDirectory: directory }));
    await expect(planning).rejects.toMatchObject({
      code: 'INPUT_NOT_FOUND',
      message: expect.stringContaining(
        `${join(directory, 'missing.parquet')} does not exist (working directory: ${directory})`,
      ),
    });
  });

  it('refuses the file when it was replaced after planning', async () => {
    const directory = await temporaryDirectory();
    const path = await writeParquet(directory, [{ name: 'v', data: ['a'], type: 'STRING' }]);
    const source = files.parquet(path);
    const [split] = await planAll(source, recordedContext());
    await writeParquet(directory, [{ name: 'v', data: ['b'], type: 'STRING' }]);
    await expect(source.createReader(recordedContext()).openSplit(split!, undefined)).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      message: expect.stringContaining('changed after the job planned it'),
    });
  });

  it('says that the file is no parquet file when it is something else', async () => {
    const directory = await temporaryDirectory();
    await writeFile(join(directory, 'in.parquet'), 'just text, not parquet');
    await expect(
      planAll(files.parquet('in.parquet'), recordedContext({ workingDirectory: directory })),
    ).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      message: expect.stringContaining('cannot be read as parquet'),
    });
  });

  it('gives the flights hyparquet gives when reading the real file over the end of a row group', async () => {
    const path = fileURLToPath(new URL('../../../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url));
    const first = 272_700;
    const last = 272_800;
    const oracle = await parquetReadObjects({
      file: await asyncBufferFromFile(path),
      compressors,
      rowStart: first,
      rowEnd: last,
    });
    const source = files.parquet(path);
    const context = recordedContext();
    const [split] = await planAll(source, context);
    const cursor = await source.createReader(context).openSplit(split!, { row: first });
    const values: unknown[] = [];
    while (values.length < last - first) {
      const batch = cursor.poll(last - first - values.length);
      if (batch === null) await cursor.ready();
      else values.push(...batch.values);
    }
    await cursor.close();
    expect(values).toEqual(
      oracle.map((row) => ({
        ...row,
        date: row.date.getTime(),
        delay: Number(row.delay),
        distance: Number(row.distance),
      })),
    );
  });

  it('ends at once when the file has no rows', async () => {
    const directory = await temporaryDirectory();
    const path = await writeParquet(directory, [{ name: 'v', data: [], type: 'STRING' }]);
    const source = files.parquet(path);
    const [split] = await planAll(source, recordedContext());
    const cursor = await source.createReader(recordedContext()).openSplit(split!, undefined);
    expect(await drainCursor(cursor)).toEqual({ values: [], positions: [] });
  });
});
