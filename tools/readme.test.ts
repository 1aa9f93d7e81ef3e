/**
 * The README is true: its files are written into an empty project that has the packed package installed, its commands are
 * run there by a shell, and its example type-checks.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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

/** What `npm install millrace-<version>.tgz` leaves behind, with the dependencies of this checkout. */
function installPacked(): readonly string[] {
  const npm = ['pack', '--json', '--ignore-scripts', '--pack-destination', project];
  const [packed] = JSON.parse(
    execFileSync('npm', npm, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  ) as [{ filename: string; files: { path: string }[] }];
  const target = join(project, 'node_modules/millrace');
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-xzf', join(project, packed.filename), '-C', target, '--strip-components=1']);
  symlinkSync(join(root, 'node_modules'), join(target, 'node_modules'));
  mkdirSync(join(project, 'node_modules/.bin'));
  symlinkSync('../millrace/bin/millrace.js', join(project, 'node_modules/.bin/millrace'));
  return packed.files.map((file) => file.path);
}

/** Packing takes seconds, and many when other tests keep the machine busy. */
const packTimeoutMs = 120_000;

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
