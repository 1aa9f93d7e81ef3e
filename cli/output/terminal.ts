/**
 * The only place of the CLI that writes. Data (results, summary, JSON) goes to stdout; progress, notes, warnings and errors
 * go to stderr. On a terminal the progress is one line that is overwritten; elsewhere each report is a line of its own.
 */

export interface TerminalStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class Terminal {
  readonly #out: TerminalStream;
  readonly #err: TerminalStream;
  readonly #quiet: boolean;
  #progressShown = false;

  constructor(out: TerminalStream, err: TerminalStream, options: { quiet: boolean }) {
    this.#out = out;
    this.#err = err;
    this.#quiet = options.quiet;
  }

  /** A line of data. */
  line(text: string): void {
    this.#clearProgress();
    this.#out.write(`${text}\n`);
  }

  /** Totals at the end of a run: data, but dropped when quiet, so that only results are left. */
  summary(text: string): void {
    if (!this.#quiet) this.line(text);
  }

  /** A line for the person in front of the screen; dropped when quiet. */
  note(text: string): void {
    if (this.#quiet) return;
    this.#clearProgress();
    this.#err.write(`${text}\n`);
  }

  /** Errors are never dropped. */
  error(text: string): void {
    this.#clearProgress();
    this.#err.write(`${text}\n`);
  }

  progress(text: string): void {
    if (this.#quiet) return;
    if (this.#err.isTTY !== true) {
      this.#err.write(`${text}\n`);
      return;
    }
    const columns = this.#err.columns ?? 80;
    // A line that wraps could not be overwritten.
    this.#err.write(`\r\u001b[2K${text.slice(0, columns - 1)}`);
    this.#progressShown = true;
  }

  /** Leaves the last progress behind and goes on below it. */
  endProgress(): void {
    this.#clearProgress();
  }

  #clearProgress(): void {
    if (!this.#progressShown) return;
    this.#err.write('\r\u001b[2K');
    this.#progressShown = false;
  }
}
