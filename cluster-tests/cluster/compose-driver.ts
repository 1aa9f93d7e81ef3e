/**
 * A cluster of containers, the one of deploy/docker-compose.yml under a project of its own: two job managers, three task managers,
 * etcd, with TLS and tokens as it comes. Files of jobs are in a directory that task managers see under the path it has here.
 * Partitions are packet filters in the namespaces of the containers, and need root.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ClusterClientOptions } from 'millrace/cluster';
import { repositoryRoot } from '../millrace-run.ts';
import { freePorts, waitUntil } from '../support/etcd.ts';
import { ComposeNetwork } from './compose-network.ts';
import type { ClusterDriver, ClusterNetwork } from './cluster-driver.ts';

export interface ComposeClusterOptions {
  /** For files of jobs and of this driver; the caller removes it. */
  readonly directory: string;
  /** Of each task manager. */
  readonly slots: number;
  /** Builds the image first; else the one there is is used. */
  readonly build: boolean;
}

const jobManagerNames = ['job-manager-1', 'job-manager-2'] as const;
const taskManagerNames = ['task-manager-1', 'task-manager-2', 'task-manager-3'] as const;
const startTimeoutMs = 120_000;
const run = promisify(execFile);

/** Why there can be no cluster of containers here; null when there can. */
export function whyNoContainers({ image }: { readonly image: boolean }): string | null {
  if (spawnSync('docker', ['info']).status !== 0) return 'no container engine answers to `docker info`';
  if (composeCommand() === null) return 'there is neither `docker compose` nor docker-compose';
  const { MILLRACE_IMAGE = 'millrace:local', ETCD_IMAGE = 'quay.io/coreos/etcd:v3.5.17' } = process.env;
  const missing = (image ? [MILLRACE_IMAGE, ETCD_IMAGE] : []).find(
    (name) => spawnSync('docker', ['image', 'inspect', name]).status !== 0,
  );
  return missing === undefined ? null : `there is no image ${missing}, see docs/operations/containers.md`;
}

function composeCommand(): readonly string[] | null {
  const commands = [['docker', 'compose'], ['docker-compose']] as const;
  return commands.find(([program, ...words]) => spawnSync(program, [...words, 'version']).status === 0) ?? null;
}

export class ComposeCluster implements ClusterDriver {
  readonly jobManagers: readonly string[];
  readonly advertised: readonly string[] = jobManagerNames.map((name) => `${name}:6123`);
  readonly members: readonly string[] = [...jobManagerNames, ...taskManagerNames, 'etcd'];
  readonly network: ClusterNetwork | null;
  readonly #directory: string;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  #access: Pick<ClusterClientOptions, 'tls' | 'token'> = {};
  #containers: ReadonlyMap<string, string> = new Map();

  private constructor(directory: string, ports: readonly number[], slots: number) {
    this.#directory = directory;
    this.jobManagers = ports.slice(0, 2).map((port) => `127.0.0.1:${port}`);
    this.#environment = {
      ...process.env,
      COMPOSE_PROJECT_NAME: `millrace-test-${process.pid}`,
      JOB_MANAGER_1_PORT: String(ports[0]),
      JOB_MANAGER_2_PORT: String(ports[1]),
      JOB_MANAGER_1_HTTP_PORT: String(ports[2]),
      JOB_MANAGER_2_HTTP_PORT: String(ports[3]),
      LEASE_TTL: '3s',
      HEARTBEAT_TIMEOUT: '3s',
      SLOTS: String(slots),
    };
    this.network = ComposeNetwork.isPossible() ? new ComposeNetwork((member) => this.#container(member)) : null;
  }

  static async start({ directory, slots, build }: ComposeClusterOptions): Promise<ComposeCluster> {
    const reason = whyNoContainers({ image: !build });
    if (reason !== null) throw new Error(reason);
    mkdirSync(directory, { recursive: true });
    // Task managers run as a user of their image.
    chmodSync(directory, 0o777);
    const cluster = new ComposeCluster(directory, await freePorts(4), slots);
    cluster.#writeOverride();
    try {
      if (build) await cluster.#compose('build', 'job-manager-1');
      await cluster.#compose('up', '--detach');
      const find = async (name: string) => (await cluster.#compose('ps', '--all', '--quiet', name)).trim();
      const names = [...cluster.members, 'keys'];
      cluster.#containers = new Map(await Promise.all(names.map(async (name) => [name, await find(name)] as const)));
      await Promise.all(cluster.members.map((member) => cluster.#answers(member)));
      cluster.#access = await cluster.#readAccess();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get access(): Pick<ClusterClientOptions, 'tls' | 'token'> {
    return this.#access;
  }

  async kill(member: string): Promise<void> {
    await run('docker', ['kill', this.#container(member)]);
  }

  async restart(member: string): Promise<void> {
    await run('docker', ['start', this.#container(member)]);
    await this.#answers(member);
  }

  pause(member: string): void {
    execFileSync('docker', ['pause', this.#container(member)], { stdio: 'ignore' });
  }

  resume(member: string): void {
    execFileSync('docker', ['unpause', this.#container(member)], { stdio: 'ignore' });
  }

  log(member: string): string {
    const { stdout, stderr } = spawnSync('docker', ['logs', '--tail', '200', this.#container(member)], {
      encoding: 'utf8',
    });
    return `${stdout}${stderr}`;
  }

  async stop(): Promise<void> {
    await this.#compose('down', '--volumes', '--timeout', '1');
  }

  #container(member: string): string {
    const id = this.#containers.get(member);
    if (id === undefined || id === '') throw new Error(`${member} is none of ${this.members.join(', ')}`);
    return id;
  }

  async #compose(...words: readonly string[]): Promise<string> {
    const [program, ...before] = composeCommand() ?? ['docker-compose'];
    const files = ['deploy/docker-compose.yml', this.#overridePath].flatMap((file) => ['--file', file]);
    const options = { cwd: repositoryRoot, env: this.#environment, maxBuffer: 2 ** 26 };
    const { stdout } = await run(program as string, [...before, ...files, ...words], options);
    return stdout;
  }

  get #overridePath(): string {
    return join(this.#directory, 'override.json');
  }

  /** Files of jobs have one path everywhere. */
  #writeOverride(): void {
    const volumes = [`${this.#directory}:${this.#directory}`];
    const services = Object.fromEntries(taskManagerNames.map((name) => [name, { volumes }]));
    writeFileSync(this.#overridePath, JSON.stringify({ version: '3.8', services }));
  }

  /** Waits until the health check of a member succeeds; asked here, more often than by the engine. */
  async #answers(member: string): Promise<void> {
    const container = this.#container(member);
    const { stdout } = await run('docker', ['inspect', '--format', '{{json .Config.Healthcheck.Test}}', container]);
    const [, ...check] = JSON.parse(stdout) as string[];
    const isWell = () => spawnSync('docker', ['exec', container, ...check], { stdio: 'ignore' }).status === 0;
    await waitUntil(`${member} is well`, isWell, startTimeoutMs);
  }

  /** What the client of the compose file shows. */
  async #readAccess(): Promise<Pick<ClusterClientOptions, 'tls' | 'token'>> {
    const to = join(this.#directory, 'keys');
    await run('docker', ['cp', `${this.#container('keys')}:/var/lib/millrace/keys/client`, to]);
    const read = (file: string): Buffer => readFileSync(join(to, file));
    const tls = { ca: read('ca.pem'), cert: read('client.pem'), key: read('client.key') };
    return { tls, token: read('token').toString().trim() };
  }
}
