/**
 * What a connection is about to send. Frames of one turn of the event loop are collected and handed to the socket together;
 * a full buffer is handed over at once, so that the other end can work meanwhile.
 *
 * Architecture invariant: a buffer is used again only after the socket has called back for it. While the socket holds back,
 * frames collect here; credit bounds how many (all channels' windows, and one step of an operator).
 */
import type { Socket } from 'node:net';
import { EngineError } from '../../core/errors.ts';
import type { ExchangeLimits } from '../../runtime/exchange/exchange-limits.ts';
import { type FrameOutput, frameHeaderBytes } from '../../runtime/exchange/frame.ts';

const bufferBytes = 256 * 1024;
/** A buffer with this much is handed to the socket without waiting for the end of the turn. */
const sealBytes = 128 * 1024;
const pooledMax = 4;

const allocate = (bytes: number): Uint8Array => new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);

/** A buffer and how much of it is to be sent. */
interface Sealed {
  readonly buffer: Uint8Array;
  readonly length: number;
}

export class OutputBuffer implements FrameOutput {
  buffer: Uint8Array = allocate(bufferBytes);
  view: DataView = new DataView(this.buffer.buffer);
  position = 0;
  readonly #limits: ExchangeLimits;
  readonly #onOpen: () => void;
  #socket: Socket | null = null;
  #discarding = false;
  #blocked = false;
  #frameStart = 0;
  #flushDue = false;
  #sealed: Sealed[] = [];
  readonly #inFlight: Uint8Array[] = [];
  readonly #pool: Uint8Array[] = [];

  /** @param onOpen called when the socket takes data again after it held back */
  constructor(limits: ExchangeLimits, onOpen: () => void) {
    this.#limits = limits;
    this.#onOpen = onOpen;
  }

  /** False while the socket holds back, and when nothing is sent any more. */
  get open(): boolean {
    return !this.#blocked && !this.#discarding;
  }

  /** Bytes written and not yet taken by the socket. */
  get waitingBytes(): number {
    let bytes = this.position;
    for (const sealed of this.#sealed) bytes += sealed.length;
    return bytes;
  }

  /** From now on what is written goes to `socket`. */
  attach(socket: Socket): void {
    this.#socket = socket;
    socket.on('drain', this.#drained);
    this.frameWritten();
  }

  /** Nothing is sent any more: what is written is forgotten. */
  discard(): void {
    this.#socket = null;
    this.#discarding = true;
    this.#sealed = [];
    this.position = 0;
  }

  startFrame(): void {
    if (this.position >= sealBytes) this.#seal();
    else if (this.position === 0 && this.buffer.length > bufferBytes) this.#replaceBuffer();
    this.#frameStart = this.position;
  }

  ensure(bytes: number): void {
    const needed = this.position + bytes;
    if (needed <= this.buffer.length) return;
    const payloadBytes = needed - this.#frameStart - frameHeaderBytes;
    const { batchMaxBytes } = this.#limits;
    if (payloadBytes > batchMaxBytes) {
      const message = `a batch of more than ${payloadBytes} bytes was emitted, ${batchMaxBytes} are allowed: emit smaller records`;
      throw new EngineError('RECORD_TOO_LARGE', message, { ids: { bytes: payloadBytes } });
    }
    const grown = allocate(Math.max(needed, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.position));
    this.buffer = grown;
    this.view = new DataView(grown.buffer);
  }

  frameWritten(): void {
    if (this.#discarding) this.position = 0;
    else if (this.position >= sealBytes) this.#seal();
    else if (!this.#flushDue && this.#socket !== null && !this.#blocked) {
      this.#flushDue = true;
      setImmediate(this.#flushAtEndOfTurn);
    }
  }

  /** Hands everything to the socket unless it holds back. */
  flush(): void {
    if (this.#socket === null || this.#blocked) return;
    while (this.#sealed.length > 0 && !this.#blocked) {
      const { buffer, length } = this.#sealed.shift() as Sealed;
      this.#send(buffer, length);
    }
    if (this.position > 0 && !this.#blocked) this.#seal();
  }

  readonly #flushAtEndOfTurn = (): void => {
    this.#flushDue = false;
    this.flush();
  };

  readonly #drained = (): void => {
    this.#blocked = false;
    this.flush();
    if (!this.#blocked) this.#onOpen();
  };

  /** The socket has written the oldest buffer: it may be used again. */
  readonly #written = (): void => {
    const buffer = this.#inFlight.shift();
    if (buffer !== undefined && buffer.length === bufferBytes && this.#pool.length < pooledMax) this.#pool.push(buffer);
  };

  #seal(): void {
    const { buffer, position } = this;
    this.#replaceBuffer();
    if (this.#discarding) return;
    if (this.#socket !== null && !this.#blocked && this.#sealed.length === 0) this.#send(buffer, position);
    else this.#sealed.push({ buffer, length: position });
  }

  #send(buffer: Uint8Array, length: number): void {
    this.#inFlight.push(buffer);
    const taken = this.#socket?.write(buffer.subarray(0, length), this.#written);
    if (taken === false) this.#blocked = true;
  }

  #replaceBuffer(): void {
    this.buffer = this.#pool.pop() ?? allocate(bufferBytes);
    this.view = new DataView(this.buffer.buffer);
    this.position = 0;
  }
}
