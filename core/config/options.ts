/**
 * Every option of every process of a cluster, once: key in `millrace.yaml`, type with unit, default, meaning, and whose it
 * is. Flag and environment variable follow from the key. Help, `--print-config` and docs/operations/configuration.md are
 * made from this list.
 */
import {
  addressesType,
  addressType,
  bytesType,
  choiceType,
  durationType,
  hostType,
  integerType,
  type OptionType,
  pathType,
  plainTextType,
  portRangeType,
  portType,
  storageType,
  switchType,
  urlsType,
  urlType,
} from './option-types.ts';

/** Commands that have options. */
export const configuredProcesses = ['job-manager', 'task-manager', 'cluster', 'client'] as const;
/** One of them; `client` stands for submit, list, status and all else that asks a cluster. */
export type ConfiguredProcess = (typeof configuredProcesses)[number];

export interface OptionSpec<T = unknown, Default extends T | null = T | null> {
  readonly type: OptionType<T>;
  /** Null: none. */
  readonly default: Default;
  readonly processes: readonly ConfiguredProcess[];
  readonly description: string;
  /** Its value is shown nowhere. */
  readonly secret: boolean;
  /** Where the flag is not the key in kebab-case. */
  readonly flag?: string;
}

function option<T, Default extends T | null>(
  type: OptionType<T>,
  standard: Default,
  processes: readonly ConfiguredProcess[],
  description: string,
  more: { readonly secret?: boolean; readonly flag?: string } = {},
): OptionSpec<T, Default> {
  return { type, default: standard, processes, description, secret: false, ...more };
}

const jobManager = ['job-manager'] as const;
const taskManager = ['task-manager'] as const;
const servers = ['job-manager', 'task-manager'] as const;
const callers = ['task-manager', 'client'] as const;
const all = ['job-manager', 'task-manager', 'client'] as const;
const clusterToo = ['task-manager', 'cluster'] as const;

/** The options by key. */
export const optionSpecs = {
  'jobManager.address': option(
    addressType,
    { host: '127.0.0.1', port: 6123 },
    jobManager,
    'where a job manager listens for task managers and clients',
    { flag: 'address' },
  ),
  'jobManager.advertise': option(addressType, null, jobManager, 'where others reach it; none: where it listens', {
    flag: 'advertise',
  }),
  'jobManager.http': option(
    addressType,
    { host: '127.0.0.1', port: 8081 },
    jobManager,
    'where it listens for HTTP: REST, health, metrics',
    { flag: 'http' },
  ),
  jobManagers: option(addressesType, [{ host: '127.0.0.1', port: 6123 }], callers, 'all job managers of the cluster', {
    flag: 'job-manager',
  }),
  stateDirectory: option(
    pathType,
    '.millrace/job-manager',
    jobManager,
    'files of a job manager alone: lock, and records without etcd',
  ),
  storage: option(
    storageType,
    '.millrace/storage',
    servers,
    'graphs, artifacts and checkpoints; shared by the whole cluster',
  ),
  's3.endpoint': option(urlType, null, servers, 'where S3-compatible storage answers, when storage is s3://…'),
  's3.region': option(plainTextType, 'us-east-1', servers, 'region that requests to S3 are signed for'),
  's3.accessKeyFile': option(pathType, null, servers, 'file with the access key of S3'),
  's3.secretKeyFile': option(pathType, null, servers, 'file with the secret key of S3'),
  's3.accessKey': option(plainTextType, null, servers, 'the access key itself; by the environment only', {
    secret: true,
  }),
  's3.secretKey': option(plainTextType, null, servers, 'the secret key itself; by the environment only', {
    secret: true,
  }),
  's3.ca': option(pathType, null, servers, 'certificate of the authority of S3; none: those of the system'),
  's3.requestTimeout': option(
    durationType,
    30_000,
    servers,
    'a request to S3 without an answer for this long is given up; bodies have a second for each MiB besides',
  ),
  'etcd.endpoints': option(urlsType, [], jobManager, 'etcd, for several job managers; none: one job manager', {
    flag: 'etcd',
  }),
  'etcd.prefix': option(plainTextType, '/millrace', jobManager, 'what the keys of this cluster in etcd start with'),
  'etcd.user': option(plainTextType, null, jobManager, 'user of etcd, limited to the prefix'),
  'etcd.passwordFile': option(pathType, null, jobManager, 'file with the password of that user'),
  'etcd.ca': option(pathType, null, jobManager, 'certificate of the authority of etcd'),
  'etcd.cert': option(pathType, null, jobManager, 'certificate shown to etcd'),
  'etcd.key': option(pathType, null, jobManager, 'private key of that certificate'),
  leaseTtl: option(durationType, 5_000, jobManager, 'a leader that is silent for this long is replaced'),
  heartbeatInterval: option(durationType, 1_000, taskManager, 'time between heartbeats of a task manager'),
  heartbeatTimeout: option(durationType, 5_000, jobManager, 'a task manager silent for this long is lost'),
  adoptionTimeout: option(durationType, 10_000, jobManager, 'how long a new leader waits to hear what runs'),
  orphanTimeout: option(durationType, 600_000, taskManager, 'without a leader for this long, what runs is ended'),
  slotWait: option(durationType, 300_000, jobManager, 'how long a job waits for slots before it fails'),
  'jobs.historyMax': option(
    integerType(1, 100_000),
    100,
    jobManager,
    'how many jobs that are over are kept; older ones are forgotten with their checkpoints, but for those with savepoints',
  ),
  'taskManager.slots': option(integerType(1, 1_024), 2, clusterToo, 'task slots of one task manager', {
    flag: 'slots',
  }),
  'taskManager.host': option(
    hostType,
    '127.0.0.1',
    taskManager,
    'where a task manager listens, for calls and for records',
    { flag: 'host' },
  ),
  'taskManager.advertise': option(hostType, null, taskManager, 'host that others reach it at; none: where it listens', {
    flag: 'advertise',
  }),
  'taskManager.rpcPort': option(portType, 0, taskManager, 'port for calls', { flag: 'rpc-port' }),
  'taskManager.http': option(
    addressType,
    { host: '127.0.0.1', port: 0 },
    taskManager,
    'where it listens for HTTP: health, metrics',
    { flag: 'http' },
  ),
  dataPortRange: option(portRangeType, null, taskManager, 'ports for the connections between slots; none: any', {
    flag: 'data-ports',
  }),
  'taskManager.memoryLimit': option(
    bytesType,
    null,
    taskManager,
    'memory of the whole process above which its largest slot is ended; none: nine tenths of the limit of the container, if there is one',
    { flag: 'memory-limit' },
  ),
  localDirectory: option(pathType, '.millrace/task-manager', taskManager, 'files of a task manager alone'),
  secretsDirectory: option(pathType, null, taskManager, 'one file for each secret that options of connectors refer to'),
  'state.backend': option(choiceType(['memory', 'cold']), 'memory', taskManager, 'where keyed state lives', {
    flag: 'backend',
  }),
  stuckTimeout: option(durationType, 60_000, taskManager, 'a function that runs longer ends its slot'),
  cancelTimeout: option(durationType, 30_000, jobManager, 'a subtask that does not end by then is ended by force'),
  'tls.ca': option(pathType, null, all, 'certificate of the authority of the cluster'),
  'tls.cert': option(pathType, null, all, 'certificate of this process'),
  'tls.key': option(pathType, null, all, 'private key of this process'),
  'tokens.file': option(pathType, null, jobManager, 'hashes of the tokens that may call'),
  'token.file': option(pathType, null, ['client'], 'file with the token to call with'),
  token: option(plainTextType, null, ['client'], 'the token itself; by the environment only', { secret: true }),
  insecure: option(
    switchType,
    false,
    servers,
    'listen for other machines without TLS or authentication: whoever gets there runs code',
    { flag: 'insecure-i-understand' },
  ),
  'log.level': option(choiceType(['error', 'warn', 'info', 'debug']), 'info', servers, 'least level that is logged'),
  'log.format': option(
    choiceType(['auto', 'text', 'json']),
    'auto',
    servers,
    'auto: text on a terminal, else one JSON object a line',
  ),
} as const;

/** Key of an option. */
export type OptionKey = keyof typeof optionSpecs;
/** Type of the value of an option; with null where it has no default. */
export type OptionValue<Key extends OptionKey> =
  (typeof optionSpecs)[Key] extends OptionSpec<infer T, infer Default> ? (null extends Default ? T | null : T) : never;

/** All keys, in the order of pages. */
export const optionKeys = Object.keys(optionSpecs) as readonly OptionKey[];

/** The general form of one option. */
export function optionSpec(key: OptionKey): OptionSpec {
  return optionSpecs[key] as unknown as OptionSpec;
}

/** Whether a command has the option. */
export function belongsTo(key: OptionKey, process: ConfiguredProcess): boolean {
  return optionSpec(key).processes.includes(process);
}

const kebab = (key: string): string =>
  key.replaceAll('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `--lease-ttl`; null for a secret, which would be seen by everybody in the list of processes. */
export function flagOf(key: OptionKey): string | null {
  const { flag, secret } = optionSpec(key);
  return secret ? null : `--${flag ?? kebab(key)}`;
}

/** `MILLRACE_LEASE_TTL`. */
export function variableOf(key: OptionKey): string {
  return `MILLRACE_${kebab(key).replaceAll('-', '_').toUpperCase()}`;
}
