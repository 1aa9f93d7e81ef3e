/**
 * The data plane of one slot in one attempt: it listens for the slots that send to it, dials the slots it sends to, and
 * gives out the ends of channels. One TCP connection per ordered pair of slots carries all their channels; the sending
 * slot dials, credit flows back. Made for an attempt and closed with it: nothing of it outlives the attempt.
 *
 * A connection that breaks fails the attempt: the first one is reported, naming both slots, and none after `close`. A peer
 * that closes on purpose (its attempt is over, whatever the reason) is not a failure here; whoever closed has reported.
 */
import type { Server, Socket } from 'node:net';
import { assert, EngineError, isEngineError } from '../../core/errors.ts';
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import type { ChannelReader, ChannelWriter } from '../../runtime/exchange/channel.ts';
import { BatchDecoder, BatchEncoder } from '../../runtime/exchange/columnar-codec.ts';
import { defaultExchangeLimits, type ExchangeLimits } from '../../runtime/exchange/exchange-limits.ts';
import type { ExchangeIdentity, Refusal } from '../../runtime/exchange/handshake.ts';
import type { DataPlaneContext, ExchangeCodec, SlotEndpoint } from './data-plane-context.ts';
import { InboundConnection, InboundPeer, type InboundPeers } from './inbound-peer.ts';
import { anyPort, listenInRange, type PortRange } from './listen.ts';
import { OutboundConnection } from './outbound-connection.ts';
import { createPeerServer } from './peer-tls.ts';

export type { SlotEndpoint } from './data-plane-context.ts';
export type { PortRange } from './listen.ts';

export interface DataPlaneOptions {
  /** Secret of the cluster, or of the run. */
  readonly clusterId: string;
  readonly jobName: string;
  readonly attempt: number;
  /** Index of this slot. */
  readonly self: number;
  /** Told once, when a connection breaks. */
  onFailure(error: EngineError): void;
  /** Default: in clear, for slots of one machine. */
  readonly tls?: TlsMaterialSource | null;
  /** Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** How long `close` waits for peers. Default 1 s. */
  readonly closeTimeoutMs?: number;
  readonly limits?: Partial<ExchangeLimits>;
  /** Default: the columnar codec. */
  readonly codec?: ExchangeCodec;
}

export interface DataPlane {
  /** @throws EngineError PORT_IN_USE, TRANSPORT_FAILED */
  listen(host: string, portRange?: PortRange): Promise<SlotEndpoint>;
  /**
   * Dials every slot given; settles when all have taken the connection.
   * @throws EngineError TRANSPORT_FAILED, or what the peer refused with (STALE_EPOCH, PROTOCOL); nothing is reported then
   */
  connect(peers: ReadonlyMap<number, SlotEndpoint>): Promise<void>;
  /** The writing end of a channel to slot `peer`; `hasRoom` is false until that slot is connected. */
  writer(peer: number, channelId: number, operatorName: string, onWritable: () => void): ChannelWriter;
  /** The reading end of a channel from slot `peer`, which need not have connected yet. */
  reader(peer: number, channelId: number, onReadable: () => void): ChannelReader;
  /** Encoded bytes queued here, for the accountant of the slot. */
  queuedBytes(): { readonly inbound: number; readonly outbound: number };
  /**
   * Closes every connection. Slots whose channels were all ended get everything that was written; otherwise what waits is
   * dropped. Settles within `closeTimeoutMs`.
   */
  close(): Promise<void>;
}

/** Strangers that have connected and not yet said who they are. */
const handshakesMax = 256;

const columnarCodec: ExchangeCodec = { encoder: () => new BatchEncoder(), decoder: () => new BatchDecoder() };

/** The data plane of one slot for one attempt; nothing happens before `listen` or `connect`. */
export function createDataPlane(options: DataPlaneOptions): DataPlane {
  return new TcpDataPlane(options);
}

class TcpDataPlane implements DataPlane, DataPlaneContext, InboundPeers {
  readonly identity: ExchangeIdentity;
  readonly self: number;
  readonly limits: ExchangeLimits;
  readonly codec: ExchangeCodec;
  readonly tls: TlsMaterialSource | null;
  readonly connectTimeoutMs: number;
  readonly #closeTimeoutMs: number;
  readonly #onFailure: (error: EngineError) => void;
  readonly #outbound = new Map<number, OutboundConnection>();
  readonly #inboundPeers = new Map<number, InboundPeer>();
  readonly #inbound = new Set<InboundConnection>();
  #server: Server | null = null;
  #failed = false;
  #closing: Promise<void> | null = null;

  constructor(options: DataPlaneOptions) {
    this.identity = { clusterId: options.clusterId, jobName: options.jobName, attempt: options.attempt };
    this.self = options.self;
    this.limits = { ...defaultExchangeLimits, ...options.limits };
    this.codec = options.codec ?? columnarCodec;
    this.tls = options.tls ?? null;
    this.connectTimeoutMs = options.connectTimeoutMs ?? 10_000;
    this.#closeTimeoutMs = options.closeTimeoutMs ?? 1000;
    this.#onFailure = (error) => options.onFailure(error);
  }

  async listen(host: string, portRange: PortRange = anyPort): Promise<SlotEndpoint> {
    assert(this.#server === null, `slot ${this.self} listens twice`);
    const accept = (socket: Socket, refusal: Refusal | null): void => this.#accept(socket, refusal);
    const server = createPeerServer(this.tls, this.connectTimeoutMs, accept);
    this.#server = server;
    const port = await listenInRange(server, host, portRange);
    server.on('error', (error) =>
      this.#fail(`slot ${this.self} cannot accept connections`, error, { slot: this.self }),
    );
    return { host, port };
  }

  async connect(peers: ReadonlyMap<number, SlotEndpoint>): Promise<void> {
    const dials: Promise<void>[] = [];
    for (const [peer, endpoint] of peers)
      if (peer !== this.self) dials.push(this.#connectionTo(peer).connect(endpoint));
    await Promise.all(dials);
  }

  writer(peer: number, channelId: number, operatorName: string, onWritable: () => void): ChannelWriter {
    return this.#connectionTo(peer).writer(channelId, operatorName, onWritable);
  }

  reader(peer: number, channelId: number, onReadable: () => void): ChannelReader {
    return this.peer(peer).reader(channelId, onReadable);
  }

  queuedBytes(): { inbound: number; outbound: number } {
    let inbound = 0;
    let outbound = 0;
    for (const peer of this.#inboundPeers.values()) inbound += peer.queuedBytes;
    for (const connection of this.#outbound.values()) outbound += connection.queuedBytes;
    return { inbound, outbound };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  peer(index: number): InboundPeer {
    let peer = this.#inboundPeers.get(index);
    if (peer === undefined) {
      peer = new InboundPeer(this, index);
      this.#inboundPeers.set(index, peer);
    }
    return peer;
  }

  connectionFailed(from: number, to: number, error: Error): void {
    this.#fail(`the connection from slot ${from} to slot ${to} failed`, error, { fromSlot: from, toSlot: to });
  }

  #fail(what: string, cause: Error, ids: Record<string, number>): void {
    if (this.#failed || this.#closing !== null) return;
    this.#failed = true;
    const code = isEngineError(cause) ? cause.code : 'TRANSPORT_FAILED';
    const message = `${what}: ${cause.message}; attempt ${this.identity.attempt} has to be restarted`;
    this.#onFailure(
      new EngineError(code, message, {
        domain: 'external',
        retry: 'backoff',
        cause,
        ids: { ...ids, attempt: this.identity.attempt },
      }),
    );
  }

  #accept(socket: Socket, refusal: Refusal | null): void {
    let unknown = 0;
    for (const connection of this.#inbound) if (connection.unknown) unknown += 1;
    if (this.#closing !== null || unknown >= handshakesMax) {
      socket.destroy();
      return;
    }
    const connection = new InboundConnection(this, this, this.#connectionDown);
    this.#inbound.add(connection);
    connection.attach(socket);
    if (refusal !== null) connection.refuse(refusal);
  }

  readonly #connectionDown = (connection: InboundConnection): void => {
    this.#inbound.delete(connection);
  };

  #connectionTo(peer: number): OutboundConnection {
    assert(peer !== this.self, `slot ${this.self} has no connection to itself: channels within a slot are local`);
    let connection = this.#outbound.get(peer);
    if (connection === undefined) {
      connection = new OutboundConnection(this, peer);
      this.#outbound.set(peer, connection);
    }
    return connection;
  }

  async #close(): Promise<void> {
    this.#server?.close();
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#closeTimeoutMs);
    });
    await Promise.race([this.#closeGracefully(), deadline]);
    clearTimeout(timer);
    for (const connection of this.#outbound.values()) connection.destroy();
    for (const connection of this.#inbound) connection.destroy();
  }

  async #closeGracefully(): Promise<void> {
    await Promise.all([...this.#outbound.values()].map((connection) => connection.finished()));
    await Promise.all([...this.#outbound.values(), ...this.#inbound].map((connection) => connection.close()));
  }
}
