/**
 * A TCP connection that carries frames: one parser, one output buffer, one end. It tells its owner about frames and, once,
 * that the connection is down; whether that is a failure the owner decides.
 *
 * A connection that is closed on purpose says so in its last frame. Without that frame an end of the stream is a failure,
 * at a frame boundary as well: a killed process ends its connections properly, too.
 */
import type { Socket } from 'node:net';
import { EngineError, isEngineError } from '../../core/errors.ts';
import type { ExchangeLimits } from '../../runtime/exchange/exchange-limits.ts';
import {
  connectionChannel,
  type FrameHandler,
  type FrameKind,
  frameKind,
  FrameParser,
  FrameWriter,
} from '../../runtime/exchange/frame.ts';
import { handshakeMaxBytes } from '../../runtime/exchange/handshake.ts';
import { OutputBuffer } from './output-buffer.ts';

export interface FramedSocketOwner extends FrameHandler {
  /** The connection is gone; null when one of the ends closed it on purpose. Called at most once. */
  down(error: Error | null): void;
  /** The socket takes data again after it held back. */
  drained(): void;
}

const noBytes = new Uint8Array(0);
const keepAliveMs = 10_000;

export class FramedSocket implements FrameHandler {
  readonly output: OutputBuffer;
  readonly frames: FrameWriter;
  readonly #parser: FrameParser;
  readonly #owner: FramedSocketOwner;
  #socket: Socket | null = null;
  #error: Error | null = null;
  #closedByPeer = false;
  #closing = false;
  #down = false;
  #whenClosed: (() => void) | null = null;

  constructor(limits: ExchangeLimits, owner: FramedSocketOwner) {
    this.#owner = owner;
    this.output = new OutputBuffer(limits, () => owner.drained());
    this.frames = new FrameWriter(this.output);
    // Until the peer is known it gets no more memory than a handshake takes.
    this.#parser = new FrameParser({ payloadMaxBytes: handshakeMaxBytes, channelsMax: limits.channelsMax }, this);
  }

  /** True until the connection is down or being closed. */
  get usable(): boolean {
    return this.#socket !== null && !this.#down && !this.#closing && !this.#closedByPeer;
  }

  attach(socket: Socket): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    socket.on('data', (chunk: Buffer) => this.#data(chunk));
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('close', () => this.#closed());
    this.output.attach(socket);
  }

  /** The peer is known: frames of the full size are taken. */
  allowPayload(payloadMaxBytes: number): void {
    this.#parser.payloadMaxBytes = payloadMaxBytes;
  }

  frame(channelId: number, kind: FrameKind, payload: Uint8Array): void {
    if (channelId !== connectionChannel || kind !== frameKind.close) {
      this.#owner.frame(channelId, kind, payload);
      return;
    }
    this.#closedByPeer = true;
    this.#parser.stop();
    this.output.discard();
  }

  /** Gives the connection up because of `error`; `down` follows. */
  abort(error: Error): void {
    this.#error ??= error;
    this.#parser.stop();
    this.output.discard();
    if (this.#socket === null) this.#closed();
    else this.#socket.destroy();
  }

  /** Closes on purpose after what was written; settles when the connection is gone: the caller has a deadline. */
  close(): Promise<void> {
    this.#parser.stop();
    this.#closing = true;
    const socket = this.#socket;
    if (socket === null || socket.destroyed) return Promise.resolve();
    if (!this.#closedByPeer) {
      this.frames.frame(connectionChannel, frameKind.close, noBytes);
      this.#endAfterOutput(socket);
    } else socket.end();
    return new Promise((resolve) => {
      this.#whenClosed = resolve;
    });
  }

  /** Cuts the connection now. */
  destroy(): void {
    this.#closing = true;
    this.#parser.stop();
    this.output.discard();
    this.#socket?.destroy();
  }

  #endAfterOutput(socket: Socket): void {
    this.output.flush();
    if (this.output.waitingBytes === 0) {
      this.output.discard();
      socket.end();
      return;
    }
    socket.once('drain', () => this.#endAfterOutput(socket));
  }

  #data(chunk: Uint8Array): void {
    try {
      this.#parser.push(chunk);
    } catch (error) {
      const protocol = isEngineError(error)
        ? error
        : new EngineError('INTERNAL', 'a frame could not be handled', { domain: 'internal', cause: error });
      this.abort(protocol);
    }
  }

  #closed(): void {
    if (this.#down) return;
    this.#down = true;
    this.output.discard();
    this.#whenClosed?.();
    if (this.#closing || this.#closedByPeer) this.#owner.down(null);
    else
      this.#owner.down(
        this.#error ?? new Error(this.#parser.atBoundary ? 'the peer ended it' : 'the peer ended it within a frame'),
      );
  }
}
