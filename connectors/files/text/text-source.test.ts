import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { recordedContext } from '../../testing/connector-context.ts';
import { drainSource, planAll } from '../../testing/drain.ts';
import { expectExactResume } from '../../testing/resume.ts';
import { temporaryDirectory } from '../../testing/temporary-directory.ts';
import { CsvEncoder } from '../sink/csv-encoder.ts';
import { files } from '../index.ts';
import type { ByteReader } from './byte-reader.ts';
import { CsvFormat } from './csv-format.ts';
import { JsonLinesFormat } from './json-lines-format.ts';
import { MalformedHandler } from './malformed-policy.ts';
import { TextCursor } from './text-cursor.ts';
import type { TextFormat } from './text-format.ts';

async function input(name: string, content: string | Buffer): Promise<string> {
  const path = join(await temporaryDirectory(), name);
  await writeFile(path, content);
  return path;
}

/** Hands out a buffer in pieces of the given sizes, the last size again and again: where a piece ends must not matter. */
function piecewise(content: Buffer, sizes: readonly number[]): ByteReader {
  let at = 0;
  let index = 0;
  return {
    async next() {
      if (at >= content.length) return null;
      const size = sizes[Math.min(index++, sizes.length - 1)] as number;
      at += size;
      return content.subarray(at - size, at);
    },
    async close() {},
  };
}

async function readPieces<T>(
  format: TextFormat<T>,
  content: Buffer,
  sizes: readonly number[],
  lineMaxBytes = 1000,
): Promise<T[]> {
  const start = { offset: 0, line: 1, format: null };
  const malformed = new MalformedHandler('fail', recordedContext());
  const cursor = new TextCursor<T>({
    path: 'in',
    reader: piecewise(content, sizes),
    format,
    malformed,
    lineMaxBytes,
    start,
  });
  const values: T[] = [];
  while (!cursor.ended) {
    const batch = cursor.poll(3);
    if (batch !== null) values.push(...batch.values);
    else if (!cursor.ended) await cursor.ready();
  }
  return values;
}

const lines = ['{"a":1}', '', '"zwei ü€😀"', '[3]', '   ', 'null', '4.5'];
const records = [{ a: 1 }, 'zwei ü€😀', [3], null, 4.5];

describe('files.lines source', () => {
  const text = ['GET / "200"', '', ' two  spaces ', '{"a":1', 'ü€😀', 'x\ty'];

  it.each([
    ['line feeds', `${text.join('\n')}\n`],
    ['no line end at the end', text.join('\n')],
    ['CRLF', `${text.join('\r\n')}\r\n`],
    ['a byte order mark', `\ufeff${text.join('\n')}`],
  ])('gives every line but empty ones as it is and resumes exactly when the file has %s', async (_, content) => {
    const wanted = text.filter((line) => line !== '');
    expect(await expectExactResume(files.lines(await input('a.log', content)), {}, 2)).toEqual(wanted);
    expect(await expectExactResume(files.lines([await input('a.log.gz', gzipSync(content))]), {}, 2)).toEqual(wanted);
  });

  it('counts and leaves out lines that are not UTF-8 when told to skip them', async () => {
    const path = await input(
      'a.log',
      Buffer.concat([Buffer.from('one\n'), Buffer.from([0xff, 0x0a]), Buffer.from('two\n')]),
    );
    expect((await drainSource(files.lines(path, { onMalformed: 'skip' }))).values).toEqual(['one', 'two']);
    await expect(drainSource(files.lines(path))).rejects.toMatchObject({ code: 'INPUT_MALFORMED', ids: { line: 2 } });
  });
});

describe('files.jsonl source', () => {
  it.each([
    ['line feeds', `${lines.join('\n')}\n`],
    ['no line end at the end', lines.join('\n')],
    ['CRLF', `${lines.join('\r\n')}\r\n`],
    ['a byte order mark', `\ufeff${lines.join('\n')}`],
  ])('gives every line once and resumes exactly when the file has %s', async (_, content) => {
    expect(await expectExactResume(files.jsonl(await input('in.jsonl', content)).source, {}, 2)).toEqual(records);
    expect(await expectExactResume(files.jsonl(await input('in.jsonl.gz', gzipSync(content))).source, {}, 2)).toEqual(
      records,
    );
  });

  it('reads all members when a gzip file has several', async () => {
    const path = await input('in.gz', Buffer.concat([gzipSync('1\n2'), gzipSync('3\n4\n')]));
    expect(await expectExactResume(files.jsonl(path).source)).toEqual([1, 23, 4]);
  });

  it('gives the same records when the file comes in pieces of any size', async () => {
    const content = Buffer.from(`\ufeff${lines.join('\r\n')}`);
    for (let size = 1; size < 20; size++)
      expect(await readPieces(new JsonLinesFormat(), content, [size])).toEqual(records);
  });

  it('gives records of several polls when the file is longer than a piece', async () => {
    const values = Array.from({ length: 20_000 }, (_, id) => ({ id, text: 'x'.repeat(id % 60) }));
    const path = await input('in.jsonl', values.map((value) => JSON.stringify(value)).join('\n'));
    expect((await drainSource(files.jsonl(path).source)).values).toEqual(values);
  });

  it('ends at once when the file is empty', async () => {
    expect((await drainSource(files.jsonl(await input('in.jsonl', '')).source)).values).toEqual([]);
    expect((await drainSource(files.jsonl(await input('in.jsonl.gz', gzipSync(''))).source)).values).toEqual([]);
  });

  it('names file, line, byte and remedy when a line is malformed', async () => {
    const path = await input('in.jsonl', '1\n\nü2\n{bad\n3\n');
    await expect(drainSource(files.jsonl(path).source)).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      message: expect.stringMatching(
        new RegExp(`^${path}, line 3 \\(byte 3\\): the line is not JSON .*\\n?.*ü2[^]*onMalformed: 'skip'`),
      ),
      ids: { path, line: 3, byteOffset: 3 },
    });
  });

  it('gives the records before the malformed line first when it fails', async () => {
    const source = files.jsonl(await input('in.jsonl', '1\n2\nx\n')).source;
    const [split] = await planAll(source, recordedContext());
    const cursor = await source.createReader(recordedContext()).openSplit(split!, undefined);
    await cursor.ready();
    expect(cursor.poll(10)?.values).toEqual([1, 2]);
    expect(cursor.poll(10)).toBeNull();
    expect(cursor.ended).toBe(false);
    await expect(cursor.ready()).rejects.toMatchObject({ code: 'INPUT_MALFORMED' });
    await cursor.close();
  });

  it('tells right lines when it fails after a resume', async () => {
    const path = await input('in.jsonl', '1\n2\n3\nx\n');
    const source = files.jsonl(path).source;
    const [split] = await planAll(source, recordedContext());
    const reader = source.createReader(recordedContext());
    const first = await reader.openSplit(split!, undefined);
    await first.ready();
    expect(first.poll(2)?.values).toEqual([1, 2]);
    const resumed = await reader.openSplit(split!, first.position(1));
    await resumed.ready();
    expect(resumed.poll(10)?.values).toEqual([2, 3]);
    await expect(resumed.ready()).rejects.toMatchObject({ ids: { line: 4, byteOffset: 6 } });
    await first.close();
    await resumed.close();
  });

  it('keeps the position of the last batch when a poll finds no record', async () => {
    const { source } = files.csv(await input('in.csv', 'a\n1\n2\n\n\n'));
    const [split] = await planAll(source, recordedContext());
    const reader = source.createReader(recordedContext());
    const cursor = await reader.openSplit(split!, undefined);
    await cursor.ready();
    expect(cursor.poll(2)?.values).toEqual([{ a: '1' }, { a: '2' }]);
    expect(cursor.poll(100)).toBeNull();
    const resumed = await reader.openSplit(split!, cursor.position(1));
    await resumed.ready();
    expect(resumed.poll(10)?.values).toEqual([{ a: '2' }]);
    expect(cursor.position(2)).toMatchObject({ offset: 8, line: 6 });
    await cursor.close();
    await resumed.close();
  });

  it('skips and counts when malformed lines are to be skipped', async () => {
    const content = Buffer.concat([
      Buffer.from('1\nbad\n'),
      Buffer.from([0x22, 0xff, 0x22, 0x0a]),
      Buffer.from('"\ufffd"\n2\n'),
    ]);
    const path = await input('in.jsonl', content);
    const { values, context } = await drainSource(files.jsonl(path, { onMalformed: 'skip' }).source);
    expect(values).toEqual([1, '\ufffd', 2]);
    expect(context.counts.get('malformedRecords')).toBe(2);
    expect(await expectExactResume(files.jsonl(path, { onMalformed: 'skip' }).source)).toEqual(values);
  });

  it('keeps text, place and reason of malformed lines when they go to a dead-letter file', async () => {
    const workingDirectory = await temporaryDirectory();
    await writeFile(
      join(workingDirectory, 'in.jsonl'),
      Buffer.concat([Buffer.from('1\nbad\n'), Buffer.from([0xff, 0x0a]), Buffer.from('2')]),
    );
    const { source } = files.jsonl('in.jsonl', { onMalformed: { deadLetterFile: 'dead/letters.jsonl' } });
    const { values, context } = await drainSource(source, { workingDirectory });
    expect(values).toEqual([1, 2]);
    expect(context.counts.get('malformedRecords')).toBe(2);
    const letters = (await readFile(join(workingDirectory, 'dead/letters.jsonl'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const file = join(workingDirectory, 'in.jsonl');
    expect(letters).toEqual([
      { file, line: 2, byteOffset: 2, reason: expect.stringContaining('not JSON'), raw: 'bad' },
      { file, line: 3, byteOffset: 6, reason: 'the text is not valid UTF-8', rawBase64: '/w==' },
    ]);
  });

  it('names the limit when a line is too long', async () => {
    const path = await input('in.jsonl', `1\n"${'x'.repeat(100)}"\n`);
    await expect(drainSource(files.jsonl(path, { lineMaxBytes: 50 }).source)).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
      message: expect.stringMatching(/line 2 \(byte 2\).*the limit is 50.*lineMaxBytes/),
    });
    const endless = Buffer.alloc(200, 0x20);
    await expect(readPieces(new JsonLinesFormat(), endless, [10], 50)).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
    });
  });

  it('says so when a gzip file is cut short or no gzip file', async () => {
    const whole = gzipSync(Array.from({ length: 1000 }, (_, index) => `${index * 7919}\n`).join(''));
    const cut = await input('in.jsonl.gz', whole.subarray(0, whole.length - 20));
    await expect(drainSource(files.jsonl(cut).source)).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      message: expect.stringContaining('not a complete gzip file'),
    });
    const plain = await input('in.jsonl.gz', '1\n2\n');
    await expect(drainSource(files.jsonl(plain).source)).rejects.toMatchObject({ code: 'INPUT_MALFORMED' });
    expect((await drainSource(files.jsonl(plain, { gzip: false }).source)).values).toEqual([1, 2]);
  });

  it('refuses the file when it grew after planning', async () => {
    const path = await input('in.jsonl', '1\n');
    const { source } = files.jsonl(path);
    const [split] = await planAll(source, recordedContext());
    await appendFile(path, '2\n');
    await expect(source.createReader(recordedContext()).openSplit(split!, undefined)).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      message: expect.stringContaining('it had 2 bytes and now has 4'),
    });
  });

  it('refuses the paths when a file is named twice', async () => {
    const path = await input('in.jsonl', '1\n');
    await expect(planAll(files.jsonl([path, path]).source, recordedContext())).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('plans nothing again when the planner is restored', async () => {
    const { source } = files.jsonl(await input('in.jsonl', '1\n'));
    const first = source.createPlanner(recordedContext());
    await first.open(undefined);
    expect((await first.next()).splits).toHaveLength(1);
    const second = source.createPlanner(recordedContext());
    await second.open(structuredClone(first.snapshot()));
    expect(await second.next()).toEqual({ splits: [], done: true });
  });
});

const csvShape = { header: null, delimiter: ',', columns: {} } as const;

describe('files.csv source', () => {
  it('gives typed fields and resumes exactly when records have quotes, line ends in quotes and empty cells', async () => {
    const content = ['id,name,ok', '1,"Smith, ""J""",true', '', '2,"two\r\nlines",0', ',,', '4,5" pipe,FALSE'].join(
      '\r\n',
    );
    const source = files.csv<{ id: number; name: string; ok: boolean }>(await input('in.csv', content), {
      columns: { id: 'number', ok: 'boolean' },
    }).source;
    expect(await expectExactResume(source, {}, 2)).toEqual([
      { id: 1, name: 'Smith, "J"', ok: true },
      { id: 2, name: 'two\r\nlines', ok: false },
      { id: null, name: '', ok: null },
      { id: 4, name: '5" pipe', ok: false },
    ]);
  });

  it('takes names from the option when the file has no header', async () => {
    const source = files.csv(await input('in.csv', '1;2\n3;4'), { header: ['a', 'b'], delimiter: ';' }).source;
    expect(await expectExactResume(source)).toEqual([
      { a: '1', b: '2' },
      { a: '3', b: '4' },
    ]);
  });

  it.each([
    ['field count', 'a,b\n1,2\n3\n', /line 3 \(byte 8\): the record has 1 fields, the header 2/],
    ['text after a quote', 'a\n"x"y\n', /line 2 \(byte 2\): text follows a closing quote/],
    ['open quote', 'a\n1\n"x\ny', /line 3 \(byte 4\): a quoted field is not closed/],
    ['number', 'n\n1\n0x10\n', /line 3 \(byte 4\): "0x10" in column "n" is not a number/],
    ['number', 'n\n1\n"5 "\n', /line 3 \(byte 4\): "5 " in column "n" is not a number/],
    ['line after quoted line ends', 'a,n\n"x\ny",1\nz,?\n', /line 4 \(byte 12\)/],
  ])('names line and byte when the %s is wrong', async (_, content, message) => {
    const source = files.csv<{ n: number }>(
      await input('in.csv', content),
      content.includes('n') ? { columns: { n: 'number' } } : {},
    ).source;
    await expect(drainSource(source)).rejects.toMatchObject({
      code: 'INPUT_MALFORMED',
      message: expect.stringMatching(message),
    });
  });

  it('names the nearest columns when a type is given for one that does not exist', async () => {
    const source = files.csv<{ prize: number }>(await input('in.csv', 'price,name\n1,a\n'), {
      columns: { prize: 'number' },
    }).source;
    await expect(drainSource(source)).rejects.toMatchObject({
      code: 'PARAMETER_INVALID',
      message: expect.stringContaining('Nearest: "price"'),
    });
  });

  it('gives what csv-parse gives when text is arbitrary and comes in pieces', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'ü', '😀', '0'), maxLength: 6 });
    const table = fc
      .integer({ min: 1, max: 4 })
      .chain((width) =>
        fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 }),
      );
    await fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 9 }), async (rows, size) => {
        const names = rows[0]!.map((_, index) => `c${index}`);
        const encoder = new CsvEncoder<Record<string, string>>({ delimiter: ',', withHeader: true, columns: names });
        const body = rows
          .map((row) => encoder.encode(Object.fromEntries(row.map((value, index) => [names[index] as string, value]))))
          .join('');
        const text = encoder.header() + body;
        const oracle: unknown = parse(text, { columns: true, record_delimiter: '\n' });
        const read = await readPieces(new CsvFormat<unknown>('in', csvShape, null), Buffer.from(text), [size]);
        expect(read).toEqual(oracle);
        expect(read.map((row) => Object.values(row as Record<string, string>))).toEqual(rows);
      }),
      { numRuns: 300 },
    );
  });

  it('reads airports as csv-parse does when given the real file', async () => {
    const path = new URL('../../../node_modules/vega-datasets/data/airports.csv', import.meta.url).pathname;
    const { values } = await drainSource(files.csv(path).source);
    expect(values).toEqual(parse(await readFile(path), { columns: true }));
  });
});
