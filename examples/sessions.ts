/**
 * Visits to a web site: the clicks of a user belong to one session as long as no gap between them is too long. A keyed
 * function with state and timers; clicks may come out of order.
 *
 *     npx millrace run examples/sessions.ts -- --gap 30m
 */
import { defineJob, emits, minutes, params, valueState } from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  page: string;
  at: string;
}

interface Session {
  user: string;
  from: string;
  to: string;
  clicks: number;
  pages: readonly string[];
}

/** What is known of a session that may go on. */
interface OpenSession {
  first: number;
  last: number;
  clicks: number;
  pages: readonly string[];
}

export default defineJob('sessions', (env) => {
  const { input, output, gap } = env.params({
    input: params.string({ default: 'examples/data/clicks.jsonl', description: 'JSON lines with user, page and at' }),
    output: params.string({ default: 'out/sessions', description: 'directory of the results' }),
    gap: params.duration({ default: minutes(30), description: 'a longer pause ends a session' }),
  });

  env
    .from(files.jsonl<Click>(input), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { outOfOrderness: minutes(10) })
    .uid('event-time')
    .keyBy((click) => click.user)
    .process(emits<Session>(), {
      // Several: clicks of a later session may come before event time has passed the end of an earlier one.
      state: { open: valueState<readonly OpenSession[]>() },
      onRecord(click, { state, timers, timestamp }) {
        let session: OpenSession = { first: timestamp, last: timestamp, clicks: 1, pages: [click.page] };
        const others: OpenSession[] = [];
        for (const open of state.open.value() ?? []) {
          const belongs = timestamp < open.last + gap && timestamp > open.first - gap;
          if (belongs) session = merged(open, session);
          else others.push(open);
        }
        state.open.update([...others, session]);
        // The timer of an earlier click of the session will find that the session went on, and do nothing.
        timers.registerEventTime(session.last + gap);
      },
      onTimer(timestampMs, { key, state, emit }) {
        const open = state.open.value() ?? [];
        for (const { first, last, clicks, pages } of open.filter((session) => session.last + gap <= timestampMs)) {
          emit({ user: key, from: new Date(first).toISOString(), to: new Date(last).toISOString(), clicks, pages });
        }
        const left = open.filter((session) => session.last + gap > timestampMs);
        if (left.length === 0) state.open.clear();
        else state.open.update(left);
      },
    })
    .uid('sessions')
    .to(files.jsonl(output))
    .uid('results');
});

/** Two sessions that a click between them made one. */
function merged(left: OpenSession, right: OpenSession): OpenSession {
  return {
    first: Math.min(left.first, right.first),
    last: Math.max(left.last, right.last),
    clicks: left.clicks + right.clicks,
    pages: [...new Set([...left.pages, ...right.pages])].sort(),
  };
}
