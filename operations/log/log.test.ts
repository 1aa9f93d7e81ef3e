import { expect, test } from 'vitest';
import type { LogRecord } from '../../core/log-record.ts';
import type { LogLine } from '../../proto/client-messages.ts';
import { followerLinesMax, LogBuffer, toLogLine } from './log-buffer.ts';
import { LogRing, logTextMax } from './log-ring.ts';
import { ProcessLog } from './process-log.ts';

const line = (text: string, more: Partial<LogLine> = {}): LogLine => {
  return { timeMs: 1, level: 'info', taskManagerId: null, jobId: null, text, ...more };
};
const all = { job: null, taskManagerId: null, lines: 100, follow: false };

async function texts(lines: AsyncIterable<LogLine>): Promise<string[]> {
  const found: string[] = [];
  for await (const { text } of lines) found.push(text);
  return found;
}

test('the buffer keeps the newest lines when there are more than it holds', async () => {
  const buffer = new LogBuffer({ lines: 3 });
  for (const text of ['a', 'b', 'c', 'd', 'e']) buffer.add(line(text));
  expect(await texts(buffer.tail(all))).toEqual(['c', 'd', 'e']);
  expect(await texts(buffer.tail({ ...all, lines: 2 }))).toEqual(['d', 'e']);
  expect(await texts(buffer.tail({ ...all, lines: 0 }))).toEqual([]);
});

test('the buffer answers the lines of one job or one process when it is asked for them', async () => {
  const buffer = new LogBuffer();
  buffer.add(line('a', { jobId: 'one' }));
  buffer.add(line('b', { jobId: 'two', taskManagerId: 'tm' }));
  buffer.add(line('c', { jobId: 'one', taskManagerId: 'tm' }));
  expect(await texts(buffer.tail({ ...all, job: 'one' }))).toEqual(['a', 'c']);
  expect(await texts(buffer.tail({ ...all, job: 'one', lines: 1 }))).toEqual(['c']);
  expect(await texts(buffer.tail({ ...all, taskManagerId: 'tm' }))).toEqual(['b', 'c']);
});

test('a follower gets every line once when some are logged before it reads', async () => {
  const buffer = new LogBuffer();
  const leave = new AbortController();
  buffer.add(line('a'));
  const lines = buffer.tail({ ...all, follow: true, signal: leave.signal })[Symbol.asyncIterator]();
  buffer.add(line('b'));
  expect((await lines.next()).value.text).toBe('a');
  expect((await lines.next()).value.text).toBe('b');
  const next = lines.next();
  buffer.add(line('c'));
  expect((await next).value.text).toBe('c');
  const last = lines.next();
  leave.abort();
  expect((await last).done).toBe(true);
  expect(buffer.followerCount).toBe(0);
});

test('a follower is told how many lines it missed when it reads too slowly', async () => {
  const buffer = new LogBuffer({ lines: 10 });
  const lines = buffer.tail({ ...all, lines: 0, follow: true })[Symbol.asyncIterator]();
  for (let count = 0; count < followerLinesMax + 7; count++) buffer.add(line(`${count}`));
  for (let count = 0; count < followerLinesMax; count++) expect((await lines.next()).value.text).toBe(`${count}`);
  expect((await lines.next()).value.text).toMatch(/^7 lines are missing/);
  await lines.return?.();
  expect(buffer.followerCount).toBe(0);
});

test('a follower who never read is forgotten when its caller leaves', () => {
  const buffer = new LogBuffer();
  const leave = new AbortController();
  buffer.tail({ ...all, follow: true, signal: leave.signal });
  expect(buffer.followerCount).toBe(1);
  leave.abort();
  expect(buffer.followerCount).toBe(0);
});

test('a line is cut when it is longer than a line may be', async () => {
  const buffer = new LogBuffer();
  buffer.add(line('x'.repeat(logTextMax + 10)));
  expect((await texts(buffer.tail(all)))[0]).toHaveLength(logTextMax + 1);
});

test('a process that logs much does not push out the lines of others', async () => {
  const buffer = new LogBuffer({ lines: 2 });
  buffer.add(line('rare', { taskManagerId: 'a', timeMs: 1 }));
  for (const text of ['1', '2', '3']) buffer.add(line(text, { taskManagerId: 'b', timeMs: 2 }));
  expect(await texts(buffer.tail(all))).toEqual(['rare', '2', '3']);
});

test('lines of several processes come in the order of their clocks', async () => {
  const buffer = new LogBuffer();
  buffer.add(line('third', { timeMs: 3 }));
  buffer.add(line('first', { taskManagerId: 'a', timeMs: 1 }));
  buffer.add(line('second', { taskManagerId: 'b', timeMs: 2 }));
  buffer.add(line('fourth', { taskManagerId: 'a', timeMs: 3 }));
  expect(await texts(buffer.tail(all))).toEqual(['first', 'second', 'third', 'fourth']);
  expect(await texts(buffer.tail({ ...all, lines: 2 }))).toEqual(['third', 'fourth']);
});

test('the largest ring makes room when all together are too large', async () => {
  const buffer = new LogBuffer({ characters: 10 });
  buffer.add(line('aa', { taskManagerId: 'a' }));
  for (const text of ['1111', '2222', '3333']) buffer.add(line(text, { taskManagerId: 'b' }));
  expect(await texts(buffer.tail(all))).toEqual(['aa', '2222', '3333']);
});

test('the process that was silent for longest is forgotten when there are too many', async () => {
  const buffer = new LogBuffer({ sources: 3 });
  buffer.add(line('own'));
  for (const id of ['a', 'b', 'c']) buffer.add(line(id, { taskManagerId: id }));
  expect(await texts(buffer.tail(all))).toEqual(['own', 'b', 'c']);
});

test('a report adds what was not told before, and says what is missing', async () => {
  const buffer = new LogBuffer();
  const report = (firstNumber: number, ...said: string[]) =>
    buffer.addReport({
      taskManagerId: 'tm',
      leaderEpoch: 1,
      firstNumber,
      lines: said.map((text) => ({ timeMs: 1, level: 'info', jobId: null, text })),
    });
  report(5, 'five', 'six');
  report(5, 'five', 'six', 'seven');
  report(5, 'five');
  expect(await texts(buffer.tail(all))).toEqual(['five', 'six', 'seven']);
  report(10, 'ten');
  expect(await texts(buffer.tail({ ...all, lines: 2 }))).toEqual([
    expect.stringMatching(/^2 lines are missing here/),
    'ten',
  ]);
});

test('a ring hands out its lines from a number on when older ones are gone, and stops at so many characters', () => {
  const ring = new LogRing(3);
  for (const text of ['a', 'b', 'c', 'd', 'e']) ring.add(line(text));
  const from = (number: number, characters = 100) => {
    const { firstNumber, lines } = ring.from(number, characters);
    return [firstNumber, ...lines.map(({ text }) => text)];
  };
  expect(from(1)).toEqual([3, 'c', 'd', 'e']);
  expect(from(4)).toEqual([4, 'd', 'e']);
  expect(from(6)).toEqual([6]);
  expect(from(1, 2)).toEqual([3, 'c', 'd']);
  expect(from(1, 0)).toEqual([3, 'c']);
});

test('a ring keeps its numbers when many lines have passed through it', () => {
  const ring = new LogRing(10, 25);
  for (let count = 1; count <= 1_000; count++) ring.add(line(`${count}`.padStart(5, '0')));
  expect(ring.size).toBe(5);
  const { firstNumber, lines } = ring.from(998, 100);
  expect([firstNumber, ...lines.map(({ text }) => text)]).toEqual([998, '00998', '00999', '01000']);
});

function written(format: 'json' | 'text' | 'auto', isTTY: boolean): { lines: string[]; log: ProcessLog } {
  const lines: string[] = [];
  const target = { isTTY, write: (text: string) => lines.push(text) };
  return { lines, log: new ProcessLog({ process: 'tm-1', format, target, nowMs: () => 0 }) };
}

test('a process log writes JSON lines with all fields when it is not on a terminal', () => {
  const { lines, log } = written('auto', false);
  log.child({ job: 'flights-1', operator: 'map', subtask: 3 }).warn('slow\nvery', { attempt: 2, traceId: 'cp-7' });
  expect(lines).toHaveLength(1);
  expect(lines[0]?.endsWith('\n')).toBe(true);
  expect(JSON.parse(lines[0] as string)).toEqual({
    time: '1970-01-01T00:00:00.000Z',
    level: 'warn',
    process: 'tm-1',
    job: 'flights-1',
    operator: 'map',
    subtask: 3,
    attempt: 2,
    traceId: 'cp-7',
    text: 'slow\nvery',
  });
});

test('a process log writes text without control characters when it is on a terminal', () => {
  const { lines, log } = written('auto', true);
  log.info('red \u001b[31m', { job: 'flights-1', operator: 'map', subtask: 3 });
  expect(lines).toEqual(['1970-01-01T00:00:00.000Z info [flights-1, map#3] red �[31m\n']);
});

test('a process log feeds a buffer when it is told to', async () => {
  const buffer = new LogBuffer();
  const onRecord = (record: LogRecord): void => buffer.add(toLogLine(record, 'tm-1'));
  const target = { write: () => undefined };
  const log = new ProcessLog({ process: 'tm-1', format: 'json', target, nowMs: () => 5, onRecord });
  log.warn('slow', { job: 'flights-1', operator: 'map', subtask: 3, attempt: 2 });
  const lines: LogLine[] = [];
  for await (const found of buffer.tail({ ...all, job: 'flights-1' })) lines.push(found);
  expect(lines).toEqual([
    { timeMs: 5, level: 'warn', taskManagerId: 'tm-1', jobId: 'flights-1', text: '[map#3, attempt 2] slow' },
  ]);
});

test('a process log leaves out what matters less than its level', () => {
  const { lines, log } = written('text', false);
  log.debug('detail');
  expect(lines).toEqual([]);
});
