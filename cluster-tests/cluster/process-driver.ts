/** A cluster of real processes of this machine, from dist/, with a real etcd where there are several job managers. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../millrace-run.ts';
import { EtcdServer, freePorts } from '../support/etcd.ts';
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
}

interface Member {
  readonly name: string;
  readonly words: readonly string[];
  child: ChildProcess | null;
  output: string;
}

const startTimeoutMs = 60_000;
const outputCharactersMax = 20_000;
const entry = join(repositoryRoot, 'bin/millrace.js');

export class ProcessCluster implements ClusterDriver {
  readonly jobManagers: readonly string[];
  readonly #members: Member[] = [];
  readonly #etcd: EtcdServer | null;

  private constructor(jobManagers: readonly string[], etcd: EtcdServer | null) {
    this.jobManagers = jobManagers;
    this.#etcd = etcd;
  }

  static async start(options: ProcessClusterOptions): Promise<ProcessCluster> {
    const { directory, slots, leaseTtlMs = 3_000, heartbeatTimeoutMs = 3_000 } = options;
    const { jobManagerWords = [], taskManagerWords = [] } = options;
    mkdirSync(directory, { recursive: true });
    const etcd = options.jobManagers > 1 ? await EtcdServer.start() : null;
    const ports = await freePorts(options.jobManagers);
    const addresses = ports.map((port) => `127.0.0.1:${port}`);
    const cluster = new ProcessCluster(addresses, etcd);
    const storage = options.storage ?? ['--storage', join(directory, 'storage')];
    const election = etcd === null ? [] : ['--etcd', etcd.endpoint, '--lease-ttl', `${leaseTtlMs}ms`];
    for (const [index, port] of ports.entries()) {
      const timeout = `${heartbeatTimeoutMs}ms`;
      const listen = ['--address', `127.0.0.1:${port}`, '--http', '127.0.0.1:0'];
      const words = ['job-manager', ...listen, '--heartbeat-timeout', timeout];
      const name = `job-manager-${index + 1}`;
      const state = ['--state-directory', join(directory, name)];
      cluster.#add(name, [...words, ...storage, ...state, ...election, ...jobManagerWords]);
    }
    for (let index = 1; index <= options.taskManagers; index++) {
      const name = `task-manager-${index}`;
      const words = ['task-manager', '--slots', String(slots), '--job-manager', addresses.join(',')];
      cluster.#add(name, [...words, ...storage, '--local-directory', join(directory, name), ...taskManagerWords]);
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
