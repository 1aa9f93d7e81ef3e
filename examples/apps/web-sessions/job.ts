/**
 * A web server's log becomes sessions of its visitors, the top pages of the last ten minutes, and the share of visitors who
 * left after one page. A session goes on for longer after a page that takes long to read: the gap is that of the page.
 *
 *     npx millrace run examples/apps/web-sessions/job.ts
 */
import {
  count,
  countDistinct,
  defineJob,
  type FailedRecord,
  filtered,
  first,
  hours,
  last,
  minutes,
  outputTag,
  params,
  session,
  sideOutput,
  sliding,
  topN,
  tumbling,
} from 'millrace';
import { files } from 'millrace/files';
import { parseLogLine } from './log-line.ts';

const malformed = outputTag<FailedRecord<string>>('malformed');
const iso = (timeMs: number): string => new Date(timeMs).toISOString();

export default defineJob('web-sessions-app', (env) => {
  const { log, output, gap, longGap } = env.params({
    log: params.string({
      default: 'examples/apps/web-sessions/data/access.log',
      description: 'file in common log format, or a directory of such files',
    }),
    output: params.string({ default: 'out/web-sessions-app', description: 'directory of the results' }),
    gap: params.duration({ default: minutes(10), description: 'silence that ends a session' }),
    longGap: params.duration({ default: minutes(30), description: 'the same after a page below /docs' }),
  });
  const parsed = env
    .from(files.lines(log), { uid: 'lines' })
    .map(parseLogLine)
    .uid('parse')
    .onError(sideOutput(malformed));
  parsed
    .sideOutput(malformed)
    .map(({ record, message }) => ({ line: record, problem: message }))
    .to(files.jsonl(`${output}/malformed`))
    .uid('malformed');
  const views = parsed
    .withTimestamps((request) => request.at, { outOfOrderness: minutes(1) })
    .uid('times')
    .filter(({ status, page }) => status === 200 && !page.startsWith('/assets/'))
    .uid('views');

  const sessions = views
    .keyBy((view) => view.visitor)
    .window(session((view) => (view.page.startsWith('/docs') ? longGap : gap)))
    .aggregate({
      views: count(),
      pages: countDistinct((view) => view.page),
      entry: first((view) => view.page),
      exit: last((view) => view.page),
    })
    .uid('sessions');
  sessions
    .map(({ key, windowStart, windowEnd, ...totals }) => ({
      visitor: key,
      from: iso(windowStart),
      until: iso(windowEnd),
      ...totals,
    }))
    .to(files.csv(`${output}/sessions`))
    .uid('sessions-out');

  sessions
    .windowAll(tumbling(hours(1)))
    .aggregate({ sessions: count(), bounces: filtered(count(), (visit) => visit.views === 1) })
    .uid('bounces')
    .map(({ windowStart, sessions, bounces }) => ({
      hour: iso(windowStart),
      sessions,
      bounces,
      rate: bounces / sessions,
    }))
    .to(files.jsonl(`${output}/bounces`))
    .uid('bounces-out');

  const slide = minutes(5);
  views
    .keyBy((view) => view.page)
    .window(sliding(minutes(10), slide))
    .aggregate({ views: count() })
    .uid('page-views')
    // The results of one window have the time of its end, so a window of the slide has those of exactly one.
    .windowAll(tumbling(slide))
    .aggregate({ top: topN(3, (page) => page.views, { ties: (page) => page.key }) })
    .uid('top-pages')
    .map(({ windowEnd, top }) => ({ until: iso(windowEnd), top: top.map(({ key, views }) => ({ page: key, views })) }))
    .to(files.jsonl(`${output}/top-pages`))
    .uid('top-pages-out');
});
