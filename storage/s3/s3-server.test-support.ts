/** An S3-compatible server for tests, and a proxy before it that can be told to misbehave. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { OpenFile } from '../file-system.ts';
import { LocalDirectoryStore } from '../local-directory.ts';
import { MemoryFileSystem } from '../memory-file-system.test-support.ts';
import type { S3Location } from './s3-location.ts';

interface ServerOfPackage {
  readonly logger: { silent: boolean };
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
}
type ServerConstructor = new (options: object) => ServerOfPackage;

/** Key and secret that the server accepts. */
export const testKey = 'S3RVER';

export class S3TestServer {
  readonly endpoint: string;
  readonly #server: ServerOfPackage;

  private constructor(server: ServerOfPackage, port: number) {
    this.#server = server;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  /** @param directory where it keeps objects */
  static async start(directory: string, buckets: readonly string[] = ['bucket']): Promise<S3TestServer> {
    // The package has neither types nor an export that can be imported.
    const Server = createRequire(import.meta.url)('s3rver') as ServerConstructor;
    const configureBuckets = buckets.map((name) => ({ name }));
    const options = { port: 0, address: '127.0.0.1', silent: true, directory, vhostBuckets: false, configureBuckets };
    const server = new Server(options);
    // Else it complains that it has nowhere to log to.
    server.logger.silent = true;
    const { port } = await server.run();
    return new S3TestServer(server, port);
  }

  async stop(): Promise<void> {
    await this.#server.close();
  }
}

let prefixes = 0;

/** A place of its own for every call. Keys are taken from variables that this sets. */
export function testLocation(endpoint: string, more: Partial<S3Location> = {}): S3Location {
  process.env['MILLRACE_TEST_S3_KEY'] = testKey;
  const key = { option: 's3.accessKey', variable: 'MILLRACE_TEST_S3_KEY' };
  const prefix = `clusters/${++prefixes}`;
  return {
    endpoint,
    region: 'us-east-1',
    bucket: 'bucket',
    prefix,
    accessKey: key,
    secretKey: { ...key, option: 's3.secretKey' },
    caFile: null,
    requestTimeoutMs: 20_000,
    ...more,
  };
}

/** Files without names, in memory. */
export function memoryScratch(): () => Promise<OpenFile> {
  const store = new LocalDirectoryStore('/scratch', new MemoryFileSystem());
  return () => store.createScratch();
}

/** What the proxy does with a request in place of handing it on. */
export type Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly code?: string }
  /** Handed on; the answer ends after so many bytes of its body. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Handed on; no answer comes. */
  | { readonly kind: 'silence' }
  /** Handed on; the answer stops in its middle, and the connection stays. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** The connection is closed before anything is handed on. */
  | { readonly kind: 'refuse' };

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

export class FaultProxy {
  readonly endpoint: string;
  readonly seen: SeenRequest[] = [];
  /** Asked for every request; null: hand it on. */
  fault: (request: SeenRequest) => Fault | null = () => null;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  static async start(target: string): Promise<FaultProxy> {
    let proxy: FaultProxy | null = null;
    const server = createServer((incoming, outgoing) => proxy?.handle(incoming, outgoing, target));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    proxy = new FaultProxy(server, (server.address() as AddressInfo).port);
    return proxy;
  }

  /** The faults in this order, one for each request that `matches`; then none. */
  inOrder(faults: readonly (Fault | null)[], matches: (request: SeenRequest) => boolean = () => true): void {
    const left = [...faults];
    this.fault = (request) => (matches(request) ? (left.shift() ?? null) : null);
  }

  handle(incoming: IncomingMessage, outgoing: ServerResponse, target: string): void {
    const seen = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers };
    this.seen.push(seen);
    const fault = this.fault(seen);
    if (fault?.kind === 'refuse') {
      incoming.destroy();
      return;
    }
    if (fault?.kind === 'answer') {
      incoming.resume();
      incoming.on('end', () => {
        const body = fault.code === undefined ? '' : `<Error><Code>${fault.code}</Code></Error>`;
        outgoing.writeHead(fault.status, { 'content-type': 'application/xml' }).end(body);
      });
      return;
    }
    const { host, port } = new URL(target);
    // The host is part of the signature.
    const onward = request({
      host: '127.0.0.1',
      port,
      method: seen.method,
      path: seen.path,
      headers: incoming.headers,
    });
    onward.setHeader('host', incoming.headers.host ?? host);
    onward.on('response', (answer) => answerWith(fault, answer, outgoing));
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function answerWith(fault: Fault | null, answer: IncomingMessage, outgoing: ServerResponse): void {
  if (fault?.kind === 'silence') {
    answer.resume();
    return;
  }
  outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
  if (fault?.kind !== 'cut' && fault?.kind !== 'stall') {
    answer.pipe(outgoing);
    return;
  }
  let left = fault.afterBytes;
  answer.on('data', (chunk: Buffer) => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    outgoing.write(part, () => left === 0 && fault.kind === 'cut' && outgoing.destroy());
  });
}
