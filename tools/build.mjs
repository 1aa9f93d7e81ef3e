/**
 * Builds dist/: tsc output in the folder layout of the sources, and the generated wire code beside it. Skips when no source
 * is newer than the last build; `--force` builds anyway.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamp = join(root, 'dist/.build-stamp');
const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'));

/** Relative path, size and time of every input, so a removed or replaced file counts as a change as well. */
function fingerprint() {
  const lines = [];
  const add = (path) => {
    const info = statSync(join(root, path), { throwIfNoEntry: false });
    if (info === undefined) return;
    if (info.isDirectory()) for (const name of readdirSync(join(root, path)).sort()) add(join(path, name));
    else if (/\.(ts|js|json)$/.test(path)) lines.push(`${path} ${info.size} ${info.mtimeMs}`);
  };
  for (const path of [...include, 'package.json', 'tsconfig.json']) add(path);
  return lines.join('\n');
}

function lastBuild() {
  try {
    return readFileSync(stamp, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

const inputs = fingerprint();
if (!process.argv.includes('--force') && lastBuild() === inputs) process.exit(0);
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const result = spawnSync(process.execPath, [tsc, '-p', root], { cwd: root, stdio: 'inherit' });
if (result.status !== 0) process.exit(result.status ?? 1);
mkdirSync(join(root, 'dist/proto/generated'), { recursive: true });
for (const name of readdirSync(join(root, 'proto/generated'))) {
  copyFileSync(join(root, 'proto/generated', name), join(root, 'dist/proto/generated', name));
}
writeFileSync(stamp, inputs);
