/**
 * The channel between two subtasks of one slot: batches by reference. It is bounded like a channel over TCP, in bytes and
 * by the same ledgers; as nothing is encoded, bytes are estimated from one record in 256. The number of batches is
 * bounded too, for batches that carry a watermark and nothing else.
 *
 * `onReadable` and `onWritable` are called from inside `write` and `poll`: they mark a subtask as ready and return.
 */
import type { Batch, StreamElement } from '../../core/stream/batch.ts';
import type { ChannelReader, ChannelWriter } from './channel.ts';
import { defaultExchangeLimits, type ExchangeLimits } from './exchange-limits.ts';
import { approximateRecordBytes } from './record-size.ts';
import { SizedQueue } from './sized-queue.ts';

/** One record in this many is sized. */
const sampleEvery = 256;
const batchOverheadBytes = 64;
/** Columns of a record besides its value: timestamp, split watermark, row kind. */
const columnBytes = 17;
/** Weight of a new sample in the moving mean of record sizes. */
const sampleWeight = 0.25;

export interface LocalChannelCallbacks {
  /** There is an element to poll, after there was none. */
  onReadable(): void;
  /** `hasRoom` turned true again. */
  onWritable(): void;
}

/** Both ends of a same-slot channel. */
export class LocalChannel implements ChannelWriter, ChannelReader {
  readonly #queue = new SizedQueue<StreamElement>();
  readonly #callbacks: LocalChannelCallbacks;
  readonly #limits: ExchangeLimits;
  #batches = 0;
  #recordBytes = 0;
  #untilSample = 0;
  #hadRoom = true;

  constructor(callbacks: LocalChannelCallbacks, limits: ExchangeLimits = defaultExchangeLimits) {
    this.#callbacks = callbacks;
    this.#limits = limits;
  }

  /** Estimated bytes of the queued batches. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  get hasRoom(): boolean {
    return this.#queue.bytes < this.#limits.channelCreditBytes && this.#batches < this.#limits.localBatchesMax;
  }

  write(element: StreamElement): void {
    let bytes = 0;
    if (element.kind === 'batch') {
      bytes = this.#estimate(element.batch);
      this.#batches += 1;
    }
    const wasEmpty = this.#queue.length === 0;
    this.#queue.push(element, bytes);
    this.#hadRoom = this.hasRoom;
    if (wasEmpty) this.#callbacks.onReadable();
  }

  poll(): StreamElement | null {
    const element = this.#queue.shift();
    if (element === undefined) return null;
    if (element.kind === 'batch') this.#batches -= 1;
    if (!this.#hadRoom && this.hasRoom) {
      this.#hadRoom = true;
      this.#callbacks.onWritable();
    }
    return element;
  }

  #estimate(batch: Batch): number {
    if (batch.length === 0) return batchOverheadBytes;
    while (this.#untilSample < batch.length) {
      const bytes = approximateRecordBytes(batch.values[this.#untilSample]);
      // The first sample sets the mean; one that is larger than a mean is believed at once, for it is what fills memory.
      const weight = this.#recordBytes === 0 || bytes > this.#recordBytes ? 1 : sampleWeight;
      this.#recordBytes += (bytes - this.#recordBytes) * weight;
      this.#untilSample += sampleEvery;
    }
    this.#untilSample -= batch.length;
    return batchOverheadBytes + Math.round(batch.length * (this.#recordBytes + columnBytes));
  }
}
