/**
 * A TCP proxy that spoils what passes from the dialing to the listening side, at exact byte offsets. What comes back is
 * passed on unharmed. Faults of real networks for tests of real sockets, repeatable because they count bytes, not time.
 */
import { createServer, type Server, type Socket, connect } from 'node:net';

export type TcpFault =
  | { readonly kind: 'none' }
  /** Bytes are passed on this much later. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** After so many bytes nothing is taken or passed on, and both connections stay open, until `heal`. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** After so many bytes both connections are reset. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** After so many bytes both connections are ended properly. */
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  /** One bit of one byte is turned over. */
  | { readonly kind: 'flip'; readonly atByte: number; readonly bit: number };

export interface TcpFaultProxy {
  readonly host: string;
  readonly port: number;
  /** Bytes taken from dialing sides so far. */
  readonly bytesSeen: number;
  /** Ends a stall: what was held back passes. */
  heal(): void;
  /** Cuts every connection and stops listening. */
  close(): Promise<void>;
}

/** Listens on a free loopback port and passes connections on to `target`, with one fault each. */
export async function startTcpFaultProxy(
  target: { host: string; port: number },
  fault: TcpFault,
): Promise<TcpFaultProxy> {
  const pipes = new Set<FaultyPipe>();
  const server: Server = createServer((client) => {
    const pipe = new FaultyPipe(client, connect(target), fault);
    pipes.add(pipe);
    client.on('close', () => pipes.delete(pipe));
  });
  let seenBefore = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no TCP address');
  return {
    host: '127.0.0.1',
    port: address.port,
    get bytesSeen() {
      for (const pipe of pipes) seenBefore = Math.max(seenBefore, pipe.seen);
      return seenBefore;
    },
    heal() {
      for (const pipe of pipes) pipe.heal();
    },
    close() {
      for (const pipe of pipes) pipe.cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

class FaultyPipe {
  seen = 0;
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #fault: TcpFault;
  readonly #held: Buffer[] = [];
  #healed = false;
  #done = false;

  constructor(client: Socket, upstream: Socket, fault: TcpFault) {
    this.#client = client;
    this.#upstream = upstream;
    this.#fault = fault;
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    // Errors of either side end both; the tests look at the slots, not at the proxy.
    for (const socket of [client, upstream]) socket.on('error', () => this.cut());
    client.on('data', (chunk) => this.#forward(chunk));
    client.on('end', () => this.#end());
    upstream.pipe(client);
    if (fault.kind !== 'none' && 'afterBytes' in fault && fault.afterBytes === 0)
      upstream.once('connect', () => this.#trip());
  }

  heal(): void {
    this.#healed = true;
    for (const chunk of this.#held.splice(0)) this.#upstream.write(chunk);
    this.#client.resume();
  }

  cut(): void {
    this.#done = true;
    this.#client.destroy();
    this.#upstream.destroy();
  }

  #forward(chunk: Buffer): void {
    if (this.#done) return;
    const from = this.seen;
    this.seen += chunk.length;
    const fault = this.#fault;
    if (fault.kind === 'delay') {
      setTimeout(() => this.#upstream.write(chunk), fault.delayMs);
      return;
    }
    if (fault.kind === 'flip' && fault.atByte >= from && fault.atByte < this.seen) {
      chunk[fault.atByte - from] = (chunk[fault.atByte - from] as number) ^ (1 << fault.bit);
    }
    if ('afterBytes' in fault && this.seen >= fault.afterBytes && !this.#healed) {
      const passing = Math.max(0, fault.afterBytes - from);
      this.#held.push(chunk.subarray(passing));
      if (this.#fault.kind === 'stall') this.#trip();
      if (passing > 0) this.#upstream.write(chunk.subarray(0, passing), () => this.#trip());
      return;
    }
    this.#upstream.write(chunk);
  }

  #trip(): void {
    if (this.#done) return;
    if (this.#fault.kind === 'stall') {
      this.#client.pause();
      return;
    }
    this.#done = true;
    if (this.#fault.kind === 'reset') {
      this.#client.resetAndDestroy();
      this.#upstream.resetAndDestroy();
    } else {
      this.#client.end();
      this.#upstream.end();
    }
  }

  #end(): void {
    if (!this.#done && this.#fault.kind !== 'stall') this.#upstream.end();
  }
}
