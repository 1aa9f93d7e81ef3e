/**
 * Emits the records of one split. Open loop: record `index` is due at `start + index / rate`, however long earlier ones took, so a
 * stream that was held up catches up instead of silently running at a lower rate. The start is part of the position.
 */
import type { PlainData, SourceBatch, SplitCursor } from '../../core/connector/index.ts';
import { SeededRandom } from './random.ts';
import type { RecordRandom } from './random.ts';

export interface GeneratorPlan<T> {
  /** Infinity for an unbounded stream. */
  readonly count: number;
  readonly seed: number;
  /** Records per second of all splits together, or null for as fast as possible. */
  readonly ratePerSecond: number | null;
  readonly splits: number;
  make(index: number, random: RecordRandom): T;
  readonly timestampOf: ((record: T, index: number) => number) | null;
}

export interface GeneratorPosition {
  /** Records of this split that were emitted. */
  readonly next: number;
  /** When the stream started, epoch ms. */
  readonly startMs: number;
}

/** Clock and timer, given from outside so that tests own the time. */
export interface GeneratorTime {
  nowMs(): number;
  /** Resolves after `durationMs` or when the signal aborts. */
  wait(durationMs: number, signal: AbortSignal): Promise<void>;
}

export interface GeneratorCursorOptions {
  readonly split: number;
  readonly position: GeneratorPosition;
  readonly time: GeneratorTime;
  readonly signal: AbortSignal;
}

export class GeneratorCursor<T> implements SplitCursor<T> {
  readonly #plan: GeneratorPlan<T>;
  readonly #options: GeneratorCursorOptions;
  readonly #random: SeededRandom;
  /** Records this split has in all. */
  readonly #splitCount: number;
  #next: number;
  #batchStart: number;

  constructor(plan: GeneratorPlan<T>, options: GeneratorCursorOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#random = new SeededRandom(plan.seed);
    this.#splitCount = Math.ceil((plan.count - options.split) / plan.splits);
    this.#next = options.position.next;
    this.#batchStart = this.#next;
  }

  get ended(): boolean {
    return this.#next >= this.#splitCount;
  }

  poll(recordsMax: number): SourceBatch<T> | null {
    const length = Math.min(recordsMax, this.#dueCount() - this.#next);
    // A poll without records leaves the last batch, and so its positions, as they were.
    if (length <= 0) return null;
    this.#batchStart = this.#next;
    const values = this.#make(length);
    const timestamps = this.#plan.timestampOf === null ? null : this.#timestamps(values, this.#plan.timestampOf);
    this.#next += length;
    return { values, timestamps };
  }

  async ready(): Promise<void> {
    const { time, signal } = this.#options;
    while (!this.ended && this.#dueCount() <= this.#next && !signal.aborted) {
      await time.wait(Math.max(1, this.#dueMs(this.#next) - time.nowMs()), signal);
    }
  }

  position(consumed: number): PlainData {
    const position: GeneratorPosition = { next: this.#batchStart + consumed, startMs: this.#options.position.startMs };
    return position;
  }

  async close(): Promise<void> {}

  /** The hot loop: nothing in it but the user's function and the seeding. */
  #make(length: number): T[] {
    const { make, splits } = this.#plan;
    const random = this.#random;
    const values: T[] = new Array(length);
    let index = this.#next * splits + this.#options.split;
    for (let at = 0; at < length; at++, index += splits) {
      random.seek(index);
      values[at] = make(index, random);
    }
    return values;
  }

  #timestamps(values: readonly T[], timestampOf: (record: T, index: number) => number): Float64Array {
    const timestamps = new Float64Array(values.length);
    for (let at = 0; at < values.length; at++) {
      timestamps[at] = timestampOf(values[at] as T, this.#globalIndex(this.#next + at));
    }
    return timestamps;
  }

  #globalIndex(own: number): number {
    return own * this.#plan.splits + this.#options.split;
  }

  #dueMs(own: number): number {
    const { ratePerSecond } = this.#plan;
    return ratePerSecond === null
      ? 0
      : this.#options.position.startMs + (this.#globalIndex(own) * 1000) / ratePerSecond;
  }

  /** Records of this split that are due now. */
  #dueCount(): number {
    const { ratePerSecond, splits } = this.#plan;
    if (ratePerSecond === null) return this.#splitCount;
    const elapsedMs = this.#options.time.nowMs() - this.#options.position.startMs;
    const dueOfAll = Math.floor((elapsedMs * ratePerSecond) / 1000) + 1;
    return Math.min(this.#splitCount, Math.max(0, Math.ceil((dueOfAll - this.#options.split) / splits)));
  }
}
