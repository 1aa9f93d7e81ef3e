import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleJob } from './bundle.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-bundle-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(files: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return join(directory, 'job.ts');
}

/** Runs a bundle as a program, where it is not beside the job's files. */
function runBundle(code: Uint8Array): string {
  mkdirSync(join(directory, 'elsewhere'), { recursive: true });
  const path = join(directory, 'elsewhere', 'artifact.mjs');
  writeFileSync(path, code);
  return execFileSync(process.execPath, ['--enable-source-maps', path], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

test('a bundle holds what the job imports, CommonJS packages with require included', async () => {
  const entry = write({
    'job.ts': `import { greet } from './lib/greet.ts'; import old from 'old'; console.log(greet('x' as string), old.here);`,
    'lib/greet.ts': `export const greet = (name: string): string => 'hello ' + name;`,
    'node_modules/old/package.json': '{"name":"old","main":"index.js"}',
    'node_modules/old/index.js': `const fs = require('fs'); exports.here = fs.existsSync(__filename);`,
  });
  const bundle = await bundleJob(entry);
  expect(runBundle(bundle.code)).toBe('hello x true\n');
  expect([...bundle.jobFiles].sort()).toEqual([entry, join(directory, 'lib/greet.ts')]);
});

test('import.meta.url of a bundle is the job file when the artifact lies elsewhere', async () => {
  const entry = write({
    'data.txt': 'beside the job',
    'job.ts': `import { readFileSync } from 'node:fs'; console.log(readFileSync(new URL('./data.txt', import.meta.url), 'utf8'));`,
  });
  expect(runBundle((await bundleJob(entry)).code)).toBe('beside the job\n');
});

test('names of the job do not clash with those the bundle brings', async () => {
  const entry = write({
    'job.ts': `import { createRequire } from 'node:module';
      const require = createRequire(import.meta.url); const __dirname = 'mine'; const __filename = 1;
      console.log(typeof require, __dirname, __filename);`,
  });
  expect(runBundle((await bundleJob(entry)).code)).toBe('function mine 1\n');
});

test('the stack of an error names file and line of the job', async () => {
  const entry = write({ 'job.ts': `type A = {\n  b: string;\n};\n\nthrow new Error('here' satisfies A['b']);\n` });
  const { code } = await bundleJob(entry);
  expect(() => runBundle(code)).toThrow(`${entry}:5:7`);
});

test('the hash is the same when nothing changed, another when a function changed', async () => {
  const entry = write({ 'job.ts': 'export const f = () => 1;' });
  const first = (await bundleJob(entry)).sha256;
  expect((await bundleJob(entry)).sha256).toBe(first);
  write({ 'job.ts': 'export const f = () => 2;' });
  expect((await bundleJob(entry)).sha256).not.toBe(first);
});

test('the engine stays outside', async () => {
  const entry = write({
    'job.ts': `import { defineJob } from 'millrace'; import { files } from 'millrace/files'; export default [defineJob, files];`,
  });
  const text = Buffer.from((await bundleJob(entry)).code).toString();
  expect(text).toMatch(/from "millrace"/);
  expect(text).toMatch(/from "millrace\/files"/);
});

test('a mistake in the job is one error with file and line', async () => {
  const entry = write({ 'job.ts': 'export const a = 1;\nexport const b = ;\n' });
  await expect(bundleJob(entry)).rejects.toMatchObject({
    code: 'JOB_INVALID',
    message: expect.stringMatching(/job\.ts:2:18: Unexpected ";"/),
  });
});

test('a package that is not installed is named with the command that installs it', async () => {
  const entry = write({ 'job.ts': `import x from '@acme/parse/fast'; export default x;` });
  await expect(bundleJob(entry)).rejects.toThrow(/npm install @acme\/parse\)/);
});

const nativePackage = {
  'node_modules/fast-db/package.json': '{"name":"fast-db","main":"index.js"}',
  'node_modules/fast-db/index.js': `module.exports = require('./build/fast.node');`,
  'node_modules/fast-db/build/fast.node': 'binary',
};

test('a native module is refused, naming the package and how to declare it', async () => {
  const entry = write({ ...nativePackage, 'job.ts': `import db from 'fast-db'; export default db;` });
  await expect(bundleJob(entry)).rejects.toThrow(/native module fast-db.*"externals": \["fast-db"\]/s);
});

test('a native module is refused when it is found only at run time', async () => {
  const entry = write({
    'job.ts': `import db from 'lazy-db'; export default db;`,
    'node_modules/lazy-db/package.json': '{"name":"lazy-db","main":"index.js"}',
    'node_modules/lazy-db/index.js': `module.exports = require('bindings')('lazy');`,
    'node_modules/bindings/package.json': '{"name":"bindings","main":"bindings.js"}',
    'node_modules/bindings/bindings.js': 'module.exports = (name) => name;',
  });
  await expect(bundleJob(entry)).rejects.toThrow(/native module lazy-db/);
});

test('a native module stays outside when it is declared in package.json or on the command line', async () => {
  const files = { ...nativePackage, 'job.ts': `import db from 'fast-db'; export default db;` };
  expect(Buffer.from((await bundleJob(write(files), { externals: ['fast-db'] })).code).toString()).toMatch(
    /from "fast-db"/,
  );
  const entry = write({ ...files, 'package.json': '{"millrace":{"externals":["fast-db"]}}' });
  expect(Buffer.from((await bundleJob(entry)).code).toString()).toMatch(/from "fast-db"/);
});

test('a job file that is missing or a directory is wrong usage', async () => {
  await expect(bundleJob(join(directory, 'nope.ts'))).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringContaining('nope.ts'),
  });
  await expect(bundleJob(directory)).rejects.toMatchObject({ code: 'USAGE' });
});

test.runIf(process.platform === 'linux')(
  'no helper process is left behind when bundling is done, also of two at a time',
  () => {
    const source = new URL('../../dist/client/artifact/bundle.js', import.meta.url).href;
    const entry = write({ 'job.ts': 'export default 1;' });
    const program = `import { bundleJob } from '${source}';
    await Promise.all([bundleJob('${entry}'), bundleJob('${entry}')]);
    const { readFileSync } = await import('node:fs');
    const childrenFile = '/proc/self/task/' + process.pid + '/children';
    const children = () => readFileSync(childrenFile, 'utf8').split(' ').filter((pid) => pid !== '');
    const commandLine = (pid) => {
      try {
        return readFileSync('/proc/' + pid + '/cmdline', 'utf8');
      } catch {
        return ''; // It ended between the two reads.
      }
    };
    // An ended child that was not reaped yet has no command line any more. The helper was told to end; that takes a moment.
    const running = () => children().map(commandLine).filter((line) => line !== '');
    const deadline = performance.now() + 10_000;
    while (running().length > 0 && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
    console.log(JSON.stringify(running()));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    expect(JSON.parse(output)).toEqual([]);
  },
);
