/**
 * Visits to a web site, as session windows: clicks of a user with no longer pause than the gap are one visit. Shop pages are
 * read longer, so their gap is twice as long. The same by hand, with state and timers: sessions.ts.
 *
 *     npx millrace run examples/web-sessions.ts -- --gap 15m
 */
import { count, defineJob, minutes, params, session } from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  page: string;
  at: string;
}

export default defineJob('web-sessions', (env) => {
  const { input, output, gap } = env.params({
    input: params.string({ default: 'examples/data/clicks.jsonl', description: 'JSON lines with user, page and at' }),
    output: params.string({ default: 'out/web-sessions', description: 'directory of the results' }),
    gap: params.duration({ default: minutes(30), description: 'a longer pause ends a session' }),
  });

  env
    .from(files.jsonl<Click>(input), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { outOfOrderness: minutes(10) })
    .uid('event-time')
    .keyBy((click) => click.user)
    .window(session((click) => (click.page === '/prices' ? 2 * gap : gap)))
    .aggregate({ clicks: count() })
    .uid('sessions')
    .map(({ key, windowStart, windowEnd, clicks }) => {
      return { user: key, from: new Date(windowStart).toISOString(), until: new Date(windowEnd).toISOString(), clicks };
    })
    .to(files.jsonl(output))
    .uid('results');
});
