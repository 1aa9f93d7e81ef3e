/**
 * `millrace cluster start | stop | status`: a job manager and task managers of this machine, as processes in the background.
 * What is known of them is one file in the cluster's directory; a process that is gone is started again by `start`.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../../core/errors.ts';
import type { Terminal } from '../output/terminal.ts';

export interface ClusterStartOptions {
  /** Absolute; made when it is missing. */
  readonly directory: string;
  readonly taskManagers: number;
  /** Of each task manager. */
  readonly slots: number;
  readonly port: number;
  readonly httpPort: number;
}

interface ClusterProcess {
  readonly name: string;
  readonly pid: number;
  /** Arguments of the command that it runs. */
  readonly words: readonly string[];
}

interface ClusterFile {
  readonly port: number;
  readonly processes: readonly ClusterProcess[];
}

/** How long a process may take until it says that it listens. */
const startTimeoutMs = 30_000;
/** How long a process may take to end after SIGTERM, then it is killed. */
const stopTimeoutMs = 15_000;
const pollMs = 50;

/** @param entry file of the `millrace` command */
export async function clusterStart(options: ClusterStartOptions, entry: string, terminal: Terminal): Promise<void> {
  const { directory, taskManagers, slots, port, httpPort } = options;
  mkdirSync(join(directory, 'logs'), { recursive: true, mode: 0o700 });
  const before = readCluster(directory)?.processes ?? [];
  const address = `127.0.0.1:${port}`;
  const storage = join(directory, 'storage');
  const wanted = [
    {
      name: 'job-manager',
      words: ['job-manager', '--address', address, '--http', `127.0.0.1:${httpPort}`, '--storage', storage],
    },
    ...Array.from({ length: taskManagers }, (_, index) => {
      const name = `task-manager-${index + 1}`;
      const local = ['--local-directory', join(directory, name), '--storage', storage];
      return { name, words: ['task-manager', '--job-manager', address, '--slots', String(slots), ...local] };
    }),
  ];
  const processes: ClusterProcess[] = before.filter(
    (one) => isAlive(one.pid) && !wanted.some(({ name }) => name === one.name),
  );
  for (const { name, words } of wanted) {
    const running = before.find((one) => one.name === name && isAlive(one.pid));
    const started = running ?? (await startProcess(directory, entry, name, words));
    processes.push(started);
    writeCluster(directory, { port, processes });
    terminal.note(`${name} runs as process ${started.pid}`);
  }
  terminal.line(`the cluster listens on ${address}: millrace submit job.ts --job-manager ${address}`);
}

async function startProcess(
  directory: string,
  entry: string,
  name: string,
  words: readonly string[],
): Promise<ClusterProcess> {
  const logPath = join(directory, 'logs', `${name}.log`);
  const log = openSync(logPath, 'a', 0o600);
  const child = spawn(process.execPath, [entry, ...words], { detached: true, stdio: ['ignore', log, log] });
  const { pid } = child;
  if (pid === undefined)
    throw new EngineError('INTERNAL', `${name} could not be started: ${entry}`, { domain: 'external' });
  const from = readFileSync(logPath, 'utf8').length;
  let exited: number | string | null = null;
  child.once('exit', (code, signal) => {
    exited = code ?? signal ?? 'unknown';
  });
  const deadline = performance.now() + startTimeoutMs;
  while (!readFileSync(logPath, 'utf8').slice(from).includes('listens on')) {
    if (exited !== null || performance.now() > deadline) {
      const why = exited === null ? `did not listen within ${startTimeoutMs} ms` : `ended with ${exited}`;
      if (exited === null) process.kill(pid, 'SIGKILL');
      const told = readFileSync(logPath, 'utf8').slice(from).trim().split('\n').slice(-3).join('\n');
      throw new EngineError('CLUSTER_UNAVAILABLE', `${name} ${why}: ${told} → see ${logPath}`, { domain: 'external' });
    }
    await pause();
  }
  child.unref();
  return { name, pid, words };
}

export async function clusterStop(directory: string, terminal: Terminal): Promise<void> {
  const cluster = requireCluster(directory);
  // Task managers first: a job manager that sees them go waits for others and fails no job.
  for (const one of [...cluster.processes].reverse()) {
    if (isAlive(one.pid)) await stopProcess(one);
    terminal.note(`${one.name} has ended`);
  }
  rmSync(clusterPath(directory));
  terminal.line('the cluster is stopped; jobs that were not over go on when it is started again');
}

async function stopProcess({ pid }: ClusterProcess): Promise<void> {
  process.kill(pid, 'SIGTERM');
  const deadline = performance.now() + stopTimeoutMs;
  while (isAlive(pid)) {
    if (performance.now() > deadline) process.kill(pid, 'SIGKILL');
    await pause();
  }
}

export function clusterStatus(directory: string, terminal: Terminal): void {
  const cluster = requireCluster(directory);
  for (const { name, pid } of cluster.processes)
    terminal.line(`${name}  process ${pid}  ${isAlive(pid) ? 'runs' : 'is gone'}`);
  terminal.line(`job manager: 127.0.0.1:${cluster.port}`);
}

function requireCluster(directory: string): ClusterFile {
  const cluster = readCluster(directory);
  if (cluster !== null) return cluster;
  throw new EngineError('USAGE', `no cluster was started in ${directory} → millrace cluster start`, {
    ids: { directory },
  });
}

const clusterPath = (directory: string): string => join(directory, 'cluster.json');

function readCluster(directory: string): ClusterFile | null {
  try {
    return JSON.parse(readFileSync(clusterPath(directory), 'utf8')) as ClusterFile;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function writeCluster(directory: string, cluster: ClusterFile): void {
  writeFileSync(clusterPath(directory), `${JSON.stringify(cluster, null, 2)}\n`, { mode: 0o600 });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Dead, and not collected by its parent yet. Linux only; elsewhere parents are quick. */
function isZombie(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, pollMs));
