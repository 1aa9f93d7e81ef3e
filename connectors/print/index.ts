/**
 * `print()`: records as lines on the standard output. At least once: what was printed since the last checkpoint is printed again
 * after a recovery, because a terminal cannot take lines back.
 */
import { inspect } from 'node:util';
import type { PlainData, PreparedCommit, Sink, SinkWriter } from '../../core/connector/index.ts';

export interface PrintOptions {
  /** Text before every line, for example the name of the stream. Default: none. */
  readonly prefix?: string;
}

/** Writes text somewhere; false when it has to be waited for with `drained`. */
export interface LineOutput {
  write(text: string): boolean;
  drained(): Promise<void>;
}

/** Marks of changes, by row kind: nothing for a plain record, then update before, update after, delete. */
const kindMarks = ['', '-U ', '+U ', '-D '];
const flushChars = 16 * 1024;

/** One line for a value: strings as they are, all else as Node shows it, on one line. */
export function lineOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return inspect(value, { breakLength: Number.POSITIVE_INFINITY, compact: true, depth: 8, maxArrayLength: 100 });
}

/** Exported for tests, which bring their own output. */
export class PrintWriter<T> implements SinkWriter<T> {
  readonly #prefix: string;
  readonly #output: LineOutput;
  #text = '';
  #hasRoom = true;

  constructor(prefix: string, output: LineOutput) {
    this.#prefix = prefix;
    this.#output = output;
  }

  async open(): Promise<void> {}

  write(value: T, _timestamp: number, rowKind: number): void {
    // Once per batch, not per record: lines show up as soon as the batch that is being processed is done.
    if (this.#text.length === 0) queueMicrotask(this.#flush);
    this.#text += `${this.#prefix}${kindMarks[rowKind] ?? ''}${lineOf(value)}\n`;
    if (this.#text.length >= flushChars) this.#flush();
  }

  get hasRoom(): boolean {
    return this.#hasRoom;
  }

  async drained(): Promise<void> {
    if (this.#hasRoom) return;
    await this.#output.drained();
    this.#hasRoom = true;
  }

  async prepareCommit(): Promise<PreparedCommit> {
    this.#flush();
    return { committables: [] as PlainData[], state: [] };
  }

  async close(): Promise<void> {
    this.#flush();
  }

  readonly #flush = (): void => {
    if (this.#text.length === 0) return;
    this.#hasRoom = this.#output.write(this.#text);
    this.#text = '';
  };
}

const standardOutput: LineOutput = {
  write: (text) => process.stdout.write(text),
  drained: () => new Promise((resolve) => process.stdout.once('drain', resolve)),
};

/** A sink that prints every record. Results are printed at least once. */
export function print<T = unknown>(options: PrintOptions = {}): Sink<T> {
  const { prefix = '' } = options;
  return {
    type: 'sink',
    kind: 'print',
    options: { prefix },
    destination: null,
    createWriter: () => new PrintWriter<T>(prefix, standardOutput),
    createCommitter: null,
    occupation: async () => null,
  };
}
