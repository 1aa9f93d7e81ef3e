/**
 * Installs the dependencies where that is needed: node_modules is missing, or holds other versions than package-lock.json
 * asks for. Used by `npm test` and `npm run demo`, so that both work on a fresh clone.
 */
import { spawnSync } from 'node:child_process';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs `npm ci` when needed. @throws Error when it fails */
export function ensureInstalled() {
  const reason = whyInstall();
  if (reason === null) return;
  process.stdout.write(`installing dependencies: ${reason}\n`);
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const result = spawnSync(npm, ['ci', '--no-audit', '--no-fund'], { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) throw new Error(`npm ci failed with exit code ${result.status}`);
}

function whyInstall() {
  const folder = lstatSync(join(root, 'node_modules'), { throwIfNoEntry: false });
  if (folder === undefined) return 'node_modules is missing';
  // A linked folder belongs to another checkout; npm ci would empty it.
  if (folder.isSymbolicLink()) return null;
  const installed = readPackages(join(root, 'node_modules/.package-lock.json'));
  if (installed === null) return 'node_modules is incomplete';
  const wanted = readPackages(join(root, 'package-lock.json')) ?? {};
  const outdated = Object.entries(wanted).find(([path, entry]) => isOutdated(path, entry, installed[path]));
  return outdated === undefined ? null : `${outdated[0]} is not at ${outdated[1].version}`;
}

function isOutdated(path, wanted, installed) {
  if (path === '' || wanted.link === true) return false;
  // Builds for other systems are optional and absent here.
  if (installed === undefined) return wanted.optional !== true && wanted.peer !== true;
  return installed.version !== wanted.version;
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}
