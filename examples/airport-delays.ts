/**
 * Delays at US airports, from three million real flights. A flight's event time is when it really happened: scheduled time
 * plus delay, so flights arrive out of order by up to 24 hours, and some later than that.
 *
 *     npm run demo
 *     npx millrace run examples/airport-delays.ts --state-dir .millrace/airport-delays
 */
import { avg, count, days, defineJob, hours, max, params, quantile, sum, topN, tumbling } from 'millrace';
import { files } from 'millrace/files';

interface Flight {
  /** Scheduled departure, ms since the epoch. */
  date: number;
  /** Minutes; negative when early. */
  delay: number;
  origin: string;
}

const minuteMs = 60_000;

export default defineJob('airport-delays', (env) => {
  const { input, output } = env.params({
    input: params.string({
      default: 'node_modules/vega-datasets/data/flights-3m.parquet',
      description: 'Parquet file of flights',
    }),
    output: params.string({ default: 'out/airport-delays', description: 'directory of the results' }),
  });

  // Per airport and hour. A flight whose hour was already over by 24 hours is late and goes to a file of its own.
  const hourly = env
    .from(files.parquet<Flight>(input, { columns: ['date', 'delay', 'origin'] }), { uid: 'flights' })
    .withTimestamps((flight) => flight.date + flight.delay * minuteMs, { outOfOrderness: hours(24) })
    .uid('event-time')
    .keyBy((flight) => flight.origin)
    .window(tumbling(hours(1)))
    .aggregate({
      flights: count(),
      delaySum: sum((flight) => flight.delay),
      mean: avg((flight) => flight.delay),
      p95: quantile(0.95, (flight) => flight.delay),
      worst: max((flight) => flight.delay),
    })
    .uid('hourly');

  hourly
    .late()
    .to(files.jsonl(`${output}/late`))
    .uid('late-flights');

  hourly
    .map(({ key, windowStart, flights, delaySum, mean, p95, worst }) => {
      return { origin: key, hour: new Date(windowStart).toISOString(), flights, delaySum, mean, p95, worst };
    })
    .to(files.jsonl(`${output}/hourly`))
    .uid('hourly-delays');

  // Per day, from the hourly results: the ten airports with the worst mean delay among those with at least ten flights.
  hourly
    .keyBy((hour) => hour.key)
    .window(tumbling(days(1)))
    .aggregate({ flights: sum((hour) => hour.flights), delaySum: sum((hour) => hour.delaySum) })
    .uid('daily')
    .filter((day) => day.flights >= 10)
    .keyBy((day) => day.windowStart)
    .window(tumbling(days(1)))
    .aggregate({ worst: topN(10, (day) => day.delaySum / day.flights, { ties: (day) => day.key }) })
    .uid('worst-of-day')
    .map(({ key, worst }) => ({
      day: new Date(key).toISOString().slice(0, 10),
      worst: worst.map((day) => ({ origin: day.key, flights: day.flights, mean: day.delaySum / day.flights })),
    }))
    .to(files.jsonl(`${output}/worst-by-day`))
    .uid('worst-airports');
});
