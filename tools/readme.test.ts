/**
 * The README is true: its files are written into an empty project that has the packed package installed, its commands are
 * run there by a shell, and its example type-checks.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const project = mkdtempSync(join(tmpdir(), 'millrace-readme-'));

/** Code blocks that follow a comment such as `<!-- run -->`. */
function blocks(marker: RegExp): readonly { readonly argument: string; readonly text: string }[] {
  const pattern = new RegExp(`<!-- ${marker.source} -->\\n\`\`\`\\w*\\n([\\s\\S]*?)\`\`\``, 'g');
  return [...readme.matchAll(pattern)].map((match) => ({
    argument: match.length > 2 ? (match[1] as string) : '',
    text: match.at(-1) as string,
  }));
}

/** What `npm install millrace-<version>.tgz` leaves behind, with the dependencies it declares and no others. */
function installPacked(): readonly string[] {
  const npm = ['pack', '--json', '--ignore-scripts', '--pack-destination', project];
  const [packed] = JSON.parse(
    execFileSync('npm', npm, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  ) as [{ filename: string; files: { path: string }[] }];
  const target = join(project, 'node_modules/millrace');
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-xzf', join(project, packed.filename), '-C', target, '--strip-components=1']);
  const { dependencies } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8')) as {
    dependencies: Readonly<Record<string, string>>;
  };
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(target, 'node_modules', name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(target, 'node_modules', name));
  }
  mkdirSync(join(project, 'node_modules/.bin'));
  symlinkSync('../millrace/bin/millrace.js', join(project, 'node_modules/.bin/millrace'));
  return packed.files.map((file) => file.path);
}

/** Packing takes seconds, and many when other tests keep the machine busy. */
const packTimeoutMs = 120_000;

/** A project with a job and its tests, as a user writes them. */
const testedProject: Readonly<Record<string, string>> = {
  'counts.mjs': `
import { defineJob, emits, type Stream, valueState } from 'millrace';
import { collection } from 'millrace/collection';

export const counted = (words: Stream<string>) =>
  words.keyBy((word) => word).process(emits<string>(), {
    state: { count: valueState<number>() },
    onRecord(word, context) {
      const count = (context.state.count.value() ?? 0) + 1;
      context.state.count.update(count);
      context.emit(\`\${word} \${count}\`);
    },
  });
export default defineJob('counts', (env) => void counted(env.from(collection<string>([]), { uid: 'words' })).collect('counts'));
`,
  'counts.test.mjs': `
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertDeterministic, checkpoint, crash, runJob, simulateJob, testOperator } from 'millrace/testing';
import job, { counted } from './counts.ts';

test('a job', async () => {
  const { collected, restarts } = await runJob(job, { inputs: { words: ['a', checkpoint(), 'b', crash(), 'a'] } });
  assert.deepEqual([collected, restarts], [{ counts: ['a 1', 'b 1', 'a 2'] }, 1]);
});
test('an operator', async () => {
  const operator = await testOperator(counted);
  await operator.push('a');
  await operator.restore(operator.snapshot(), { parallelism: 2 });
  await operator.push('a');
  assert.deepEqual(operator.outputs(), ['a 2']);
  await operator.close();
});
test('a simulation', async () => {
  assertDeterministic(await simulateJob(job, { inputs: { words: ['a', 'b', 'a'] }, seeds: 3 }));
});
`,
};

let packedFiles: readonly string[] = [];
beforeAll(() => {
  expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'own-project', private: true, type: 'module' }));
  packedFiles = installPacked();
  for (const { argument, text } of blocks(/file: (\S+)/)) writeFileSync(join(project, argument), text);
}, packTimeoutMs);
afterAll(() => rmSync(project, { recursive: true, force: true }));

const shell = (command: string): string =>
  execFileSync('sh', ['-ec', command], { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

describe('the packed package', () => {
  test('has what runs, and neither tests nor sources', () => {
    for (const path of [
      'bin/millrace.js',
      'dist/cli/main.js',
      'dist/client/index.d.ts',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
    ]) {
      expect(packedFiles).toContain(path);
    }
    const unwanted = packedFiles.filter((path) =>
      /\.test\.|test-support|\.build-stamp|^(tools|examples|cli)\/|^dist\/(benchmarks|cluster-tests|testing\/(simulator|exchange))\//.test(
        path,
      ),
    );
    expect(unwanted).toEqual([]);
  });

  test('has every file its exports name', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, string | Record<string, string>>;
    };
    const named = Object.values(exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    );
    for (const path of named) expect(packedFiles).toContain(path.slice('./'.length));
  });

  test('tests a job with millrace/testing under the test runner of Node', { timeout: 60_000 }, () => {
    // Types are stripped here, because the oldest Node that is supported cannot; nothing else is between Node and the package.
    for (const [name, text] of Object.entries(testedProject)) {
      const { outputText } = ts.transpileModule(text, { compilerOptions: { target: ts.ScriptTarget.ES2023 } });
      writeFileSync(join(project, name), outputText.replaceAll("'./counts.ts'", "'./counts.mjs'"));
    }
    // Said by this runner to its workers, and an order to be silent for another one.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const node = ['--test', '--test-reporter=tap', 'counts.test.mjs'];
    const run = (): string =>
      execFileSync(process.execPath, node, { cwd: project, env: environment, encoding: 'utf8', stdio: 'pipe' });
    expect(run()).toMatch(/# pass 3\n# fail 0\n/);
    writeFileSync(join(project, 'counts.mjs'), readFileSync(join(project, 'counts.mjs'), 'utf8').replace('+ 1', '+ 2'));
    expect(run).toThrow(/counts.test.mjs/);
  });
});

describe('the README', () => {
  test('has commands to run and files to write', () => {
    expect(blocks(/run/).length).toBeGreaterThanOrEqual(2);
    expect(blocks(/file: (\S+)/).map((block) => block.argument)).toEqual(['orders.jsonl', 'job.ts']);
  });

  test('shows a job that type-checks against the packed package', () => {
    const settings = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      'node',
      '--typeRoots',
      join(root, 'node_modules/@types'),
    ];
    const [first] = /```ts\n([\s\S]*?)```/.exec(readme)?.slice(1) ?? [];
    writeFileSync(join(project, 'first.ts'), first as string);
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...settings, 'job.ts', 'first.ts'], {
      cwd: project,
      stdio: 'pipe',
    });
  });

  test('shows commands that do what it says', () => {
    const [first, second] = blocks(/run/);
    const output = shell((first as { text: string }).text);
    expect(output).toContain('graph hash');
    expect(output).toMatch(/orders finished after/);
    expect(output).toContain('{"customer":"ada","hour":"2026-01-05T09:00:00.000Z","orders":2,"total":35}');
    expect(output).toContain('{"customer":"bob","hour":"2026-01-05T09:00:00.000Z","orders":1,"total":35}');
    expect(shell((first as { text: string }).text)).toContain('orders has already finished');
    expect(shell((second as { text: string }).text)).toMatch(/orders finished after/);
    expect(shell('cat out/hourly/part-*')).toContain('"orders":1,"total":20');
  });

  test('links only to files that are there', () => {
    const links = [...readme.matchAll(/\]\((?!http|#)([^)#]+)/g)].map((match) => match[1] as string);
    expect(links.length).toBeGreaterThan(5);
    for (const link of links) expect(existsSync(join(root, link)), link).toBe(true);
  });
});
