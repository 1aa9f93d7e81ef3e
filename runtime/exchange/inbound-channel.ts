/**
 * Reading end of a channel over TCP: frames go in as they arrive, elements come out when the subtask polls. Pure: the
 * connection calls `accept` and sends what `grant` says.
 *
 * Batches are queued encoded and decoded when polled: what is queued is then exactly what credit counts, and the objects
 * of a batch are young when they are used.
 */
import type { Batch, StreamElement } from '../../core/stream/batch.ts';
import type { ChannelReader } from './channel.ts';
import { ReceiverCredit } from './credit.ts';
import { decodeControl } from './element-frames.ts';
import type { ExchangeLimits } from './exchange-limits.ts';
import { type FrameKind, frameHeaderBytes, frameKind, protocolError } from './frame.ts';
import { SizedQueue } from './sized-queue.ts';

/** Decodes the batches of one channel, in order. */
export interface ChannelDecoder {
  decode(bytes: Uint8Array): Batch;
}

/** Takes the credit that a channel gives back. */
export interface GrantTaker {
  grant(channelId: number, bytes: number): void;
}

interface InboundChannelOptions {
  readonly channelId: number;
  readonly limits: ExchangeLimits;
  readonly decoder: ChannelDecoder;
  readonly grants: GrantTaker;
}

const noParts: Uint8Array[] = [];

export class InboundChannel implements ChannelReader {
  readonly #channelId: number;
  readonly #limits: ExchangeLimits;
  readonly #decoder: ChannelDecoder;
  readonly #grants: GrantTaker;
  readonly #credit: ReceiverCredit;
  readonly #queue = new SizedQueue<StreamElement | Uint8Array>();
  #parts: Uint8Array[] = noParts;
  #bytesReceived = 0;
  #partBytes = 0;
  #partCost = 0;
  #ended = false;
  #onReadable: (() => void) | null = null;

  constructor(options: InboundChannelOptions) {
    this.#channelId = options.channelId;
    this.#limits = options.limits;
    this.#decoder = options.decoder;
    this.#grants = options.grants;
    this.#credit = new ReceiverCredit(options.limits.channelCreditBytes);
  }

  /** Bytes received and not yet polled, parts of an incomplete batch included. */
  get queuedBytes(): number {
    return this.#credit.queuedBytes;
  }

  /** True when the end of the channel has arrived, polled or not. */
  get ended(): boolean {
    return this.#ended;
  }

  get hasReader(): boolean {
    return this.#onReadable !== null;
  }

  /** Names the subtask that reads; true when elements are waiting for it already. */
  attach(onReadable: () => void): boolean {
    this.#onReadable = onReadable;
    return this.#queue.length > 0;
  }

  /**
   * Takes a frame of this channel.
   * @throws EngineError PROTOCOL when it came without credit, out of place, or is malformed
   */
  accept(kind: FrameKind, payload: Uint8Array): void {
    if (this.#ended) throw protocolError(`a frame came on channel ${this.#channelId} after its end`);
    if (kind === frameKind.batch || kind === frameKind.batchPart) this.#acceptBatch(kind, payload);
    else this.#acceptControl(kind, payload);
  }

  /** Bytes of batches received, with their frames. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  poll(): StreamElement | null {
    const item = this.#queue.shift();
    if (item === undefined) return null;
    if (!(item instanceof Uint8Array)) return item;
    this.#credit.taken(this.#queue.shiftedBytes);
    const grant = this.#credit.takeGrant();
    if (grant > 0) this.#grants.grant(this.#channelId, grant);
    return { kind: 'batch', batch: this.#decoder.decode(item) };
  }

  #acceptBatch(kind: FrameKind, payload: Uint8Array): void {
    const cost = frameHeaderBytes + payload.length;
    this.#bytesReceived += cost;
    this.#credit.received(cost, this.#partCost > 0);
    if (this.#partBytes + payload.length > this.#limits.batchMaxBytes) {
      throw protocolError(
        `a batch of more than ${this.#limits.batchMaxBytes} bytes came on channel ${this.#channelId}`,
      );
    }
    if (kind === frameKind.batch && this.#partCost === 0) {
      this.#enqueue(payload, cost);
      return;
    }
    if (this.#partCost === 0) this.#parts = [];
    this.#parts.push(payload);
    this.#partBytes += payload.length;
    this.#partCost += cost;
    if (kind === frameKind.batch) this.#enqueueParts();
  }

  #enqueueParts(): void {
    const bytes = new Uint8Array(new ArrayBuffer(this.#partBytes));
    let position = 0;
    for (const part of this.#parts) {
      bytes.set(part, position);
      position += part.length;
    }
    const cost = this.#partCost;
    this.#parts = noParts;
    this.#partBytes = 0;
    this.#partCost = 0;
    this.#enqueue(bytes, cost);
  }

  #acceptControl(kind: FrameKind, payload: Uint8Array): void {
    if (this.#partCost > 0) throw protocolError(`a batch of channel ${this.#channelId} was interrupted`);
    const element = decodeControl(kind, payload);
    if (element.kind === 'end') this.#ended = true;
    this.#enqueue(element, 0);
  }

  #enqueue(item: StreamElement | Uint8Array, cost: number): void {
    const wasEmpty = this.#queue.length === 0;
    this.#queue.push(item, cost);
    if (wasEmpty) this.#onReadable?.();
  }
}
