/** The commands of clusters: what can be typed. What a command does is loaded only when it is called. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import {
  parseDuration,
  parseInteger,
  parseJobArguments,
  parseParallelism,
  parsePortRange,
} from '../options/parse-options.ts';
import type { PortRange } from '../embedded/run-types.ts';
import type { ClientOptions, SubmitCommandOptions } from './client-commands.ts';
import type { ClusterStartOptions } from './cluster-command.ts';
import type { JobManagerCommandOptions } from './job-manager-command.ts';
import type { TaskManagerCommandOptions } from './task-manager-command.ts';

/** What the commands call. */
export interface ClusterActions {
  jobManager(options: JobManagerCommandOptions): Promise<void>;
  taskManager(options: TaskManagerCommandOptions): Promise<void>;
  clusterStart(options: ClusterStartOptions): Promise<void>;
  clusterStop(directory: string): Promise<void>;
  clusterStatus(directory: string): Promise<void>;
  submit(options: SubmitCommandOptions): Promise<void>;
  list(options: ClientOptions): Promise<void>;
  status(job: string | null, options: ClientOptions): Promise<void>;
  rescale(job: string, parallelism: number, options: ClientOptions): Promise<void>;
  cancel(job: string, options: ClientOptions): Promise<void>;
  stop(
    job: string,
    wishes: { readonly savepoint: boolean; readonly drain: boolean },
    options: ClientOptions,
  ): Promise<void>;
}

/** Where a job manager listens when nothing is said. */
export const jobManagerPortDefault = 6123;
const jobManagerDefault = `127.0.0.1:${jobManagerPortDefault}`;
const clusterDirectoryDefault = '.millrace/cluster';

type LogFormat = 'auto' | 'text' | 'json';

const logFormatOption = (): Option =>
  new Option('--log-format <name>', 'auto: text on a terminal, else a line of JSON each')
    .choices(['auto', 'text', 'json'])
    .default('auto');

const duration = (option: string) => (text: string) => parseDuration(option, text);
const port = (option: string) => (text: string) => parseInteger(option, text, { min: 0, max: 65_535 });
const collected = (text: string, before: readonly string[] = []): readonly string[] => [...before, ...text.split(',')];

export function addClusterCommands(program: Command, actions: ClusterActions): void {
  addJobManager(program, actions);
  addTaskManager(program, actions);
  addCluster(program, actions);
  addSubmit(program, actions);
  addQueries(program, actions);
}

function addJobManager(program: Command, actions: ClusterActions): void {
  program
    .command('job-manager')
    .description('run a job manager of a cluster in the foreground')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'port to listen on; 0: any free one', port('--port'), jobManagerPortDefault)
    .option('--advertise <host:port>', 'where others reach it; default: where it listens')
    .option(
      '--storage <directory>',
      'graphs, artifacts and checkpoints; shared by the whole cluster',
      '.millrace/storage',
    )
    .option(
      '--etcd <url>',
      'etcd, for several job managers; may be given again. Default: none, one job manager',
      collected,
    )
    .option('--etcd-prefix <text>', 'what the keys of this cluster start with', '/millrace')
    .option('--lease-ttl <time>', 'a leader that is silent for this long is replaced', duration('--lease-ttl'), 5_000)
    .option(
      '--heartbeat-timeout <time>',
      'a task manager silent for this long is lost',
      duration('--heartbeat-timeout'),
      5_000,
    )
    .option(
      '--adoption-timeout <time>',
      'how long a new leader waits to hear what runs',
      duration('--adoption-timeout'),
      10_000,
    )
    .option('--slot-wait <time>', 'how long a job waits for slots before it fails', duration('--slot-wait'), 300_000)
    .option('--http-port <n>', 'metrics, health and REST; 0: any free one', port('--http-port'), 8081)
    .option('--no-http', 'neither metrics nor REST')
    .addOption(logFormatOption())
    .action((flags: JobManagerFlags) =>
      actions.jobManager({
        host: flags.host,
        port: flags.port,
        advertised: flags.advertise ?? null,
        storage: flags.storage,
        etcdEndpoints: flags.etcd ?? [],
        etcdPrefix: flags.etcdPrefix,
        leaseTtlMs: flags.leaseTtl,
        heartbeatTimeoutMs: flags.heartbeatTimeout,
        adoptionTimeoutMs: flags.adoptionTimeout,
        slotWaitMs: flags.slotWait,
        httpPort: flags.http ? flags.httpPort : null,
        logFormat: flags.logFormat,
      }),
    );
}

interface JobManagerFlags {
  readonly host: string;
  readonly port: number;
  readonly advertise?: string;
  readonly storage: string;
  readonly etcd?: readonly string[];
  readonly etcdPrefix: string;
  readonly leaseTtl: number;
  readonly heartbeatTimeout: number;
  readonly adoptionTimeout: number;
  readonly slotWait: number;
  readonly http: boolean;
  readonly httpPort: number;
  readonly logFormat: LogFormat;
}

function addTaskManager(program: Command, actions: ClusterActions): void {
  withJobManagers(program.command('task-manager'))
    .description('run a task manager of a cluster in the foreground')
    .option('--slots <n>', 'task slots', (text) => parseInteger('--slots', text, { min: 1, max: 1_024 }), 2)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--advertise <host>', 'where others reach it; default: where it listens')
    .option('--rpc-port <n>', 'port of its service; 0: any free one', port('--rpc-port'), 0)
    .option('--data-ports <first-last>', 'ports for the connections between slots; default: any', (text) =>
      parsePortRange('--data-ports', text),
    )
    .option(
      '--storage <directory>',
      'graphs, artifacts and checkpoints; shared by the whole cluster',
      '.millrace/storage',
    )
    .option('--local-directory <directory>', 'files of this process alone', '.millrace/task-manager')
    .option('--heartbeat-interval <time>', 'time between heartbeats', duration('--heartbeat-interval'), 1_000)
    .option(
      '--orphan-timeout <time>',
      'without a leader for this long, what runs is ended',
      duration('--orphan-timeout'),
      600_000,
    )
    .option('--stuck-timeout <time>', 'a function that runs longer ends its slot', duration('--stuck-timeout'), 60_000)
    .option('--http-port <n>', 'metrics and health; 0: any free one. Default: none', port('--http-port'))
    .addOption(logFormatOption())
    .action((flags: TaskManagerFlags) =>
      actions.taskManager({
        jobManagers: jobManagersOf(flags),
        slots: flags.slots,
        host: flags.host,
        advertised: flags.advertise ?? null,
        rpcPort: flags.rpcPort,
        dataPorts: flags.dataPorts ?? null,
        storage: flags.storage,
        localDirectory: flags.localDirectory,
        heartbeatIntervalMs: flags.heartbeatInterval,
        orphanTimeoutMs: flags.orphanTimeout,
        stuckTimeoutMs: flags.stuckTimeout,
        httpPort: flags.httpPort ?? null,
        logFormat: flags.logFormat,
      }),
    );
}

interface TaskManagerFlags extends JobManagersFlag {
  readonly slots: number;
  readonly host: string;
  readonly advertise?: string;
  readonly rpcPort: number;
  readonly dataPorts?: PortRange;
  readonly storage: string;
  readonly localDirectory: string;
  readonly heartbeatInterval: number;
  readonly orphanTimeout: number;
  readonly stuckTimeout: number;
  readonly httpPort?: number;
  readonly logFormat: LogFormat;
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
  clientCommand(program.command('submit <job-file> [parameters...]'))
    .description('run a job on a cluster')
    .option('-p, --parallelism <n>', 'parallelism of the job', parseParallelism)
    .option('--checkpoint-interval <time>', 'time between checkpoints', duration('--checkpoint-interval'))
    .option('--external <package>', 'leave a package out of the bundle; may be given again', collected)
    .option('--working-directory <directory>', 'what relative paths in the job mean; default: here')
    .option('--wait', 'wait for the end of the job, and fail when it fails')
    .action((jobFile: string, words: readonly string[], flags: SubmitFlags) =>
      actions.submit({
        ...clientOptions(flags),
        jobFile,
        jobArguments: parseJobArguments(words),
        externals: flags.external ?? [],
        parallelism: flags.parallelism,
        checkpointIntervalMs: flags.checkpointInterval,
        workingDirectory: resolve(flags.workingDirectory ?? '.'),
        wait: flags.wait ?? false,
      }),
    );
}

interface SubmitFlags extends ClientFlags {
  readonly parallelism?: number;
  readonly checkpointInterval?: number;
  readonly external?: readonly string[];
  readonly workingDirectory?: string;
  readonly wait?: boolean;
}

function addQueries(program: Command, actions: ClusterActions): void {
  clientCommand(program.command('list'))
    .description('jobs of a cluster, newest first')
    .action((flags: ClientFlags) => actions.list(clientOptions(flags)));
  clientCommand(program.command('status [job]'))
    .description('what a job does; without one, the cluster')
    .action((job: string | undefined, flags: ClientFlags) => actions.status(job ?? null, clientOptions(flags)));
  clientCommand(program.command('rescale <job>'))
    .description('let a job go on with another parallelism, from a checkpoint taken for it')
    .requiredOption('-p, --parallelism <n>', 'parallelism to go on with', parseParallelism)
    .action((job: string, flags: ClientFlags & { parallelism: number }) =>
      actions.rescale(job, flags.parallelism, clientOptions(flags)),
    );
  clientCommand(program.command('cancel <job>'))
    .description('end a job at once')
    .action((job: string, flags: ClientFlags) => actions.cancel(job, clientOptions(flags)));
  clientCommand(program.command('stop <job>'))
    .description('end a job with a last checkpoint')
    .option('--savepoint', 'say where that checkpoint is')
    .option('--drain', 'end event time first, so that windows and timers fire')
    .action((job: string, flags: ClientFlags & { savepoint?: boolean; drain?: boolean }) =>
      actions.stop(job, { savepoint: flags.savepoint ?? false, drain: flags.drain ?? false }, clientOptions(flags)),
    );
}

interface JobManagersFlag {
  readonly jobManager?: readonly string[];
}

interface ClientFlags extends JobManagersFlag {
  readonly json?: boolean;
}

function withJobManagers(command: Command): Command {
  return command.addOption(
    new Option(
      '--job-manager <host:port>',
      `a job manager of the cluster; may be given again. Default: ${jobManagerDefault}`,
    )
      .argParser(collected)
      .env('MILLRACE_JOB_MANAGERS'),
  );
}

function clientCommand(command: Command): Command {
  return withJobManagers(command).option('--json', 'print one line of JSON');
}

const jobManagersOf = ({ jobManager = [] }: JobManagersFlag): readonly string[] =>
  jobManager.length === 0 ? [jobManagerDefault] : jobManager;

const clientOptions = (flags: ClientFlags): ClientOptions => ({
  jobManagers: jobManagersOf(flags),
  json: flags.json ?? false,
});
