/**
 * The package this code is part of: where it lies, its version, and which file each of its public names stands for.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EngineError } from '../../core/errors.ts';

export interface EnginePackage {
  readonly directory: string;
  readonly version: string;
  /** As in package.json: subpath → file relative to the directory. */
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
}

let found: EnginePackage | null = null;

/** The running engine's package, whether it runs from `dist` or from sources. */
export function enginePackage(): EnginePackage {
  found ??= findPackage();
  return found;
}

function findPackage(): EnginePackage {
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    const content = readPackage(directory);
    if (content !== null && content.name === 'millrace')
      return { directory, version: content.version, exports: content.exports };
    if (dirname(directory) === directory) break;
  }
  throw new EngineError(
    'INTERNAL',
    `the package.json of millrace is missing above ${import.meta.url} → install millrace again`,
    {
      domain: 'internal',
    },
  );
}

function readPackage(directory: string): { name: string; version: string; exports: EnginePackage['exports'] } | null {
  const path = join(directory, 'package.json');
  if (!existsSync(path)) return null;
  return JSON.parse(readFileSync(path, 'utf8')) as { name: string; version: string; exports: EnginePackage['exports'] };
}
