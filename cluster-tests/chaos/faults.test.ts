/**
 * User functions that throw, block, end their thread or eat its memory, and disks that fill up: the run says which operator or
 * path it was, ends with exit code 1 or goes on, and never hangs or loses a record.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readCommitted } from 'millrace/files';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MillraceRun, type MillraceRunOptions } from '../millrace-run.ts';
import { type ChaosResults, expectedResults } from './chaos-records.ts';
import { type ChaosInput, chaosPlace, committedResults, writeChaosInput } from './chaos-run.ts';

/** Time for a loaded machine; an idle one needs a tenth. */
const timeoutMs = 300_000;
const recordCount = 20_000;
let directory: string;
let places = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-faults-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface FaultyOptions {
  readonly fault: string;
  readonly once?: boolean;
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

function faulty({
  fault,
  once = false,
  flags = [],
  environment = {},
}: FaultyOptions): MillraceRunOptions & { readonly output: string } {
  places++;
  const base = join(directory, `job-${places}`);
  const output = join(base, 'out');
  const parameters = { fault, at: '5000', output, ...(once ? { once: join(directory, `once-${places}`) } : {}) };
  const stateDirectory = join(base, 'state');
  return {
    job: 'cluster-tests/chaos/faulty-job.ts',
    stateDirectory,
    checkpointInterval: '100ms',
    flags,
    parameters,
    environment,
    output,
  };
}

async function numbersIn(output: string): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { line } of readCommitted(join(output, 'newest')))
    numbers.push((JSON.parse(line) as { index: number }).index);
  return numbers.sort((left, right) => left - right);
}

const allNumbers = Array.from({ length: recordCount }, (_, index) => index);

describe('a user function that misbehaves', () => {
  test.each(['throw', 'exit', 'reject'])(
    'restarts the job, whose results are exact, when it does so once: %s',
    async (fault) => {
      const run = faulty({ fault, once: true });
      const summary = await new MillraceRun(run).finished();
      expect(summary).toMatchObject({ state: 'finished', restarts: 1, recordsIn: recordCount });
      expect(await numbersIn(run.output)).toEqual(allNumbers);
    },
    timeoutMs,
  );

  test.each([
    ['throw', 'USER_FUNCTION_FAILED', /faulty-map.*planted failure/s],
    ['exit', 'SLOT_EXITED', /'faulty-map'.*process\.exit/s],
    ['reject', 'SLOT_EXITED', /planted rejection/],
  ])(
    'ends the run with exit code 1, naming the operator, when it does so each time: %s',
    async (fault, code, message) => {
      const summary = await new MillraceRun(faulty({ fault, flags: ['--max-restarts', '1'] })).finished(1);
      expect(summary).toMatchObject({ ok: false, state: 'failed', restarts: 1, error: { code } });
      expect(summary.error?.message).toMatch(message);
    },
    timeoutMs,
  );

  test(
    'ends the run naming the operator when it never returns',
    async () => {
      const run = faulty({ fault: 'spin', flags: ['--max-restarts', '0', '--stuck-timeout', '1s'] });
      const summary = await new MillraceRun(run).finished(1);
      expect(summary).toMatchObject({ state: 'failed', error: { code: 'USER_FUNCTION_STUCK' } });
      expect(summary.error?.message).toContain("'faulty-map'");
    },
    timeoutMs,
  );

  test(
    'ends the run naming the operator when it eats all memory of its thread',
    async () => {
      const environment = { NODE_OPTIONS: '--max-old-space-size=150' };
      const summary = await new MillraceRun(
        faulty({ fault: 'allocate', flags: ['--max-restarts', '0'], environment }),
      ).finished(1);
      expect(summary).toMatchObject({ state: 'failed', error: { code: 'SLOT_EXITED' } });
      expect(summary.error?.message).toMatch(/'faulty-map'.*heap memory/s);
    },
    timeoutMs,
  );
});

interface Held {
  readonly threads: number;
  readonly files: number;
  readonly stored: number;
}

/** What a process holds just when an attempt begins. */
async function heldAt(run: MillraceRun, stateDirectory: string, attempt: number): Promise<Held> {
  expect(await run.untilLine(new RegExp(`is deploying .*attempt ${attempt}\\)`))).not.toBe(null);
  return {
    threads: readdirSync(`/proc/${run.processId}/task`).length,
    files: readdirSync(`/proc/${run.processId}/fd`).length,
    stored: readdirSync(stateDirectory, { recursive: true }).length,
  };
}

test.skipIf(process.platform !== 'linux')(
  'a job that restarts thirty times holds no more threads, open files and stored files than after eight times',
  async () => {
    const options = faulty({ fault: 'throw', flags: ['--parallelism', '2', '--max-restarts', '30'] });
    const run = new MillraceRun({ ...options, parameters: { ...options.parameters, at: '0' } });
    const early = await heldAt(run, options.stateDirectory, 8);
    const late = await heldAt(run, options.stateDirectory, 30);
    await run.finished(1);
    // A thread that is ending, or starting, may be seen or not.
    expect(late.threads).toBeLessThanOrEqual(early.threads + 4);
    expect(late.files).toBeLessThanOrEqual(early.files + 20);
    expect(late.stored).toBe(early.stored);
  },
  timeoutMs,
);

const canMount = process.platform === 'linux' && process.getuid?.() === 0 && mountWorks();

function mountWorks(): boolean {
  const path = mkdtempSync(join(tmpdir(), 'millrace-mount-'));
  const mounted = mount(path);
  if (mounted) unmount(path);
  rmSync(path, { recursive: true, force: true });
  return mounted;
}

function mount(path: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', path]).status === 0;
}

function unmount(path: string): void {
  spawnSync('umount', ['-l', path]);
}

/** Writes until nothing fits any more. */
function fill(path: string): void {
  for (const bytes of [1 << 20, 1 << 12, 1]) {
    try {
      for (let part = 0; part < 64; part++) writeFileSync(path, Buffer.alloc(bytes), { flag: 'a' });
    } catch (error) {
      // The next, smaller piece may still fit.
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
  }
}

// Needs root and the right to mount; elsewhere a disk of a known small size cannot be had.
describe.skipIf(!canMount)('a disk that fills up (mounts a small tmpfs)', () => {
  let input: ChaosInput;
  let expected: ChaosResults;

  beforeAll(() => {
    input = { directory: join(directory, 'in'), counts: [3_000, 2_000, 3_000, 8_000], ratePerSecond: 4_000 };
    writeChaosInput(input);
    expected = expectedResults(input.counts);
  });

  test.each(['state', 'results'])(
    'ends the run with STORAGE_FULL, and loses nothing once there is space, when it holds the %s',
    async (what) => {
      const base = join(directory, `full-${what}`);
      const disk = join(base, 'disk');
      mkdirSync(disk, { recursive: true });
      expect(mount(disk)).toBe(true);
      try {
        const where =
          what === 'state'
            ? { directory: base, stateDirectory: join(disk, 'state') }
            : { directory: disk, stateDirectory: join(base, 'state') };
        const { run, ...place } = chaosPlace({
          ...where,
          input,
          checkpointIntervalMs: 100,
          flags: ['--max-restarts', '1'],
        });
        const first = new MillraceRun(run);
        await first.untilCheckpoint();
        const filler = join(disk, 'filler');
        fill(filler);
        const summary = await first.finished(1);
        expect(summary.error?.code).toBe('STORAGE_FULL');
        expect(summary.error?.message).toContain(disk);
        rmSync(filler);
        const resumed = await new MillraceRun(run).finished();
        expect(resumed.restored).not.toBe(null);
        expect(await committedResults({ run, ...place })).toEqual(expected);
      } finally {
        unmount(disk);
      }
    },
    timeoutMs,
  );
});
