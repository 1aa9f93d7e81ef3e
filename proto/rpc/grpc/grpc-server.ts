/**
 * A listening gRPC server: services on one port, closed by default, stopped with a limit.
 *
 * It listens itself and hands connections to gRPC: so an address that cannot be listened on is told as what it is, and a
 * forced stop really breaks connections, where gRPC's own waits for peers that may be stopped.
 */
import { createServer, type Server as TcpServer, type Socket } from 'node:net';
import {
  type ConnectionInjector,
  Server,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { EngineError } from '../../../core/errors.ts';
import type { TlsMaterialSource } from '../../../core/tls-material.ts';
import { formatHostPort, refusePlaintext } from './address.ts';
import { type Authorize, authorizing } from './authorization.ts';
import { serverCredentials } from './credentials.ts';
import { connectionsMax, quietGrpc, serverOptions } from './limits.ts';

/** One service with what implements it; made by `serveTaskManager` and its like. */
export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

export interface GrpcServerOptions {
  /** Address of this machine to listen on. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly services: readonly GrpcService[];
  /** Passed by every call of every service. */
  readonly authorize: Authorize;
  /** Null: in clear, on this machine only. */
  readonly tls: TlsMaterialSource | null;
  /** In clear for other machines as well. */
  readonly insecure?: boolean;
}

export class GrpcServer {
  readonly port: number;
  /** `host:port` it listens on. */
  readonly address: string;
  readonly #grpc: Server;
  readonly #tcp: TcpServer;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #unwatch: () => void;
  #stopped: Promise<void> | null = null;

  private constructor(grpc: Server, listening: Listening, host: string, unwatch: () => void) {
    this.#grpc = grpc;
    this.#tcp = listening.tcp;
    this.#sockets = listening.sockets;
    this.port = listening.port;
    this.address = formatHostPort({ host, port: listening.port });
    this.#unwatch = unwatch;
  }

  /** @throws EngineError PORT_IN_USE; CONFIG_INVALID when it cannot listen there, or would in clear for other machines */
  static async start(options: GrpcServerOptions): Promise<GrpcServer> {
    const { host, tls } = options;
    if (tls === null && options.insecure !== true) refusePlaintext(host, 'listening on');
    quietGrpc();
    const grpc = new Server({ ...serverOptions, interceptors: [authorizing(options.authorize)] });
    for (const { definition, implementation } of options.services) grpc.addService(definition, implementation);
    const { credentials, unwatch } = serverCredentials(tls);
    const injector = grpc.createConnectionInjector(credentials);
    try {
      return new GrpcServer(grpc, await listen(options, injector), host, unwatch);
    } catch (error) {
      unwatch();
      grpc.forceShutdown();
      throw error;
    }
  }

  /** Takes no new calls, lets those under way end, and breaks off what lasts longer than that. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#unwatch();
      this.#tcp.close();
      const force = setTimeout(() => {
        for (const socket of this.#sockets) socket.destroy();
      }, graceMs);
      // It only fails when it was stopped before.
      this.#grpc.tryShutdown(() => {
        clearTimeout(force);
        resolve();
      });
    });
    return this.#stopped;
  }
}

interface Listening {
  readonly tcp: TcpServer;
  readonly sockets: ReadonlySet<Socket>;
  readonly port: number;
}

function listen(options: GrpcServerOptions, injector: ConnectionInjector): Promise<Listening> {
  const { host, port } = options;
  const sockets = new Set<Socket>();
  const tcp = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    // A reset before gRPC has the connection; afterwards it is told to the calls.
    socket.on('error', () => undefined);
    injector.injectConnection(socket);
  });
  tcp.maxConnections = connectionsMax;
  return new Promise((resolve, reject) => {
    tcp.once('error', (error) => reject(cannotListen(options, error)));
    tcp.listen({ host, port }, () => {
      const bound = tcp.address();
      resolve({ tcp, sockets, port: bound !== null && typeof bound === 'object' ? bound.port : port });
    });
  });
}

function cannotListen({ host, port }: GrpcServerOptions, cause: NodeJS.ErrnoException): EngineError {
  const address = formatHostPort({ host, port });
  const ids = { address };
  if (cause.code === 'EADDRINUSE') {
    const message = `${address} is taken by another process; stop it or choose another port`;
    return new EngineError('PORT_IN_USE', message, { domain: 'external', ids, cause });
  }
  const message = `cannot listen on ${address}: ${cause.message}; give an address of this machine`;
  return new EngineError('CONFIG_INVALID', message, { domain: 'external', ids, cause });
}
