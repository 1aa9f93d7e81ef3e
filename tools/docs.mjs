/**
 * npm run docs: the API reference in docs/reference/, made by typedoc from the docstrings of the public entries. It is not
 * committed: a docstring is its only source. `--check` writes nothing; both fail when a public name has no docstring.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

ensureInstalled();
const output = process.argv.includes('--check') ? ['--emit', 'none'] : [];
const typedoc = join(root, 'node_modules/typedoc/bin/typedoc');
const result = spawnSync(process.execPath, [typedoc, ...output], { cwd: root, stdio: 'inherit' });
process.exitCode = result.status ?? 1;
