/**
 * `stream.print()`: a line of JSON per record on standard output. At least once: a record printed after the last
 * checkpoint is printed again after a recovery, since a terminal takes nothing back.
 */
import { changeSigns } from '../../core/changelog.ts';
import type { Sink, SinkWriter } from '../../core/connector/index.ts';

/**
 * @param prefix  put before each line, followed by a space when not empty
 * @param changes the stream is a changelog: each line begins with `+I`, `-U`, `+U` or `-D`
 */
export function printSink<T>(prefix: string, changes: boolean = false): Sink<T> {
  return Object.freeze({
    type: 'sink' as const,
    kind: 'print',
    options: { prefix, ...(changes ? { changes } : {}) },
    accepts: 'retract' as const,
    createWriter: (): SinkWriter<T> => new PrintWriter<T>(prefix === '' ? '' : `${prefix} `, changes),
    createCommitter: null,
    destination: null,
    occupation: () => Promise.resolve(null),
  });
}

/** Characters collected before a write, so that a line does not cost a system call. */
const bufferMaxCharacters = 64 * 1024;

class PrintWriter<T> implements SinkWriter<T> {
  readonly #prefix: string;
  readonly #changes: boolean;
  #buffer = '';
  #pending: Promise<void> | null = null;
  #error: Error | null = null;

  constructor(prefix: string, changes: boolean) {
    this.#prefix = prefix;
    this.#changes = changes;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  write(value: T, _timestamp: number, rowKind: number): void {
    this.#buffer += `${this.#prefix}${this.#changes ? `${changeSigns[rowKind]} ` : ''}${lineOf(value)}\n`;
    if (this.#buffer.length >= bufferMaxCharacters && this.#pending === null) void this.#flush();
  }

  get hasRoom(): boolean {
    return this.#error === null && (this.#pending === null || this.#buffer.length < bufferMaxCharacters);
  }

  async drained(): Promise<void> {
    // Once: a pending write is cleared by its own flush, which was waiting for it before us.
    if (this.#pending !== null) await this.#pending;
    if (this.#error !== null) throw this.#error as Error;
  }

  async prepareCommit(): Promise<{ committables: readonly never[]; state: readonly never[] }> {
    await this.drained();
    await this.#flush();
    await this.drained();
    return { committables: [], state: [] };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Never rejects: the error is kept for `drained`. */
  async #flush(): Promise<void> {
    if (this.#buffer === '') return;
    const text = this.#buffer;
    this.#buffer = '';
    this.#pending = new Promise<void>((resolve) => {
      process.stdout.write(text, (error) => {
        if (error !== null && error !== undefined) this.#error ??= error;
        resolve();
      });
    });
    await this.#pending;
    this.#pending = null;
  }
}

/** JSON, with bigint as digits: JSON.stringify would throw on one. */
function lineOf(value: unknown): string {
  return (
    JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item)) ?? 'undefined'
  );
}
