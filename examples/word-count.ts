/**
 * The words of a diary: how often each was written per day, and the three most frequent of each day.
 *
 *     npx millrace run examples/word-count.ts
 */
import { count, days, defineJob, hours, params, topN, tumbling } from 'millrace';
import { files } from 'millrace/files';

interface Entry {
  at: string;
  text: string;
}

export default defineJob('word-count', (env) => {
  const { input, output } = env.params({
    input: params.string({ default: 'examples/data/diary.jsonl', description: 'JSON lines with at and text' }),
    output: params.string({ default: 'out/word-count', description: 'directory of the results' }),
  });

  const daily = env
    .from(files.jsonl<Entry>(input), { uid: 'diary' })
    // Notes may be written up to half a day after the newest one.
    .withTimestamps((entry) => Date.parse(entry.at), { outOfOrderness: hours(12) })
    .uid('event-time')
    .flatMap((entry) => entry.text.toLowerCase().match(/\p{L}+/gu) ?? [])
    .keyBy((word) => word)
    .window(tumbling(days(1)))
    .aggregate({ times: count() })
    .uid('daily');

  daily
    .map(({ key, windowStart, times }) => ({ day: dayOf(windowStart), word: key, times }))
    .to(files.jsonl(`${output}/words`))
    .uid('words');

  // A window's result has the time of the window's last millisecond, so it falls into the same day again.
  daily
    .keyBy((word) => word.windowStart)
    .window(tumbling(days(1)))
    .aggregate({ top: topN(3, (word) => word.times, { ties: (word) => word.key }) })
    .uid('top-of-day')
    .map(({ key, top }) => ({ day: dayOf(key), words: top.map((word) => word.key) }))
    .to(files.jsonl(`${output}/top`))
    .uid('top');
});

function dayOf(timestampMs: number): string {
  return new Date(timestampMs).toISOString().slice(0, 10);
}
