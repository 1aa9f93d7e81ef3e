/**
 * Clicks per page and day, not only when the day is over: every few clicks there is a result so far. The trigger is made of
 * two that exist; an early result is corrected by the next one and at last by that of the whole day.
 *
 *     npx millrace run examples/triggers.ts -- --every 2
 */
import { count, countTrigger, days, defineJob, eventTimeTrigger, minutes, params, tumbling } from 'millrace';
import type { ValueStateDeclaration, WindowTrigger } from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  page: string;
  at: string;
}

export default defineJob('triggers', (env) => {
  const { input, output, every } = env.params({
    input: params.string({ default: 'examples/data/clicks.jsonl', description: 'JSON lines with user, page and at' }),
    output: params.string({ default: 'out/triggers', description: 'directory of the results' }),
    every: params.integer({ default: 2, description: 'clicks of a page from one early result to the next' }),
  });

  env
    .from(files.jsonl<Click>(input), { uid: 'clicks' })
    .withTimestamps((click) => Date.parse(click.at), { outOfOrderness: minutes(10) })
    .uid('event-time')
    .keyBy((click) => click.page)
    .window(tumbling(days(1)))
    .trigger(everyAndAtEnd(every))
    .aggregate({ clicks: count() }, ({ key, clicks }, { window, watermark }) => ({
      page: key,
      day: new Date(window.start).toISOString().slice(0, 10),
      clicks,
      early: watermark < window.end - 1,
    }))
    .uid('clicks-per-day')
    .to(files.jsonl(output))
    .uid('results');
});

/** Fires at every `n`-th record, and at the end of the window. */
function everyAndAtEnd(n: number): WindowTrigger<unknown, { readonly count: ValueStateDeclaration<number> }> {
  const atCount = countTrigger(n);
  const atEnd = eventTimeTrigger();
  return {
    ...atCount,
    kind: 'every-and-at-end',
    onElement(click, context) {
      // Both are asked: one counts, the other sets its timer.
      const results = [atCount.onElement(click, context), atEnd.onElement(click, context)];
      return results.includes('fire') ? 'fire' : 'continue';
    },
    onEventTime: (timeMs, context) => atEnd.onEventTime?.(timeMs, context) ?? 'continue',
    clear: (context) => atEnd.clear?.(context),
  };
}
