/**
 * Load of servers: the mean and the highest load of each over the last ten minutes, every two minutes. Each measurement is
 * added once, however many windows it is in.
 *
 *     npx millrace run examples/sliding-averages.ts -- --size 20m
 */
import { avg, count, defineJob, max, minutes, params, seconds, sliding } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

interface Measurement {
  server: string;
  load: number;
  at: number;
}

const begin = Date.parse('2026-03-01T00:00:00Z');

export default defineJob('sliding-averages', (env) => {
  const { output, measurements, size, slide } = env.params({
    output: params.string({ default: 'out/sliding-averages', description: 'directory of the results' }),
    measurements: params.number({ default: 3000, description: 'measurements to make, one a second' }),
    size: params.duration({ default: minutes(10), description: 'length of a window' }),
    slide: params.duration({ default: minutes(2), description: 'a new window starts this often' }),
  });

  env
    .from(generator<Measurement>({ count: measurements, make: measurementOf }), { uid: 'measurements' })
    .withTimestamps((measurement) => measurement.at, { outOfOrderness: seconds(5) })
    .uid('event-time')
    .keyBy((measurement) => measurement.server)
    .window(sliding(size, slide))
    .aggregate({ measurements: count(), mean: avg(({ load }) => load), highest: max(({ load }) => load) })
    .uid('averages')
    .map(({ key, windowStart, windowEnd, ...load }) => {
      return { server: key, from: new Date(windowStart).toISOString(), to: new Date(windowEnd).toISOString(), ...load };
    })
    .to(files.jsonl(output))
    .uid('results');
});

/** Three servers in turn; a few measurements arrive after later ones. */
function measurementOf(index: number): Measurement {
  const delayed = index % 7 === 0 ? 4000 : 0;
  return { server: `server-${index % 3}`, load: (index * 37) % 101, at: begin + index * 1000 - delayed };
}
