/**
 * `millrace run` as processes that are stopped, killed and started again: results must be those of an undisturbed run. Needs
 * the build.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { committedFiles, readCommitted } from '../connectors/files/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const deadlineMs = 40_000;
const recordCount = 6_000;
let directory: string;
const running = new Set<ChildProcess>();

beforeAll(() => {
  expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-process-'));
  writeFileSync(join(directory, 'job.ts'), jobText({ ratePerSecond: 2_000, map: 'n' }));
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
  rmSync(directory, { recursive: true, force: true });
});

/** Numbers in order, each with a running count per key, into JSON lines. */
function jobText({ ratePerSecond, map }: { ratePerSecond: number | null; map: string }): string {
  const rate = ratePerSecond === null ? '' : `ratePerSecond: ${ratePerSecond}, `;
  return `import { count, defineJob } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';
export default defineJob('numbers', (env) => {
  env
    .from(generator({ count: ${recordCount}, ${rate}make: (n) => n }), { uid: 'numbers' })
    .map((n) => ${map})
    .keyBy((n) => n % 7)
    .aggregate({ seen: count() })
    .uid('counts')
    .to(files.jsonl('out'))
    .uid('results');
});
`;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `millrace run` with a state directory and quick checkpoints. */
function start(...args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const command = [
    join(root, 'bin/millrace.js'),
    'run',
    'job.ts',
    '--state-dir',
    'state',
    '--checkpoint-interval',
    '100ms',
    ...args,
  ];
  const child = spawn(process.execPath, command, { cwd: directory });
  running.add(child);
  const text = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (text.stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (text.stderr += String(chunk)));
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, ...text });
    });
  });
  return { child, ended };
}

/** Waits until some results are committed; fails when the run ends or the deadline passes before. */
async function firstResults(child: ChildProcess): Promise<void> {
  const end = Date.now() + deadlineMs;
  while (((await committedFiles(join(directory, 'out'))) ?? []).length === 0) {
    if (child.exitCode !== null) throw new Error(`the run ended with ${child.exitCode} before it had results`);
    if (Date.now() > end) throw new Error(`no results within ${deadlineMs} ms`);
    await delay(20);
  }
}

/** The committed results, sorted: for each key the counts 1, 2, 3 … exactly once. */
async function results(): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const { line } of readCommitted(join(directory, 'out'))) lines.push(line);
  return lines.sort();
}

function expectedResults(): readonly string[] {
  return Array.from({ length: recordCount }, (_, n) =>
    JSON.stringify({ key: n % 7, seen: Math.floor(n / 7) + 1 }),
  ).sort();
}

test('a job runs to its end, says so, and has nothing to do when it is run again', async () => {
  writeFileSync(join(directory, 'job.ts'), jobText({ ratePerSecond: null, map: 'n' }));
  const first = await start().ended;
  expect(first, first.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/numbers finished after[\s\S]*in +6,000 records/),
  });
  expect(await results()).toEqual(expectedResults());
  const second = await start().ended;
  expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('already finished') });
  expect(readdirSync(join(directory, 'state', 'lock'))).toEqual([]);
});

test('a run is refused over results of another, and --fresh replaces them', async () => {
  writeFileSync(join(directory, 'job.ts'), jobText({ ratePerSecond: null, map: 'n' }));
  await start().ended;
  rmSync(join(directory, 'state'), { recursive: true });
  const refused = await start().ended;
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/OUTPUT_OCCUPIED[\s\S]*--fresh/) });
  expect(await results()).toEqual(expectedResults());
  // A file that no manifest of the sink lists is somebody else's.
  writeFileSync(join(directory, 'out', 'notes.txt'), 'mine');
  const fresh = await start('--fresh').ended;
  expect(readFileSync(join(directory, 'out', 'notes.txt'), 'utf8')).toBe('mine');
  expect(fresh.code, fresh.stderr).toBe(0);
  expect(await results()).toEqual(expectedResults());
});

test('the results are those of an undisturbed run when a run is stopped by Ctrl-C and started again', async () => {
  const { child, ended } = start();
  await firstResults(child);
  child.kill('SIGINT');
  const stopped = await ended;
  expect(stopped, stopped.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/numbers stopped after[\s\S]*run the same command again/),
  });
  const before = await results();
  expect(before.length).toBeLessThan(recordCount);
  const resumed = await start().ended;
  expect(resumed, resumed.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/numbers finished after[\s\S]*before checkpoint/),
    stderr: expect.stringMatching(/^going on from checkpoint \d+, which covers [\d,]+ records? of the input\n/),
  });
  expect(await results()).toEqual(expectedResults());
});

test('the results are those of an undisturbed run when a run is killed and started again at once', async () => {
  const { child, ended } = start();
  await firstResults(child);
  child.kill('SIGKILL');
  await ended;
  const resumed = await start().ended;
  expect(resumed.code, resumed.stderr).toBe(0);
  expect(await results()).toEqual(expectedResults());
});

test('a job goes on with a mended function when the old one failed', async () => {
  const failing = jobText({
    ratePerSecond: null,
    map: `{ if (n === 4_000) throw new RangeError('too large: ' + n); return n; }`,
  }).replace('(n) => {', '(n) => {\n  ');
  writeFileSync(join(directory, 'job.ts'), failing);
  const failed = await start('--max-restarts', '0').ended;
  expect(failed.code).toBe(1);
  expect(failed.stderr).toMatch(/error: .*too large: 4000[\s\S]*USER_FUNCTION_FAILED[\s\S]*job\.ts:\d+/);
  writeFileSync(join(directory, 'job.ts'), jobText({ ratePerSecond: null, map: 'n' }));
  const resumed = await start().ended;
  expect(resumed, resumed.stderr).toMatchObject({ code: 0, stderr: expect.stringMatching(/functions of operator/) });
  expect(await results()).toEqual(expectedResults());
});

test('a run fails naming the operator when its function changes the record it was given', async () => {
  writeFileSync(
    join(directory, 'job.ts'),
    `import { defineJob } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';
export default defineJob('changes', (env) => {
  env
    .from(generator({ count: 10, make: (n) => ({ n }) }), { uid: 'numbers' })
    .map((record) => Object.assign(record as { n: number }, { n: 0 }))
    .uid('changer')
    .to(files.jsonl('out'));
});
`,
  );
  const { code, stderr } = await start().ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(/'changer' changed the record it was given/);
});
