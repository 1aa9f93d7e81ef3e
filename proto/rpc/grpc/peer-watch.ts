/** The shell of connection-watch.ts: turns states of a channel, probes and timers into events, and does what comes out. */
import { connect } from 'node:net';
import { type Client, connectivityState } from '@grpc/grpc-js';
import type { HostPort } from './address.ts';
import { type ConnectionEvent, type ConnectionState, newConnection, stepConnection } from './connection-watch.ts';
import { reconnectMaxMs } from './limits.ts';

export interface PeerWatchOptions {
  readonly address: HostPort;
  /** Called once. */
  readonly onLost: (reason: string) => void;
}

export class PeerWatch {
  readonly #options: PeerWatchOptions;
  #client: Client;
  #state: ConnectionState = newConnection;
  #timers: NodeJS.Timeout[] = [];

  constructor(client: Client, options: PeerWatchOptions) {
    this.#client = client;
    this.#options = options;
    this.#step({ kind: 'opened' });
    this.#follow(client);
  }

  /** Another client has taken over, with renewed credentials. */
  replaceClient(client: Client): void {
    this.#client = client;
    this.#step({ kind: 'broken' });
    this.#follow(client);
  }

  close(): void {
    this.#step({ kind: 'closed' });
  }

  /** Tells every change of the state of the channel as an event, until it is shut down. */
  #follow(client: Client): void {
    const channel = client.getChannel();
    const told = channel.getConnectivityState(false);
    if (client !== this.#client || told === connectivityState.SHUTDOWN) return;
    if (told === connectivityState.READY) this.#step({ kind: 'ready' });
    else this.#step({ kind: 'broken' });
    if (told === connectivityState.TRANSIENT_FAILURE) this.#step({ kind: 'attempt-failed' });
    channel.watchConnectivityState(told, Number.POSITIVE_INFINITY, () => this.#follow(client));
  }

  #step(event: ConnectionEvent): void {
    const { state, actions } = stepConnection(this.#state, event);
    this.#state = state;
    for (const action of actions) {
      switch (action.kind) {
        case 'connect':
          this.#client.getChannel().getConnectivityState(true);
          break;
        case 'probe':
          this.#probe(action.generation);
          break;
        case 'pause':
          this.#later(action.delayMs, { kind: 'pause-over', generation: action.generation });
          break;
        case 'set-deadline':
          this.#later(action.delayMs, { kind: 'deadline-passed', generation: action.generation });
          break;
        case 'clear-timers':
          for (const timer of this.#timers.splice(0)) clearTimeout(timer);
          break;
        case 'lost':
          this.#options.onLost(action.reason);
          break;
      }
    }
  }

  #later(delayMs: number, event: ConnectionEvent): void {
    // The channel keeps the process alive as long as it has calls; waiting for a lost peer is no reason to.
    this.#timers.push(setTimeout(() => this.#step(event), delayMs).unref());
  }

  #probe(generation: number): void {
    const socket = connect({ ...this.#options.address, timeout: reconnectMaxMs });
    const done = (result: 'reachable' | 'refused' | 'unreachable'): void => {
      socket.destroy();
      this.#step({ kind: 'probed', generation, result });
    };
    socket.unref();
    socket.once('connect', () => done('reachable'));
    socket.once('timeout', () => done('unreachable'));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done(error.code === 'ECONNREFUSED' ? 'refused' : 'unreachable'),
    );
  }
}
