/**
 * `node dist/cluster-tests/flights/check-flights.js <directory of results> [<Parquet file>]`: compares committed results of the
 * flights job with what SQL computes from the same file. Lines, a hash of them, and "equal" or "different" for each result.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { computeFlightsOracle } from './flights-oracle.ts';
import { committedResults, flightsFile, flightsOutputs } from './flights-run.ts';

const [directory, input = flightsFile] = process.argv.slice(2);
if (directory === undefined) throw new Error('give the directory of the results');
const results = await committedResults({ outputs: flightsOutputs(resolve(directory)) });
const oracle = await computeFlightsOracle(resolve(input));
const hash = (lines: readonly string[]): string => createHash('sha256').update(lines.join('\n')).digest('hex');
let different = 0;
for (const name of ['hourly', 'late', 'worst'] as const) {
  const [found, wanted] = [results[name], oracle[name]];
  const equal = hash(found) === hash(wanted);
  if (!equal) different++;
  const verdict = equal ? 'equal to SQL' : `different from SQL: ${wanted.length} lines, sha256 ${hash(wanted)}`;
  process.stdout.write(`${name}: ${found.length} lines, sha256 ${hash(found).slice(0, 16)}, ${verdict}\n`);
}
process.exit(different === 0 ? 0 : 1);
