/** What a process of a cluster gets from the command line it runs under: where it stands, its log, and when to stop. */
import type { EngineError } from '../../core/errors.ts';

export interface ProcessLogger {
  info(message: string): void;
  warn(message: string): void;
}

export interface ProcessContext {
  readonly workingDirectory: string;
  readonly engineVersion: string;
  readonly logger: ProcessLogger;
  /** Resolves when the process is told to stop. */
  readonly stopped: Promise<void>;
  /** Says that it listens. */
  ready(message: string): void;
  /** A failure that may come at any time. */
  failure(): { readonly failed: Promise<never>; fail(error: EngineError): void };
}

/** The context of this process: Ctrl-C and `kill` stop it, lines go to standard error. */
export function processContext(engineVersion: string, workingDirectory: string): ProcessContext {
  const write = (level: string, message: string): void => {
    process.stderr.write(`${new Date().toISOString()} ${level} ${message}\n`);
  };
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  return {
    workingDirectory,
    engineVersion,
    logger: { info: (message) => write('info', message), warn: (message) => write('warn', message) },
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
