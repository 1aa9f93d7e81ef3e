/**
 * Pages name what is there: links between pages lead to files, paths in `code` exist, scripts of `npm run` are scripts, and
 * what the architecture says of layers is what the rules check.
 */
import { createRequire } from 'node:module';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = readdirSync(root).filter((name) => !name.startsWith('.') && statSync(join(root, name)).isDirectory());

function pagesIn(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return path === join(root, 'docs/reference') ? [] : pagesIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const pages = [
  ...readdirSync(root)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(root, name)),
  ...pagesIn(join(root, 'docs')),
];

/** The page without blocks of code. */
const proseOf = (page: string): string => readFileSync(page, 'utf8').replaceAll(/```.*?```/gs, '');

test('links between pages lead to files that are there', () => {
  expect(pages.length).toBeGreaterThan(20);
  const broken = pages.flatMap((page) =>
    [...proseOf(page).matchAll(/\]\((?!http|#)([^)#\s]+)/g)]
      .map((match) => match[1] as string)
      .filter((link) => !existsSync(join(dirname(page), link)))
      .map((link) => `${relative(root, page)}: ${link}`),
  );
  expect(broken).toEqual([]);
});

test('paths of the repository that pages name are there', () => {
  const wanted = new RegExp(`^(?:${folders.join('|')})/[\\w./-]+$`);
  // Made by the build, by a run, or by `npm run docs`.
  const made = /^(?:dist|out|docs\/reference|node_modules)(?:\/|$)/;
  const missing = pages.flatMap((page) =>
    [...proseOf(page).matchAll(/`([^`\s]+)`/g)]
      .map((match) => match[1] as string)
      .filter((path) => wanted.test(path) && !made.test(path) && !existsSync(join(root, path)))
      .map((path) => `${relative(root, page)}: ${path}`),
  );
  expect(missing).toEqual([]);
});

test('scripts that pages call are scripts of the package', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const called = pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/npm run ([\w-]+)/g)].map((match) => match[1]),
  );
  expect(called.length).toBeGreaterThan(5);
  for (const name of called) expect(Object.keys(scripts)).toContain(name);
});

test('every source folder is in the table of the architecture', () => {
  const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8')) as { include: readonly string[] };
  const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
  const rows = architecture.split('\n').filter((line) => line.startsWith('| `'));
  for (const folder of include) {
    expect(
      rows.some((row) => row.includes(`\`${folder}/\``)),
      folder,
    ).toBe(true);
  }
});

test('what a layer may import is in the table of the architecture', () => {
  const { forbidden } = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as {
    forbidden: readonly { readonly name: string; readonly comment?: string }[];
  };
  const rows = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8').split('\n');
  const layers = forbidden.filter((rule) => rule.name.startsWith('layer-') && rule.name !== 'layer-connectors');
  expect(layers.length).toBeGreaterThan(5);
  for (const { name, comment } of layers) {
    const row = rows.find((line) => line.startsWith(`| \`${name.slice('layer-'.length)}/\``));
    const allowed = (comment as string).replace(/.* may import /, '').replace('no other layer', 'nothing of ours');
    expect(row?.endsWith(`| ${allowed} |`), `${name}: ${allowed}`).toBe(true);
  }
});
