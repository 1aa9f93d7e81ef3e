/**
 * A folder with a job, and `bin/millrace.js` as a user runs it there. Every test of bad input ends with a correct run: what
 * went wrong must not have lost or repeated anything.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { readCommitted } from '../../connectors/files/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const runDeadlineMs = 30_000;

export interface Ended {
  /** -1 when it had to be killed at the deadline. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class ScratchProject {
  readonly directory = mkdtempSync(join(tmpdir(), 'millrace-bad-input-'));
  readonly #running = new Set<ChildProcess>();

  constructor() {
    expect(existsSync(join(root, 'dist/cli/main.js')), 'dist/ is missing: npm run build').toBe(true);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text);
  }

  /** Writes `job.ts`: a job `scratch` whose definition is `body`. */
  writeJob(body: string, settings = ''): void {
    this.write(
      'job.ts',
      `import { count, defineJob, emits, globalWindow, hours, listState, mapState, seconds, session, sliding, tumbling, valueState } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';
export default defineJob('scratch', (env) => {
${body}
}${settings === '' ? '' : `, ${settings}`});
`,
    );
  }

  /** `millrace run job.ts --state-dir state`, with checkpoints often. */
  run(...more: readonly string[]): Promise<Ended> {
    return this.start(...more).ended;
  }

  start(...more: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
    const args = ['run', 'job.ts', '--state-dir', 'state', '--checkpoint-interval', '50ms', ...more];
    return this.#spawn(process.execPath, [join(root, 'bin/millrace.js'), ...args]);
  }

  /** The same in a shell that lets no file grow above `blocks` of 512 bytes. */
  runWithFileLimit(blocks: number, ...more: readonly string[]): Promise<Ended> {
    const args = ['run', 'job.ts', '--state-dir', 'state', '--checkpoint-interval', '50ms', ...more];
    const command = `ulimit -f ${blocks} && exec "$0" "$@"`;
    return this.#spawn('/bin/sh', ['-c', command, process.execPath, join(root, 'bin/millrace.js'), ...args]).ended;
  }

  /** Committed lines of an output directory, sorted. */
  async results(name = 'out'): Promise<readonly string[]> {
    const lines: string[] = [];
    for await (const { line } of readCommitted(this.path(name))) lines.push(line);
    return lines.sort();
  }

  /** Ends what still runs and removes the folder. */
  dispose(): void {
    for (const child of this.#running) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn(command: string, args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
    const child = spawn(command, args, { cwd: this.directory, timeout: runDeadlineMs, killSignal: 'SIGKILL' });
    this.#running.add(child);
    const text = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (text.stdout += String(chunk)));
    child.stderr.on('data', (chunk) => (text.stderr += String(chunk)));
    const ended = new Promise<Ended>((resolve) => {
      child.on('close', (code) => {
        this.#running.delete(child);
        resolve({ code: code ?? -1, ...text });
      });
    });
    return { child, ended };
  }
}

/** The run failed as a user wants it: exit code 1, one error that matches, no stack of the engine, no restart. */
export function expectRefusal(ended: Ended, message: RegExp, expectedCode = 1): void {
  expect(ended.code, ended.stderr).toBe(expectedCode);
  expect(ended.stderr).toMatch(message);
  expect(ended.stderr.match(/^error: /gm), ended.stderr).toHaveLength(1);
  expect(ended.stderr).not.toMatch(/dist\/|node:internal|bug of millrace/);
  expect(ended.stderr).not.toContain('restart in');
}

/** The run ended well. */
export function expectFinished(ended: Ended): void {
  expect(ended.code, ended.stderr).toBe(0);
  expect(ended.stdout).toMatch(/finished after/);
}

/** Results of counting numbers 0 to `total - 1` by their rest modulo 7: each count of each key exactly once. */
export function countsOf(total: number): readonly string[] {
  return Array.from({ length: total }, (_, n) => JSON.stringify({ key: n % 7, seen: Math.floor(n / 7) + 1 })).sort();
}
