/**
 * npm run lint: format and fast lint (biome), promises and effects (eslint), layers (dependency-cruiser). All three run
 * even when one fails, so that one look shows everything. `--fix` formats first.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));
const folders = [...include, 'tools', 'examples'].filter((folder) => existsSync(join(root, folder)));

const checks = [
  { name: 'biome', command: ['@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '--max-diagnostics=50', '.'] },
  { name: 'eslint', command: ['eslint/bin/eslint.js', '.'] },
  {
    name: 'layers',
    command: ['dependency-cruiser/bin/dependency-cruise.mjs', '--config', '.dependency-cruiser.cjs', ...folders],
  },
];

/** Runs one of the tools of node_modules and resolves with what it printed. */
function run([script, ...args]) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'node_modules', script), ...args], { cwd: root });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, text: Buffer.concat(chunks).toString() }));
  });
}

if (process.argv.includes('--fix')) await run(['@biomejs/biome/bin/biome', 'check', '--write', '.']);
const results = await Promise.all(checks.map(async (check) => ({ ...check, ...(await run(check.command)) })));
for (const { name, code, text } of results) {
  if (code !== 0) process.stdout.write(`--- ${name}\n${text}\n`);
}
const failed = results.filter((result) => result.code !== 0).map((result) => result.name);
process.stdout.write(failed.length === 0 ? 'lint: ok\n' : `lint: failed (${failed.join(', ')})\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
