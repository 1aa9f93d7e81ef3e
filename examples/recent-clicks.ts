/**
 * What users did last: windows that are not cut by time, or keep only a part of their records. For each click the newest
 * three pages of its user (a global window with an evictor), every two clicks of a user as a pair (a count window), what a
 * user did in the last half hour of the day, and the clicks of all users per hour.
 *
 *     npx millrace run examples/recent-clicks.ts
 */
import {
  aggregateOf,
  count,
  countDistinct,
  countEvictor,
  countTrigger,
  countWindow,
  days,
  defineJob,
  emits,
  globalWindow,
  hours,
  minutes,
  params,
  timeEvictor,
  tumbling,
} from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  page: string;
  at: string;
}

interface Pages {
  user: string;
  pages: readonly string[];
}

/** The longest of the texts: an aggregate of one's own. */
const longestPage = aggregateOf<Click, string, string>({
  create: () => '',
  add: (longest, { page }) => (page.length > longest.length ? page : longest),
  merge: (left, right) => (right.length > left.length ? right : left),
  result: (longest) => longest,
});

/** Emits the pages of a window's clicks with the user. */
const pagesOf = {
  onWindow(clicks: readonly Readonly<Click>[], { key, emit }: { key: string; emit(value: Pages): void }): void {
    emit({ user: key, pages: clicks.map((click) => click.page) });
  },
};

export default defineJob('recent-clicks', (env) => {
  const { input, output } = env.params({
    input: params.string({ default: 'examples/data/clicks.jsonl', description: 'JSON lines with user, page and at' }),
    output: params.string({ default: 'out/recent-clicks', description: 'directory of the results' }),
  });

  const clicks = env
    .from(files.jsonl<Click>(input), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { outOfOrderness: minutes(10) })
    .uid('event-time');
  const byUser = clicks.keyBy((click) => click.user);

  byUser
    .window(globalWindow())
    .trigger(countTrigger(1))
    // What the evictor drops is gone from state as well: the window never has more than three records.
    .evictor(countEvictor(3))
    .process(emits<Pages>(), pagesOf)
    .uid('last-three')
    .to(files.jsonl(`${output}/last-three`))
    .uid('last-three-out');

  byUser
    .window(countWindow(2))
    .process(emits<Pages>(), pagesOf)
    .uid('pairs')
    .to(files.jsonl(`${output}/pairs`))
    .uid('pairs-out');

  byUser
    .window(tumbling(days(1)))
    .evictor(timeEvictor(minutes(30)))
    .process(emits<Pages>(), pagesOf)
    .uid('last-half-hour')
    .to(files.jsonl(`${output}/last-half-hour`))
    .uid('last-half-hour-out');

  clicks
    .windowAll(tumbling(hours(1)))
    .aggregate({ clicks: count(), users: countDistinct((click) => click.user), longest: longestPage })
    .uid('per-hour')
    .map(({ windowStart, clicks: seen, users, longest }) => ({
      hour: new Date(windowStart),
      clicks: seen,
      users,
      longest,
    }))
    .uid('hours')
    .to(files.jsonl(`${output}/per-hour`))
    .uid('per-hour-out');
});
