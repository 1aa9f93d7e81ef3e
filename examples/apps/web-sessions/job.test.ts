/** The log job under virtual time, and its parser by itself. */
import { assertDeterministic, checkpoint, crash, runJob, simulateJob } from 'millrace/testing';
import { expect, test } from 'vitest';
import job from './job.ts';
import { parseLogLine } from './log-line.ts';

const line = (visitor: string, time: string, page: string, status = 200): string =>
  `${visitor} - - [01/Mar/2026:${time} +0000] "GET ${page} HTTP/1.1" ${status} 512 "-" "test"`;

interface Session {
  readonly visitor: string;
  readonly from: string;
  readonly until: string;
  readonly views: number;
}

const timesOf = ({ visitor, from, until, views }: Session): string =>
  `${visitor} ${from.slice(11, 19)} ${until.slice(11, 19)} ${views}`;

test('a log line gives visitor, page without query, status and time in UTC', () => {
  const text = '192.0.2.1 - ada [01/Mar/2026:12:30:00 +0200] "POST /cart?item=3 HTTP/1.1" 404 12 "-" "a \\"b\\""';
  const at = Date.UTC(2026, 2, 1, 10, 30);
  expect(parseLogLine(text)).toEqual({ visitor: '192.0.2.1', page: '/cart', status: 404, at });
});

test('a session goes on for half an hour after a page of the documentation and ten minutes after others', async () => {
  const lines = [line('a', '10:00:00', '/docs/start'), line('a', '10:29:00', '/'), line('a', '10:40:00', '/')];
  const { outputs } = await runJob(job, { inputs: { lines } });
  expect(outputs<Session>('sessions-out').map(timesOf)).toEqual(['a 10:00:00 10:39:00 2', 'a 10:40:00 10:50:00 1']);
});

test('lines that are none, errors and files of the design are no views', async () => {
  const lines = ['hello', line('a', '10:00:00', '/missing', 404), line('a', '10:00:00', '/assets/a.css'), '["b'];
  const { outputs } = await runJob(job, { inputs: { lines: [...lines, line('b', '10:00:00', '/')] } });
  expect(outputs<Session>('sessions-out').map(({ visitor }) => visitor)).toEqual(['b']);
  expect(outputs<{ line: string }>('malformed').map((broken) => broken.line)).toEqual(['hello', '["b']);
});

test('top pages have the views of ten minutes every five, most viewed first', async () => {
  const views = ['/a', '/b', '/b', '/c'].map((page, index) => line('a', `10:0${index * 2}:00`, page));
  const { outputs } = await runJob(job, { inputs: { lines: views } });
  const top = outputs<{ until: string; top: { page: string; views: number }[] }>('top-pages-out');
  expect(
    top.map((window) => `${window.until.slice(11, 16)} ${window.top.map((p) => p.page + p.views).join(' ')}`),
  ).toEqual(['10:05 /b2 /a1', '10:10 /b2 /a1 /c1', '10:15 /c1']);
});

test('half of the visitors bounce, also when the job crashes in between', async () => {
  const lines = [
    line('a', '10:00:00', '/'),
    line('b', '10:00:30', '/'),
    checkpoint(),
    line('a', '10:01:00', '/docs'),
    crash(),
  ];
  const { outputs, restarts } = await runJob(job, { inputs: { lines }, parallelism: 2 });
  expect(restarts).toBe(1);
  expect(outputs<object>('bounces-out')).toEqual([
    { hour: '2026-03-01T10:00:00.000Z', sessions: 2, bounces: 1, rate: 0.5 },
  ]);
});

test('sessions, top pages and rates do not depend on crashes and parallelism', async () => {
  const lines = Array.from({ length: 40 }, (_, index) =>
    line(
      `visitor-${index % 5}`,
      `1${Math.floor(index / 20)}:${10 + index}:00`,
      ['/', '/docs', '/prices'][index % 3] as string,
    ),
  );
  assertDeterministic(await simulateJob(job, { inputs: { lines }, seeds: 15 }));
});
