/**
 * The `millrace` command: reads the command line, runs a command, turns what happened into text and an exit code.
 *
 * Exit codes: 0 done, or stopped with a last checkpoint; 1 an error; 2 wrong usage (also a wrong parameter of the job);
 * 78 the configuration is refused; 130 ended at once by a second Ctrl-C.
 */
import { type Command, CommanderError } from 'commander';
import { EngineError, type ErrorCode, fromWireError, isEngineError, toWireError } from '../core/errors.ts';
import { enginePackage } from '../taskmanager/artifact/engine-package.ts';
import { Terminal } from './output/terminal.ts';
import { type Actions, buildProgram } from './program.ts';
import { usageError } from './usage-error.ts';
import { certsActions } from './certs/certs-actions.ts';
import { type ProcessContext, processContext } from './cluster/process-context.ts';
import type { LogSeverity } from '../core/log-record.ts';
import type { ResolvedConfig } from '../core/config/resolve-config.ts';
import { configurationExitCode } from '../core/security/bind.ts';

const plainTerminal = (): Terminal => new Terminal(process.stdout, process.stderr, { quiet: false });

/** Null when the options were printed instead. */
async function processConfig(
  command: Command,
  process: 'job-manager' | 'task-manager',
): Promise<ResolvedConfig | null> {
  const { configOfCommand } = await import('./config/config-options.ts');
  const { env: environment, cwd, stdout } = globalThis.process;
  return configOfCommand(command, process, {
    environment,
    workingDirectory: cwd(),
    line: (text) => stdout.write(`${text}\n`),
  });
}

const contextOf = (config: ResolvedConfig, name: string, version: string): ProcessContext =>
  processContext(version, process.cwd(), {
    process: name,
    format: config.get('log.format') as 'auto' | 'text' | 'json',
    level: config.get('log.level') as LogSeverity,
  });

/** Runs the command line and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  endQuietlyOnClosedPipe();
  const code = await runCommandLine(argv);
  // Threads and sockets of a job that would not end must not keep the shell waiting.
  process.stdout.write('', () => process.exit(code));
}

async function runCommandLine(argv: readonly string[]): Promise<number> {
  let code = 0;
  const { version } = enginePackage();
  const environment = process.env;
  const actions: Actions = {
    run: async (options, quiet) => {
      const { runCommand } = await import('./run/run-command.ts');
      const terminal = new Terminal(process.stdout, process.stderr, { quiet });
      const context = { terminal, engineVersion: version, environment, workingDirectory: process.cwd() };
      const { outcome } = await runCommand(options, context);
      if (outcome?.error) code = await reportError(outcome.error, false);
      else if (outcome?.state === 'canceled' || outcome?.state === 'failed') code = 1;
    },
    watch: async (options) => {
      const { watchCommand } = await import('./watch/watch-command.ts');
      const terminal = new Terminal(process.stdout, process.stderr, { quiet: false });
      await watchCommand(options, {
        terminal,
        engineVersion: version,
        environment,
        workingDirectory: process.cwd(),
        engineDirectory: enginePackage().directory,
      });
    },
    plan: async (options) => {
      const { planCommand } = await import('./plan/plan-command.ts');
      const terminal = new Terminal(process.stdout, process.stderr, { quiet: options.json });
      if (!(await planCommand(options, terminal, environment))) code = 1;
    },
    check: async (options) => {
      const { checkCommand } = await import('./check/check-command.ts');
      const terminal = new Terminal(process.stdout, process.stderr, { quiet: options.json });
      if ((await checkCommand(options, terminal, environment)) > 0) code = 1;
    },
    jobManager: async (command) => {
      const { jobManagerCommand } = await import('./cluster/job-manager-command.ts');
      const config = await processConfig(command, 'job-manager');
      if (config !== null) await jobManagerCommand(config, contextOf(config, 'job-manager', version));
    },
    taskManager: async (command) => {
      const { taskManagerCommand } = await import('./cluster/task-manager-command.ts');
      const config = await processConfig(command, 'task-manager');
      if (config !== null) await taskManagerCommand(config, contextOf(config, 'task-manager', version));
    },
    clusterStart: async (options) => {
      const { clusterStart } = await import('./cluster/cluster-command.ts');
      await clusterStart(options, process.argv[1] as string, plainTerminal());
    },
    clusterStop: async (directory) => {
      const { clusterStop } = await import('./cluster/cluster-command.ts');
      await clusterStop(directory, plainTerminal());
    },
    clusterStatus: async (directory) => {
      const { clusterStatus } = await import('./cluster/cluster-command.ts');
      clusterStatus(directory, plainTerminal());
    },
    submit: async (options) => {
      const { submitCommand } = await import('./cluster/client-commands.ts');
      await submitCommand(options, { terminal: plainTerminal(), engineVersion: version, environment });
    },
    list: async (options) => {
      const { listCommand } = await import('./cluster/client-commands.ts');
      await listCommand(options, plainTerminal());
    },
    status: async (job, options) => {
      const { statusCommand } = await import('./cluster/client-commands.ts');
      await statusCommand(job, options, plainTerminal());
    },
    rescale: async (job, parallelism, options) => {
      const { rescaleCommand } = await import('./cluster/client-commands.ts');
      await rescaleCommand(job, parallelism, options, plainTerminal());
    },
    cancel: async (job, options) => {
      const { cancelCommand } = await import('./cluster/client-commands.ts');
      await cancelCommand(job, options, plainTerminal());
    },
    forget: async (job, options) => {
      const { forgetCommand } = await import('./cluster/client-commands.ts');
      await forgetCommand(job, options, plainTerminal());
    },
    logs: async (options) => {
      const { logsCommand } = await import('./cluster/logs-command.ts');
      const leave = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => leave.abort());
      await logsCommand(options, plainTerminal(), leave.signal);
    },
    stop: async (job, wishes, options) => {
      const { stopCommand } = await import('./cluster/client-commands.ts');
      await stopCommand(job, wishes, options, plainTerminal());
    },
    savepoint: async (job, options) => {
      const { savepointCommand } = await import('./cluster/client-commands.ts');
      await savepointCommand(job, options, plainTerminal());
    },
    disposeSavepoint: async (path, options) => {
      const { disposeCommand } = await import('./cluster/client-commands.ts');
      await disposeCommand(path, options, plainTerminal());
    },
    ...certsActions(plainTerminal),
    init: async (options) => {
      const { initCommand } = await import('./init/init-command.ts');
      initCommand(options, new Terminal(process.stdout, process.stderr, { quiet: false }), version);
    },
  };
  try {
    await buildProgram(version, actions).parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version are printed by the parser and are no errors.
      if (error.exitCode === 0) return 0;
      if (error.code === 'commander.help') return reportError(noCommand(), wantsJson(argv));
      return reportError(usageError(error), wantsJson(argv));
    }
    return reportError(asEngineError(error), wantsJson(argv));
  }
}

const noCommand = (): EngineError =>
  new EngineError('USAGE', 'no command was given → millrace run <job.ts>, or millrace --help');

/** Exit codes other than 1. */
const exitCodes: Partial<Record<ErrorCode, number>> = {
  USAGE: 2,
  PARAMETER_INVALID: 2,
  SAVEPOINT_UNREADABLE: 65,
  SAVEPOINT_NOT_FOUND: 66,
  SAVEPOINT_REFUSED: 67,
  SAVEPOINT_IN_USE: 68,
  CONFIG_INVALID: configurationExitCode,
};

/** Prints an error, as JSON on stdout when asked for, and returns the exit code. */
async function reportError(error: EngineError, json: boolean): Promise<number> {
  if (json) {
    const { errorJson } = await import('./run/summary-text.ts');
    process.stdout.write(`${JSON.stringify({ ok: false, error: errorJson(error) })}\n`);
  } else {
    const { errorText } = await import('./output/error-text.ts');
    process.stderr.write(
      `${errorText(error, { engineDirectory: enginePackage().directory, workingDirectory: process.cwd() })}\n`,
    );
  }
  return exitCodes[error.code] ?? 1;
}

function asEngineError(error: unknown): EngineError {
  return isEngineError(error) ? error : fromWireError(toWireError(error));
}

/** Also before the command line could be parsed. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json');
}

/** `millrace run job.ts | head`: the reader has seen enough. */
function endQuietlyOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
