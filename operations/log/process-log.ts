/**
 * The log of a process. Threads post their lines to the main thread, which writes them here, so lines are never torn. On a
 * terminal a line is text; elsewhere a JSON object with the fields of {@link LogRecord}, for what collects logs.
 *
 * Written synchronously: the last lines before a crash are the ones that are needed.
 */
import { pino, type DestinationStream, type Logger } from 'pino';
import type { LogFields, LogRecord, LogSeverity } from '../../core/log-record.ts';
import { printableText } from './printable-text.ts';

export const logFormats = ['text', 'json', 'auto'] as const;
/** `auto`: text on a terminal, else JSON. */
export type LogFormat = (typeof logFormats)[number];

export interface LogTarget {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface ProcessLogOptions {
  /** Which process: `job-manager host:port`, or the id of a task manager. */
  readonly process: string;
  readonly format: LogFormat;
  /** The least that is written. Default `info`. */
  readonly level?: LogSeverity;
  /** Usually standard error. */
  readonly target: LogTarget;
  /** Wall clock, ms since the epoch. */
  readonly nowMs: () => number;
  /** Told of every line that is written, for a {@link LogBuffer}. */
  readonly onRecord?: (record: LogRecord) => void;
}

const severityOrder: Readonly<Record<LogSeverity, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export class ProcessLog {
  readonly #options: ProcessLogOptions;
  readonly #fields: LogFields;
  readonly #write: (record: LogRecord) => void;

  constructor(options: ProcessLogOptions, fields: LogFields = {}, write?: (record: LogRecord) => void) {
    this.#options = options;
    this.#fields = fields;
    const { format, target } = options;
    const asText = format === 'text' || (format === 'auto' && target.isTTY === true);
    this.#write = write ?? (asText ? textWriter(target) : jsonWriter(target));
  }

  /** The same log, whose lines are about something. */
  child(fields: LogFields): ProcessLog {
    return new ProcessLog(this.#options, { ...this.#fields, ...fields }, this.#write);
  }

  debug(text: string, fields?: LogFields): void {
    this.log('debug', text, fields);
  }

  info(text: string, fields?: LogFields): void {
    this.log('info', text, fields);
  }

  warn(text: string, fields?: LogFields): void {
    this.log('warn', text, fields);
  }

  error(text: string, fields?: LogFields): void {
    this.log('error', text, fields);
  }

  log(level: LogSeverity, text: string, fields: LogFields = {}): void {
    const { process, nowMs, onRecord, level: least = 'info' } = this.#options;
    if (severityOrder[level] < severityOrder[least]) return;
    const record: LogRecord = { timeMs: nowMs(), level, process, ...this.#fields, ...fields, text };
    this.#write(record);
    onRecord?.(record);
  }
}

/** Lines of JSON, one object each. */
function jsonWriter(target: LogTarget): (record: LogRecord) => void {
  const destination: DestinationStream = { write: (line) => void target.write(line) };
  const logger: Logger = pino(
    {
      base: null,
      level: 'debug',
      messageKey: 'text',
      // The time is the one of the record, which may be of another thread.
      timestamp: false,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
  return ({ timeMs, level, text, ...rest }) => logger[level]({ time: new Date(timeMs).toISOString(), ...rest }, text);
}

/** Lines for people. */
function textWriter(target: LogTarget): (record: LogRecord) => void {
  return (record) => {
    const text = printableText(record.text);
    target.write(`${new Date(record.timeMs).toISOString()} ${record.level}${aboutText(record)} ${text}\n`);
  };
}

function aboutText({ job, operator, subtask, attempt, traceId }: LogRecord): string {
  const parts = [
    job,
    operator === undefined ? undefined : `${operator}${subtask === undefined ? '' : `#${subtask}`}`,
    attempt === undefined ? undefined : `attempt ${attempt}`,
    traceId,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? '' : ` [${parts.join(', ')}]`;
}
