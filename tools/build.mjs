/**
 * Builds dist/: tsc output in the folder layout of the sources, and the generated wire code beside it. Skips when no source
 * is newer than the last build; `--force` builds everything anyway.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
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

/** Removes outputs whose source is gone: a deleted module must not go on working, nor be published. */
function pruneOutputs(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const source = path.match(/^(.*)\.(?:js|d\.ts|js\.map)$/)?.[1];
    if (!entry.isFile() || source === undefined) continue;
    const from = join(root, relative(join(root, 'dist'), source));
    if (!existsSync(`${from}.ts`) && !existsSync(`${from}.js`)) rmSync(path);
  }
}

const inputs = fingerprint();
if (!process.argv.includes('--force') && lastBuild() === inputs) process.exit(0);
const tsc = join(root, 'node_modules/typescript/bin/tsc');
mkdirSync(join(root, 'dist'), { recursive: true });
pruneOutputs(join(root, 'dist'));
const buildInfo = join(root, 'dist/.tsbuildinfo');
if (process.argv.includes('--force')) rmSync(buildInfo, { force: true });
const args = [tsc, '-p', root, '--incremental', '--tsBuildInfoFile', buildInfo];
const result = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
if (result.status !== 0) process.exit(result.status ?? 1);
mkdirSync(join(root, 'dist/proto/generated'), { recursive: true });
for (const name of readdirSync(join(root, 'proto/generated'))) {
  copyFileSync(join(root, 'proto/generated', name), join(root, 'dist/proto/generated', name));
}
writeFileSync(stamp, inputs);
