/**
 * Frames of the data plane. A connection is a sequence of frames in both directions:
 *
 *   u32 payload bytes | u32 channel | u32 sequence | u8 kind | u8 magic | u16 zero | u32 crc32 of payload | u32 header check | payload
 *
 * All little-endian. The header has a check of its own, so a flipped bit in the length is found before that many bytes are
 * allocated or waited for. Sequences count per channel and direction, modulo 2^32; a gap or a repetition means that
 * something between the slots lost or repeated data, and the connection is given up. The checksum guards each batch from
 * encoder to decoder, so a buffer that is used again too early shows at once (FLINK-22424).
 *
 * Pure: no sockets here. `FrameParser` takes chunks cut anywhere.
 */
import { crc32 } from 'node:zlib';
import type { ByteSink } from '../../core/codec/byte-sink.ts';
import { assert, EngineError } from '../../core/errors.ts';

export const frameHeaderBytes = 24;
const frameMagic = 0x4d;

/** What a frame carries. Values are wire format: never given another meaning within one protocol version. */
export const frameKind = {
  /** Last or only part of an encoded batch. */
  batch: 1,
  /** A part of a batch with more to follow, at once, on the same channel. */
  batchPart: 2,
  barrier: 3,
  idle: 4,
  end: 5,
  /** Reverse direction: bytes of credit given back. */
  credit: 6,
  /** Handshake: who the dialing slot is, whether it is welcome, or why not. */
  hello: 7,
  welcome: 8,
  refusal: 9,
  /** The slot closes the connection on purpose: what follows is not a failure. */
  close: 10,
} as const;
export type FrameKind = (typeof frameKind)[keyof typeof frameKind];
const frameKindMax = 10;

/** Frames that concern the connection, not a channel, carry this channel id. */
export const connectionChannel = 0xffffffff;

const noBytes = new Uint8Array(new ArrayBuffer(0));

/** The error of a peer, or a network, that breaks the protocol. */
export function protocolError(message: string): EngineError {
  return new EngineError('PROTOCOL', `${message}; the connection is given up`, {
    domain: 'external',
    retry: 'backoff',
  });
}

/** Mixes the first 20 bytes of a header. Each step is a bijection, so a change within one word never goes unnoticed. */
function headerCheck(view: DataView, offset: number): number {
  let hash = 0x4d696c6c;
  for (let i = 0; i < 20; i += 4) {
    let word = Math.imul(view.getUint32(offset + i, true), 0xcc9e2d51);
    word = Math.imul((word << 15) | (word >>> 17), 0x1b873593);
    hash ^= word;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Where frames are written. */
export interface FrameOutput extends ByteSink {
  /** A frame starts at `position` after this call; what stands before may be taken away by it. */
  startFrame(): void;
  /** A whole frame stands before `position`. */
  frameWritten(): void;
}

/** Writes frames of one direction of a connection; the payload is written in place between `begin` and `finish`. */
export class FrameWriter {
  readonly output: FrameOutput;
  readonly #sequences = new Map<number, number>();
  #start = -1;

  constructor(output: FrameOutput) {
    this.output = output;
  }

  /** Starts a frame: the payload goes to `output` from `output.position` on. */
  begin(): void {
    assert(this.#start < 0, 'a frame begins while another is open');
    this.output.startFrame();
    this.output.ensure(frameHeaderBytes);
    this.#start = this.output.position;
    this.output.position += frameHeaderBytes;
  }

  /** Bytes of payload written since `begin`. */
  get payloadBytes(): number {
    return this.output.position - this.#start - frameHeaderBytes;
  }

  /** A copy of the payload written since `begin`. */
  copyPayload(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.output.buffer, this.#start + frameHeaderBytes, this.output.position);
  }

  /** Takes back what was written since `begin`. */
  rollback(): void {
    this.output.position = this.#start;
    this.#start = -1;
  }

  /** Completes the frame begun; returns its bytes, header included. */
  finish(channelId: number, kind: FrameKind): number {
    const { output } = this;
    const start = this.#start;
    const payloadBytes = output.position - start - frameHeaderBytes;
    const sequence = this.#sequences.get(channelId) ?? 0;
    this.#sequences.set(channelId, (sequence + 1) >>> 0);
    const { view } = output;
    view.setUint32(start, payloadBytes, true);
    view.setUint32(start + 4, channelId, true);
    view.setUint32(start + 8, sequence, true);
    view.setUint32(start + 12, kind | (frameMagic << 8), true);
    view.setUint32(start + 16, crc32(output.buffer.subarray(start + frameHeaderBytes, output.position)), true);
    view.setUint32(start + 20, headerCheck(view, start), true);
    this.#start = -1;
    output.frameWritten();
    return frameHeaderBytes + payloadBytes;
  }

  /** Writes a whole frame; returns its bytes, header included. */
  frame(channelId: number, kind: FrameKind, payload: Uint8Array): number {
    this.begin();
    this.output.ensure(payload.length);
    this.output.buffer.set(payload, this.output.position);
    this.output.position += payload.length;
    return this.finish(channelId, kind);
  }
}

/** Takes frames in order. `payload` is in memory of its own and belongs to the handler. */
export interface FrameHandler {
  frame(channelId: number, kind: FrameKind, payload: Uint8Array): void;
}

export interface FrameParserLimits {
  /** Larger payloads are refused before anything is allocated. */
  payloadMaxBytes: number;
  /** Channels of the connection. */
  channelsMax: number;
}

/**
 * Turns chunks of bytes into frames. Payloads are copied out of the chunk: a queued frame of 100 bytes must not keep a
 * chunk of 64 KiB alive, or the credit would not bound memory.
 */
export class FrameParser {
  /** May be raised once the peer is known. */
  payloadMaxBytes: number;
  readonly #channelsMax: number;
  readonly #handler: FrameHandler;
  readonly #sequences = new Map<number, number>();
  readonly #header = new Uint8Array(new ArrayBuffer(frameHeaderBytes));
  readonly #view = new DataView(this.#header.buffer);
  #headerFilled = 0;
  #payload: Uint8Array = noBytes;
  #payloadFilled = 0;
  #stopped = false;

  constructor(limits: FrameParserLimits, handler: FrameHandler) {
    this.payloadMaxBytes = limits.payloadMaxBytes;
    this.#channelsMax = limits.channelsMax;
    this.#handler = handler;
  }

  /** True between two frames: a connection that ends elsewhere was cut. */
  get atBoundary(): boolean {
    return this.#headerFilled === 0;
  }

  /** Ignores everything from now on, also the rest of a chunk being parsed. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Takes the next bytes of the connection and hands on the frames they complete.
   * @throws EngineError PROTOCOL on a damaged, misplaced or oversized frame; the parser takes nothing more after it
   */
  push(chunk: Uint8Array): void {
    let offset = 0;
    try {
      while (offset < chunk.length && !this.#stopped) {
        offset =
          this.#headerFilled < frameHeaderBytes ? this.#pushHeader(chunk, offset) : this.#pushPayload(chunk, offset);
      }
    } catch (error) {
      this.#stopped = true;
      this.#payload = noBytes;
      throw error;
    }
  }

  #pushHeader(chunk: Uint8Array, from: number): number {
    const count = Math.min(frameHeaderBytes - this.#headerFilled, chunk.length - from);
    for (let i = 0; i < count; i++) this.#header[this.#headerFilled + i] = chunk[from + i] as number;
    this.#headerFilled += count;
    if (this.#headerFilled === frameHeaderBytes) this.#startPayload();
    return from + count;
  }

  #startPayload(): void {
    const view = this.#view;
    if (view.getUint32(20, true) !== headerCheck(view, 0)) throw protocolError('a frame header is damaged');
    const word = view.getUint32(12, true);
    const kind = word & 0xff;
    if (word >>> 8 !== frameMagic || kind < 1 || kind > frameKindMax)
      throw protocolError(`a frame of unknown kind ${word} came`);
    const payloadBytes = view.getUint32(0, true);
    if (payloadBytes > this.payloadMaxBytes) {
      throw protocolError(`a frame of ${payloadBytes} bytes came, ${this.payloadMaxBytes} are allowed`);
    }
    this.#checkSequence(view.getUint32(4, true), view.getUint32(8, true));
    this.#payload = payloadBytes === 0 ? noBytes : new Uint8Array(Buffer.allocUnsafeSlow(payloadBytes).buffer);
    this.#payloadFilled = 0;
    if (payloadBytes === 0) this.#finish();
  }

  #checkSequence(channelId: number, sequence: number): void {
    const expected = this.#sequences.get(channelId) ?? 0;
    if (sequence !== expected) {
      throw protocolError(`frame ${sequence} of channel ${channelId} came where frame ${expected} was due`);
    }
    // One more than the channels: frames of the connection itself.
    if (sequence === 0 && !this.#sequences.has(channelId) && this.#sequences.size > this.#channelsMax) {
      throw protocolError(`more than ${this.#channelsMax} channels were opened`);
    }
    this.#sequences.set(channelId, (sequence + 1) >>> 0);
  }

  #pushPayload(chunk: Uint8Array, from: number): number {
    const count = Math.min(this.#payload.length - this.#payloadFilled, chunk.length - from);
    this.#payload.set(count === chunk.length ? chunk : chunk.subarray(from, from + count), this.#payloadFilled);
    this.#payloadFilled += count;
    if (this.#payloadFilled === this.#payload.length) this.#finish();
    return from + count;
  }

  #finish(): void {
    const payload = this.#payload;
    const channelId = this.#view.getUint32(4, true);
    if (crc32(payload) !== this.#view.getUint32(16, true)) {
      throw protocolError(`a frame of channel ${channelId} is damaged: its checksum differs`);
    }
    this.#payload = noBytes;
    this.#headerFilled = 0;
    this.#handler.frame(channelId, this.#view.getUint8(12) as FrameKind, payload);
  }
}
