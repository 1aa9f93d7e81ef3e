/**
 * Bundles the simulator from source, with a patch applied to one of its files where wanted, and imports it. So `npm run simulate`
 * needs no build, and planted bugs never touch the sources.
 */
import { build } from 'esbuild';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Replaces the one occurrence of `patch.find`; a patch that does not fit is an error. */
function applyPatch(text, patch) {
  const parts = text.split(patch.find);
  if (parts.length !== 2) {
    throw new Error(
      `planted bug ${patch.id} does not fit ${patch.file} any more: found ${parts.length - 1} places, wanted 1; adapt it in planted-bugs.ts`,
    );
  }
  return parts.join(patch.replace);
}

function patchPlugin(patch) {
  const target = resolve(root, patch.file);
  return {
    name: 'planted-bug',
    setup(setup) {
      setup.onLoad({ filter: /\.ts$/ }, (args) => {
        if (resolve(args.path) !== target) return undefined;
        return { contents: applyPatch(readFileSync(args.path, 'utf8'), patch), loader: 'ts' };
      });
    },
  };
}

/** The module `run-schedule.ts`, or another one of the simulator, bundled. */
export async function loadSimulator(patch = null, entry = 'testing/simulator/run-schedule.ts') {
  // Inside the project, so that packages are found.
  mkdirSync(join(root, '.simulation'), { recursive: true });
  const directory = mkdtempSync(join(root, '.simulation/run-'));
  try {
    const outfile = join(directory, 'simulator.mjs');
    await build({
      entryPoints: [join(root, entry)],
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      sourcemap: 'inline',
      logLevel: 'silent',
      outfile,
      plugins: patch === null ? [] : [patchPlugin(patch)],
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The module `leadership-simulation.ts`, bundled. */
export function loadLeadershipSimulator(patch = null) {
  return loadSimulator(patch, 'testing/simulator/leadership-simulation.ts');
}
