import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { bundleJob } from '../../client/artifact/bundle.ts';
import { loadJobDefinition } from './load-artifact.ts';

const built = new URL('../../dist/client/index.js', import.meta.url);
let directory: string;
beforeAll(() => {
  // Artifacts import the built engine.
  expect(existsSync(built), 'dist/ is missing: npm run build').toBe(true);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-load-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Bundles a job file of this text and puts the artifact into a folder of its own. */
async function artifact(
  text: string,
  files: Readonly<Record<string, string>> = {},
  externals: readonly string[] = [],
): Promise<string> {
  for (const [name, content] of Object.entries({ ...files, 'job.ts': text })) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
  const { code, sha256 } = await bundleJob(join(directory, 'job.ts'), { externals });
  mkdirSync(join(directory, 'artifacts'), { recursive: true });
  const path = join(directory, 'artifacts', `${sha256}.mjs`);
  writeFileSync(path, code);
  return path;
}

const job = `import { defineJob } from 'millrace'; export default defineJob('delays', () => undefined);`;

test('the default export of an artifact is its job', async () => {
  expect((await loadJobDefinition(await artifact(job))).name).toBe('delays');
});

test('an artifact uses the very engine that runs it, whatever the job has installed', async () => {
  const decoy = {
    'node_modules/millrace/package.json': '{"name":"millrace","main":"i.js"}',
    'node_modules/millrace/i.js': 'throw new Error("decoy");',
  };
  const text = `import * as engine from 'millrace'; export default Object.assign(Object.create(null), engine.defineJob('x', () => undefined), { engine, dynamic: await import('millrace') });`;
  const path = await artifact(text, decoy);
  const loaded = (await loadJobDefinition(path)) as unknown as { engine: object; dynamic: object };
  const own = (await import(/* @vite-ignore */ pathToFileURL(built.pathname).href)) as { defineJob: unknown };
  expect(loaded.engine).toBe(loaded.dynamic);
  expect((loaded.engine as { defineJob: unknown }).defineJob).toBe(own.defineJob);
});

test('slots that load one artifact at the same time share one localized copy', async () => {
  const path = await artifact(job);
  const loaded = await Promise.all(Array.from({ length: 8 }, () => loadJobDefinition(path)));
  expect(new Set(loaded).size).toBe(1);
  const names = readdirSync(dirname(path));
  expect(names.filter((name) => name.endsWith('.local.mjs'))).toHaveLength(1);
  expect(names.filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

test('a declared external is loaded from where the job is', async () => {
  const files = {
    'node_modules/native/package.json': '{"name":"native","main":"i.js"}',
    'node_modules/native/i.js': `exports.name = 'from-native';`,
  };
  const text = `import native from 'native'; import { defineJob } from 'millrace'; export default defineJob(native.name, () => undefined);`;
  expect((await loadJobDefinition(await artifact(text, files, ['native']))).name).toBe('from-native');
});

test('an external that is not installed is named', async () => {
  const path = await artifact(`import x from 'absent-db'; export default x;`, {}, ['absent-db']);
  await expect(loadJobDefinition(path)).rejects.toThrow(/absent-db.*npm install absent-db/s);
});

test('an entry point the engine does not have is named with those it has', async () => {
  const path = await artifact(`import x from 'millrace/kafak'; export default x;`);
  await expect(loadJobDefinition(path)).rejects.toThrow(/millrace\/kafak.*millrace\/files/s);
});

test.each([
  ['export const a = 1;', /job\.ts has no default export/],
  [
    `import { defineJob } from 'millrace'; export const delays = defineJob('delays', () => undefined);`,
    /exports the job as `delays`/,
  ],
  ['export default function build() {}', /the function build/],
  ['export default { name: 1 };', /an object with name/],
  ['export default Promise.resolve(1);', /a promise/],
  ['export default 42;', /the number 42/],
  ['export default null;', /is null/],
])('an artifact is refused, saying what it exports, when that is %s', async (text, expected) => {
  const path = await artifact(text);
  await expect(loadJobDefinition(path)).rejects.toMatchObject({
    code: 'JOB_INVALID',
    message: expect.stringMatching(expected),
  });
  await expect(loadJobDefinition(path)).rejects.toThrow(/export default defineJob/);
});

test('an error at the top level of a job keeps its message and its place', async () => {
  const path = await artifact(
    `const settings: { port?: { value: number } } = {};\n\nexport default settings.port!.value;\n`,
  );
  const error = await loadJobDefinition(path).then(
    () => null,
    (reason: unknown) => reason as Error,
  );
  expect(error).toMatchObject({ code: 'JOB_INVALID', message: expect.stringContaining('TypeError') });
  expect((error?.cause as Error | undefined)?.stack).toContain('job.ts:3:');
});

test('a file that is no artifact is refused', async () => {
  const path = join(directory, 'other.mjs');
  writeFileSync(path, 'export default 1;');
  await expect(loadJobDefinition(path)).rejects.toMatchObject({
    code: 'JOB_INVALID',
    message: expect.stringContaining('not an artifact'),
  });
  await expect(loadJobDefinition(join(directory, 'gone.mjs'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});
