/**
 * What the demo shows at its end: the worst airports, read from the results as any other program would read them, through
 * the manifest of the sink.
 */
import { join } from 'node:path';

/**
 * Lines of text about the committed results.
 * @param readCommitted of millrace/files
 * @param output the directory of the job's results
 */
export async function demoResults(readCommitted, output) {
  const days = [];
  for await (const { line } of readCommitted(join(output, 'worst-by-day'))) days.push(JSON.parse(line));
  days.sort((left, right) => (left.day < right.day ? -1 : 1));
  // The input ends in the middle of its last day: the day before is the last whole one.
  const last = days.at(-2) ?? days.at(-1);
  if (last === undefined) return ['no day is complete yet'];
  return [
    `Worst airports of ${last.day} (mean delay, at least ten flights)`,
    ...table(last.worst),
    '',
    mostOften(days),
    `Results: JSON lines in ${output}: hourly, worst-by-day, late`,
  ];
}

function table(worst) {
  const rows = worst.map(({ origin, flights, mean }) => [origin, String(flights), `${mean.toFixed(1)} min`]);
  return [['airport', 'flights', 'mean delay'], ...rows].map(
    ([airport, flights, mean]) => `  ${airport.padEnd(8)}${flights.padStart(7)}${mean.padStart(13)}`,
  );
}

function mostOften(days) {
  const times = new Map();
  for (const { worst } of days) for (const { origin } of worst) times.set(origin, (times.get(origin) ?? 0) + 1);
  const [airport, count] = [...times].sort(
    ([left, leftCount], [right, rightCount]) => rightCount - leftCount || (left < right ? -1 : 1),
  )[0];
  return `Most often among the ten worst of a day: ${airport}, on ${count} of ${days.length} days`;
}
