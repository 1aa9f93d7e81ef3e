/** Naive models of windows: every window keeps its numbers in a list, and everything is looked through every time. */
import { compareBytes, encodeKeyToBytes } from '../../../core/codec/key-codec.ts';
import type { Key } from '../../../core/operators.ts';

export interface Reading {
  readonly key: Key;
  readonly n: number;
}

interface ModelWindow {
  readonly key: Key;
  start: number;
  end: number;
  numbers: number[];
  fired: boolean;
}

export interface WindowModel {
  /** Results that a record emits at once. */
  add(value: Reading, timestamp: number, splitWatermark: number): unknown[];
  advance(watermark: number): unknown[];
  /** What a restore begins with. */
  copy(): WindowModel;
  readonly late: number;
  /** Windows that are kept. */
  readonly size: number;
}

abstract class ListModel implements WindowModel {
  windows: ModelWindow[] = [];
  watermark = Number.NEGATIVE_INFINITY;
  late = 0;
  readonly allowedLatenessMs: number;

  constructor(allowedLatenessMs: number) {
    this.allowedLatenessMs = allowedLatenessMs;
  }

  abstract add(value: Reading, timestamp: number, splitWatermark: number): unknown[];
  abstract copy(): ListModel;

  get size(): number {
    return this.windows.length;
  }

  advance(watermark: number): unknown[] {
    this.watermark = Math.max(this.watermark, watermark);
    const due = this.windows.filter((window) => !window.fired && window.end - 1 <= this.watermark);
    for (const window of due) window.fired = true;
    this.windows = this.windows.filter((window) => !this.isOver(window.end, this.watermark));
    due.sort((left, right) => left.end - right.end || compareKeys(left.key, right.key));
    return due.map(resultOf);
  }

  protected isOver(end: number, time: number): boolean {
    return end - 1 + this.allowedLatenessMs <= time;
  }

  protected copyTo(copy: ListModel): ListModel {
    copy.windows = this.windows.map((window) => ({ ...window, numbers: [...window.numbers] }));
    return copy;
  }

  /** The window has got a record: it fires again when it has fired. */
  protected updated(window: ModelWindow): unknown[] {
    window.fired = window.end - 1 <= this.watermark;
    return window.fired ? [resultOf(window)] : [];
  }
}

/** Sliding windows; how far they have fired is state. */
export class SlidingModel extends ListModel {
  readonly #size: number;
  readonly #slide: number;

  constructor(size: number, slide: number, allowedLatenessMs: number) {
    super(allowedLatenessMs);
    this.#size = size;
    this.#slide = slide;
  }

  copy(): SlidingModel {
    const copy = new SlidingModel(this.#size, this.#slide, this.allowedLatenessMs);
    copy.watermark = this.watermark;
    return this.copyTo(copy) as SlidingModel;
  }

  add(value: Reading, timestamp: number, splitWatermark: number): unknown[] {
    const outputs: unknown[] = [];
    let isLate = true;
    const first = Math.ceil((timestamp + 1 - this.#size) / this.#slide) * this.#slide + 0;
    for (let start = first; start <= timestamp; start += this.#slide) {
      const end = start + this.#size;
      if (this.isOver(end, splitWatermark) || this.isOver(end, this.watermark)) continue;
      isLate = false;
      outputs.push(...this.#addTo(start, end, value));
    }
    if (isLate) this.late++;
    return outputs;
  }

  #addTo(start: number, end: number, { key, n }: Reading): unknown[] {
    let window = this.windows.find((other) => other.start === start && compareKeys(other.key, key) === 0);
    if (window === undefined) {
      window = { key, start, end, numbers: [], fired: false };
      this.windows.push(window);
    }
    window.numbers.push(n);
    return this.updated(window);
  }
}

/** Sessions; which have fired is state, the watermark is not. */
export class SessionModel extends ListModel {
  readonly #gapOf: (value: Reading) => number;

  constructor(gapOf: (value: Reading) => number, allowedLatenessMs: number) {
    super(allowedLatenessMs);
    this.#gapOf = gapOf;
  }

  copy(): SessionModel {
    return this.copyTo(new SessionModel(this.#gapOf, this.allowedLatenessMs)) as SessionModel;
  }

  add(value: Reading, timestamp: number, splitWatermark: number): unknown[] {
    const { key, n } = value;
    const own = { key, start: timestamp, end: timestamp + this.#gapOf(value), numbers: [n], fired: false };
    if (this.isOver(own.end, splitWatermark) || this.isOver(own.end, this.watermark)) {
      this.late++;
      return [];
    }
    const touches = (other: ModelWindow): boolean =>
      compareKeys(other.key, key) === 0 && other.start <= own.end && own.start <= other.end;
    const touched = this.windows.filter(touches);
    const session: ModelWindow = {
      ...own,
      start: Math.min(own.start, ...touched.map((other) => other.start)),
      end: Math.max(own.end, ...touched.map((other) => other.end)),
      numbers: [...touched.flatMap((other) => other.numbers), n],
    };
    this.windows = [...this.windows.filter((other) => !touched.includes(other)), session];
    return this.updated(session);
  }
}

function compareKeys(left: Key, right: Key): number {
  return compareBytes(encodeKeyToBytes(left), encodeKeyToBytes(right));
}

function resultOf({ key, start, end, numbers }: ModelWindow): unknown {
  return {
    key,
    windowStart: start,
    windowEnd: end,
    count: numbers.length,
    sum: numbers.reduce((left, right) => left + right, 0),
    least: Math.min(...numbers),
    list: sorted(numbers),
  };
}

/** Numbers in order: windows of several parts do not keep the order of arrival. */
export function sorted(numbers: readonly number[]): number[] {
  return [...numbers].sort((left, right) => left - right);
}
