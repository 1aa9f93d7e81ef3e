/** A listening gRPC server: services on one port, closed by default, stopped with a limit. */
import { Server, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { EngineError } from '../../../core/errors.ts';
import type { TlsMaterialSource } from '../../../core/tls-material.ts';
import { formatHostPort, refusePlaintext } from './address.ts';
import { type Authorize, authorizing } from './authorization.ts';
import { serverCredentials } from './credentials.ts';
import { serverOptions } from './limits.ts';

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
  readonly #server: Server;
  readonly #unwatch: () => void;
  #stopped: Promise<void> | null = null;

  private constructor(server: Server, host: string, port: number, unwatch: () => void) {
    this.#server = server;
    this.port = port;
    this.address = formatHostPort({ host, port });
    this.#unwatch = unwatch;
  }

  /** @throws EngineError PORT_IN_USE; CONFIG_INVALID when it cannot listen there, or would in clear for other machines */
  static async start(options: GrpcServerOptions): Promise<GrpcServer> {
    const { host, tls } = options;
    if (tls === null && options.insecure !== true) refusePlaintext(host, 'listening on');
    const server = new Server({ ...serverOptions, interceptors: [authorizing(options.authorize)] });
    for (const { definition, implementation } of options.services) server.addService(definition, implementation);
    const { credentials, unwatch } = serverCredentials(tls);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(formatHostPort(options), credentials, (error, bound) => {
        if (error === null) return resolve(bound);
        unwatch();
        reject(cannotListen(options, error));
      });
    });
    return new GrpcServer(server, host, port, unwatch);
  }

  /** Takes no new calls, lets those under way end, and breaks off what lasts longer than that. */
  stop(graceMs: number): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#unwatch();
      const force = setTimeout(() => this.#server.forceShutdown(), graceMs);
      // Its error means that it was stopped already.
      this.#server.tryShutdown(() => {
        clearTimeout(force);
        resolve();
      });
    });
    return this.#stopped;
  }
}

function cannotListen({ host, port }: GrpcServerOptions, cause: Error): EngineError {
  const address = formatHostPort({ host, port });
  const ids = { address };
  if (/EADDRINUSE/.test(cause.message)) {
    const message = `${address} is taken by another process; stop it or choose another port`;
    return new EngineError('PORT_IN_USE', message, { domain: 'external', ids, cause });
  }
  const message = `cannot listen on ${address}: ${cause.message}; give an address of this machine`;
  return new EngineError('CONFIG_INVALID', message, { domain: 'external', ids, cause });
}
