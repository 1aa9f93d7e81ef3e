/** What `millrace init` writes works as it is: its test, its check and its job run, in a project with this package linked. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCommitted } from '../../connectors/files/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'millrace-init-'));
const project = join(scratch, 'My Shop');

const node = (cwd: string, ...args: readonly string[]): string =>
  execFileSync(process.execPath, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
const millrace = (cwd: string, ...args: readonly string[]): string => node(cwd, join(root, 'bin/millrace.js'), ...args);

/** `node_modules` as an installation would have it: this package, and the other packages of this checkout. */
function link(directory: string): void {
  const modules = join(directory, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (name !== 'millrace') symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  symlinkSync(root, join(modules, 'millrace'));
}

beforeAll(() => {
  expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
  millrace(scratch, 'init', 'My Shop');
  link(project);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('a new project has a valid name when its directory has none', () => {
  const { name } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as { name: string };
  expect(name).toBe('my-shop');
});

test('the test of a new project passes', { timeout: 120_000 }, () => {
  const output = node(project, join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', project);
  expect(output).toMatch(/2 passed/);
});

test('the check of a new project finds nothing', { timeout: 120_000 }, () => {
  expect(() => millrace(project, 'check', 'src/job.ts')).not.toThrow();
});

test('the job of a new project counts every order once', { timeout: 60_000 }, async () => {
  millrace(project, 'run', 'src/job.ts', '--fresh');
  const orders = readFileSync(join(project, 'data/orders.jsonl'), 'utf8').trim().split('\n');
  const expected = new Map<string, { orders: number; amount: number }>();
  for (const line of orders) {
    const { customer, amount, at } = JSON.parse(line) as { customer: string; amount: number; at: number };
    const key = `${customer} ${Math.floor(at / 60_000) * 60_000}`;
    const sum = expected.get(key) ?? { orders: 0, amount: 0 };
    expected.set(key, { orders: sum.orders + 1, amount: sum.amount + amount });
  }
  const results = new Map<string, { orders: number; amount: number }>();
  for await (const { line } of readCommitted(join(project, 'out/turnover'))) {
    const row = JSON.parse(line) as { key: string; windowStart: number; orders: number; amount: number };
    results.set(`${row.key} ${row.windowStart}`, { orders: row.orders, amount: row.amount });
  }
  expect(results).toEqual(expected);
});

test('a directory that is not empty is refused and left as it was', () => {
  const taken = join(scratch, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'notes.txt'), 'mine');
  expect(() => millrace(scratch, 'init', 'taken')).toThrow(/is not empty: it holds notes\.txt/);
  expect(readdirSync(taken)).toEqual(['notes.txt']);
});
