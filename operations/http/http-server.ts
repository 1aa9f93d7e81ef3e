/**
 * A small HTTP listener for what operators and dashboards read. Closed by default: loopback unless TLS is there, only names
 * that are meant for it in `Host` (else a web page that someone opens could read it through a name that it points at this
 * machine), a role for every route, no cookies, nothing cached, and errors that say no more than the engine's message.
 */
import { createSecureContext, TLSSocket } from 'node:tls';
import { Server as TlsServer } from 'node:https';
import { isIP } from 'node:net';
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { EngineError, isEngineError, type ErrorCode } from '../../core/errors.ts';
import type { TlsMaterial, TlsMaterialSource } from '../../core/tls-material.ts';
import { certificateNames } from '../../core/security/certificate-names.ts';
import { isLoopback } from '../../core/security/loopback.ts';
import { formatHostPort, refusePlaintext } from '../../proto/rpc/grpc/address.ts';
import type { Caller } from '../../proto/rpc/grpc/authorization.ts';
import { errorBody, jsonAnswer, type AuthorizeRoute, type Route } from './http-types.ts';

export interface HttpServerOptions {
  /** Address of this machine to listen on. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly routes: readonly Route[];
  readonly authorize: AuthorizeRoute;
  /** Null: in clear, on this machine only. */
  readonly tls: TlsMaterialSource | null;
  /** In clear for other machines as well. */
  readonly insecure?: boolean;
  /** Names that `Host` may have beside the address it listens on and, on loopback, the names of loopback. */
  readonly allowedHosts?: readonly string[];
  readonly logger: { warn(message: string): void };
}

/** Longest time for a whole request to arrive, in ms. */
const requestTimeoutMs = 10_000;
/** Connections that may be open at once. */
const connectionsMax = 256;
/** Longest value of a path parameter. */
const parameterLengthMax = 256;

const securityHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'cross-origin-resource-policy': 'same-origin',
};

const statusOfCode: Partial<Record<ErrorCode, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  JOB_NOT_FOUND: 404,
  USAGE: 404,
  NOT_LEADER: 503,
  CLUSTER_UNAVAILABLE: 503,
  NOT_SUPPORTED: 501,
};

export class HttpServer {
  readonly port: number;
  /** `host:port` it listens on. */
  readonly address: string;
  readonly routes: readonly Route[];
  readonly #fastify: FastifyInstance;
  readonly #unwatch: () => void;

  private constructor(options: HttpServerOptions, server: FastifyInstance, port: number, unwatch: () => void) {
    this.port = port;
    this.address = formatHostPort({ host: options.host, port });
    this.routes = options.routes;
    this.#fastify = server;
    this.#unwatch = unwatch;
  }

  /** @throws EngineError PORT_IN_USE; CONFIG_INVALID when it cannot listen there, or would in clear for other machines */
  static async start(options: HttpServerOptions): Promise<HttpServer> {
    const { host, port, tls } = options;
    if (tls === null && options.insecure !== true) refusePlaintext(host, 'listening (HTTP) on');
    const server = createServer(options);
    const unwatch = watchCertificates(server, tls);
    try {
      await server.listen({ host, port });
    } catch (error) {
      unwatch();
      throw cannotListen(options, error as NodeJS.ErrnoException);
    }
    const bound = server.server.address();
    return new HttpServer(options, server, bound !== null && typeof bound === 'object' ? bound.port : port, unwatch);
  }

  async stop(): Promise<void> {
    this.#unwatch();
    await this.#fastify.close();
  }
}

function createServer(options: HttpServerOptions): FastifyInstance {
  const { tls, routes, logger } = options;
  const common = {
    forceCloseConnections: true,
    requestTimeout: requestTimeoutMs,
    bodyLimit: 1024,
    routerOptions: { maxParamLength: parameterLengthMax },
  };
  const https = tls === null ? null : { ...contextOf(tls.current()), requestCert: true, rejectUnauthorized: false };
  const server = fastify({ ...common, https }) as unknown as FastifyInstance;
  server.server.maxConnections = connectionsMax;
  const hosts = allowedHosts(options);
  server.addHook('onRequest', async (request, reply) => {
    reply.headers(securityHeaders);
    if (tls !== null) reply.header('strict-transport-security', 'max-age=31536000');
    if (!hosts(request.headers.host)) throw wrongHost(request.headers.host);
  });
  for (const route of routes) {
    server.route({
      method: 'GET',
      url: route.path,
      handler: (request, reply) => answer(options, route, request, reply),
    });
  }
  server.setNotFoundHandler((request, reply) => {
    const message = `there is no ${request.method} ${request.url.slice(0, 200)} here; ${routes.map(({ path }) => path).join(', ')} can be read`;
    send(reply, 404, errorBody(new EngineError('USAGE', message)));
  });
  server.setErrorHandler((error, request, reply) => {
    if (isEngineError(error)) {
      if (error.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer');
      const status = statusOfCode[error.code] ?? 500;
      return send(reply, error.message.startsWith(wrongHostText) ? 421 : status, errorBody(error as EngineError));
    }
    const status = (error as { statusCode?: number }).statusCode ?? 500;
    if (status < 500) return send(reply, status, errorBody(new EngineError('USAGE', (error as Error).message)));
    logger.warn(`GET ${request.url.slice(0, 200)} failed: ${String((error as Error).stack ?? error)}`);
    const message = 'the request failed in the server; its log says why';
    return send(reply, 500, errorBody(new EngineError('INTERNAL', message, { domain: 'internal', retry: 'backoff' })));
  });
  return server;
}

async function answer(
  { authorize }: HttpServerOptions,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  if (route.role !== 'public') authorize(route.role, callerOf(request));
  const { status, contentType, body } = await route.handle({ parameters: request.params as Record<string, string> });
  await reply.code(status).header('content-type', contentType).send(body);
}

function send(reply: FastifyReply, status: number, body: unknown): void {
  const { contentType, body: text } = jsonAnswer(body, status);
  void reply.code(status).header('content-type', contentType).send(text);
}

function callerOf(request: FastifyRequest): Caller {
  const { socket } = request.raw;
  const certificate = socket instanceof TLSSocket ? socket.getPeerCertificate() : null;
  // One that was not signed by our authority says nothing.
  const trusted = socket instanceof TLSSocket && socket.authorized && certificate !== null;
  const header = request.headers.authorization;
  return {
    certificateNames: trusted ? certificateNames(certificate.subjectaltname) : [],
    bearerToken: /^Bearer ([A-Za-z0-9._~+/=-]{1,512})$/.exec(header ?? '')?.[1] ?? null,
  };
}

function contextOf({ ca, cert, key }: TlsMaterial): { ca: Buffer; cert: Buffer; key: Buffer; minVersion: 'TLSv1.3' } {
  return { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key), minVersion: 'TLSv1.3' };
}

/** New connections get renewed certificates; those that cannot be used are told when they are read. */
function watchCertificates(server: FastifyInstance, tls: TlsMaterialSource | null): () => void {
  const { server: listener } = server;
  if (tls === null || !(listener instanceof TlsServer)) return () => undefined;
  return tls.watch(() => {
    const context = contextOf(tls.current());
    createSecureContext(context);
    listener.setSecureContext(context);
  });
}

/** Whether a `Host` header names this listener. Addresses cannot be pointed elsewhere by others, so they may differ. */
function allowedHosts({ host, allowedHosts: more = [] }: HttpServerOptions): (header: string | undefined) => boolean {
  const names = new Set([host, 'localhost', ...more].map((name) => name.toLowerCase()));
  return (header) => {
    const name = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(header ?? '');
    if (name === null) return false;
    const asked = (name[1] ?? name[2] ?? '').toLowerCase();
    if (names.has(asked)) return true;
    return isLoopback(host) ? isLoopback(asked) : isIP(asked) !== 0;
  };
}

const wrongHostText = 'this listener is not called';

function wrongHost(header: string | undefined): EngineError {
  const name = JSON.stringify((header ?? '').slice(0, 100));
  return new EngineError(
    'FORBIDDEN',
    `${wrongHostText} ${name} → use its address, or add the name to its allowed hosts`,
  );
}

function cannotListen({ host, port }: HttpServerOptions, cause: NodeJS.ErrnoException): EngineError {
  const address = formatHostPort({ host, port });
  const [code, message] =
    cause.code === 'EADDRINUSE'
      ? (['PORT_IN_USE', `${address} (HTTP) is taken by another process; stop it or choose another port`] as const)
      : ([
          'CONFIG_INVALID',
          `cannot listen (HTTP) on ${address}: ${cause.message}; give an address of this machine`,
        ] as const);
  return new EngineError(code, message, { domain: 'external', ids: { address }, cause });
}
