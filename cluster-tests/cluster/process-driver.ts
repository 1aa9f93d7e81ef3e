/** A cluster of real processes of this machine, from dist/, with a real etcd where there are several job managers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../millrace-run.ts';
import { EtcdServer, freePorts } from '../support/etcd.ts';
import { FaultNetwork } from '../support/fault-network.ts';
import type { ClusterDriver } from './cluster-driver.ts';

export interface ProcessClusterOptions {
  /** For storage and files of the processes; the caller removes it. */
  readonly directory: string;
  /** More than one: with etcd. */
  readonly jobManagers: number;
  readonly taskManagers: number;
  /** Of each task manager. */
  readonly slots: number;
  /** Options that say where checkpoints are; a directory of the cluster when absent. */
  readonly storage?: readonly string[];
  readonly leaseTtlMs?: number;
  readonly heartbeatTimeoutMs?: number;
  /** Further options of each. */
  readonly jobManagerWords?: readonly string[];
  readonly taskManagerWords?: readonly string[];
  /** Members reach each other through a network that can fail; Linux only. */
  readonly faultyNetwork?: boolean;
}

interface Member {
  readonly name: string;
  readonly words: readonly string[];
  child: ChildProcess | null;
  output: string;
}

const startTimeoutMs = 60_000;
const outputCharactersMax = 20_000;
/** Of each task manager in a faulty network: its service, and enough for the slots of two attempts. */
const rpcPort = 6_124;
const dataPorts = { first: 7_000, last: 7_015 } as const;
const entry = join(repositoryRoot, 'bin/millrace.js');

export class ProcessCluster implements ClusterDriver {
  readonly jobManagers: readonly string[];
  readonly advertised: readonly string[];
  readonly access = {};
  readonly #members: Member[] = [];
  readonly #etcd: EtcdServer | null;
  readonly network: FaultNetwork | null;

  private constructor(jobManagers: readonly string[], etcd: EtcdServer | null, faultyNetwork: boolean) {
    this.jobManagers = jobManagers;
    this.advertised = jobManagers;
    this.#etcd = etcd;
    this.network = faultyNetwork ? new FaultNetwork(() => this.#processes()) : null;
  }

  static async start(options: ProcessClusterOptions): Promise<ProcessCluster> {
    const { directory, slots, leaseTtlMs = 3_000, heartbeatTimeoutMs = 3_000 } = options;
    const { jobManagerWords = [], taskManagerWords = [] } = options;
    mkdirSync(directory, { recursive: true });
    const etcd = options.jobManagers > 1 ? await EtcdServer.start() : null;
    const ports = await freePorts(options.jobManagers);
    const hosts = options.faultyNetwork === true ? loopbackHosts() : null;
    const addresses = ports.map((port, index) => `${hosts?.proxy(index) ?? '127.0.0.1'}:${port}`);
    const cluster = new ProcessCluster(addresses, etcd, hosts !== null);
    const storage = options.storage ?? ['--storage', join(directory, 'storage')];
    const etcdAddress = etcd === null ? null : await cluster.#etcdAddress(etcd, hosts);
    const election = etcdAddress === null ? [] : ['--etcd', etcdAddress, '--lease-ttl', `${leaseTtlMs}ms`];
    for (const [index, port] of ports.entries()) {
      const name = `job-manager-${index + 1}`;
      const timeout = `${heartbeatTimeoutMs}ms`;
      const own = hosts?.own(index) ?? '127.0.0.1';
      const listen = [
        '--address',
        `${own}:${port}`,
        '--advertise',
        addresses[index] as string,
        '--http',
        '127.0.0.1:0',
      ];
      const words = ['job-manager', ...listen, '--heartbeat-timeout', timeout];
      const state = ['--state-directory', join(directory, name)];
      cluster.#add(name, [...words, ...storage, ...state, ...election, ...jobManagerWords]);
      if (hosts !== null) await cluster.network?.listen(name, { host: hosts.proxy(index), port }, { host: own, port });
    }
    for (let number = 1; number <= options.taskManagers; number++) {
      const name = `task-manager-${number}`;
      const words = ['task-manager', '--slots', String(slots), '--job-manager', addresses.join(',')];
      const listen = hosts === null ? [] : await cluster.#listenFor(name, hosts, options.jobManagers + number);
      cluster.#add(name, [
        ...words,
        ...listen,
        ...storage,
        '--local-directory',
        join(directory, name),
        ...taskManagerWords,
      ]);
    }
    try {
      await Promise.all(cluster.#members.map((member) => cluster.#start(member)));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  get members(): readonly string[] {
    const names = this.#members.map((member) => member.name);
    return this.#etcd === null ? names : [...names, 'etcd'];
  }

  async kill(name: string): Promise<void> {
    if (name === 'etcd') return this.#etcd?.kill();
    const member = this.#member(name);
    const { child } = member;
    member.child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async restart(name: string): Promise<void> {
    if (name === 'etcd') return this.#etcd?.restart();
    const member = this.#member(name);
    if (member.child === null) await this.#start(member);
  }

  pause(name: string): void {
    if (name === 'etcd') this.#etcd?.pause();
    else this.#member(name).child?.kill('SIGSTOP');
  }

  resume(name: string): void {
    if (name === 'etcd') this.#etcd?.resume();
    else this.#member(name).child?.kill('SIGCONT');
  }

  log(name: string): string {
    return this.#member(name).output;
  }

  async stop(): Promise<void> {
    for (const { name } of this.#members) await this.kill(name);
    await this.#etcd?.stop();
    await this.network?.close();
  }

  #processes(): ReadonlyMap<string, number> {
    return new Map(this.#members.flatMap(({ name, child }) => (child?.pid === undefined ? [] : [[name, child.pid]])));
  }

  async #etcdAddress({ endpoint }: EtcdServer, hosts: LoopbackHosts | null): Promise<string> {
    if (hosts === null || this.network === null) return endpoint;
    const { hostname, port } = new URL(endpoint);
    const at = await this.network.listen(
      'etcd',
      { host: hosts.proxy(0), port: 0 },
      { host: hostname, port: Number(port) },
    );
    return `http://${at.host}:${at.port}`;
  }

  /** The options of a task manager whose ports are reached through the network. */
  async #listenFor(name: string, hosts: LoopbackHosts, index: number): Promise<string[]> {
    const [host, proxy] = [hosts.own(index), hosts.proxy(index)];
    const ports = [rpcPort];
    for (let port: number = dataPorts.first; port <= dataPorts.last; port++) ports.push(port);
    for (const port of ports) await this.network?.listen(name, { host: proxy, port }, { host, port });
    const range = `${dataPorts.first}-${dataPorts.last}`;
    return ['--host', host, '--advertise', proxy, '--rpc-port', String(rpcPort), '--data-ports', range];
  }

  #add(name: string, words: readonly string[]): void {
    this.#members.push({ name, words, child: null, output: '' });
  }

  #member(name: string): Member {
    const member = this.#members.find((one) => one.name === name);
    if (member === undefined) throw new Error(`${name} is none of ${this.members.join(', ')}`);
    return member;
  }

  async #start(member: Member): Promise<void> {
    const child = spawn(process.execPath, [entry, ...member.words], {
      cwd: repositoryRoot,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    member.child = child;
    const listens = new Promise<void>((resolve, reject) => {
      const take = (chunk: Buffer): void => {
        member.output = `${member.output}${chunk.toString()}`.slice(-outputCharactersMax);
        if (chunk.includes('listens on')) resolve();
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.once('exit', (code, signal) =>
        reject(new Error(`${member.name} ended (${code ?? signal}):\n${member.output}`)),
      );
      setTimeout(() => reject(new Error(`${member.name} does not listen:\n${member.output}`)), startTimeoutMs).unref();
    });
    await listens;
  }
}

interface LoopbackHosts {
  /** What a member listens on. */
  own(index: number): string;
  /** Where others reach it. */
  proxy(index: number): string;
}

/** Addresses of this machine that no other cluster under test uses: the same ports are free on each of them. */
function loopbackHosts(): LoopbackHosts {
  const octet = (): number => 1 + Math.floor(Math.random() * 254);
  const subnet = `127.${octet()}.${octet()}`;
  return { own: (index) => `${subnet}.${1 + index}`, proxy: (index) => `${subnet}.${101 + index}` };
}
