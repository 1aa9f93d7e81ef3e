/**
 * Remembers which queries this very build has right, beside the build: a timed row says so. Any change of a source makes
 * another build, of which nothing is known yet.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { enginePackage } from '../../taskmanager/artifact/engine-package.ts';

interface Checked {
  readonly build: string;
  readonly queries: readonly string[];
}

const path = (): string => join(enginePackage().directory, 'dist/.nexmark-checked.json');

/** Stands for all sources of the build, these queries among them. */
function build(): string {
  const stamp = readFileSync(join(enginePackage().directory, 'dist/.build-stamp'));
  return createHash('sha256').update(stamp).digest('hex');
}

function checkedQueries(): readonly string[] {
  if (!existsSync(path())) return [];
  const checked = JSON.parse(readFileSync(path(), 'utf8')) as Checked;
  return checked.build === build() ? checked.queries : [];
}

/** @param query with its parallelism, as `q5 at 1` */
export const isChecked = (query: string): boolean => checkedQueries().includes(query);

export function rememberChecked(query: string): void {
  const checked: Checked = { build: build(), queries: [...new Set([...checkedQueries(), query])] };
  writeFileSync(path(), JSON.stringify(checked));
}
