/**
 * Readings of meters from two regions that keep time differently: the north sends readings out of order, the south says
 * itself how far it is. Per hour the spread of all readings, with a result every 20 minutes before the hour is over; the readings
 * that are like the last one of the hour; and for each meter what it read until its reading jumps.
 *
 *     npx millrace run examples/power-meters.ts
 */
import {
  bounded,
  continuousEventTime,
  count,
  customWatermarks,
  defineJob,
  deltaEvictor,
  deltaTrigger,
  emits,
  globalWindow,
  hours,
  minutes,
  params,
  purging,
  quantileSketch,
  tumbling,
  type WatermarkGenerator,
} from 'millrace';
import { files } from 'millrace/files';

interface Reading {
  meter: string;
  kwh: number;
  at: string;
}

interface Readings {
  meter: string;
  kwh: readonly number[];
}

/** Time is that of the record before the last one: a generator of one's own, whose state is in checkpoints. */
class OneBehind implements WatermarkGenerator<Reading> {
  #times: readonly [number, number] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];

  onEvent(_reading: Readonly<Reading>, timestampMs: number): void {
    this.#times = [this.#times[1], Math.max(this.#times[1], timestampMs)];
  }

  watermark(): number {
    return this.#times[0];
  }

  snapshot(): readonly number[] {
    return this.#times;
  }

  restore(state: unknown): void {
    this.#times = state as readonly [number, number];
  }
}

export default defineJob('power-meters', (env) => {
  const { north, south, output } = env.params({
    north: params.string({
      default: 'examples/data/meters-north.jsonl',
      description: 'JSON lines with meter, kwh and at',
    }),
    south: params.string({ default: 'examples/data/meters-south.jsonl', description: 'the same of the other region' }),
    output: params.string({ default: 'out/power-meters', description: 'directory of the results' }),
  });

  const timeOf = (reading: Readonly<Reading>): number => Date.parse(reading.at);
  const northern = env
    .from(files.jsonl<Reading>(north), { uid: 'north' })
    .withTimestamps(timeOf, { watermarks: bounded(minutes(30)), onBadTimestamp: 'skip' })
    .uid('north-time');
  const southern = env
    .from(files.jsonl<Reading>(south), { uid: 'south' })
    .withTimestamps(timeOf, { watermarks: customWatermarks(() => new OneBehind()), onBadTimestamp: 'skip' })
    .uid('south-time');
  const readings = northern.union(southern);

  readings
    .windowAll(tumbling(hours(1)))
    .trigger(continuousEventTime(minutes(20)))
    .allowedLateness(hours(24))
    .aggregate({ readings: count(), middle: quantileSketch(0.5, (reading) => reading.kwh) })
    .uid('spread')
    .to(files.jsonl(`${output}/spread`))
    .uid('spread-out');

  const byMeter = readings.keyBy((reading) => reading.meter);
  const kwhOf = {
    onWindow(found: readonly Readonly<Reading>[], { key, emit }: { key: string; emit(value: Readings): void }): void {
      emit({ meter: key, kwh: found.map((reading) => reading.kwh) });
    },
  };

  byMeter
    .window(tumbling(hours(24)))
    .evictor(deltaEvictor(2, (reading, newest) => Math.abs(reading.kwh - newest.kwh)))
    .allowedLateness(hours(24))
    .process(emits<Readings>(), kwhOf)
    .uid('alike')
    .to(files.jsonl(`${output}/alike`))
    .uid('alike-out');

  byMeter
    .window(globalWindow())
    // Purging: a firing takes the records out, the next one begins with what came after the jump.
    .trigger(
      purging(deltaTrigger(1, (before: Readonly<Reading>, now: Readonly<Reading>) => Math.abs(now.kwh - before.kwh))),
    )
    .process(emits<Readings>(), kwhOf)
    .uid('jumps')
    .to(files.jsonl(`${output}/jumps`))
    .uid('jumps-out');
});
