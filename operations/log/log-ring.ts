/**
 * The newest lines of one process. Old ones make room for new ones, by number and by characters, so that nobody can fill the
 * memory of whoever keeps them. Lines are counted from 1, so that a reader who was told some of them can ask for the others.
 */
import type { LogLine } from '../../proto/client-messages.ts';

/** Lines kept of one process. */
export const ringLinesMax = 1_000;
/** Characters kept of one process. */
export const ringCharactersMax = 1024 * 1024;
/** Longest text of a line, in characters; the rest is cut off. */
export const logTextMax = 8_192;

export class LogRing {
  readonly #linesMax: number;
  readonly #charactersMax: number;
  /** The oldest is at `#first`; places before it are free. */
  #lines: LogLine[] = [];
  #first = 0;
  #characters = 0;
  /** Of the line that came last; 0 before the first. */
  #newest = 0;

  constructor(linesMax: number = ringLinesMax, charactersMax: number = ringCharactersMax) {
    this.#linesMax = linesMax;
    this.#charactersMax = charactersMax;
  }

  /** The line as it is kept. */
  add(line: LogLine): LogLine {
    const kept = line.text.length > logTextMax ? { ...line, text: `${line.text.slice(0, logTextMax)}…` } : line;
    this.#lines.push(kept);
    this.#newest++;
    this.#characters += kept.text.length;
    while (this.size > this.#linesMax || (this.#characters > this.#charactersMax && this.size > 1)) this.#dropOldest();
    return kept;
  }

  get size(): number {
    return this.#lines.length - this.#first;
  }

  get characters(): number {
    return this.#characters;
  }

  /** Wall clock of the newest line; 0 without one. */
  get newestTimeMs(): number {
    return this.#lines.at(-1)?.timeMs ?? 0;
  }

  /** The newest lines for which `wanted` holds, newest first. */
  *backwards(wanted: (line: LogLine) => boolean, linesMax: number): Generator<LogLine> {
    let found = 0;
    for (let place = this.#lines.length - 1; place >= this.#first && found < linesMax; place--) {
      const line = this.#lines[place] as LogLine;
      if (!wanted(line)) continue;
      found++;
      yield line;
    }
  }

  /** Lines from a number on, as far as they are still kept, up to so many characters, but one at least. */
  from(number: number, charactersMax: number): { readonly firstNumber: number; readonly lines: readonly LogLine[] } {
    const oldest = this.#newest - this.size + 1;
    const firstNumber = Math.max(number, oldest);
    const lines: LogLine[] = [];
    let characters = 0;
    for (let place = this.#first + firstNumber - oldest; place < this.#lines.length; place++) {
      const line = this.#lines[place] as LogLine;
      characters += line.text.length;
      if (lines.length > 0 && characters > charactersMax) break;
      lines.push(line);
    }
    return { firstNumber, lines };
  }

  /** Makes room. */
  dropOldest(): void {
    if (this.size > 0) this.#dropOldest();
  }

  #dropOldest(): void {
    this.#characters -= (this.#lines[this.#first] as LogLine).text.length;
    this.#first++;
    // Now and then, so that a line costs the same however many are kept.
    if (this.#first <= this.#linesMax && this.#first < this.#lines.length) return;
    this.#lines = this.#lines.slice(this.#first);
    this.#first = 0;
  }
}
