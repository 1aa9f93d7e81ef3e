/**
 * How many log lines a slot may send: a function that logs each record would fill the queue to the main thread. Pure; what is
 * over the budget is dropped and the number of dropped lines is said with the next line that passes.
 */

/** Log lines of one slot in a second. */
export const logLinesPerSecondMax = 200;
/** Characters of one line. */
export const logLineMaxLength = 16 * 1024;

export class LogBudget {
  #second = Number.NEGATIVE_INFINITY;
  #sent = 0;
  #dropped = 0;

  /** The lines to send for a message that was logged now: none, the message, or a note on what was dropped and the message. */
  take(nowMs: number, message: string): readonly string[] {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#sent = 0;
    }
    if (this.#sent >= logLinesPerSecondMax) {
      this.#dropped++;
      return [];
    }
    this.#sent++;
    const line = message.length > logLineMaxLength ? `${message.slice(0, logLineMaxLength)} …` : message;
    if (this.#dropped === 0) return [line];
    const note = `${this.#dropped} log lines were dropped: a slot may log ${logLinesPerSecondMax} a second`;
    this.#dropped = 0;
    return [note, line];
  }
}
