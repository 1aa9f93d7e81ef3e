/**
 * A network between processes that can fail: every listener is reached through a proxy, and each ordered pair of members has
 * faults of its own, put on and taken off while connections stand.
 *
 * Who dialed is found by the kernel's table of sockets (Linux), so that members need one advertised address only. What is cut is
 * held back and passes when the cut is healed, as packets that are sent again until they are acknowledged; connections stay open
 * meanwhile, and new ones hang, as their first packets are lost. `cut(a, b)` is one way: what b sends still arrives at a.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to bytes on their way from one member to another one. */
interface LinkFault {
  cut: boolean;
  delayMs: number;
  /** Bytes that still pass before the connection is reset, once; null: no reset. */
  resetAfterBytes: number | null;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Any member, in faults; also those that are none, such as a client. */
export const anybody = '*';

/** Whether this machine can run a {@link FaultNetwork}. */
export const hasFaultNetwork = process.platform === 'linux';

export class FaultNetwork {
  readonly #processes: () => ReadonlyMap<string, number>;
  readonly #faults = new Map<string, LinkFault>();
  readonly #refusing = new Set<string>();
  readonly #servers: Server[] = [];
  readonly #pipes = new Set<Pipe>();

  /** @param processes the process id of each member that runs */
  constructor(processes: () => ReadonlyMap<string, number>) {
    this.#processes = processes;
  }

  /** Connections that stand, and bytes that have passed to the side that was dialed. */
  connections(): readonly { readonly from: string; readonly to: string; readonly bytes: number }[] {
    return [...this.#pipes].map(({ from, to, bytes }) => ({ from, to, bytes }));
  }

  /** Listens at `at` in the place of a member. */
  async listen(member: string, at: Endpoint, target: Endpoint): Promise<Endpoint> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      if (this.#refusing.has(member)) return socket.resetAndDestroy();
      const pipe = new Pipe(this, socket, { from: this.#whoDialed(socket), to: member, target });
      this.#pipes.add(pipe);
      socket.once('close', () => this.#pipes.delete(pipe));
      pipe.update();
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at.port, at.host, resolve);
    });
    this.#servers.push(server);
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no TCP address');
    return { host: at.host, port: address.port };
  }

  /** Nothing that `from` sends arrives at `to` until it is healed. */
  cut(from: string, to: string): void {
    this.#change(from, to, { cut: true });
  }

  /** Everything arrives this much later. */
  delay(from: string, to: string, delayMs: number): void {
    this.#change(from, to, { delayMs });
  }

  /** The connection that carries the last of so many bytes from now on is reset on both sides, in the middle of whatever it was. */
  resetAfter(from: string, to: string, bytes: number): void {
    this.#change(from, to, { resetAfterBytes: bytes });
  }

  /** Whether a reset is still to come. */
  isArmed(from: string, to: string): boolean {
    return this.#faults.get(linkOf(from, to))?.resetAfterBytes != null;
  }

  /** New connections to a member are refused and those that stand are reset, until it is healed. */
  refuse(to: string): void {
    this.#refusing.add(to);
    for (const pipe of this.#pipes) if (pipe.to === to) pipe.reset();
  }

  /** Takes off every fault; what was held back passes. */
  heal(): void {
    this.#faults.clear();
    this.#refusing.clear();
    this.#update();
  }

  async close(): Promise<void> {
    for (const pipe of this.#pipes) pipe.reset();
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  /** Faults of what `from` sends to `to`. For pipes. */
  faultsBetween(from: string, to: string): readonly LinkFault[] {
    const links = [linkOf(from, to), linkOf(anybody, to), linkOf(from, anybody)];
    return links.flatMap((link) => this.#faults.get(link) ?? []);
  }

  #change(from: string, to: string, change: Partial<LinkFault>): void {
    const link = linkOf(from, to);
    const known = this.#faults.get(link) ?? { cut: false, delayMs: 0, resetAfterBytes: null };
    this.#faults.set(link, { ...known, ...change });
    this.#update();
  }

  #update(): void {
    for (const pipe of this.#pipes) pipe.update();
  }

  #whoDialed(socket: Socket): string {
    const { remoteAddress, remotePort } = socket;
    const inode = remotePort === undefined ? null : socketInode(remoteAddress ?? '', remotePort);
    if (inode === null) return 'client';
    for (const [member, pid] of this.#processes()) if (holdsSocket(pid, inode)) return member;
    return 'client';
  }
}

interface PipeEnds {
  readonly from: string;
  readonly to: string;
  readonly target: Endpoint;
}

/** One connection through the network. */
class Pipe {
  readonly from: string;
  readonly to: string;
  bytes = 0;
  readonly #network: FaultNetwork;
  readonly #dialer: Socket;
  readonly #target: Endpoint;
  #listener: Socket | null = null;
  /** Bytes before a reset are on their way; nothing else passes. */
  #resets = false;
  #over = false;

  constructor(network: FaultNetwork, dialer: Socket, { from, to, target }: PipeEnds) {
    this.#network = network;
    this.#dialer = dialer;
    this.from = from;
    this.to = to;
    this.#target = target;
    dialer.setNoDelay(true);
    dialer.on('error', () => this.reset());
  }

  /** Faults have changed. */
  update(): void {
    if (this.#over) return;
    const cutThere = this.#isCut(this.from, this.to);
    const cutBack = this.#isCut(this.to, this.from);
    if (this.#listener === null) {
      // A handshake needs both ways.
      if (cutThere || cutBack) return;
      this.#listener = this.#dial();
    }
    // A socket that is not read takes what the kernel has room for, and its end is not seen either.
    flow(this.#dialer, !cutThere && !this.#listener.writableNeedDrain);
    flow(this.#listener, !cutBack && !this.#dialer.writableNeedDrain);
  }

  reset(): void {
    if (this.#over) return;
    this.#over = true;
    this.#dialer.resetAndDestroy();
    this.#listener?.resetAndDestroy();
  }

  #dial(): Socket {
    const listener = connect({ ...this.#target, allowHalfOpen: true });
    listener.setNoDelay(true);
    listener.on('error', () => this.reset());
    this.#forward(this.#dialer, listener, this.from, this.to);
    this.#forward(listener, this.#dialer, this.to, this.from);
    return listener;
  }

  #forward(source: Socket, sink: Socket, from: string, to: string): void {
    const late = (act: () => void): void => {
      const delayMs = Math.max(0, ...this.#network.faultsBetween(from, to).map((fault) => fault.delayMs));
      if (delayMs === 0) act();
      else setTimeout(act, delayMs);
    };
    source.on('data', (chunk: Buffer) =>
      late(() => {
        if (this.#over || this.#resets || this.#isReset(from, to, chunk, sink)) return;
        if (source === this.#dialer) this.bytes += chunk.length;
        if (!sink.write(chunk)) source.pause();
      }),
    );
    sink.on('drain', () => this.update());
    source.on('end', () => late(() => sink.end()));
  }

  #isCut(from: string, to: string): boolean {
    return this.#network.faultsBetween(from, to).some(({ cut }) => cut);
  }

  /** Counts towards a reset; the connection that reaches it passes on the bytes before, and is then reset. */
  #isReset(from: string, to: string, chunk: Buffer, sink: Socket): boolean {
    for (const fault of this.#network.faultsBetween(from, to)) {
      if (fault.resetAfterBytes === null) continue;
      if (chunk.length < fault.resetAfterBytes) {
        fault.resetAfterBytes -= chunk.length;
        continue;
      }
      this.#resets = true;
      sink.write(chunk.subarray(0, fault.resetAfterBytes), () => this.reset());
      fault.resetAfterBytes = null;
      return true;
    }
    return false;
  }
}

const linkOf = (from: string, to: string): string => `${from} → ${to}`;

function flow(socket: Socket, flows: boolean): void {
  if (flows) socket.resume();
  else socket.pause();
}

/** The kernel's number of the local socket with this address, of IPv4. */
function socketInode(address: string, port: number): string | null {
  const octets = address.replace(/^::ffff:/, '').split('.');
  const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
  const local = `${octets
    .reverse()
    .map((octet) => hex(Number(octet), 2))
    .join('')}:${hex(port, 4)}`;
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] === local) return fields[9] ?? null;
  }
  return null;
}

function holdsSocket(pid: number, inode: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((name) => linkTarget(`${directory}/${name}`) === `socket:[${inode}]`);
  } catch {
    // The process has ended.
    return false;
  }
}

function linkTarget(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    // Closed in between.
    return null;
  }
}
