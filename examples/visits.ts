/**
 * First visits, every third click, and a profile of each user: dedup, count windows, and state that combines by itself.
 *
 *     npx millrace run examples/visits.ts
 */
import {
  aggregatingState,
  count,
  countDistinct,
  countWindow,
  defineJob,
  emits,
  last,
  params,
  reducingState,
} from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  page: string;
  at: string;
}

interface Profile {
  user: string;
  clicks: number;
  newest: string;
}

export default defineJob('visits', (env) => {
  const { output } = env.params({
    output: params.string({ default: 'out/visits', description: 'directory of the results' }),
  });
  const clicks = env.from(files.jsonl<Click>('examples/data/clicks.jsonl'), { uid: 'clicks' });

  // The first click of each user on each page, in order of arrival.
  clicks
    .keyBy((click) => [click.user, click.page])
    .dedup({ keep: 'first', by: 'arrival' })
    .uid('first-visits')
    .to(files.jsonl(`${output}/first`))
    .uid('first-out');

  // A result for every third click of a user, whenever it comes.
  const byUser = clicks.keyBy((click) => click.user);
  byUser
    .window(countWindow(3))
    .aggregate({ pages: countDistinct((click) => click.page), newest: last((click) => click.at) })
    .uid('thirds')
    .to(files.jsonl(`${output}/thirds`))
    .uid('thirds-out');

  // What is added to these states is combined with what is there.
  byUser
    .process(emits<Profile>(), {
      state: {
        clicks: aggregatingState(count()),
        newest: reducingState<string>((left, right) => (left < right ? right : left)),
      },
      onRecord(click, { key, state, emit }) {
        state.clicks.add(click);
        state.newest.add(click.at);
        emit({ user: key, clicks: state.clicks.value() ?? 0, newest: state.newest.value() ?? '' });
      },
    })
    .uid('profiles')
    .to(files.jsonl(`${output}/profiles`))
    .uid('profiles-out');
});
