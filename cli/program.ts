/**
 * The commands and options of `millrace`. Says what can be typed; what a command does is loaded only when it is called,
 * so that `--help` stays quick.
 */
import { Command, Option } from 'commander';
import { EngineError } from '../core/errors.ts';
import {
  parseChoice,
  parseDuration,
  parseInteger,
  parseJobArguments,
  parseParallelism,
  parsePortRange,
} from './options/parse-options.ts';
import { addCertsCommands, type CertsActions } from './certs/certs-program.ts';
import { addClusterCommands, type ClusterActions } from './cluster/cluster-program.ts';
import type { PortRange } from './embedded/run-types.ts';
import type { PlanCommandOptions } from './plan/plan-command.ts';
import type { InitCommandOptions } from './init/init-command.ts';
import type { RunCommandOptions } from './run/run-command.ts';

/** What the commands call. */
export interface Actions extends ClusterActions, CertsActions {
  run(options: RunCommandOptions, quiet: boolean): Promise<void>;
  /** `run --watch`. */
  watch(options: RunCommandOptions): Promise<void>;
  plan(options: PlanCommandOptions): Promise<void>;
  check(options: PlanCommandOptions): Promise<void>;
  init(options: InitCommandOptions): Promise<void>;
}

interface JobFlags {
  readonly parallelism?: number;
  readonly external: readonly string[];
  readonly json?: boolean;
}

interface RunFlags extends JobFlags {
  readonly stateDir?: string;
  readonly fresh?: boolean;
  readonly upgrade?: boolean;
  readonly watch?: boolean;
  readonly checkpointInterval?: number;
  readonly maxRestarts?: number;
  readonly dataPorts?: PortRange;
  readonly backend: 'memory' | 'cold';
  readonly stuckTimeout?: number;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

const runExamples = `
Examples:
  millrace run job.ts                                   run here; nothing is kept
  millrace run job.ts --state-dir .millrace/job         keep state: the same command goes on where it stopped
  millrace run job.ts --state-dir .millrace/job --fresh drop state and results, begin again
  millrace run job.ts --watch                           run again, with its state, when a file of the job changes
  millrace run job.ts -- --airport ATL                  parameters of the job go after --

Ctrl-C stops with a last checkpoint (exit 0); a second one ends at once (exit 130).`;

/** Builds the parser. It throws CommanderError instead of ending the process. */
export function buildProgram(version: string, actions: Actions): Command {
  const program = new Command('millrace');
  program
    .description('Distributed, stateful stream processing for TypeScript.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({ writeErr: () => undefined })
    .exitOverride();
  addRun(program, actions);
  addPlan(program, actions);
  addCheck(program, actions);
  addInit(program, actions);
  addClusterCommands(program, actions);
  addCertsCommands(program, actions);
  return program;
}

function addRun(program: Command, actions: Actions): void {
  const command = jobCommand(program, 'run', 'run a job in this process')
    .option('--state-dir <directory>', 'keep checkpoints here and go on from them; default: a temporary directory')
    .option('--fresh', 'drop the state and the results of earlier runs first')
    .option('--upgrade', 'go on although the graph of the job has changed, where its state means the same')
    .option('--watch', 'run again when a file of the job changes, with its state')
    .option('--checkpoint-interval <time>', 'time between checkpoints, for example 1s', (text) =>
      parseDuration('--checkpoint-interval', text),
    )
    .option('--max-restarts <n>', 'restarts before giving up; default: as the job says, at most 3', (text) =>
      parseInteger('--max-restarts', text, { min: 0, max: 1_000_000 }),
    )
    .option(
      '--data-ports <first-last>',
      'ports for the connections between slots, with a parallelism above 1; default: any',
      (text) => parsePortRange('--data-ports', text),
    )
    .addOption(
      new Option('--backend <name>', 'state backend')
        .hideHelp()
        .argParser((text) => parseChoice('--backend', text, ['memory', 'cold']))
        .default('memory'),
    )
    .option('--stuck-timeout <time>', 'a function that runs longer fails the job; default: 60s', (text) =>
      parseDuration('--stuck-timeout', text),
    )
    .option('--quiet', 'print results and errors only')
    .option('--verbose', 'print what the engine does')
    .addHelpText('after', runExamples);
  command.action((jobFile: string, words: readonly string[], flags: RunFlags) => {
    const options = runOptions(jobFile, words, flags);
    if (flags.watch !== true) return actions.run(options, flags.quiet ?? (options.json && !options.verbose));
    if (options.json)
      throw new EngineError('USAGE', '--watch runs a job many times, --json prints one line → leave one out');
    return actions.watch(options);
  });
}

function runOptions(jobFile: string, words: readonly string[], flags: RunFlags): RunCommandOptions {
  return {
    jobFile,
    jobArguments: parseJobArguments(words),
    externals: flags.external,
    stateDirectory: flags.stateDir ?? null,
    fresh: flags.fresh ?? false,
    upgrade: flags.upgrade ?? false,
    parallelism: flags.parallelism,
    checkpointIntervalMs: flags.checkpointInterval,
    restartsMax: flags.maxRestarts,
    slotStuckTimeoutMs: flags.stuckTimeout,
    dataPorts: flags.dataPorts ?? null,
    backend: flags.backend,
    json: flags.json ?? false,
    verbose: flags.verbose ?? false,
  };
}

function addPlan(program: Command, actions: Actions): void {
  const command = jobCommand(program, 'plan', 'show the graph of a job without running it')
    .option('--mermaid', 'print the graph as a Mermaid flowchart')
    .option('--from <state-dir>', 'say what would become of the state of an earlier run, operator by operator');
  command.action((jobFile: string, words: readonly string[], flags: PlanFlags) =>
    actions.plan(planOptions(jobFile, words, flags)),
  );
}

function addCheck(program: Command, actions: Actions): void {
  const command = jobCommand(program, 'check', 'type-check a job with the TypeScript of its project, and plan it');
  command.action((jobFile: string, words: readonly string[], flags: PlanFlags) =>
    actions.check(planOptions(jobFile, words, flags)),
  );
}

function addInit(program: Command, actions: Actions): void {
  program
    .command('init')
    .description('write a small working project with a job and its tests')
    .argument('<directory>', 'new or empty directory; its name becomes that of the project')
    .action((directory: string) => actions.init({ directory }));
}

interface PlanFlags extends JobFlags {
  readonly mermaid?: boolean;
  readonly from?: string;
}

function planOptions(jobFile: string, words: readonly string[], flags: PlanFlags): PlanCommandOptions {
  return {
    jobFile,
    jobArguments: parseJobArguments(words),
    externals: flags.external,
    parallelism: flags.parallelism,
    json: flags.json ?? false,
    mermaid: flags.mermaid ?? false,
    from: flags.from ?? null,
  };
}

/** What all commands on a job file have in common. */
function jobCommand(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .argument('<job-file>', 'file whose default export is a job')
    .argument('[parameters...]', 'parameters of the job, after --, as --name value')
    .option('--parallelism <n>', 'parallelism of operators that do not set their own', parseParallelism)
    .option('--external <package>', 'a package that is not bundled (native modules); may be repeated', collect, [])
    .option('--json', 'print one JSON line instead of text');
}

function collect(value: string, values: readonly string[]): readonly string[] {
  return [...values, value];
}
