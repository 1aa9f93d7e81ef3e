/**
 * Readings on their way to a service that takes many at a time: a station's readings go out when there are 40 of them, and at
 * the latest when the second is over by the clock. Beside it a count of what has come so far, four times a second. Both ask
 * the clock and not the times of records, so each run cuts differently; no reading is lost or sent twice.
 *
 *     npx millrace run examples/batches.ts
 */
import {
  continuousProcessingTime,
  count,
  countTrigger,
  days,
  defineJob,
  emits,
  max,
  milliseconds,
  params,
  processingTimeTrigger,
  purging,
  seconds,
  tumbling,
} from 'millrace';
import type { ValueStateDeclaration, WindowTrigger } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

interface Reading {
  id: number;
  station: string;
  celsius: number;
}

interface Batch {
  station: string;
  readings: readonly number[];
}

const batchSize = 40;

export default defineJob('batches', (env) => {
  const { readings: readingCount, output } = env.params({
    readings: params.integer({ default: 2_000, description: 'readings to make, 1,000 a second' }),
    output: params.string({ default: 'out/batches', description: 'directory of the results' }),
  });

  const readings = env.from(
    generator<Reading>({
      count: readingCount,
      ratePerSecond: 1_000,
      make: (id, random) => ({ id, station: random.int(4) === 0 ? 'south' : 'north', celsius: random.int(40) }),
    }),
    { uid: 'readings' },
  );

  readings
    .keyBy((reading) => reading.station)
    .window(tumbling(seconds(1), { time: 'processing' }))
    // Purging: what went out with one batch is not in the next.
    .trigger(purging(fullOrOver(batchSize)))
    .process(emits<Batch>(), {
      onWindow: (found, { key, emit }) => emit({ station: key, readings: found.map((reading) => reading.id) }),
    })
    .uid('batches')
    .to(files.jsonl(`${output}/batches`))
    .uid('batches-out');

  readings
    .windowAll(tumbling(days(1), { time: 'processing' }))
    .trigger(continuousProcessingTime(milliseconds(250)))
    .aggregate({ readings: count(), warmest: max((reading) => reading.celsius) })
    .uid('so-far')
    .to(files.jsonl(`${output}/so-far`))
    .uid('so-far-out');
});

/** Fires at every `n`-th record, and when the clock has passed the end of the window. */
function fullOrOver(n: number): WindowTrigger<unknown, { readonly count: ValueStateDeclaration<number> }> {
  const full = countTrigger(n);
  const over = processingTimeTrigger();
  return {
    ...full,
    kind: 'full-or-over',
    onElement(reading, context) {
      // Both are asked: one counts, the other sets its timer.
      const results = [full.onElement(reading, context), over.onElement(reading, context)];
      return results.includes('fire') ? 'fire' : 'continue';
    },
    onProcessingTime: (timeMs, context) => over.onProcessingTime?.(timeMs, context) ?? 'continue',
    clear: (context) => over.clear?.(context),
  };
}
