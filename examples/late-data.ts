/**
 * Power used per hour, from meters that send late and with broken clocks. Each station says when an hour is complete: these
 * records carry the watermark. What comes after is late; what has an impossible time is set aside and moves nothing.
 *
 *     npx millrace run examples/late-data.ts
 */
import {
  defineJob,
  type FailedRecord,
  hours,
  outputTag,
  params,
  punctuated,
  sideOutput,
  sum,
  tumbling,
} from 'millrace';
import { files } from 'millrace/files';

interface Reading {
  readonly meter: string;
  readonly kwh: number;
  readonly at: string;
}

/** Everything before this time has been sent. */
interface Complete {
  readonly complete: string;
}

type Line = Reading | Complete;

const isReading = (line: Line): line is Reading => 'meter' in line;
const impossible = outputTag<FailedRecord<Line>>('impossible');

export default defineJob('late-data', (env) => {
  const { input, output } = env.params({
    input: params.string({ default: 'examples/data/meters', description: 'beginning of the names of the input files' }),
    output: params.string({ default: 'out/late-data', description: 'directory of the results' }),
  });

  const lines = env
    .from(files.jsonl<Line>([`${input}-north.jsonl`, `${input}-south.jsonl`]), { uid: 'lines' })
    .withTimestamps((line) => Date.parse(isReading(line) ? line.at : line.complete), {
      watermarks: punctuated((line, timestampMs) => (isReading(line) ? null : timestampMs - 1)),
      // A meter without a clock would be in the year 9999, and end every hour before.
      maxTimestamp: Date.UTC(2030, 0),
      onBadTimestamp: sideOutput(impossible),
    })
    .uid('event-time');

  const perHour = lines
    .filter(isReading)
    .keyBy((reading) => reading.meter.slice(0, 1))
    .window(tumbling(hours(1)))
    .aggregate({ kwh: sum((reading) => reading.kwh) })
    .uid('per-hour');

  perHour
    .map(({ key, windowStart, kwh }) => ({ station: key, hour: new Date(windowStart).toISOString(), kwh }))
    .to(files.jsonl(`${output}/hours`))
    .uid('hours');
  perHour
    .late()
    .to(files.jsonl(`${output}/late`))
    .uid('late');
  lines
    .sideOutput(impossible)
    .map(({ record }) => record)
    .to(files.jsonl(`${output}/impossible`))
    .uid('impossible');
});
