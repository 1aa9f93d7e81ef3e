/**
 * HTTP for the S3 client: one connection pool, and a deadline for every request. The client's own transport (`fetch`) ends a
 * request only when told so from outside, and hands bodies on without one.
 *
 * The deadline of a request is `requestTimeoutMs` to begin with, plus the time its body takes at a mebibyte a second: a server
 * that stalls, and one that trickles, is given up; a large file on a slow line is not.
 */
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { Readable } from 'node:stream';
import type { ReadableStream as WebStream } from 'node:stream/web';

type RequestBody = NonNullable<RequestInit['body']>;

const slowestBytesPerMs = (1024 * 1024) / 1_000;
const connectionsMax = 16;
/** Of answers that carry no object. */
const answerBytesMax = 64 * 1024;

/** A request that got no whole answer: whether it took effect is not known. */
export class S3TransportError extends Error {
  readonly kind: 'timeout' | 'network' | 'closed';

  constructor(kind: 'timeout' | 'network' | 'closed', message: string) {
    super(message);
    this.name = 'S3TransportError';
    this.kind = kind;
  }
}

export interface S3TransportOptions {
  readonly requestTimeoutMs: number;
  /** Certificate of an authority of one's own. */
  readonly ca: Buffer | null;
}

export class S3Transport {
  readonly #requestTimeoutMs: number;
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: connectionsMax });
  readonly #https: HttpsAgent;
  readonly #running = new Set<(error: S3TransportError) => void>();
  #closed = false;

  constructor({ requestTimeoutMs, ca }: S3TransportOptions) {
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#https = new HttpsAgent({ keepAlive: true, maxSockets: connectionsMax, ...(ca === null ? {} : { ca }) });
  }

  /** Ends what runs; later requests are refused. */
  close(): void {
    this.#closed = true;
    for (const end of this.#running) end(closedError());
    this.#http.destroy();
    this.#https.destroy();
  }

  /** What the client calls in place of `fetch`. @throws S3TransportError */
  readonly fetch = (input: Parameters<typeof fetch>[0], init: RequestInit = {}): Promise<Response> => {
    const body = init.body ?? null;
    if (this.#closed) {
      if (body instanceof ReadableStream) void body.cancel();
      return Promise.reject(closedError());
    }
    return this.#request(new URL(input instanceof Request ? input.url : input), init, body);
  };

  #request(url: URL, init: RequestInit, body: RequestBody | null): Promise<Response> {
    const headers = init.headers as Record<string, string>;
    const method = init.method ?? 'GET';
    const secure = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: secure ? this.#https : this.#http };
      const request = secure ? httpsRequest(url, options) : httpRequest(url, options);
      let answer: IncomingMessage | null = null;
      // Once there is an answer, whoever reads it has to hear why it ends.
      const end = (error: S3TransportError): void => {
        if (answer === null) request.destroy(error);
        else answer.destroy(error);
      };
      const deadline = new Deadline((waitedMs) => end(timeoutError(waitedMs)));
      const done = (): void => {
        deadline.clear();
        this.#running.delete(end);
      };
      this.#running.add(end);
      deadline.set(this.#deadlineMs(Number(headers['content-length'] ?? 0)));
      request.on('error', (error) => {
        reject(transportError(error));
      });
      request.on('close', done);
      request.on('response', (response) => {
        answer = response;
        deadline.set(this.#deadlineMs(Number(response.headers['content-length'] ?? 0)));
        answerOf(response, method).then(resolve, reject);
      });
      sendBody(request, body);
    });
  }

  #deadlineMs(bytes: number): number {
    return this.#requestTimeoutMs + Math.ceil(bytes / slowestBytesPerMs);
  }
}

class Deadline {
  readonly #passed: (waitedMs: number) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(passed: (waitedMs: number) => void) {
    this.#passed = passed;
  }

  set(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#passed(ms), ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

function sendBody(request: ReturnType<typeof httpRequest>, body: RequestBody | null): void {
  if (body instanceof ReadableStream) {
    const chunks = Readable.fromWeb(body as WebStream);
    chunks.on('error', (error) => request.destroy(error));
    // Nobody reads on when the request has ended: the producer gives free what it holds.
    request.on('close', () => chunks.destroy());
    chunks.pipe(request);
  } else if (body instanceof Uint8Array || typeof body === 'string') request.end(body);
  else request.end();
}

async function answerOf(response: IncomingMessage, method: string): Promise<Response> {
  const status = response.statusCode ?? 0;
  const headers = new Headers();
  for (const [name, value] of Object.entries(response.headers)) {
    if (typeof value === 'string') headers.set(name, value);
  }
  if (method === 'GET' && status < 300 && status !== 204) return new Response(streamOf(response), { status, headers });
  // Read here, so that the connection is free again whatever the client does with the answer.
  const text = await boundedText(response);
  const noBody = method === 'HEAD' || status === 204 || status === 304;
  return new Response(noBody ? null : text, { status, headers });
}

/** Read as it is asked for; a body that nobody wants gives its connection free. */
function streamOf(response: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = bodyOf(response);
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const chunk = await chunks.next();
    if (chunk.done === true) controller.close();
    else controller.enqueue(chunk.value);
  };
  return new ReadableStream({ pull, cancel: () => void response.destroy() }, { highWaterMark: 0 });
}

/** Whoever reads it hears of a broken connection by the one error that says so. */
async function* bodyOf(response: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* response as AsyncIterable<Buffer>;
  } catch (error) {
    throw transportError(error);
  }
}

async function boundedText(response: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of bodyOf(response)) {
    bytes += chunk.length;
    if (bytes <= answerBytesMax) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What a broken connection is told as, wherever it broke. */
export function transportError(error: unknown): S3TransportError {
  if (error instanceof S3TransportError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new S3TransportError('network', code === undefined ? message : `${message} (${code})`);
}

const timeoutError = (ms: number): S3TransportError =>
  new S3TransportError('timeout', `no whole answer within ${ms} ms`);
const closedError = (): S3TransportError => new S3TransportError('closed', 'this process is ending');
