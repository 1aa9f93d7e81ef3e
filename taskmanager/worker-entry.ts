/**
 * Where the compiled entry file of a worker thread is. Threads run from `dist/`; code that itself runs from source (tests) starts
 * the compiled file that belongs to it.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EngineError } from '../core/errors.ts';

/**
 * @param moduleUrl `import.meta.url` of a module in a folder directly below `taskmanager/`
 * @param name      file name of the entry beside it, without extension
 * @throws EngineError INTERNAL when the package was not built
 */
export function workerEntry(moduleUrl: string, name: string): URL {
  const isSource = moduleUrl.endsWith('.ts');
  const folder = new URL('.', moduleUrl).pathname.split('/').at(-2) ?? '';
  const entry = isSource
    ? new URL(`../../dist/taskmanager/${folder}/${name}.js`, moduleUrl)
    : new URL(`./${name}.js`, moduleUrl);
  if (existsSync(fileURLToPath(entry))) return entry;
  throw new EngineError(
    'INTERNAL',
    `the worker thread file ${fileURLToPath(entry)} does not exist; build the package first (npm run build)`,
    {
      domain: 'internal',
    },
  );
}
