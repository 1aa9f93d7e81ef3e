/**
 * npm run demo: installs and builds what is missing, then runs the example job, from the beginning each time.
 * `npm run demo -- --resume` goes on where an interrupted one stopped; other arguments are passed to `millrace run`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const job = 'examples/airport-delays.ts';
const stateDirectory = '.millrace/demo';

ensureInstalled();
const build = spawnSync(process.execPath, [join(root, 'tools/build.mjs')], { cwd: root, stdio: 'inherit' });
if (build.status !== 0) process.exit(build.status ?? 1);

const given = process.argv.slice(2);
const resume = given.includes('--resume');
const args = ['run', job, '--state-dir', stateDirectory, '--checkpoint-interval', '1s', ...(resume ? [] : ['--fresh'])];
args.push(...given.filter((argument) => argument !== '--resume'));
process.stdout.write(`millrace ${args.join(' ')}\n`);
const child = spawn(process.execPath, [join(root, 'bin/millrace.js'), ...args], { cwd: root, stdio: 'inherit' });
// Ctrl-C reaches the child by the terminal; a signal sent to this process alone is handed on.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('close', (code, signal) => {
  process.exitCode = code ?? (signal === 'SIGKILL' ? 137 : 1);
  if (code === 0) void showResults();
});

/** What is committed so far, also when the job was stopped. */
async function showResults() {
  const { readCommitted } = await import('../dist/connectors/files/index.js');
  const { demoResults } = await import('./demo-results.mjs');
  // A job parameter may send the results elsewhere.
  const named = given.findIndex((argument) => argument === '--output' || argument.startsWith('--output='));
  const output = named < 0 ? 'out/airport-delays' : (given[named].split('=')[1] ?? given[named + 1]);
  process.stdout.write(
    `\n${(await demoResults(readCommitted, resolve(root, output))).join('\n')}\n`.replaceAll(`${root}`, ''),
  );
}
