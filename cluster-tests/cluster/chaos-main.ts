/**
 * `npm run chaos -- --rounds N --seed S --driver processes|compose`: chaos on a cluster of two job managers and three task managers. The last
 * line is JSON. `--network plain` leaves the proxies between processes out, and with them partitions; `--build` builds the image first.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { hasFaultNetwork } from '../support/fault-network.ts';
import { chaosRounds } from './chaos-rounds.ts';
import type { ClusterDriver } from './cluster-driver.ts';
import { ComposeCluster } from './compose-driver.ts';
import { ProcessCluster } from './process-driver.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    driver: { type: 'string', default: 'processes' },
    network: { type: 'string', default: hasFaultNetwork ? 'faulty' : 'plain' },
    build: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed);
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error(`--rounds is a number from 1, not ${values.rounds}`);
if (!Number.isSafeInteger(seed)) throw new Error(`--seed is a whole number, not ${values.seed}`);
const { driver, network, build } = values;
if (driver !== 'processes' && driver !== 'compose') throw new Error(`--driver is processes or compose, not ${driver}`);
if (network !== 'faulty' && network !== 'plain') throw new Error(`--network is faulty or plain, not ${network}`);

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
say(`chaos: ${rounds} rounds, seed ${seed}, ${driver}`);
const directory = mkdtempSync(join(tmpdir(), 'millrace-chaos-'));
const cluster: ClusterDriver =
  driver === 'compose'
    ? await ComposeCluster.start({ directory, slots: 2, build })
    : await ProcessCluster.start({
        directory: join(directory, 'cluster'),
        jobManagers: 2,
        taskManagers: 3,
        slots: 2,
        faultyNetwork: network === 'faulty',
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
