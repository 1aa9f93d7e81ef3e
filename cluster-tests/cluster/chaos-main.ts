/** `npm run chaos -- --rounds N --seed S`: chaos on a cluster of two job managers and three task managers. The last line is JSON. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chaosRounds } from './chaos-rounds.ts';
import { ProcessCluster } from './process-driver.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    driver: { type: 'string', default: 'processes' },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed);
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error(`--rounds is a number from 1, not ${values.rounds}`);
if (!Number.isSafeInteger(seed)) throw new Error(`--seed is a whole number, not ${values.seed}`);
if (values.driver !== 'processes') throw new Error(`--driver ${values.driver} is not supported; use processes`);

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
say(`chaos: ${rounds} rounds, seed ${seed}`);
const directory = mkdtempSync(join(tmpdir(), 'millrace-chaos-'));
const cluster = await ProcessCluster.start({
  directory: join(directory, 'cluster'),
  jobManagers: 2,
  taskManagers: 3,
  slots: 2,
});
let failed = true;
try {
  const summary = await chaosRounds({ cluster, directory, rounds, seed, report: say });
  failed = summary.lost > 0 || summary.duplicated > 0;
  process.stdout.write(`${JSON.stringify({ seed, ...summary })}\n`);
} catch (error) {
  for (const member of cluster.members)
    if (member !== 'etcd') say(`--- ${member}\n${cluster.log(member).split('\n').slice(-25).join('\n')}`);
  say(`${error instanceof Error ? error.stack : String(error)}`);
} finally {
  await cluster.stop();
  if (!failed) rmSync(directory, { recursive: true, force: true });
  else say(`files are kept in ${directory}`);
}
process.exit(failed ? 1 : 0);
