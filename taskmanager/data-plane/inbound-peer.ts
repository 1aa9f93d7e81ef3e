/**
 * A slot that sends to this one: the reading ends of its channels and, once it has dialed, its connection. Channels come
 * into being when a reader is asked for or when their first frame arrives, whichever is first; what arrives before its
 * reader waits within credit.
 */
import type { Socket } from 'node:net';
import { assert } from '../../core/errors.ts';
import type { ChannelReader } from '../../runtime/exchange/channel.ts';
import { encodeCredit } from '../../runtime/exchange/element-frames.ts';
import { connectionChannel, type FrameKind, frameKind, protocolError } from '../../runtime/exchange/frame.ts';
import {
  checkHello,
  decodeHello,
  encodeRefusal,
  encodeWelcome,
  type Refusal,
} from '../../runtime/exchange/handshake.ts';
import { type GrantTaker, InboundChannel } from '../../runtime/exchange/inbound-channel.ts';
import type { DataPlaneContext } from './data-plane-context.ts';
import { FramedSocket, type FramedSocketOwner } from './framed-socket.ts';

/** All channels from one slot. */
export class InboundPeer implements GrantTaker {
  readonly #context: DataPlaneContext;
  readonly #peer: number;
  readonly #channels = new Map<number, InboundChannel>();
  #connection: InboundConnection | null = null;

  constructor(context: DataPlaneContext, peer: number) {
    this.#context = context;
    this.#peer = peer;
  }

  /** True once the slot has connected, also after that connection is gone: it is never replaced within an attempt. */
  get wasConnected(): boolean {
    return this.#connection !== null;
  }

  get queuedBytes(): number {
    let bytes = 0;
    for (const channel of this.#channels.values()) bytes += channel.queuedBytes;
    return bytes;
  }

  reader(channelId: number, onReadable: () => void): ChannelReader {
    const channel = this.#channel(channelId);
    assert(!channel.hasReader, `channel ${channelId} from slot ${this.#peer} has a reader already`);
    // Not from inside this call: the caller does not hold the reader yet.
    if (channel.attach(onReadable)) queueMicrotask(onReadable);
    return channel;
  }

  connected(connection: InboundConnection): void {
    this.#connection = connection;
  }

  accept(channelId: number, kind: FrameKind, payload: Uint8Array): void {
    this.#channel(channelId).accept(kind, payload);
  }

  grant(channelId: number, bytes: number): void {
    this.#connection?.grant(channelId, bytes);
  }

  down(error: Error): void {
    this.#context.connectionFailed(this.#peer, this.#context.self, error);
  }

  #channel(channelId: number): InboundChannel {
    let channel = this.#channels.get(channelId);
    if (channel === undefined) {
      const { limits, codec } = this.#context;
      channel = new InboundChannel({ channelId, limits, decoder: codec.decoder(), grants: this });
      this.#channels.set(channelId, channel);
    }
    return channel;
  }
}

/** Finds, or makes, what is kept of a slot that has shown it belongs here. */
export interface InboundPeers {
  peer(index: number): InboundPeer;
}

/** A connection that was accepted: unknown until its hello is checked. */
export class InboundConnection implements FramedSocketOwner {
  readonly #context: DataPlaneContext;
  readonly #peers: InboundPeers;
  readonly #socket: FramedSocket;
  readonly #timer: NodeJS.Timeout;
  readonly #onDown: (connection: InboundConnection) => void;
  #peer: InboundPeer | null = null;

  constructor(context: DataPlaneContext, peers: InboundPeers, onDown: (connection: InboundConnection) => void) {
    this.#context = context;
    this.#peers = peers;
    this.#onDown = onDown;
    this.#socket = new FramedSocket(context.limits, this);
    this.#timer = setTimeout(() => this.#socket.destroy(), context.connectTimeoutMs);
  }

  /** True until the peer has said who it is. */
  get unknown(): boolean {
    return this.#peer === null;
  }

  attach(socket: Socket): void {
    this.#socket.attach(socket);
  }

  frame(channelId: number, kind: FrameKind, payload: Uint8Array): void {
    if (this.#peer === null) this.#hello(channelId, kind, payload);
    else if (channelId === connectionChannel)
      throw protocolError(`a frame of kind ${kind} came for the connection itself`);
    else this.#peer.accept(channelId, kind, payload);
  }

  grant(channelId: number, bytes: number): void {
    if (this.#socket.usable) this.#socket.frames.frame(channelId, frameKind.credit, encodeCredit(bytes));
  }

  drained(): void {
    // Credit frames need no room of anyone.
  }

  down(error: Error | null): void {
    clearTimeout(this.#timer);
    this.#onDown(this);
    // A stranger that goes away, or was sent away, is nobody's failure.
    if (this.#peer !== null && error !== null) this.#peer.down(error);
  }

  close(): Promise<void> {
    clearTimeout(this.#timer);
    return this.#socket.close();
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  /** Turns the peer away with a reason. */
  refuse(refusal: Refusal): void {
    this.#socket.frames.frame(connectionChannel, frameKind.refusal, encodeRefusal(refusal));
    // The timer goes on: a stranger that does not close its end is cut off.
    void this.#socket.close();
  }

  #hello(channelId: number, kind: FrameKind, payload: Uint8Array): void {
    if (channelId !== connectionChannel || kind !== frameKind.hello)
      throw protocolError('a frame came before the handshake');
    const { identity, self, limits } = this.#context;
    const hello = decodeHello(payload);
    const refusal = checkHello(hello, identity, self);
    if (refusal !== null) {
      this.refuse(refusal);
      return;
    }
    const peer = this.#peers.peer(hello.from);
    if (peer.wasConnected) {
      const reason = `slot ${hello.from} was connected already; frames of a broken connection are lost, so only a new attempt connects again`;
      this.refuse({ code: 'PROTOCOL', reason });
      return;
    }
    clearTimeout(this.#timer);
    this.#peer = peer;
    peer.connected(this);
    this.#socket.allowPayload(limits.frameMaxBytes);
    this.#socket.frames.frame(connectionChannel, frameKind.welcome, encodeWelcome(limits.channelCreditBytes));
  }
}
