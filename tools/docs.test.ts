/** The API reference covers every public entry of the package, and every public name has a docstring. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

test('the reference has an entry for every module the package exports', () => {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { types: string }>;
  };
  const modules = Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? [] : [target.types.replace(/^\.\/dist\/(.*)\.d\.ts$/, '$1.ts')],
  );
  const { entryPoints } = JSON.parse(readFileSync(join(root, 'typedoc.json'), 'utf8')) as { entryPoints: string[] };
  expect([...entryPoints].sort()).toEqual(modules.sort());
});

test('every public name has a docstring, and what its type mentions is public as well', { timeout: 180_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'tools/docs.mjs'), '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(status, stdout + stderr).toBe(0);
});
