/**
 * One connection to one peer: calls with deadlines, in the order in which they were made, and word when the peer is lost.
 *
 * Order: a call is started when the message of the one before it is on its way, else a small message would overtake a
 * large one and a task manager hear of the end of a checkpoint before its beginning. Answers are not waited for. That the
 * bytes are on their way is told for streams only, so every call is one on this side; the wire is the same.
 */
import { Client, type ChannelCredentials, type ClientReadableStream, type ClientWritableStream } from '@grpc/grpc-js';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import type { EngineError } from '../../../core/errors.ts';
import type { TlsMaterialSource } from '../../../core/tls-material.ts';
import type { AnyUnaryMethod } from '../methods.ts';
import { formatHostPort, type HostPort, parseHostPort, refusePlaintext } from './address.ts';
import { handshakeName } from '../security/peer-certificate.ts';
import { channelCredentials } from './credentials.ts';
import { type CallTarget, checkMessageSize, errorOfCall, transportFailed } from './error-trailer.ts';
import { clientOptions, quietGrpc } from './limits.ts';
import { PeerWatch } from './peer-watch.ts';
import { asBuffer } from './unary-service.ts';

export interface PeerOptions {
  /** Null: in clear, to this machine only. */
  readonly tls: TlsMaterialSource | null;
  /** Shown to the peer with every call; null where certificates speak. */
  readonly token?: string | null;
  /** In clear to other machines as well: everybody on the way reads and changes what is said. */
  readonly insecure?: boolean;
}

const identity = (bytes: Buffer): Buffer => bytes;

export class PeerChannel {
  readonly address: string;
  readonly #hostPort: HostPort;
  readonly #role: 'job-manager' | 'task-manager';
  readonly #options: PeerOptions;
  readonly #watch: PeerWatch;
  readonly #unwatchTls: () => void;
  readonly #lostListeners: ((error: EngineError) => void)[] = [];
  #lost: EngineError | null = null;
  #client: Client;
  #closed = false;
  /** Settles when the next call may start. */
  #turn: Promise<void> = Promise.resolve();

  /** @throws EngineError CONFIG_INVALID when the address is none, or another machine's and there is no TLS */
  constructor(address: string, role: 'job-manager' | 'task-manager', options: PeerOptions) {
    quietGrpc();
    this.#hostPort = parseHostPort(address);
    if (options.tls === null && options.insecure !== true) refusePlaintext(this.#hostPort.host, 'a connection to');
    this.address = formatHostPort(this.#hostPort);
    this.#role = role;
    this.#options = options;
    this.#client = this.#makeClient();
    this.#watch = new PeerWatch(this.#client, {
      address: this.#hostPort,
      onLost: (reason) => this.#onLost(reason),
    });
    this.#unwatchTls = options.tls?.watch(() => this.#renew()) ?? (() => undefined);
  }

  /** One request, one response. @throws EngineError of the peer, TRANSPORT_FAILED, or PROTOCOL */
  async call(method: AnyUnaryMethod, request: object): Promise<object> {
    const bytes = method.request.encode(request);
    checkMessageSize(bytes, method.path);
    const target = this.target(method.path, method.deadlineMs);
    const deadlineAtMs = Date.now() + method.deadlineMs;
    const release = await this.#myTurn(target);
    try {
      const { stream, answer } = this.send(target, deadlineAtMs);
      stream.write(asBuffer(bytes), release);
      stream.end();
      return method.response.decode(await answer);
    } finally {
      release();
    }
  }

  /** A call whose request is a stream of encoded messages. The answer may come before its end. */
  send(
    target: CallTarget,
    deadlineAtMs: number,
  ): { readonly stream: ClientWritableStream<Buffer>; readonly answer: Promise<Buffer> } {
    const client = this.#openClient(target);
    let done = (_failure: ServiceError | null, _response?: Buffer): void => undefined;
    const answer = new Promise<Buffer>((resolve, reject) => {
      done = (failure, response) => {
        if (failure === null) resolve(response ?? Buffer.alloc(0));
        else reject(errorOfCall(failure, target));
      };
    });
    const options = { deadline: deadlineAtMs };
    const metadata = this.#metadata();
    const stream = client.makeClientStreamRequest(target.method, identity, identity, metadata, options, done);
    return { stream, answer };
  }

  /** A call whose response is a stream of encoded messages; it has no end of its own. */
  subscribe(method: string, request: Uint8Array): ClientReadableStream<Buffer> {
    const client = this.#openClient(this.target(method, 0));
    return client.makeServerStreamRequest(method, identity, identity, Buffer.from(request), this.#metadata(), {});
  }

  target(method: string, deadlineMs: number): CallTarget {
    return {
      peer: this.#role.replace('-', ' '),
      address: this.address,
      method,
      deadlineMs,
      tls: this.#options.tls !== null,
    };
  }

  /** Called once when the peer is lost, at once when it is already. */
  onLost(listener: (error: EngineError) => void): void {
    this.#lostListeners.push(listener);
    if (this.#lost !== null) listener(this.#lost);
  }

  /** Ends the connection; calls that are under way fail. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatchTls();
    this.#watch.close();
    this.#client.close();
  }

  /** @returns what lets the next call start */
  async #myTurn(target: CallTarget): Promise<() => void> {
    const turn = this.#turn;
    let release = (): void => undefined;
    this.#turn = new Promise((resolve) => {
      release = resolve;
    });
    let timer: NodeJS.Timeout | undefined;
    const expired = new Promise<'expired'>((resolve) => {
      timer = setTimeout(() => resolve('expired'), target.deadlineMs);
    });
    const outcome = await Promise.race([turn, expired]);
    clearTimeout(timer);
    if (outcome !== 'expired') return release;
    // Those behind still wait for the one before.
    void turn.then(release);
    throw transportFailed(target, `did not take earlier calls within ${target.deadlineMs} ms`);
  }

  #makeClient(): Client {
    const { tls } = this.#options;
    const { host } = this.#hostPort;
    const credentials: ChannelCredentials = channelCredentials(tls, host, this.#role);
    return new Client(this.address, credentials, {
      ...clientOptions,
      'grpc.ssl_target_name_override': handshakeName(host),
      'grpc.default_authority': this.address,
    });
  }

  #openClient(target: CallTarget): Client {
    if (this.#closed) throw transportFailed(target, 'is not called any more: the connection was closed here');
    return this.#client;
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    const { token } = this.#options;
    if (token !== undefined && token !== null) metadata.set('authorization', `Bearer ${token}`);
    return metadata;
  }

  /** New calls go over a connection with the new certificate; those under way end on the old one. */
  #renew(): void {
    const old = this.#client;
    this.#client = this.#makeClient();
    this.#watch.replaceClient(this.#client);
    old.close();
  }

  #onLost(reason: string): void {
    this.#lost = transportFailed(this.target('connection', 0), reason);
    for (const listener of this.#lostListeners) listener(this.#lost);
  }
}
