/**
 * The connection from this slot to a slot it sends to, and the writing ends of its channels. Dialed once per attempt; never
 * dialed again, because frames that were under way are lost with it and only a restart of the attempt brings them back.
 */
import { assert, EngineError, isEngineError } from '../../core/errors.ts';
import type { ChannelWriter } from '../../runtime/exchange/channel.ts';
import { decodeCredit } from '../../runtime/exchange/element-frames.ts';
import { connectionChannel, type FrameKind, frameKind, protocolError } from '../../runtime/exchange/frame.ts';
import { decodeRefusal, decodeWelcome, encodeHello } from '../../runtime/exchange/handshake.ts';
import { OutboundChannel } from '../../runtime/exchange/outbound-channel.ts';
import type { DataPlaneContext, SlotEndpoint } from './data-plane-context.ts';
import { FramedSocket, type FramedSocketOwner } from './framed-socket.ts';
import { connectToPeer, dialReason } from './peer-tls.ts';

/** Bytes a socket may hold before it holds back; Node's 16 KiB would do so for every buffer. */
const socketBufferBytes = 1024 * 1024;

interface Dialing {
  readonly endpoint: SlotEndpoint;
  readonly resolve: () => void;
  readonly reject: (error: EngineError) => void;
  readonly timer: NodeJS.Timeout;
}

export class OutboundConnection implements FramedSocketOwner {
  readonly #context: DataPlaneContext;
  readonly #peer: number;
  readonly #socket: FramedSocket;
  readonly #channels = new Map<number, OutboundChannel>();
  #dialing: Dialing | null = null;
  /** Credit per channel, 0 until the peer has taken the connection. */
  #creditBytes = 0;
  #whenFinished: (() => void) | null = null;

  constructor(context: DataPlaneContext, peer: number) {
    this.#context = context;
    this.#peer = peer;
    this.#socket = new FramedSocket(context.limits, this);
  }

  /** Encoded bytes waiting here: for credit, or for the socket. */
  get queuedBytes(): number {
    let bytes = this.#socket.output.waitingBytes;
    for (const channel of this.#channels.values()) bytes += channel.pendingBytes;
    return bytes;
  }

  /** Settles when the peer has taken the connection; rejects with an EngineError when it did not within the deadline. */
  connect(endpoint: SlotEndpoint): Promise<void> {
    assert(
      this.#dialing === null && this.#creditBytes === 0,
      `slot ${this.#context.self} dials slot ${this.#peer} twice`,
    );
    return new Promise((resolve, reject) => {
      const { connectTimeoutMs } = this.#context;
      const timer = setTimeout(
        () => this.#socket.abort(new Error(`no answer within ${connectTimeoutMs} ms`)),
        connectTimeoutMs,
      );
      this.#dialing = { endpoint, resolve, reject, timer };
      const ready = (): void => this.#sayHello();
      this.#socket.attach(connectToPeer(this.#context.tls, endpoint, { highWaterMark: socketBufferBytes, ready }));
    });
  }

  writer(channelId: number, operatorName: string, onWritable: () => void): ChannelWriter {
    assert(!this.#channels.has(channelId), `channel ${channelId} to slot ${this.#peer} has a writer already`);
    const { limits, codec } = this.#context;
    assert(this.#channels.size < limits.channelsMax, `more than ${limits.channelsMax} channels to slot ${this.#peer}`);
    const { frames, output } = this.#socket;
    const encoder = codec.encoder();
    const creditBytes = this.#creditBytes;
    const channel = new OutboundChannel({
      channelId,
      operatorName,
      limits,
      encoder,
      frames,
      gate: output,
      creditBytes,
      onWritable,
    });
    this.#channels.set(channelId, channel);
    return channel;
  }

  frame(channelId: number, kind: FrameKind, payload: Uint8Array): void {
    if (channelId === connectionChannel) {
      this.#handshake(kind, payload);
      return;
    }
    const channel = this.#channels.get(channelId);
    if (channel === undefined || kind !== frameKind.credit)
      throw protocolError(`a frame of kind ${kind} came back on channel ${channelId}`);
    channel.grant(decodeCredit(payload));
    this.#noticeFinished();
  }

  drained(): void {
    for (const channel of this.#channels.values()) channel.roomChanged();
  }

  down(error: Error | null): void {
    this.#whenFinished?.();
    const dialing = this.#dialing;
    if (dialing === null) {
      if (error !== null) this.#context.connectionFailed(this.#context.self, this.#peer, error);
      return;
    }
    this.#dialing = null;
    clearTimeout(dialing.timer);
    dialing.reject(this.#dialError(dialing.endpoint, error));
  }

  /** Settles when everything written is sent, if every channel was ended; at once if not: then the attempt was given up. */
  finished(): Promise<void> {
    if (!this.#socket.usable || this.#allFinished() || !this.#allEnded()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenFinished = resolve;
    });
  }

  close(): Promise<void> {
    if (this.#dialing === null) return this.#socket.close();
    this.destroy();
    return Promise.resolve();
  }

  /** Cuts the connection, or gives up dialing. */
  destroy(): void {
    const dialing = this.#dialing;
    this.#dialing = null;
    this.#socket.destroy();
    if (dialing === null) return;
    clearTimeout(dialing.timer);
    const message = `slot ${this.#context.self} closed while it dialed slot ${this.#peer}`;
    dialing.reject(new EngineError('CANCELED', message, { domain: 'internal', ids: this.#ids() }));
  }

  #sayHello(): void {
    if (!this.#socket.usable) return;
    const hello = encodeHello(this.#context.identity, this.#context.self, this.#peer);
    this.#socket.frames.frame(connectionChannel, frameKind.hello, hello);
  }

  #handshake(kind: FrameKind, payload: Uint8Array): void {
    const dialing = this.#dialing;
    if (dialing === null) throw protocolError(`a handshake frame of kind ${kind} came twice`);
    if (kind === frameKind.refusal) {
      const { code, reason } = decodeRefusal(payload);
      const message = `slot ${this.#peer} at ${dialing.endpoint.host}:${dialing.endpoint.port} refused slot ${this.#context.self}: ${reason}`;
      this.#socket.abort(new EngineError(code, message, { domain: 'internal', ids: this.#ids() }));
      return;
    }
    if (kind !== frameKind.welcome) throw protocolError(`a frame of kind ${kind} came instead of a welcome`);
    this.#creditBytes = decodeWelcome(payload);
    this.#dialing = null;
    clearTimeout(dialing.timer);
    dialing.resolve();
    for (const channel of this.#channels.values()) channel.connected(this.#creditBytes);
  }

  #dialError(endpoint: SlotEndpoint, error: Error | null): EngineError {
    // What the peer refused with says all; bytes that are no frames may be those of TLS.
    if (isEngineError(error) && error.code !== 'PROTOCOL') return error;
    if (isEngineError(error) && error.ids['toSlot'] !== undefined) return error;
    const reason = error === null ? 'it is closing' : dialReason(error, this.#context.tls !== null);
    const message = `slot ${this.#context.self} cannot connect to slot ${this.#peer} at ${endpoint.host}:${endpoint.port}: ${reason}; check that the task manager runs and its dataPortRange is reachable`;
    return new EngineError('TRANSPORT_FAILED', message, {
      domain: 'external',
      retry: 'backoff',
      cause: error,
      ids: this.#ids(),
    });
  }

  #ids(): Record<string, number> {
    return { fromSlot: this.#context.self, toSlot: this.#peer, attempt: this.#context.identity.attempt };
  }

  #noticeFinished(): void {
    if (this.#whenFinished !== null && this.#allFinished()) this.#whenFinished();
  }

  #allEnded(): boolean {
    for (const channel of this.#channels.values()) if (!channel.ended) return false;
    return true;
  }

  #allFinished(): boolean {
    for (const channel of this.#channels.values()) if (!channel.finished) return false;
    return true;
  }
}
