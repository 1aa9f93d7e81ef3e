/**
 * A real etcd for tests: one member on free loopback ports, its data in a temporary directory. Found by `ETCD_BIN` or on the
 * PATH; without it a suite is reported as skipped with the reason, and fails where CI=true.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
import { EtcdClient, type EtcdClientOptions } from '../../jobmanager/etcd/etcd-client.ts';

const startTimeoutMs = 20_000;
const outputCharactersMax = 8_000;

/** The etcd program, or null when there is none that runs. */
export function findEtcd(): string | null {
  const program = process.env['ETCD_BIN'] ?? 'etcd';
  return spawnSync(program, ['--version'], { encoding: 'utf8' }).status === 0 ? program : null;
}

/** A suite that needs a real etcd. */
export function describeWithEtcd(name: string, define: () => void): void {
  if (findEtcd() !== null) {
    describe(name, define);
    return;
  }
  if (process.env['CI'] === 'true') {
    throw new Error(`${name}: no etcd was found; install etcd-server, or name the program in ETCD_BIN`);
  }
  // A machine of a developer may have none; CI always has one, and fails above.
  describe.skip(`${name} (skipped: no etcd on the PATH and no ETCD_BIN)`, define);
}

export interface EtcdServerOptions {
  /** More arguments, such as `--quota-backend-bytes`. */
  readonly arguments?: readonly string[];
  /** Data that is there already; made and removed by the server when absent. */
  readonly dataDirectory?: string;
  /** Serve clients by TLS, and only those with a certificate of this authority. */
  readonly tls?: { readonly authorityFile: string; readonly certificateFile: string; readonly keyFile: string };
}

export class EtcdServer {
  readonly endpoint: string;
  readonly dataDirectory: string;
  readonly #arguments: readonly string[];
  readonly #ownsData: boolean;
  /** Where it says that it is well: without TLS, whatever clients need. */
  readonly #healthEndpoint: string;
  #child: ChildProcess | null = null;
  #output = '';

  private constructor(ports: readonly number[], options: EtcdServerOptions) {
    const [port, peerPort, healthPort] = ports;
    const { tls } = options;
    this.endpoint = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
    this.#healthEndpoint = `http://127.0.0.1:${healthPort}`;
    this.#ownsData = options.dataDirectory === undefined;
    this.dataDirectory = options.dataDirectory ?? mkdtempSync(join(tmpdir(), 'millrace-etcd-'));
    const peer = `http://127.0.0.1:${peerPort}`;
    this.#arguments = [
      ...['--data-dir', this.dataDirectory, '--name', 'one'],
      ...['--listen-client-urls', this.endpoint, '--advertise-client-urls', this.endpoint],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`],
      ...['--listen-metrics-urls', this.#healthEndpoint],
      ...(tls === undefined
        ? []
        : ['--cert-file', tls.certificateFile, '--key-file', tls.keyFile, '--trusted-ca-file', tls.authorityFile]),
      ...(tls === undefined ? [] : ['--client-cert-auth']),
      // Data of a test need not survive the machine; a busy disk must not make the tests slow.
      '--unsafe-no-fsync',
      ...(options.arguments ?? []),
    ];
  }

  /** Starts an etcd and waits until it answers. */
  static async start(options: EtcdServerOptions = {}): Promise<EtcdServer> {
    const server = new EtcdServer(await freePorts(3), options);
    try {
      await server.restart();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  client(options: Partial<EtcdClientOptions> = {}): EtcdClient {
    return new EtcdClient({ endpoints: [this.endpoint], ...options });
  }

  /** Runs the program again on the same data and ports; it must not run. Waits until it answers. */
  async restart(): Promise<void> {
    const program = findEtcd();
    if (program === null) throw new Error('no etcd was found');
    const supported = spawnSync(program, ['--help'], { encoding: 'utf8' });
    const known = `${supported.stdout}${supported.stderr}`.includes('unsafe-no-fsync');
    const child = spawn(
      program,
      this.#arguments.filter((argument) => known || argument !== '--unsafe-no-fsync'),
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        this.#output = `${this.#output}${chunk.toString()}`.slice(-outputCharactersMax);
      });
    }
    await this.#answers(child);
  }

  /** SIGKILL; data stays. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGSTOP: connections stay open and nothing is answered. */
  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  /**
   * A call of an administrator, by etcd's own HTTP gateway, so that nothing but the server has to be installed.
   * @param path as in `kv/compaction`
   */
  async administer(path: string, body: object): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.endpoint}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  /** Ends it and removes its data, unless the data was there before. */
  async stop(): Promise<void> {
    await this.#end('SIGKILL');
    if (this.#ownsData) rmSync(this.dataDirectory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async #answers(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + startTimeoutMs;
    while (child.exitCode === null && performance.now() < deadline) {
      const answer = await fetch(`${this.#healthEndpoint}/health`).catch(() => null);
      if (answer !== null && (await answer.text()).includes('"true"')) return;
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    throw new Error(`etcd does not answer at ${this.endpoint}:\n${this.#output}`);
  }
}

/** Ports of the loopback address that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no TCP address');
    ports.push(address.port);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}

/** Waits until `holds` answers true, asking again and again; fails with `what` after `limitMs`. */
export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = 30_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
