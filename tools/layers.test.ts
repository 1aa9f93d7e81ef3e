/**
 * The layer rules refuse what they say they refuse: a small source tree with one violation of each rule planted is
 * checked with the configuration of the repository.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-layers-'));
  cpSync(join(root, 'tsconfig.json'), join(directory, 'tsconfig.json'));
  for (const name of ['esbuild', 'rocksdb', 'etcd3']) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, main: 'index.js' }));
    write(`node_modules/${name}/index.js`, '');
  }
  write('package.json', JSON.stringify({ dependencies: { esbuild: '1', rocksdb: '1', etcd3: '1' } }));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), text);
}

/** A module that exports something and imports these. */
function plant(path: string, ...imports: readonly string[]): void {
  write(path, `${imports.map((name) => `import '${name}';`).join('\n')}\nexport const here = 1;\n`);
}

interface Report {
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

/** `rule: from` of each violation, sorted. */
function violations(): readonly string[] {
  const folders = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'node_modules')
    .map((entry) => entry.name);
  const tool = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = [tool, '--config', join(root, '.dependency-cruiser.cjs'), '--output-type', 'json', ...folders];
  const report = JSON.parse(execFileSync(process.execPath, args, { cwd: directory, encoding: 'utf8' })) as Report;
  return report.summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`).sort();
}

test('the layers are accepted when every import goes down', () => {
  plant('core/errors.ts');
  plant('core/connector/index.ts', '../errors.ts');
  plant('proto/messages.ts', '../core/errors.ts');
  plant('proto/generated/millrace.ts');
  plant('proto/rpc/codec.ts', '../generated/millrace.ts', '../messages.ts');
  plant('storage/object-store.ts', '../core/errors.ts');
  plant('runtime/chain.ts', '../core/errors.ts');
  plant('jobmanager/job-manager.ts', '../proto/messages.ts', '../storage/object-store.ts');
  plant('taskmanager/task-manager.ts', '../proto/messages.ts', '../runtime/chain.ts', '../storage/object-store.ts');
  plant('client/index.ts', '../core/errors.ts');
  plant('client/artifact/bundle.ts', 'esbuild');
  plant('connectors/files/index.ts', '../../core/connector/index.ts', '../../core/errors.ts');
  plant('cli/main.ts', '../jobmanager/job-manager.ts', '../taskmanager/task-manager.ts', '../client/index.ts');
  plant('runtime/chain.test.ts', './chain.ts', '../testing/harness.ts');
  plant('testing/harness.ts', '../runtime/chain.ts');
  expect(violations()).toEqual([]);
});

test('every layer is refused when it imports upwards or sideways', () => {
  const upwards = [
    ['core', 'runtime'],
    ['proto', 'jobmanager'],
    ['storage', 'proto'],
    ['runtime', 'storage'],
    ['jobmanager', 'taskmanager'],
    ['taskmanager', 'jobmanager'],
    ['client', 'runtime'],
    ['connectors', 'core/graph'],
    ['cli', 'benchmarks'],
  ] as const;
  for (const [from, to] of upwards) {
    plant(`${to}/target-of-${from}.ts`);
    plant(`${from}/wrong.ts`, `../${to}/target-of-${from}.ts`);
  }
  const layers = upwards.filter(([from]) => from !== 'cli').map(([from]) => `layer-${from}: ${from}/wrong.ts`);
  expect(violations()).toEqual(['compositions-below: cli/wrong.ts', ...layers].sort());
});

test('planted violations are refused, each by its rule', () => {
  plant('proto/generated/millrace.ts');
  plant('jobmanager/model.ts', '../proto/generated/millrace.ts');
  plant('core/clock.ts', 'node:fs');
  plant('runtime/one.ts', './two.ts');
  plant('runtime/two.ts', './one.ts');
  plant('runtime/lost.ts', './nowhere.ts');
  plant('runtime/a.test.ts');
  plant('runtime/production.ts', './a.test.ts');
  plant('taskmanager/slot.ts', 'rocksdb');
  plant('jobmanager/leader.ts', 'etcd3');
  plant('cli/bundle.ts', 'esbuild');
  const found = violations();
  expect(found).toEqual(
    expect.arrayContaining([
      'wire-types-stay-in-rpc: jobmanager/model.ts',
      'core-without-io: core/clock.ts',
      'no-cycles: runtime/one.ts',
      'no-unresolved: runtime/lost.ts',
      'no-import-of-tests: runtime/production.ts',
      'only-taskmanager-state-host-imports-rocksdb: taskmanager/slot.ts',
      'only-jobmanager-etcd-imports-etcd3: jobmanager/leader.ts',
      'only-client-artifact-imports-esbuild: cli/bundle.ts',
    ]),
  );
});
