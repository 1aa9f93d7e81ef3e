/** What a process of a cluster gets from the command line it runs under: where it stands, its log, and when to stop. */
import type { EngineError } from '../../core/errors.ts';
import type { LogFields, LogSeverity } from '../../core/log-record.ts';
import { LogBuffer, toLogLine } from '../../operations/log/log-buffer.ts';
import { ProcessLog } from '../../operations/log/process-log.ts';

export interface ProcessLogger {
  info(message: string, about?: LogFields): void;
  warn(message: string, about?: LogFields): void;
}

export interface ProcessLogOptions {
  /** Which process the lines are of. */
  readonly process: string;
  readonly format: 'auto' | 'text' | 'json';
  readonly level: LogSeverity;
}

export interface ProcessContext {
  readonly workingDirectory: string;
  readonly engineVersion: string;
  readonly logger: ProcessLogger;
  /** The newest lines of the log. */
  readonly logs: LogBuffer;
  /** Resolves when the process is told to stop. */
  readonly stopped: Promise<void>;
  /** Says that it listens. */
  ready(message: string): void;
  /** A failure that may come at any time. */
  failure(): { readonly failed: Promise<never>; fail(error: EngineError): void };
}

/** The context of this process: Ctrl-C and `kill` stop it, lines go to standard error. */
export function processContext(
  engineVersion: string,
  workingDirectory: string,
  { process: name, format, level }: ProcessLogOptions,
): ProcessContext {
  const logs = new LogBuffer();
  const log = new ProcessLog({
    process: name,
    format,
    level,
    target: process.stderr,
    nowMs: Date.now,
    onRecord: (record) => logs.add(toLogLine(record, null)),
  });
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  return {
    workingDirectory,
    engineVersion,
    logger: { info: (message, about) => log.info(message, about), warn: (message, about) => log.warn(message, about) },
    logs,
    stopped,
    // On standard output, so that whoever starts it can wait for this line.
    ready: (message) => process.stdout.write(`${message}\n`),
    failure: () => {
      let fail: (error: EngineError) => void = () => undefined;
      const failed = new Promise<never>((_, reject) => {
        fail = reject;
      });
      failed.catch(() => undefined);
      return { failed, fail };
    },
  };
}
