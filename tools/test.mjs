/**
 * npm test: everything that must hold before a change lands. Installs what is missing, builds, lints, type-checks tests
 * and tools, runs all tests. The last line is `N passed, N failed`, counted from the report of the test runner.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';
import { ensureEtcd } from './install-etcd.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const failures = [];

/** Runs a step to its end; the next one runs whatever comes of it. */
function step(name, script, args = []) {
  process.stdout.write(`--- ${name}\n`);
  const started = performance.now();
  // A log is for reading: no colours where nobody sees them.
  const env = process.stdout.isTTY ? process.env : { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined };
  const result = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit', env });
  process.stdout.write(
    `--- ${name}: ${result.status === 0 ? 'ok' : 'FAILED'} (${((performance.now() - started) / 1000).toFixed(1)} s)\n`,
  );
  if (result.status !== 0) failures.push(name);
  return result.status === 0;
}

/** Counts of vitest's JSON report; null when it wrote none. A file that failed to load has no tests and counts as one. */
function readReport(path) {
  if (!existsSync(path)) return null;
  const report = JSON.parse(readFileSync(path, 'utf8'));
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken };
}

function runTests() {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-test-'));
  try {
    const path = join(directory, 'report.json');
    step('tests', 'node_modules/vitest/vitest.mjs', [
      'run',
      '--reporter=dot',
      '--reporter=json',
      `--outputFile.json=${path}`,
    ]);
    return readReport(path);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

ensureInstalled();
ensureEtcd();
const built = step('build', 'tools/build.mjs');
step('lint', 'tools/lint.mjs');
step('types of tools and examples', 'node_modules/typescript/bin/tsc', ['-p', 'tsconfig.tools.json']);
// Tests of threads and of the command line run dist/; an old one would test something else.
const report = built ? runTests() : null;
const others = failures.filter((name) => name !== 'tests');
if (report === null && others.length === 0) others.push('tests');
for (const name of others) process.stdout.write(`failed: ${name}\n`);
const failed = (report?.failed ?? 0) + others.length;
process.stdout.write(`${report?.passed ?? 0} passed, ${failed} failed\n`);
process.exitCode = failed === 0 && failures.length === 0 ? 0 : 1;
