/** The commands of clusters: what can be typed. What a command does is loaded only when it is called. */
import { EngineError } from '../../core/errors.ts';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { addConfigOptions } from '../config/config-options.ts';
import { parseDuration, parseInteger, parseJobArguments, parseParallelism } from '../options/parse-options.ts';
import type { ClientOptions, SubmitCommandOptions } from './client-commands.ts';
import type { ClusterStartOptions } from './cluster-command.ts';
import type { LogsCommandOptions } from './logs-command.ts';

/** What the commands call. */
export interface ClusterActions {
  jobManager(command: Command): Promise<void>;
  taskManager(command: Command): Promise<void>;
  clusterStart(options: ClusterStartOptions): Promise<void>;
  clusterStop(directory: string): Promise<void>;
  clusterStatus(directory: string): Promise<void>;
  submit(options: SubmitCommandOptions): Promise<void>;
  list(options: ClientOptions): Promise<void>;
  status(job: string | null, options: ClientOptions): Promise<void>;
  rescale(job: string, parallelism: number, options: ClientOptions): Promise<void>;
  cancel(job: string, options: ClientOptions): Promise<void>;
  forget(job: string, options: ClientOptions): Promise<void>;
  logs(options: LogsCommandOptions): Promise<void>;
  stop(
    job: string,
    wishes: { readonly savepoint: boolean; readonly drain: boolean },
    options: ClientOptions,
  ): Promise<void>;
  savepoint(job: string, options: ClientOptions): Promise<void>;
  disposeSavepoint(path: string, options: ClientOptions): Promise<void>;
}

/** Where a job manager listens when nothing is said. */
export const jobManagerPortDefault = 6123;
const clusterDirectoryDefault = '.millrace/cluster';

const duration = (option: string) => (text: string) => parseDuration(option, text);
const port = (option: string) => (text: string) => parseInteger(option, text, { min: 0, max: 65_535 });
const collected = (text: string, before: readonly string[] = []): readonly string[] => [...before, ...text.split(',')];

export function addClusterCommands(program: Command, actions: ClusterActions): void {
  addJobManager(program, actions);
  addTaskManager(program, actions);
  addCluster(program, actions);
  addSubmit(program, actions);
  addQueries(program, actions);
  addJobsThatAreOver(program, actions);
  addLogs(program, actions);
}

function addJobManager(program: Command, actions: ClusterActions): void {
  const command = addConfigOptions(program.command('job-manager'), 'job-manager')
    .description('run a job manager of a cluster in the foreground')
    .action(() => actions.jobManager(command));
}

function addTaskManager(program: Command, actions: ClusterActions): void {
  const command = addConfigOptions(program.command('task-manager'), 'task-manager')
    .description('run a task manager of a cluster in the foreground')
    .action(() => actions.taskManager(command));
}

function addCluster(program: Command, actions: ClusterActions): void {
  const cluster = program.command('cluster').description('a cluster of processes on this machine');
  const directory = (command: Command): Command =>
    command.option('--directory <directory>', 'its files: storage, logs, process ids', clusterDirectoryDefault);
  directory(cluster.command('start'))
    .description('start a job manager and task managers in the background')
    .option('--task-managers <n>', 'how many', (text) => parseInteger('--task-managers', text, { min: 0, max: 64 }), 2)
    .option('--slots <n>', 'task slots of each', (text) => parseInteger('--slots', text, { min: 1, max: 1_024 }), 2)
    .option('--port <n>', 'port of the job manager', port('--port'), jobManagerPortDefault)
    .option('--http-port <n>', 'port of its metrics, health and REST', port('--http-port'), 8081)
    .action((flags: { directory: string; taskManagers: number; slots: number; port: number; httpPort: number }) =>
      actions.clusterStart({ ...flags, directory: resolve(flags.directory) }),
    );
  directory(cluster.command('stop'))
    .description('stop its processes; jobs go on when it is started again')
    .action((flags: { directory: string }) => actions.clusterStop(resolve(flags.directory)));
  directory(cluster.command('status'))
    .description('which of its processes live')
    .action((flags: { directory: string }) => actions.clusterStatus(resolve(flags.directory)));
}

function addSubmit(program: Command, actions: ClusterActions): void {
  const command = clientCommand(program.command('submit <job-file> [parameters...]'))
    .description('run a job on a cluster')
    .option('-p, --parallelism <n>', 'parallelism of the job', parseParallelism)
    .option('--checkpoint-interval <time>', 'time between checkpoints', duration('--checkpoint-interval'))
    .option('--external <package>', 'leave a package out of the bundle; may be given again', collected)
    .option('--working-directory <directory>', 'what relative paths in the job mean; default: here')
    .option('--from <savepoint>', 'start from this savepoint of the job')
    .option('--wait', 'wait for the end of the job, and fail when it fails')
    .action((jobFile: string, words: readonly string[], flags: SubmitFlags) =>
      actions.submit({
        ...clientOptions(flags, command),
        jobFile,
        jobArguments: parseJobArguments(words),
        externals: flags.external ?? [],
        parallelism: flags.parallelism,
        checkpointIntervalMs: flags.checkpointInterval,
        workingDirectory: resolve(flags.workingDirectory ?? '.'),
        from: flags.from,
        wait: flags.wait ?? false,
      }),
    );
}

interface SubmitFlags extends ClientFlags {
  readonly parallelism?: number;
  readonly checkpointInterval?: number;
  readonly external?: readonly string[];
  readonly workingDirectory?: string;
  readonly from?: string;
  readonly wait?: boolean;
}

function addQueries(program: Command, actions: ClusterActions): void {
  const list = clientCommand(program.command('list'))
    .description('jobs of a cluster, newest first')
    .action((flags: ClientFlags) => actions.list(clientOptions(flags, list)));
  const status = clientCommand(program.command('status [job]'))
    .description('what a job does; without one, the cluster')
    .action((job: string | undefined, flags: ClientFlags) => actions.status(job ?? null, clientOptions(flags, status)));
  const rescale = clientCommand(program.command('rescale <job>'))
    .description('let a job go on with another parallelism, from a checkpoint taken for it')
    .requiredOption('-p, --parallelism <n>', 'parallelism to go on with', parseParallelism)
    .action((job: string, flags: ClientFlags & { parallelism: number }) =>
      actions.rescale(job, flags.parallelism, clientOptions(flags, rescale)),
    );
  const cancel = clientCommand(program.command('cancel <job>'))
    .description('end a job at once')
    .action((job: string, flags: ClientFlags) => actions.cancel(job, clientOptions(flags, cancel)));
  const stop = clientCommand(program.command('stop <job>'))
    .description('end a job with a last checkpoint')
    .option('--savepoint', 'keep that checkpoint, for submit --from; the job runs on when it fails')
    .option('--drain', 'end the input instead, so that windows and timers fire and the job finishes')
    .action((job: string, flags: ClientFlags & { savepoint?: boolean; drain?: boolean }) =>
      actions.stop(
        job,
        { savepoint: flags.savepoint ?? false, drain: flags.drain ?? false },
        clientOptions(flags, stop),
      ),
    );
  const savepoint = clientCommand(program.command('savepoint [job]'))
    .description('keep the state of a job that runs on, for submit --from')
    .option('--dispose <path>', 'give a savepoint up instead')
    .action((job: string | undefined, flags: ClientFlags & { dispose?: string }) => {
      const options = clientOptions(flags, savepoint);
      if ((job === undefined) === (flags.dispose === undefined))
        throw new EngineError('USAGE', 'name either a job or --dispose <path> → millrace savepoint <job>');
      return flags.dispose === undefined
        ? actions.savepoint(job as string, options)
        : actions.disposeSavepoint(flags.dispose, options);
    });
}

function addJobsThatAreOver(program: Command, actions: ClusterActions): void {
  const forget = clientCommand(program.command('forget <job>'))
    .description('remove a job that is over, with its checkpoints')
    .action((job: string, flags: ClientFlags) => actions.forget(job, clientOptions(flags, forget)));
}

function addLogs(program: Command, actions: ClusterActions): void {
  const logs = addConfigOptions(program.command('logs [job]'), 'client')
    .description('what job manager and task managers have logged; with a job, about that one')
    .option('-f, --follow', 'go on with what is logged from now on')
    .option('--task-manager <id>', 'lines of this task manager alone')
    .option('-n, --lines <n>', 'how many of those logged before. Default: 100', logLinesOf)
    .option('--json', 'print each line as one JSON object')
    .action((job: string | undefined, flags: LogsFlags) =>
      actions.logs({
        ...clientOptions(flags, logs),
        job: job ?? null,
        taskManagerId: flags.taskManager ?? null,
        lines: flags.lines ?? 100,
        follow: flags.follow ?? false,
      }),
    );
}

const logLinesOf = (text: string): number => parseInteger('--lines', text, { min: 0, max: 100_000 });

interface LogsFlags extends ClientFlags {
  readonly follow?: boolean;
  readonly taskManager?: string;
  readonly lines?: number;
}

interface ClientFlags {
  readonly json?: boolean;
}

function clientCommand(command: Command): Command {
  return addConfigOptions(command, 'client').option('--json', 'print one line of JSON');
}

const clientOptions = (flags: ClientFlags, command: Command): ClientOptions => ({ command, json: flags.json ?? false });
