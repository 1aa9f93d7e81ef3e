import { type Batch, minWatermark, type RowKind } from './batch.ts';

/** Records in a full batch; a start value, see design §2. */
export const batchRecordsMax = 512;

/**
 * Collects records into one batch at a time. Columns appear with the first record that needs them, so a stream without
 * timestamps, lateness or row kinds never pays for one.
 */
export class BatchBuilder {
  #values: unknown[] = [];
  #timestamps: Float64Array | null = null;
  #splitWatermarks: Float64Array | null = null;
  #rowKinds: Uint8Array | null = null;
  #watermark = minWatermark;
  readonly #capacity: number;

  /** @param capacity records per batch, 1 or more */
  constructor(capacity: number = batchRecordsMax) {
    this.#capacity = capacity;
  }

  get length(): number {
    return this.#values.length;
  }

  get full(): boolean {
    return this.#values.length >= this.#capacity;
  }

  /** True when there is neither a record nor a watermark to hand on. */
  get empty(): boolean {
    return this.#values.length === 0 && this.#watermark === minWatermark;
  }

  /**
   * @param timestamp      ms since the epoch, NaN where absent
   * @param splitWatermark watermark of the record's split, NaN where it does not matter
   */
  add(value: unknown, timestamp: number, splitWatermark: number, kind: RowKind): void {
    const index = this.#values.length;
    this.#values.push(value);
    if (this.#timestamps !== null) this.#timestamps[index] = timestamp;
    else if (timestamp === timestamp) this.#startTimestamps(index, timestamp);
    if (this.#splitWatermarks !== null) this.#splitWatermarks[index] = splitWatermark;
    else if (splitWatermark === splitWatermark) this.#startSplitWatermarks(index, splitWatermark);
    if (this.#rowKinds !== null) this.#rowKinds[index] = kind;
    else if (kind !== 0) this.#startRowKinds(index, kind);
  }

  /** Notes the watermark that follows all records added so far. */
  setWatermark(watermark: number): void {
    if (watermark > this.#watermark) this.#watermark = watermark;
  }

  /** Hands out what was collected and starts the next batch. */
  take(): Batch {
    const batch: Batch = {
      values: this.#values,
      length: this.#values.length,
      timestamps: this.#timestamps,
      splitWatermarks: this.#splitWatermarks,
      rowKinds: this.#rowKinds,
      watermark: this.#watermark,
    };
    this.#values = [];
    this.#timestamps = null;
    this.#splitWatermarks = null;
    this.#rowKinds = null;
    this.#watermark = minWatermark;
    return batch;
  }

  #startTimestamps(index: number, timestamp: number): void {
    this.#timestamps = new Float64Array(this.#capacity);
    this.#timestamps.fill(Number.NaN, 0, index);
    this.#timestamps[index] = timestamp;
  }

  #startSplitWatermarks(index: number, splitWatermark: number): void {
    this.#splitWatermarks = new Float64Array(this.#capacity);
    this.#splitWatermarks.fill(Number.NaN, 0, index);
    this.#splitWatermarks[index] = splitWatermark;
  }

  #startRowKinds(index: number, kind: RowKind): void {
    this.#rowKinds = new Uint8Array(this.#capacity);
    this.#rowKinds[index] = kind;
  }
}
