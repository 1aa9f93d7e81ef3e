/** Runs a job as a user does, `millrace run` in a process of its own, and reads what it says and leaves behind. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Also when it is run from dist/. */
export const repositoryRoot = fileURLToPath(new URL('..', import.meta.url)).replace(/\/dist\/$/, '/');

export interface MillraceRunOptions {
  /** Path of the job file. */
  readonly job: string;
  readonly stateDirectory: string;
  /** As on the command line: `250ms`. */
  readonly checkpointInterval: string;
  readonly flags?: readonly string[];
  readonly parameters: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Shell text run before the process takes the shell's place: `ulimit -f 100`. */
  readonly shell?: string;
}

/** The summary that `--json` prints last, as far as tests look at it. */
export interface RunSummary {
  readonly ok: boolean;
  readonly state: string;
  /** The job had finished in an earlier process; nothing else is told then. */
  readonly alreadyFinished?: boolean;
  readonly recordsIn: number;
  readonly lateRecords: number;
  readonly restarts: number;
  readonly lastCheckpoint: { readonly id: number } | null;
  readonly restored: { readonly checkpointId: number; readonly sourceRecords: number } | null;
  readonly counters: Readonly<Record<string, number>>;
  readonly error: { readonly code: string; readonly message: string } | null;
}

interface Watcher {
  readonly pattern: RegExp;
  readonly resolve: (line: string | null) => void;
}

/** One process of `millrace run`. */
export class MillraceRun {
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #stdout: string[] = [];
  readonly #stderr: string[] = [];
  #watchers: Watcher[] = [];
  #isOver = false;
  /** Exit code; null when a signal ended it. All output has been read then. */
  readonly exited: Promise<number | null>;

  constructor(options: MillraceRunOptions) {
    const words = commandLine(options);
    const [command, ...rest] =
      options.shell === undefined
        ? [process.execPath, ...words]
        : ['bash', '-c', `${options.shell}; exec "$@"`, 'bash', process.execPath, ...words];
    this.#process = spawn(command, rest, {
      cwd: repositoryRoot,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
    });
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#saw(this.#stdout, line));
    createInterface({ input: this.#process.stderr }).on('line', (line) => this.#saw(this.#stderr, line));
    this.exited = new Promise((resolve) => {
      this.#process.on('close', (code) => {
        this.#isOver = true;
        for (const watcher of this.#watchers) watcher.resolve(null);
        this.#watchers = [];
        resolve(code);
      });
    });
  }

  get processId(): number {
    return this.#process.pid as number;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Everything printed so far; for messages of failing tests. */
  get output(): string {
    return [...this.#stdout, ...this.#stderr].join('\n');
  }

  get summary(): RunSummary {
    const last = this.#stdout[this.#stdout.length - 1];
    if (last === undefined || !last.startsWith('{')) throw new Error(`the run printed no summary:\n${this.output}`);
    return JSON.parse(last) as RunSummary;
  }

  /** Resolves with the first line from now on that matches; null when the process ends before. */
  untilLine(pattern: RegExp): Promise<string | null> {
    if (this.#isOver) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#watchers.push({ pattern, resolve });
    });
  }

  /** Id of the next checkpoint to complete; null when the process ends before. */
  async untilCheckpoint(): Promise<number | null> {
    const line = await this.untilLine(/checkpoint \d+ of job .* is complete/);
    return line === null ? null : Number(/checkpoint (\d+)/.exec(line)?.[1]);
  }

  /** Waits for the end and returns the summary. @throws Error with everything printed when the exit code is another */
  async finished(exitCode = 0): Promise<RunSummary> {
    const code = await this.exited;
    if (code !== exitCode) throw new Error(`exit code ${code} instead of ${exitCode}:\n${this.output}`);
    return this.summary;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  interrupt(): void {
    this.#process.kill('SIGINT');
  }

  #saw(lines: string[], line: string): void {
    lines.push(line);
    this.#watchers = this.#watchers.filter((watcher) => {
      if (!watcher.pattern.test(line)) return true;
      watcher.resolve(line);
      return false;
    });
  }
}

function commandLine({
  job,
  stateDirectory,
  checkpointInterval,
  flags = [],
  parameters,
}: MillraceRunOptions): string[] {
  const own = ['--state-dir', stateDirectory, '--checkpoint-interval', checkpointInterval, '--json', '--verbose'];
  const given = Object.entries(parameters).flatMap(([name, value]) => [`--${name}`, value]);
  return [join(repositoryRoot, 'bin/millrace.js'), 'run', job, ...own, ...flags, '--', ...given];
}
