/**
 * Writing end of a channel over TCP. Pure: it writes frames into the connection's buffer while it has credit, and keeps
 * encoded elements in order while it has none. Encoding happens in `write`, so a value that cannot be encoded fails the
 * step that emitted it.
 *
 * Barriers, idleness and the end cost no credit and are sent at once when nothing waits before them; they never overtake.
 * Control elements that wait are not bounded by bytes: their number is bounded by the checkpoints in flight.
 */
import { assert, EngineError } from '../../core/errors.ts';
import type { Batch, StreamElement } from '../../core/stream/batch.ts';
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import type { ChannelWriter } from './channel.ts';
import { SenderCredit } from './credit.ts';
import { type ControlElement, controlFrameKind, encodeControl } from './element-frames.ts';
import type { ExchangeLimits } from './exchange-limits.ts';
import { frameKind, type FrameWriter } from './frame.ts';
import { approximateRecordBytes } from './record-size.ts';
import { SizedQueue } from './sized-queue.ts';

/** Encodes the batches of one channel, in order. */
export interface ChannelEncoder {
  encode(batch: Batch, sink: ByteSink): void;
}

/** What all channels of a connection share. */
export interface OutboundGate {
  /** False while the socket holds back. */
  readonly open: boolean;
}

interface OutboundChannelOptions {
  readonly channelId: number;
  /** Named in errors about what was emitted. */
  readonly operatorName: string;
  readonly limits: ExchangeLimits;
  readonly encoder: ChannelEncoder;
  readonly frames: FrameWriter;
  readonly gate: OutboundGate;
  /** What the peer holds for a channel, if it has taken the connection already; else 0, and `connected` follows. */
  readonly creditBytes: number;
  readonly onWritable: () => void;
}

export class OutboundChannel implements ChannelWriter {
  readonly #options: OutboundChannelOptions;
  readonly #credit = new SenderCredit();
  /** Encoded batches, and other elements, that wait for credit. */
  readonly #pending = new SizedQueue<Uint8Array | ControlElement>();
  #bytesSent = 0;
  #connected = false;
  #hadRoom = false;
  #ended = false;
  /** Set when an element could not be encoded: the peer's decoder would miss what the encoder learned from it. */
  #broken: Error | null = null;

  constructor(options: OutboundChannelOptions) {
    this.#options = options;
    if (options.creditBytes > 0) this.#open(options.creditBytes);
    this.#hadRoom = this.hasRoom;
  }

  /** Bytes of batches sent, with their frames. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Encoded bytes that wait for credit. */
  get pendingBytes(): number {
    return this.#pending.bytes;
  }

  /** True when the end was written and nothing waits. */
  get finished(): boolean {
    return this.#ended && this.#pending.length === 0;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get hasRoom(): boolean {
    return this.#credit.hasRoom && this.#pending.length === 0 && this.#options.gate.open;
  }

  write(element: StreamElement): void {
    if (this.#broken !== null) throw this.#broken;
    assert(
      !this.#ended,
      `operator ${this.#options.operatorName} wrote to channel ${this.#options.channelId} after its end`,
    );
    if (element.kind === 'batch') this.#writeBatch(element.batch);
    else this.#writeControl(element);
    this.#hadRoom = this.hasRoom;
  }

  /** The peer has taken the connection and holds `creditBytes` for this channel. */
  connected(creditBytes: number): void {
    this.#open(creditBytes);
    this.#sendPending();
    this.roomChanged();
  }

  /** @throws EngineError PROTOCOL when the peer grants more than it got */
  grant(bytes: number): void {
    this.#credit.grant(bytes);
    this.#sendPending();
    this.roomChanged();
  }

  /** Looks at `hasRoom` anew and tells the writer when it turned true. */
  roomChanged(): void {
    const hasRoom = this.hasRoom;
    if (hasRoom === this.#hadRoom) return;
    this.#hadRoom = hasRoom;
    if (hasRoom) this.#options.onWritable();
  }

  #open(creditBytes: number): void {
    this.#connected = true;
    this.#credit.open(creditBytes);
  }

  #writeBatch(batch: Batch): void {
    const { frames, encoder, limits } = this.#options;
    frames.begin();
    try {
      encoder.encode(batch, frames.output);
      if (frames.payloadBytes > limits.recordMaxBytes) this.#checkRecordSizes(batch, frames.payloadBytes);
    } catch (error) {
      frames.rollback();
      this.#broken = this.#withOperator(error);
      throw this.#broken;
    }
    const fits = frames.payloadBytes <= limits.frameMaxBytes;
    if (fits && this.#credit.hasRoom && this.#pending.length === 0) {
      this.#sent(frames.finish(this.#options.channelId, frameKind.batch));
      return;
    }
    const payload = frames.copyPayload();
    frames.rollback();
    this.#pending.push(payload, payload.length);
    this.#sendPending();
    this.#checkPending();
  }

  /** One batch is on its way. @param cost its bytes, with their frames */
  #sent(cost: number): void {
    this.#bytesSent += cost;
    this.#credit.spend(cost);
  }

  #writeControl(element: ControlElement): void {
    if (element.kind === 'end') this.#ended = true;
    if (this.#connected && this.#pending.length === 0) this.#sendControl(element);
    else this.#pending.push(element, 0);
  }

  #sendControl(element: ControlElement): void {
    this.#options.frames.frame(this.#options.channelId, controlFrameKind(element), encodeControl(element));
  }

  /** Sends what waits, in order, as far as credit reaches. */
  #sendPending(): void {
    for (let next = this.#pending.peek(); next !== undefined && this.#connected; next = this.#pending.peek()) {
      if (next instanceof Uint8Array) {
        if (!this.#credit.hasRoom) return;
        this.#sent(this.#sendEncoded(next));
      } else {
        this.#sendControl(next);
      }
      this.#pending.shift();
    }
  }

  /** One encoded batch, in as many frames as it takes; returns the bytes it costs. */
  #sendEncoded(payload: Uint8Array): number {
    const { frames, channelId, limits } = this.#options;
    let cost = 0;
    let position = 0;
    while (payload.length - position > limits.frameMaxBytes) {
      cost += frames.frame(channelId, frameKind.batchPart, payload.subarray(position, position + limits.frameMaxBytes));
      position += limits.frameMaxBytes;
    }
    return cost + frames.frame(channelId, frameKind.batch, payload.subarray(position));
  }

  #checkRecordSizes(batch: Batch, payloadBytes: number): void {
    const { limits, operatorName } = this.#options;
    // Of a single record the size is known; of several, the encoder only knows the sum.
    let largest = batch.length === 1 ? payloadBytes : 0;
    if (batch.length > 1) for (const value of batch.values) largest = Math.max(largest, approximateRecordBytes(value));
    if (largest <= limits.recordMaxBytes && payloadBytes <= limits.batchMaxBytes) return;
    const what =
      largest > limits.recordMaxBytes
        ? `a record of ${largest} bytes, more than recordMaxBytes (${limits.recordMaxBytes})`
        : `a batch of ${batch.length} records with ${payloadBytes} bytes in one step, more than ${limits.batchMaxBytes}`;
    throw new EngineError(
      'RECORD_TOO_LARGE',
      `operator ${operatorName} emitted ${what}: emit smaller records, or a reference to the data`,
      {
        ids: { operator: operatorName, bytes: Math.max(largest, payloadBytes) },
      },
    );
  }

  #checkPending(): void {
    const { limits, operatorName } = this.#options;
    if (this.#pending.bytes <= limits.pendingMaxBytes) return;
    this.#broken = new EngineError(
      'RECORD_TOO_LARGE',
      `operator ${operatorName} emitted ${this.#pending.bytes} bytes beyond the credit of its channel, more than ${limits.pendingMaxBytes}: emit less per record`,
      { ids: { operator: operatorName, bytes: this.#pending.bytes } },
    );
    throw this.#broken;
  }

  /** Errors of the encoder know the path within the value, not who emitted it. */
  #withOperator(error: unknown): Error {
    const { operatorName } = this.#options;
    if (!(error instanceof EngineError)) return error instanceof Error ? error : new Error(String(error));
    if (error.ids['operator'] === operatorName) return error;
    return new EngineError(
      error.code,
      `operator ${operatorName} emitted a value that cannot be sent: ${error.message}`,
      {
        domain: error.domain,
        retry: error.retry,
        cause: error,
        ids: { ...error.ids, operator: operatorName },
      },
    );
  }
}
