/**
 * etcd over npm `etcd3`, of which only the raw calls are used: its leases, election and retries have traps (see etcd-election.ts), and
 * its calls have no deadline. Here every call has one, nothing is retried behind the caller's back except what changes
 * nothing, and several endpoints are tried in turn: the one that answered last is asked first.
 */
import { Etcd3, type IOptions, type IRequestOp, type IResponseOp, type IWatchResponse } from 'etcd3';
import { EngineError } from '../../core/errors.ts';
import type {
  EtcdApi,
  EtcdCompare,
  EtcdKey,
  EtcdLease,
  EtcdOperation,
  EtcdTransaction,
  EtcdTransactionResult,
  EtcdWatchHandlers,
} from './etcd-api.ts';
import { etcdError } from './etcd-errors.ts';

export interface EtcdClientOptions {
  /** `http://host:port` or `https://host:port`, all of one kind. */
  readonly endpoints: readonly string[];
  /** For `https`: PEM. `certificate` and `privateKey` where etcd asks for client certificates. */
  readonly tls?: {
    readonly certificateAuthority: Uint8Array;
    readonly certificate?: Uint8Array;
    readonly privateKey?: Uint8Array;
  };
  readonly user?: { readonly name: string; readonly password: string };
  /** How long one call may take, at one endpoint. Default 2,000 ms. */
  readonly callTimeoutMs?: number;
}

const callTimeoutMsDefault = 2_000;
/** Connections that carry nothing are asked for life, so that a peer that went away without a word is noticed. */
const connectionPing = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5_000,
  'grpc.enable_channelz': 0,
};

interface Stream<Sent, Received> {
  on(event: 'data', listener: (message: Received) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  write(message: Sent): unknown;
  cancel(): void;
}

export class EtcdClient implements EtcdApi {
  readonly #endpoints: readonly { readonly address: string; readonly client: Etcd3 }[];
  readonly #callTimeoutMs: number;
  #preferred = 0;
  #closed = false;

  /** @throws EngineError CONFIG_INVALID naming the endpoint that is none */
  constructor(options: EtcdClientOptions) {
    this.#callTimeoutMs = options.callTimeoutMs ?? callTimeoutMsDefault;
    checkEndpoints(options);
    this.#endpoints = options.endpoints.map((address) => ({ address, client: this.#connect(address, options) }));
  }

  transact(transaction: EtcdTransaction): Promise<EtcdTransactionResult> {
    const request = {
      compare: transaction.when.map(encodeCompare),
      success: transaction.apply.map(encodeOperation),
      failure: transaction.otherwise.map(encodeOperation),
    };
    const reads = (operation: EtcdOperation): boolean => operation.kind === 'get' || operation.kind === 'list';
    const harmless = transaction.apply.every(reads) && transaction.otherwise.every(reads);
    return this.#call(harmless ? 'read' : 'change', 'keys', async (client) => {
      const response = await client.kv.txn(request, this.#deadline());
      const found = response.responses.map(decodeFound);
      return { succeeded: response.succeeded, revision: Number(response.header.revision), found };
    });
  }

  grantLease(ttlMs: number): Promise<EtcdLease> {
    // A lease nobody knows of goes away by itself, so asking again is harmless.
    return this.#call('read', 'a lease', async (client) => {
      const granted = await client.leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1000) }, this.#deadline());
      return { leaseId: granted.ID, ttlMs: Number(granted.TTL) * 1000 };
    });
  }

  revokeLease(leaseId: string): Promise<void> {
    return this.#call('read', 'the end of a lease', async (client) => {
      try {
        await client.leaseClient.leaseRevoke({ ID: leaseId }, this.#deadline());
      } catch (error) {
        if (!(error instanceof Error) || error.constructor.name !== 'EtcdLeaseInvalidError') throw error;
      }
    });
  }

  keepAlive(leaseId: string): Promise<number> {
    return this.#call('read', 'a longer lease', async (client) => {
      const stream = await client.leaseClient.leaseKeepAlive(this.#deadline());
      // One question and one answer a stream: a stream that has died unnoticed cannot cost more than this deadline.
      return await new Promise<number>((resolve, reject) => {
        stream.on('data', (answer) => {
          resolve(Number(answer.TTL) * 1000);
          stream.end();
        });
        stream.on('error', reject);
        stream.on('end', () => reject(new Error('etcd ended the stream without an answer')));
        stream.write({ ID: leaseId });
      });
    });
  }

  watch(key: string, fromRevision: number, handlers: EtcdWatchHandlers): () => void {
    let over = false;
    let opened: Stream<unknown, IWatchResponse> | null = null;
    const end = (reason: string): void => {
      if (over) return;
      over = true;
      opened?.cancel();
      handlers.onEnd(reason);
    };
    const { client } = this.#endpoint(0);
    client.watchClient.watch().then(
      (stream) => {
        opened = stream;
        // Canceling is reported as an error too: it has been heard by then.
        stream.on('error', (error) => end(error.message));
        stream.on('end', () => end('etcd ended the watch'));
        stream.on('data', (response) => {
          if (!over) tellChanges(key, response, handlers, end);
        });
        if (over) stream.cancel();
        else stream.write({ create_request: { key: Buffer.from(key), start_revision: fromRevision } });
      },
      (error: unknown) => end(etcdError(error, 'watch', this.#names()).message),
    );
    return () => {
      over = true;
      opened?.cancel();
    };
  }

  /** Ends all connections; calls under way reject. */
  close(): void {
    this.#closed = true;
    for (const { client } of this.#endpoints) client.close();
  }

  /** `change`: never a second time, since it may have been applied. `read`: at each endpoint once. */
  async #call<T>(kind: 'read' | 'change', what: string, run: (client: Etcd3) => Promise<T>): Promise<T> {
    const rounds = kind === 'read' ? this.#endpoints.length : 1;
    let last: EngineError | null = null;
    for (let round = 0; round < rounds && !this.#closed; round++) {
      const { client, address } = this.#endpoint(0);
      try {
        return await withinTime(run(client), 2 * this.#callTimeoutMs, address);
      } catch (error) {
        last = etcdError(error, what, this.#names());
        // What etcd itself refuses, it refuses everywhere.
        if (last.code !== 'CLUSTER_UNAVAILABLE') throw last;
        this.#preferred++;
      }
    }
    throw last ?? etcdError(new Error('this client is closed'), what, this.#names());
  }

  #endpoint(offset: number): { readonly address: string; readonly client: Etcd3 } {
    const endpoint = this.#endpoints[(this.#preferred + offset) % this.#endpoints.length];
    if (endpoint === undefined) throw new EngineError('CONFIG_INVALID', 'no etcd endpoint is configured');
    return endpoint;
  }

  #names(): string {
    return this.#endpoints.map(({ address }) => address).join(', ');
  }

  #deadline(): { readonly deadline: number } {
    return { deadline: Date.now() + this.#callTimeoutMs };
  }

  #connect(address: string, { tls, user }: EtcdClientOptions): Etcd3 {
    const options: IOptions = {
      hosts: [address],
      grpcOptions: connectionPing,
      faultHandling: { host: () => straight, global: straight },
    };
    if (tls !== undefined) {
      options.credentials = {
        rootCertificate: Buffer.from(tls.certificateAuthority),
        ...(tls.privateKey === undefined ? {} : { privateKey: Buffer.from(tls.privateKey) }),
        ...(tls.certificate === undefined ? {} : { certChain: Buffer.from(tls.certificate) }),
      };
    }
    if (user !== undefined) {
      options.auth = { username: user.name, password: user.password, callOptions: () => this.#deadline() };
    }
    return new Etcd3(options);
  }
}

type Policy = NonNullable<NonNullable<IOptions['faultHandling']>['global']>;

/** No retries and no circuit breaker: each call goes straight to etcd, and its error straight to the caller. */
const straight = {
  onSuccess: () => ({ dispose: () => undefined }),
  onFailure: () => ({ dispose: () => undefined }),
  execute: async <T>(run: (context: { signal: AbortSignal }) => T | PromiseLike<T>): Promise<T> =>
    run({ signal: new AbortController().signal }),
} as unknown as Policy;

/** A user and password written into an address must not be echoed. */
const withoutSecrets = (endpoint: string): string => endpoint.replace(/\/\/.*@/, '//***@');

function checkEndpoints({ endpoints, tls }: EtcdClientOptions): void {
  const refuse = (message: string): never => {
    throw new EngineError('CONFIG_INVALID', message, { ids: { endpoints: endpoints.map(withoutSecrets).join(', ') } });
  };
  if (endpoints.length === 0) refuse('no etcd endpoint is configured → name at least one, as in http://127.0.0.1:2379');
  for (const endpoint of endpoints) {
    if (!/^https?:\/\/[^/@]+:\d+$/.test(endpoint)) {
      refuse(
        `"${withoutSecrets(endpoint)}" is not an etcd endpoint → write it as http://host:port or https://host:port`,
      );
    }
    if (endpoint.startsWith('https:') !== (endpoints[0] as string).startsWith('https:')) {
      refuse('etcd endpoints mix http and https → use one of them for all');
    }
  }
  if (tls !== undefined && !(endpoints[0] as string).startsWith('https:')) {
    refuse('certificates are configured for etcd, but its endpoints are http → write https://host:port');
  }
}

/** The second line behind gRPC's own deadline: fetching a token of etcd comes before a call, with a deadline of its own. */
function withinTime<T>(call: Promise<T>, limitMs: number, address: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${address} did not answer within ${limitMs} ms`)), limitMs);
    call.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function tellChanges(
  key: string,
  response: IWatchResponse,
  handlers: EtcdWatchHandlers,
  end: (reason: string) => void,
): void {
  if (response.canceled) {
    const compacted = Number(response.compact_revision) > 0;
    end(
      compacted
        ? `etcd has compacted the changes before revision ${response.compact_revision}`
        : response.cancel_reason,
    );
    return;
  }
  for (const { type, kv } of response.events) {
    const revision = Number(kv.mod_revision);
    if (kv.key.toString() !== key) continue;
    handlers.onChange({ revision, key: type === 'Delete' ? null : decodeKey(kv) });
  }
}

function encodeCompare({ key, target, equals }: EtcdCompare): object {
  const named = { result: 'Equal' as const, key: Buffer.from(key) };
  return target === 'create-revision'
    ? { ...named, target: 'Create', create_revision: String(equals) }
    : { ...named, target: 'Mod', mod_revision: String(equals) };
}

function encodeOperation(operation: EtcdOperation): IRequestOp {
  switch (operation.kind) {
    case 'put': {
      const { key, value, leaseId } = operation;
      const lease = leaseId === undefined ? {} : { lease: leaseId };
      return { request_put: { key: Buffer.from(key), value: Buffer.from(value), ...lease } };
    }
    case 'get':
      return { request_range: { key: Buffer.from(operation.key) } };
    case 'list': {
      const { prefix, after, limit } = operation;
      const key = Buffer.from(after === '' ? prefix : `${after}\0`);
      // By key: without a word of order etcd sorts by key too, but only "ascend" promises it.
      return { request_range: { key, range_end: prefixEnd(prefix), limit, sort_order: 'Ascend', sort_target: 'Key' } };
    }
    case 'delete':
      return { request_delete_range: { key: Buffer.from(operation.key) } };
    case 'delete-all':
      return { request_delete_range: { key: Buffer.from(operation.prefix), range_end: prefixEnd(operation.prefix) } };
  }
}

/** The first key behind all that start with `prefix`. Our prefixes end with "/", so the last byte can be counted up. */
function prefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end[last] = (end[last] as number) + 1;
  return end;
}

function decodeFound(operation: IResponseOp): EtcdKey[] {
  return operation.response_range?.kvs.map(decodeKey) ?? [];
}

function decodeKey(stored: {
  key: Buffer;
  value: Buffer;
  create_revision: string;
  mod_revision: string;
  lease: string;
}): EtcdKey {
  return {
    key: stored.key.toString(),
    value: stored.value.toString(),
    createRevision: Number(stored.create_revision),
    modRevision: Number(stored.mod_revision),
    leaseId: stored.lease,
  };
}
