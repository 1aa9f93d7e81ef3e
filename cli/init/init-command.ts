/**
 * `millrace init`: writes a small project that works as it is: a job over a file of orders, a test of it, and the scripts
 * to run, check and test. Never writes over anything.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { EngineError } from '../../core/errors.ts';
import type { Terminal } from '../output/terminal.ts';
import { projectFiles } from './project-files.ts';

export interface InitCommandOptions {
  /** New or empty; relative to the working directory. */
  readonly directory: string;
}

/**
 * Writes the project and says what to do next.
 * @throws EngineError USAGE when the directory has something in it or cannot be made
 */
export function initCommand({ directory }: InitCommandOptions, terminal: Terminal, engineVersion: string): void {
  const root = resolve(directory);
  const name = packageName(basename(root));
  requireEmpty(root);
  for (const { path, text } of projectFiles(name, engineVersion)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    // 'wx': what appeared meanwhile is not ours to replace.
    writeFileSync(join(root, path), text, { flag: 'wx' });
    terminal.note(`wrote ${join(directory, path)}`);
  }
  const place = relative(process.cwd(), root);
  const enter = place === '' ? '' : `cd ${place} && `;
  terminal.line(
    `\n${name} is ready:\n\n  ${enter}npm install\n  npm start      # run the job\n  npm test       # test it, in milliseconds\n  npm run check  # check its types`,
  );
}

function requireEmpty(root: string): void {
  let found: readonly string[] = [];
  try {
    mkdirSync(root, { recursive: true });
    found = readdirSync(root).filter((name) => name !== '.git');
  } catch (cause) {
    const message = `the directory ${root} cannot be made: ${String((cause as Error).message)} → name another place`;
    throw new EngineError('USAGE', message, { ids: { directory: root }, cause });
  }
  if (found.length === 0) return;
  const shown = `${found.slice(0, 3).join(', ')}${found.length > 3 ? ', …' : ''}`;
  throw new EngineError('USAGE', `${root} is not empty: it holds ${shown} → name a new or empty directory`, {
    ids: { directory: root },
  });
}

/** What npm allows as a name. */
function packageName(directory: string): string {
  const name = directory
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[._-]+/, '');
  if (name !== '') return name.slice(0, 214);
  throw new EngineError('USAGE', `'${directory}' cannot name a package → name a directory with letters in it`);
}
