/**
 * Nexmark's events as a source. Each split is a generator of its own: its ids are a range, its times begin at the base
 * time, as in the Flink port. Events come as fast as they are read; the rate is that of event time.
 *
 * With `durationMs` a stream without a number of events ends by the clock: for timed runs only, which compare nothing.
 */
import type { PlainData, Source, SourceBatch, SplitCursor } from '../../core/connector/index.ts';
import { FixedPlanner } from '../../connectors/collection/fixed-planner.ts';
import { EventMaker } from './event-maker.ts';
import type { NexmarkEvent } from './model.ts';

export interface NexmarkOptions {
  /** Events of all splits together; Infinity for a stream without end. */
  readonly events: number;
  /** Events of all splits together in one second of event time. */
  readonly eventsPerSecond: number;
  /** Time of the first events, epoch ms. */
  readonly baseTimeMs: number;
  readonly seed: number;
  readonly splits: number;
  /** The stream ends this long after its first event; Infinity for never. */
  readonly durationMs: number;
}

export interface NexmarkSplit {
  readonly split: number;
}

interface NexmarkPosition {
  readonly next: number;
}

/** Ids between two splits of a stream without end. */
const unlimitedStride = 2 ** 40;

export function nexmarkSource(options: NexmarkOptions): Source<NexmarkEvent, NexmarkSplit> {
  const { events, eventsPerSecond, baseTimeMs, seed, splits, durationMs } = options;
  const valid =
    (events === Number.POSITIVE_INFINITY || (Number.isSafeInteger(events) && events >= 0)) &&
    eventsPerSecond > 0 &&
    Number.isSafeInteger(splits) &&
    splits >= 1 &&
    durationMs > 0;
  if (!valid) throw new RangeError(`these are no options of Nexmark: ${JSON.stringify(options)}`);
  return {
    type: 'source',
    kind: 'nexmark',
    options: {
      events: Number.isFinite(events) ? events : null,
      eventsPerSecond,
      baseTimeMs,
      seed,
      splits,
      durationMs: Number.isFinite(durationMs) ? durationMs : null,
    },
    boundedness: Number.isFinite(events) || Number.isFinite(durationMs) ? 'bounded' : 'unbounded',
    openSplitsMax: Number.POSITIVE_INFINITY,
    splitId: ({ split }) => `nexmark-${split}`,
    splitLowerBoundMs: () => baseTimeMs,
    createPlanner: () => new FixedPlanner(Array.from({ length: splits }, (_, split) => ({ split }))),
    createReader: () => ({
      openSplit: (split, position) =>
        Promise.resolve(new NexmarkCursor(options, split.split, position as NexmarkPosition | undefined)),
      close: () => Promise.resolve(),
    }),
  };
}

/** Every event is at hand at once. */
class NexmarkCursor implements SplitCursor<NexmarkEvent> {
  readonly #maker: EventMaker;
  readonly #count: number;
  readonly #durationMs: number;
  #startedMs = Number.NaN;
  #next: number;
  #batchStart: number;
  #expired = false;

  constructor(options: NexmarkOptions, split: number, position: NexmarkPosition | undefined) {
    const { events, splits, durationMs, seed, baseTimeMs, eventsPerSecond } = options;
    const share = Number.isFinite(events) ? Math.floor(events / splits) : unlimitedStride;
    this.#maker = new EventMaker({
      seed,
      baseTimeMs,
      interEventDelayUs: (1e6 / eventsPerSecond) * splits,
      firstEventId: split * share,
    });
    // The last one takes what the division leaves.
    this.#count = split === splits - 1 ? events - share * split : Math.min(events, share);
    this.#durationMs = durationMs;
    this.#next = position?.next ?? 0;
    this.#batchStart = this.#next;
  }

  get ended(): boolean {
    return this.#expired || this.#next >= this.#count;
  }

  poll(recordsMax: number): SourceBatch<NexmarkEvent> | null {
    const length = Math.min(recordsMax, this.#count - this.#next);
    if (length <= 0) return null;
    const maker = this.#maker;
    const values: NexmarkEvent[] = new Array(length);
    this.#batchStart = this.#next;
    for (let at = 0; at < length; at++) values[at] = maker.make(this.#batchStart + at);
    this.#next += length;
    if (this.#durationMs !== Number.POSITIVE_INFINITY) this.#lookAtClock();
    return { values, timestamps: null };
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  position(consumed: number): PlainData {
    const position: NexmarkPosition = { next: this.#batchStart + consumed };
    return position;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #lookAtClock(): void {
    const nowMs = Date.now();
    if (Number.isNaN(this.#startedMs)) this.#startedMs = nowMs;
    if (nowMs - this.#startedMs >= this.#durationMs) this.#expired = true;
  }
}
