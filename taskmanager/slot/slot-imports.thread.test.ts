/** What a slot thread loads is paid for by each slot: gRPC alone would be 6 MiB for every one, and slots do not speak it. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { workerEntry } from '../worker-entry.ts';

test('a slot thread loads no package when it starts', () => {
  const entry = workerEntry(new URL('./slot-pool.ts', import.meta.url).href, 'slot-worker');
  // Packages are CommonJS, and what is loaded of those is in the cache of any require.
  const script = `
    await import(${JSON.stringify(entry.href)});
    const { createRequire } = await import('node:module');
    console.log(JSON.stringify(Object.keys(createRequire(import.meta.url).cache)));`;
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    encoding: 'utf8',
  });
  expect({ loaded: result.stdout.trim(), error: result.stderr }).toEqual({ loaded: '[]', error: '' });
});
