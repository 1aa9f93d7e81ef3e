/**
 * Each file below the storage of a state directory, flipped in one bit, cut and deleted. What a checkpoint rests on ends the
 * run by name, and nothing older is used instead; what is only a copy is made again. With the originals back the job goes
 * on, and its results are those of an undisturbed run.
 */
import type { ChildProcess } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decodeManifest } from '../../proto/rpc/manifest.ts';
import { countsOf, expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

const total = 1_200;
let project: ScratchProject;
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => project.dispose());

const damages: Readonly<Record<string, (path: string) => void>> = {
  flipped: (path) => {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0x10;
    writeFileSync(path, bytes);
  },
  cut: (path) => truncateSync(path, statSync(path).size >> 1),
  deleted: (path) => rmSync(path),
};

/** Waits for what a running process does; fails when it has ended before. */
async function waitFor(condition: () => boolean, child: ChildProcess): Promise<void> {
  while (!condition()) {
    if (child.exitCode !== null) throw new Error(`the run ended with ${child.exitCode} too early`);
    await delay(10);
  }
}

/** A job that was killed after some checkpoints; `original` is its state directory. */
async function killedJob(): Promise<void> {
  project.writeJob(`  env.from(generator({ count: ${total}, ratePerSecond: 1_500, make: (n) => n }), { uid: 'numbers' })
    .keyBy((n) => n % 7).aggregate({ seen: count() }).uid('counts').to(files.jsonl('out')).uid('results');`);
  const { child, ended } = project.start();
  const manifests = project.path('state/storage/scratch/manifests');
  await waitFor(() => existsSync(manifests) && readdirSync(manifests).length >= 2, child);
  child.kill('SIGKILL');
  await ended;
  expect(readdirSync(manifests).length, 'the run was killed after checkpoints').toBeGreaterThanOrEqual(2);
  cpSync(project.path('state'), project.path('original'), { recursive: true });
  cpSync(project.path('out'), project.path('out-then'), { recursive: true });
}

/** State directory and results as they were when the job was killed. */
function putBack(): void {
  for (const [from, to] of [
    ['original', 'state'],
    ['out-then', 'out'],
  ] as const) {
    rmSync(project.path(to), { recursive: true, force: true });
    cpSync(project.path(from), project.path(to), { recursive: true });
  }
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(project.path(folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(project.directory.length + 1));
}

/**
 * Files the newest complete checkpoint rests on. Others lie there too: manifests of older checkpoints, which only say what
 * may be deleted, and what was written for a checkpoint that the kill came before.
 */
function neededFiles(): readonly string[] {
  const storage = 'state/storage';
  const pointer = readFileSync(project.path(`${storage}/scratch/pointer`), 'utf8').split('\n')[1] ?? '';
  const { retained } = JSON.parse(pointer) as { retained: { manifest: { name: string } }[] };
  const manifest = retained.at(-1)?.manifest.name ?? '';
  const { files } = decodeManifest(readFileSync(project.path(`${storage}/${manifest}`)));
  const names = ['scratch/pointer', 'scratch/counters', 'millrace-cluster/counters', manifest];
  return [...names, ...files.map((entry) => entry.file.object.name)].map((name) => `${storage}/${name}`);
}

test('a damaged file of the newest checkpoint is refused by name, and the job goes on when it is restored', async () => {
  await killedJob();
  const needed = neededFiles();
  expect(needed.length, 'files of the newest checkpoint').toBeGreaterThan(4);
  for (const path of needed) {
    for (const [name, damage] of Object.entries(damages)) {
      putBack();
      damage(project.path(path));
      const refused = await project.run();
      const shown = path.includes('millrace-cluster') ? 'millrace-cluster/counters' : basename(path);
      expectRefusal(refused, /CHECKPOINT_UNREADABLE[\s\S]*\n→ restore/);
      expect(refused.stderr, `${path} ${name}`).toContain(shown);
    }
  }
  putBack();
  const resumed = await project.run();
  expectFinished(resumed);
  expect(resumed.stderr).toMatch(/^going on from checkpoint \d+, which covers [\d,]+ records of the input$/m);
  expect(await project.results()).toEqual(countsOf(total));
}, 120_000);

test('damaged copies of the graph and the code are made again', async () => {
  await killedJob();
  const copies = [
    ...filesBelow('state/storage'),
    ...filesBelow('state/graphs'),
    ...filesBelow('state/artifacts'),
  ].filter((path) => /\.(json|mjs)$/.test(path));
  expect(copies.length).toBeGreaterThanOrEqual(4);
  for (const damage of Object.values(damages)) {
    putBack();
    for (const path of copies) damage(project.path(path));
    expectFinished(await project.run());
    expect(await project.results()).toEqual(countsOf(total));
  }
});
