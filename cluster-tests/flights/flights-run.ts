/** Runs the flights job as a user does, in a process of its own, and reads what it left behind. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { readCommitted } from 'millrace/files';

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));
export const flightsFile = join(repositoryRoot, 'node_modules/vega-datasets/data/flights-3m.parquet');

export interface FlightsRunOptions {
  readonly output: string;
  readonly stateDirectory: string;
  readonly checkpointInterval: string;
  readonly arguments?: readonly string[];
}

/** The summary that `--json` prints last. */
export interface FlightsSummary {
  readonly ok: boolean;
  readonly state: string;
  readonly recordsIn: number;
  readonly [name: string]: unknown;
}

/** One process of `millrace run`. */
export class FlightsRun {
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #stdout: string[] = [];
  readonly #stderr: string[] = [];
  readonly exited: Promise<number | null>;
  #watchers: { pattern: RegExp; resolve: (line: string) => void; reject: (error: Error) => void }[] = [];

  constructor(options: FlightsRunOptions) {
    const { output, stateDirectory, checkpointInterval } = options;
    const flags = ['--state-dir', stateDirectory, '--checkpoint-interval', checkpointInterval, ...(options.arguments ?? [])];
    const parameters = ['--', '--input', flightsFile, '--output', output];
    this.#process = spawn(process.execPath, ['bin/millrace.js', 'run', 'examples/airport-delays.ts', ...flags, ...parameters], {
      cwd: repositoryRoot,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.#saw(this.#stdout, line));
    createInterface({ input: this.#process.stderr }).on('line', (line) => this.#saw(this.#stderr, line));
    this.exited = new Promise((resolve) => {
      this.#process.on('close', (code) => {
        for (const { reject, pattern } of this.#watchers) reject(new Error(`the run ended before it printed ${pattern}:\n${this.output}`));
        resolve(code);
      });
    });
  }

  get output(): string {
    return [...this.#stdout, ...this.#stderr].join('\n');
  }

  get lines(): readonly string[] {
    return [...this.#stdout, ...this.#stderr];
  }

  /** Resolves with the first line from now on that matches; rejects when the process ends before. */
  untilLine(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#watchers.push({ pattern, resolve, reject });
    });
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

/** Committed lines of the three results, each sorted. */
export async function committedResults(output: string): Promise<{ hourly: string[]; late: string[]; worst: string[] }> {
  const lines = async (name: string): Promise<string[]> => {
    const result: string[] = [];
    for await (const { line } of readCommitted(join(output, name))) result.push(line);
    return result.sort();
  };
  return { hourly: await lines('hourly'), late: await lines('late'), worst: await lines('worst-by-day') };
}
