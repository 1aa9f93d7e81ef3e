/**
 * The source that stands in for a job's own in a test: it plays a script. Restored readers play the rest again, so the script
 * is kept. How much of it may be read now, and in what portions, is decided by whoever runs the test.
 */
import type { PlannedSplits, Source, SourceBatch, SourceReader, SplitCursor } from '../../core/connector/index.ts';
import type { Script, ScriptElement, ScriptElements } from './inputs.ts';

/** How a schedule portions the elements of a split. */
export interface Portions {
  /** Elements of the next portion, at least 1. */
  size(): number;
  /** True: say that nothing is at hand, and be asked again after `resume`. */
  withhold(): boolean;
  /** Something was withheld: call `resume` some time. */
  later(resume: () => void): void;
}

/** Everything at hand at once. */
export const wholePortions: Portions = {
  size: () => Number.POSITIVE_INFINITY,
  withhold: () => false,
  later: (resume) => resume(),
};

/** One script for all attempts of a test. */
export class ScriptPlayer {
  readonly script: Script;
  /** Elements of a split that may be read. */
  #released: number;
  /** True when nothing is held back any more, so that a split ends after its last element. */
  #open: boolean;
  #waiting: (() => void)[] = [];

  /** @param held true: nothing may be read before `release` */
  constructor(script: Script, held: boolean) {
    this.script = script;
    this.#released = held ? 0 : Number.POSITIVE_INFINITY;
    this.#open = !held;
  }

  get released(): number {
    return this.#released;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Lets sources read up to the `stretch`-th control of the script, all of it when there are fewer. */
  release(stretch: number): void {
    const control = this.script.controls[stretch];
    this.#released = control?.after ?? Number.POSITIVE_INFINITY;
    this.#open = control === undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  whenReleased(wake: () => void): void {
    this.#waiting.push(wake);
  }

  /** A source for one attempt. */
  source(portions: Portions): Source<unknown, number> {
    return {
      type: 'source',
      kind: 'script',
      options: {},
      boundedness: 'bounded',
      openSplitsMax: Number.POSITIVE_INFINITY,
      splitId: String,
      createPlanner: () => {
        let planned = false;
        return {
          open: async (restored) => void (planned = restored === true),
          next: (): Promise<PlannedSplits<number>> => {
            const count = planned ? 0 : this.script.splits.length;
            planned = true;
            return Promise.resolve({ splits: Array.from({ length: count }, (_, split) => split), done: true });
          },
          snapshot: () => planned,
          close: () => Promise.resolve(),
        };
      },
      createReader: (): SourceReader<unknown, number> => ({
        openSplit: async (split, position) =>
          new ScriptCursor(this, this.script.splits[split] ?? [], (position as number | undefined) ?? 0, portions),
        close: () => Promise.resolve(),
      }),
    };
  }
}

class ScriptCursor implements SplitCursor<unknown> {
  readonly #player: ScriptPlayer;
  readonly #elements: ScriptElements;
  readonly #portions: Portions;
  #next: number;
  #batchStart: number;
  #batchLength = 0;

  constructor(player: ScriptPlayer, elements: ScriptElements, next: number, portions: Portions) {
    this.#player = player;
    this.#elements = elements;
    this.#portions = portions;
    this.#next = next;
    this.#batchStart = next;
  }

  get ended(): boolean {
    return this.#next >= this.#elements.length && this.#player.open;
  }

  poll(recordsMax: number): SourceBatch<unknown> | null {
    const available = Math.min(this.#elements.length, this.#player.released);
    if (this.#next >= available || this.#portions.withhold()) return null;
    const end = Math.min(available, this.#next + recordsMax, this.#next + this.#portions.size());
    const values: unknown[] = [];
    const timestamps: number[] = [];
    let watermarkMs: number | null = null;
    this.#batchStart = this.#next;
    // A watermark closes the portion: it is true behind its records.
    while (this.#next < end && watermarkMs === null) {
      const element = this.#elements.at(this.#next++) as ScriptElement;
      if (element.watermarkMs !== null) {
        watermarkMs = element.watermarkMs;
        continue;
      }
      values.push(element.value);
      timestamps.push(element.timestampMs);
    }
    this.#batchLength = values.length;
    const timed = timestamps.some((time) => !Number.isNaN(time));
    return {
      values,
      timestamps: timed ? Float64Array.from(timestamps) : null,
      ...(watermarkMs === null ? {} : { watermarkMs }),
    };
  }

  ready(): Promise<void> {
    return new Promise((resolve) => {
      const available = Math.min(this.#elements.length, this.#player.released);
      if (this.#next < available || this.ended) this.#portions.later(resolve);
      else this.#player.whenReleased(resolve);
    });
  }

  /** A watermark counts as read with the last record before it. */
  position(consumed: number): number {
    return consumed >= this.#batchLength ? this.#next : this.#batchStart + consumed;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
